"""Train what a job.json says once more, in this process, where a debugger can stop. MLflow is not written.

python -m pdb scripts/debug_training.py JOB DSN FOLDER

JOB is the file that a failed or refused build left in the project's target/postgres_ml/. DSN leads to
the database, whose rows are copied again. Everything is written to FOLDER. With --prepare nothing is trained:
FOLDER then holds what `postgres-ml train FOLDER/job.json` reads. Refused are external models, and dbt models
in Python that read several relations: their rows come by other ways.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any

import psycopg2
from postgres_ml.contract import json_file
from postgres_ml.contract.job import TrainingJob
from postgres_ml.snapshot.copy import copy_snapshot


def prepare(job: TrainingJob, dsn: str, folder: Path) -> TrainingJob:
    """Write the job, as one of this folder, and the rows of its query; return the job."""
    folder.mkdir(parents=True)
    job = dataclasses.replace(job, directory=str(folder.resolve()), resumes=False)
    (folder / "job.json").write_text(json_file.to_json(job), encoding="utf-8")
    with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
        copy_snapshot(
            cursor, job.query, job.features, job.target, folder / "snapshot.bin", job.spec.settings,
            job.spec.problem_type, job.weight,
        )  # fmt: skip
    connection.close()
    return job


def say(level: str, text: str, fields: dict[str, Any] | None = None) -> None:
    """Write a message of the training to stderr."""
    sys.stderr.write(f"{level}: {text or fields}\n")


def main() -> None:
    """Train the job that the command line names."""
    parser = argparse.ArgumentParser(description="Train what a job.json says once more, in this process.")
    parser.add_argument("job", type=Path, help="target/postgres_ml/model.<project>.<name>/job.json")
    parser.add_argument("dsn", help="the database, as libpq takes it")
    parser.add_argument("folder", type=Path, help="where to write; it must not exist yet")
    parser.add_argument("--prepare", action="store_true", help="copy the rows and train nothing")
    options = parser.parse_args()
    described = json_file.read(TrainingJob, options.job)
    if described.spec.source is not None or described.others:
        parser.error(f"{described.spec.name} is an external model, or reads several relations")
    job = prepare(described, options.dsn, options.folder)
    if options.prepare:
        return
    from postgres_ml.pipeline import train  # heavy: the libraries come in with it
    from postgres_ml.track.drawing import draw_pending

    trained = train(job, lambda: "debug", say)
    draw_pending(Path(job.directory))
    scores = None if trained.evaluation is None else trained.evaluation.metrics
    say("info", f"{trained.summary.model_type}: {scores}")


if __name__ == "__main__":
    main()
