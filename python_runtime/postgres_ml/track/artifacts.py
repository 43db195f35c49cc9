"""The files of a training: pipeline, program, SQL, trials; and what plots and card are drawn from.

Input: `Fitted`. Output: a folder that MLflow keeps.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import joblib

from postgres_ml.contract.exceptions import StorageError
from postgres_ml.generate import create_statement
from postgres_ml.process.report import Report
from postgres_ml.program.serialize import program_to_json
from postgres_ml.publish.fitted import Fitted
from postgres_ml.track.drawing import write_drawing


def write_artifacts(fitted: Fitted, report: Report, folder: Path, run_id: str) -> None:
    """Write all files into the folder, which is made, but what is drawn later.

    Raises
    ------
    StorageError
        A file can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        joblib.dump(fitted.pipeline, folder / "pipeline.joblib")
        digest = hashlib.sha256((folder / "pipeline.joblib").read_bytes()).hexdigest()
        (folder / "pipeline.joblib.sha256").write_text(f"{digest}  pipeline.joblib\n")
        write_drawing(fitted, report, folder.parent, run_id)
        if fitted.deployment.program is not None:
            # the evaluated pipeline's is written already, and takes seconds where trees are many
            written = fitted.evaluation.program if fitted.evaluated is fitted.pipeline else None
            _write(folder / "program.json", written or program_to_json(fitted.deployment.program))
        _write(folder / "functions.sql", functions_sql(fitted))
        _write(folder / "training_query.sql", fitted.job.query)
        _write(folder / "trials.json", trials_json(fitted))
    except OSError as error:
        raise StorageError(f"the training's files can't be written to {folder}: {error.strerror}") from error


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def functions_sql(fitted: Fitted) -> str:
    """Return the statements that create the functions."""
    schema = fitted.job.spec.schema
    return ";\n\n".join(create_statement(body, schema) for body in fitted.generated.functions) + ";\n"


def trials_json(fitted: Fitted) -> str:
    """Return the candidates as MLflow's tables are stored: pandas' orient 'split'."""
    chosen = [fitted.choice.candidate, *(member.candidate for member in fitted.choice.members)]
    rows = [
        trial.row(fitted.task.problem.metric, chosen=trial.candidate in chosen)
        for trial in fitted.choice.trials
    ]
    columns = list(rows[0]) if rows else []
    data = [[_cell(value) for value in row.values()] for row in rows]
    return json.dumps({"columns": columns, "data": data})


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict) else value
