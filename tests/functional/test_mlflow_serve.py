"""A function that calls a real `mlflow models serve` on this machine, built by dbt (make serve-example)."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from dbt.tests.util import run_dbt
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression

from tests.functional.test_python_models import OnDebian

pytestmark = [pytest.mark.xdist_group("debian"), pytest.mark.exhaustive]
PATIENCE_S = 180.0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class TestServed(OnDebian):
    @pytest.fixture(scope="class")
    def fitted(self):
        x = np.linspace(-3, 3, 200)
        frame = pd.DataFrame({"spend": x, "calls": np.cos(x)})
        return frame, LogisticRegression().fit(frame, np.where(x > 0.5, "yes", "no"))

    @pytest.fixture(scope="class")
    def service(self, fitted, tmp_path_factory):
        frame, model = fitted
        folder = tmp_path_factory.mktemp("served") / "model"
        mlflow.sklearn.save_model(
            model,
            folder,
            signature=infer_signature(frame, model.predict(frame)),
            serialization_format="cloudpickle",
        )
        port = free_port()
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "models",
            "serve",
            "--model-uri",
            str(folder),
            "--env-manager",
            "local",
        ]
        # MLflow starts uvicorn, of the same virtual environment, through a shell
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            env={**os.environ, "PATH": path},
            start_new_session=True,
        )
        url = f"http://127.0.0.1:{port}"
        try:
            self.wait_for(url + "/ping", process)
            yield url
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)

    @staticmethod
    def wait_for(url, process):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(OSError):  # urllib's errors are OSErrors
                urllib.request.urlopen(url, timeout=2).close()
                return
            time.sleep(0.5)
        raise AssertionError(f"mlflow models serve doesn't answer (exit status {process.poll()})")

    @pytest.fixture(scope="class")
    def models(self, service):
        return {
            "rows.sql": "{{ config(materialized='table') }} select i as id, (i - 50) / 20.0 as spend, "
            "cos(i)::float8 as calls from generate_series(1, 100) as i",
            "churn.sql": "{{ config(materialized='create_model', arguments='spend float8, calls float8', returns='text', "
            f"endpoint={{'url': '{service}', 'max_batch_rows': 40, 'timeout': 30}}) }}}}",
            "scored.sql": "{{ config(materialized='table') }} {{ predict_table(ref('churn'), ref('rows'), key='id') }}",
        }

    def test_function_answers_as_the_model_does(self, project, fitted, select):
        results = run_dbt(["build"])
        assert [str(result.status) for result in results] == ["success"] * 3
        rows = select("select spend::float8, calls, prediction from scored join rows using (id) order by id")
        _, model = fitted
        expected = model.predict(pd.DataFrame([row[:2] for row in rows], columns=["spend", "calls"]))
        assert [row[2] for row in rows] == expected.tolist()
        [(one,)] = select("select predict_churn(2, 1)")
        assert one == "yes"
