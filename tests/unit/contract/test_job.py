"""The contract between dbt and the training process survives the trip through a file."""

import dataclasses
import subprocess
import sys

import pytest
from postgres_ml.contract import json_file
from postgres_ml.contract.column import Column
from postgres_ml.contract.config import Settings, TrainingSpec
from postgres_ml.contract.job import TrainingJob


def a_job():
    training_spec = TrainingSpec(
        name="churn",
        unique_id="model.shop.churn",
        database="d",
        schema="ml",
        function="predict_churn",
        target="y",
        auto=False,
        model_types=("xgboost",),
        hyperparameters={"max_depth": 3, "eta": "0.1"},
        settings=Settings(seed=7),
    )
    return TrainingJob(
        spec=training_spec,
        features=(Column('a "b" é', "integer", "number"), Column("select", "text", "text")),
        target=Column("y", "boolean", "boolean"),
        directory="/tmp/x",
        tracking_uri="sqlite:///m.db",
        experiment="shop",
        tags={"dbt.unique_id": "model.shop.churn"},
        query="select 1 -- ü",
        n_threads=2,
    )


def test_round_trip(tmp_path):
    path = tmp_path / "job.json"
    path.write_text(json_file.to_json(a_job()), encoding="utf-8")
    assert json_file.read(TrainingJob, path) == a_job()


def test_a_field_that_is_not_known_is_an_error():
    text = json_file.to_json(a_job()).replace('"n_threads"', '"n_thread"')
    with pytest.raises(KeyError):
        json_file.from_json(TrainingJob, text)


def test_the_adapter_imports_nothing_heavy():
    """`dbt parse` must cost what it costs with dbt-postgres; numpy alone is 0.1 s, mlflow 1 s."""
    code = (
        "import sys, dbt.adapters.postgres_ml as a; "
        "heavy = {'numpy', 'pandas', 'sklearn', 'xgboost', 'mlflow', 'pyarrow', 'matplotlib', 'joblib'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("unique_id", "reference"),
    [
        ("model.shop.churn", "'churn'"),
        ("model.shop.churn.v2", "'churn', v=2"),
        ("model.shop.churn.v1.5", "'churn', v='1.5'"),
        ("model.shop.churn.vbeta", "'churn', v='beta'"),
    ],
)
def test_a_model_is_named_as_dbt_wants_it(unique_id, reference):
    assert dataclasses.replace(a_job().spec, unique_id=unique_id).reference == reference
