"""What MLflow is told of a training, within its limits."""

from __future__ import annotations

import json

import pytest
from mlflow.entities import Dataset
from mlflow.utils import validation
from postgres_ml.track import run_record


@pytest.mark.parametrize("text", ["x", '"', "é", "\n"])
@pytest.mark.parametrize("length", [10, 65_480, 65_536, 1_000_000])
def test_a_long_query_is_cut_to_what_mlflow_keeps(text: str, length: int) -> None:
    source = run_record._source("shop", text * length)
    kept = json.loads(source)["query"]
    assert len(source) <= run_record.MAX_SOURCE_LENGTH
    whole = len(json.dumps({"database": "shop", "query": text * length})) <= run_record.MAX_SOURCE_LENGTH
    assert (kept == text * length) is whole
    assert whole or (kept.endswith("training_query.sql)") and kept.startswith(text * 1_000))


def test_a_wide_querys_columns_are_as_many_as_mlflow_keeps() -> None:
    columns = [{"name": f"column_{i:050d}", "type": "double precision"} for i in range(20_000)]
    text = run_record._schema(columns)
    n_kept = len(json.loads(text)["columns"])
    assert 5_000 < n_kept < 20_000 and run_record._schema(columns[:3]) == json.dumps({"columns": columns[:3]})


def test_the_limits_are_mlflows() -> None:
    name, source, schema = (
        run_record.MAX_NAME_LENGTH, run_record.MAX_SOURCE_LENGTH, run_record.MAX_SCHEMA_LENGTH,
    )  # fmt: skip
    validation._validate_dataset(Dataset("n" * name, "d", "sql", "s" * source, "c" * schema, "{}"))
    for over in ((name + 1, source, schema), (name, source + 1, schema), (name, source, schema + 1)):
        n, s, c = over
        with pytest.raises(validation.MlflowException, match="maximum length"):
            validation._validate_dataset(Dataset("n" * n, "d", "sql", "s" * s, "c" * c, "{}"))


@pytest.mark.parametrize(
    "name", ["1. mlp ladder on 5 scores", "1. stack of 5, mlp smooth", "a(b)=c%", "n_trees"]
)
def test_names_of_parameters_are_mlflows(name: str) -> None:
    validation._validate_param_name(run_record.mlflow_name(name))
    assert (run_record.mlflow_name(name) == name) is not any(character in name for character in ",()=%")
