"""The example of brought models as `make serve-example` runs it: build, serve with MLflow, predict from SQL."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from postgres_ml import embedded
from support import debian_server

pytestmark = [pytest.mark.xdist_group("debian"), pytest.mark.exhaustive]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def examples():
    # not in pytest's folders: those of root are closed to the account that the server may run under
    root = Path(tempfile.mkdtemp(prefix="pgml-serve-", dir="/tmp"))
    root.chmod(0o755)
    ignored = shutil.ignore_patterns("target", "logs", "*.pgdata", "mlflow.db", "mlartifacts")
    shutil.copytree(ROOT / "models_examples", root / "models_examples", ignore=ignored)
    yield root / "models_examples" / "bring_your_own"
    embedded.stop(root / "models_examples" / "bring_your_own" / "plpython.pgdata")
    shutil.rmtree(root)


def test_every_function_answers_and_the_service_as_the_database(examples):
    environment = {**os.environ, "POSTGRES_BINDIR": str(debian_server.install())}
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "serve_example.py", examples],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        "The service predicts what the function in the database predicts for 178 of 178 wines." in done.stdout
    )
    runtimes = dict(line.split()[:2] for line in done.stdout.partition("The cards:")[2].splitlines()[3:8])
    assert runtimes["cultivar_service"] == "endpoint" and runtimes["wine_neighbours"] == "python"
    assert {runtimes[name] for name in ("wine_cultivar", "cultivar_registered", "concrete_brought")} <= {
        "sql",
        "native",
    }
