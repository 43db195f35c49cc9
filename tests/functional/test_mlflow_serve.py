"""A function that calls a real `mlflow models serve` on this machine, built by dbt."""

from __future__ import annotations

import mlflow
import numpy as np
import pandas as pd
import pytest
from dbt.tests.util import run_dbt
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression

from scripts.serve_example import served
from tests.functional.test_python_models import OnDebian

pytestmark = [pytest.mark.xdist_group("debian"), pytest.mark.exhaustive]


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
        with served(folder.parent, str(folder)) as url:
            yield url

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
