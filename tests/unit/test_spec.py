"""The contract between dbt and the training process survives the trip through a file."""

import subprocess
import sys

import pytest
from postgres_ml import spec


def a_job():
    training_spec = spec.TrainingSpec(
        name="churn",
        unique_id="model.shop.churn",
        database="d",
        schema="ml",
        function="predict_churn",
        target="y",
        auto=False,
        model_types=("xgboost",),
        hyperparameters={"max_depth": 3, "eta": "0.1"},
        settings=spec.Settings(seed=7),
    )
    return spec.TrainingJob(
        spec=training_spec,
        features=(spec.Column('a "b" é', "integer", "number"), spec.Column("select", "text", "text")),
        target=spec.Column("y", "boolean", "boolean"),
        directory="/tmp/x",
        tracking_uri="sqlite:///m.db",
        experiment="shop",
        tags={"dbt.unique_id": "model.shop.churn"},
        query="select 1 -- ü",
        n_threads=2,
    )


def test_round_trip(tmp_path):
    path = tmp_path / "job.json"
    path.write_text(spec.to_json(a_job()), encoding="utf-8")
    assert spec.read(spec.TrainingJob, path) == a_job()


def test_a_field_that_is_not_known_is_an_error():
    text = spec.to_json(a_job()).replace('"n_threads"', '"n_thread"')
    with pytest.raises(KeyError):
        spec.from_json(spec.TrainingJob, text)


def test_the_adapter_imports_nothing_heavy():
    """`dbt parse` must cost what it costs with dbt-postgres; numpy alone is 0.1 s, mlflow 1 s."""
    code = (
        "import sys, dbt.adapters.postgres_ml as a; "
        "heavy = {'numpy', 'pandas', 'sklearn', 'xgboost', 'mlflow', 'pyarrow', 'matplotlib', 'joblib'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
