"""What counts as a change, and how it is said."""

from dataclasses import asdict, replace

import pytest
from postgres_ml.contract.config import Gate, Settings
from postgres_ml.snapshot.digest import Digest, changes, query_digest, training_config, versions
from support.training import make_spec

OLD = Digest(
    data=1,
    n_rows=100,
    query="q",
    columns={"a": "integer", "y": "text"},
    config={"target": "y", "hyperparameters": {"max_depth": 3}},
    versions={"postgres_ml": "1.0", "xgboost": "3.2.0"},
)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, ()),
        ({"data": 2}, ("data (same number of rows, other values)",)),
        ({"data": 2, "n_rows": 101}, ("data (1 new row)",)),
        ({"data": 2, "n_rows": 1112}, ("data (1,012 new rows)",)),
        ({"data": 2, "n_rows": 88}, ("data (12 fewer rows)",)),
        ({"query": "r"}, ("query",)),
        ({"columns": {"a": "bigint", "y": "text"}}, ("columns (a)",)),
        ({"columns": {"a": "integer", "b": "text", "y": "text"}}, ("columns (b)",)),
        (
            {"config": {"target": "y", "hyperparameters": {"max_depth": 4, "eta": 0.1}}},
            ("config (max_depth, eta)",),
        ),
        ({"config": {"target": "y", "settings.seed": 1}}, ("config (max_depth, seed)",)),
        (
            {"versions": {"postgres_ml": "1.0", "xgboost-cpu": "3.3.0"}},
            ("xgboost (3.2.0 -> none)", "xgboost-cpu (none -> 3.3.0)"),
        ),
    ],
)
def test_changes_are_named(changed, said):
    assert changes(asdict(OLD), replace(OLD, **changed)) == said


def test_a_version_without_a_digest_is_trained_again():
    assert changes(None, OLD) == ("the catalog does not say what the newest version was trained on",)


def test_only_what_matters_to_the_training_is_config():
    spec = make_spec("y")
    told = replace(
        spec, schema="elsewhere", gates=(Gate("f1", ">=", 0.5),), promote="if_better", retrain="never",
        settings=Settings(keep_versions=9),
    )  # fmt: skip
    assert training_config(told) == training_config(spec)
    trained = training_config(replace(spec, model_types=("xgboost",), settings=Settings(seed=3, holdout=0.3)))
    assert trained["settings.seed"] == 3
    assert trained["settings.holdout"] == 0.3
    assert trained["model_types"] == ["xgboost"]
    assert "settings.refit" not in trained


def test_white_space_is_no_change():
    assert query_digest("select a,\n  b from t ") == query_digest("select a, b from t")
    assert query_digest("select a, b from t") != query_digest("select b, a from t")


def test_versions_are_those_of_what_is_installed():
    found = versions("1.2.3")
    assert found["postgres_ml"] == "1.2.3"
    assert {"scoring program", "scikit-learn", "numpy", "pandas"} < set(found)
    assert ("xgboost" in found) or ("xgboost-cpu" in found)
