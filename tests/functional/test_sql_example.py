"""`make sql-example`, with less time to search: a worker on an embedded server, and Redshift's statement in psql."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres_ml import embedded
from support.embedded_servers import scratch

ROOT = Path(__file__).parents[2]


@pytest.fixture
def examples() -> Iterator[Path]:
    """The example's files in a folder whose path is short enough for a server's socket."""
    folder = scratch()
    folder.mkdir(exist_ok=True)
    for name in ("sql", "seeds"):
        shutil.copytree(ROOT / "models_examples" / name, folder / name)
    pasted = folder / "sql" / "churn.sql"
    pasted.write_text(pasted.read_text().replace("MAX_RUNTIME 60", "MAX_RUNTIME 10, MAX_CELLS 7000"))
    yield folder
    embedded.stop(folder / "postgres.pgdata")
    shutil.rmtree(folder)


def test_the_example_ends_with_predictions(examples: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "sql_example.py"), str(examples)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert " TRAINING\n" in done.stdout and " READY\n" in done.stdout
    assert "(10 rows)" in done.stdout.rpartition("predict, of customers")[2]
    assert "IAM_ROLE, S3_BUCKET mean nothing on Postgres" in done.stderr
    assert (examples / "mlflow.db").exists() and (examples / "target" / "postgres_ml_worker").exists()
