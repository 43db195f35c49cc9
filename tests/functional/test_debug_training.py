"""The script that trains a job once more, for a debugger."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psycopg2.extensions
from postgres_ml.contract import json_file
from postgres_ml.contract.job import TrainingJob
from postgres_ml.embedded import ServerAddress
from support.training import Training, churn_rows, fill_table

SCRIPT = Path(__file__).parents[2] / "scripts" / "debug_training.py"


def test_a_job_is_trained_once_more_without_mlflow(
    server: ServerAddress, connection: psycopg2.extensions.connection, schema: str, tmp_path: Path
) -> None:
    types = "calls integer, plan text, minutes double precision, target text"
    fill_table(connection.cursor(), f"{schema}.churn", churn_rows(200), types)
    job = Training(connection, f"select * from {schema}.churn", tmp_path / "build").job
    source, folder = tmp_path / "job.json", tmp_path / "again"
    source.write_text(json_file.to_json(job), encoding="utf-8")
    stored = (tmp_path / "build" / "mlflow.db").read_bytes()
    command = [sys.executable, str(SCRIPT), str(source), server.url, str(folder)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    assert "info: chosen: " in told and "'accuracy': " in told.splitlines()[-1]
    assert json_file.read(TrainingJob, folder / "job.json").directory == str(folder)
    assert (folder / "artifacts" / "program.json").exists() and not (folder / "snapshot.bin").exists()
    assert (tmp_path / "build" / "mlflow.db").read_bytes() == stored
