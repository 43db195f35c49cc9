from __future__ import annotations

import inspect
from typing import Any

import pytest
import xgboost
from postgres_ml.contract.exceptions import SpecError
from postgres_ml.fit.hyperparameters import (
    ISOLATION_FOREST,
    KMEANS,
    LINEAR,
    MLP,
    XGBOOST,
    check,
    read_clause,
)
from sklearn.cluster import KMeans
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor


def test_names_and_strings_become_the_librarys() -> None:
    given = {"NUM_ROUND": "100", "eta": "0.3", "lambda": 1, "grow_policy": "lossguide", "subsample": 0.5}
    assert check("xgboost", given).values == {
        "n_estimators": 100,
        "learning_rate": 0.3,
        "reg_lambda": 1.0,
        "grow_policy": "lossguide",
        "subsample": 0.5,
    }
    assert check("linear_learner", {"C": "0.1", "fit_intercept": "false"}).values == {
        "C": 0.1,
        "fit_intercept": False,
    }
    assert check("mlp", {"hidden_layer_sizes": "64, 32", "batch_size": "auto", "epochs": 9}).values == {
        "hidden_layer_sizes": (64, 32),
        "batch_size": "auto",
        "max_iter": 9,
    }
    assert check("kmeans", {"K": "7", "init_method": "kmeans++", "n_init": "10"}).values == {
        "n_clusters": 7,
        "init": "k-means++",
        "n_init": 10,
    }


def test_all_problems_are_told_at_once() -> None:
    given = {
        "max_dept": 3,
        "eta": "fast",
        "num_round": 2.5,
        "booster": "gblinear",
        "subsample": 0,
        "gamma": -1,
    }
    with pytest.raises(SpecError) as caught:
        check("xgboost", given)
    text = str(caught.value)
    assert "'max_dept' of xgboost, did you mean 'max_depth'?" in text
    assert "'eta' must be a number, got 'fast'" in text
    assert "'num_round' must be a whole number, got 2.5" in text
    assert "'booster' must be one of gbtree, dart, got 'gblinear'" in text
    assert "'subsample' must be above 0 and at most 1, got 0" in text
    assert "'gamma' must be at least 0, got -1" in text


def test_one_thing_under_two_names_is_refused() -> None:
    with pytest.raises(SpecError, match="'learning_rate' is given twice"):
        check("xgboost", {"eta": 0.1, "learning_rate": 0.2})


@pytest.mark.parametrize("value", [True, None, [1], "nan"])
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(SpecError, match="'max_depth' must be a whole number"):
        check("xgboost", {"max_depth": value})


@pytest.mark.parametrize("key", ["objective", "missing", "nthread", "early_stopping_rounds"])
def test_what_would_change_the_training_behind_its_back_is_refused(key: str) -> None:
    with pytest.raises(SpecError, match=f"'{key}' can't be set"):
        check("xgboost", {key: "1"})


def test_other_keys_go_to_xgboost_and_to_no_other_library() -> None:
    checked = check("xgboost", {"refresh_leaf": "1"})
    assert checked.values == {"refresh_leaf": "1"}
    assert "goes to xgboost as it is" in checked.warnings[0]
    with pytest.raises(SpecError, match="'interaction_constraints' of mlp; known are"):
        check("mlp", {"interaction_constraints": 1})


@pytest.mark.parametrize(
    "value", [{"spend": 1}, [0, 1, 0], (0, 1), "(0,1,0)", "{'spend': 1}", [["spend"], ["calls"]]]
)
@pytest.mark.parametrize("key", ["monotone_constraints", "interaction_constraints", "feature_weights"])
def test_what_names_columns_is_a_dict_or_a_list(key: str, value: Any) -> None:
    checked = check("xgboost", {key: value})
    assert checked.values == {key: value} and checked.warnings == ()
    with pytest.raises(SpecError, match="a dict of column names, or a list"):
        check("xgboost", {key: 1})


def test_redshifts_narrower_ranges_are_told_and_not_enforced() -> None:
    assert check("xgboost", {"max_depth": 10, "eta": 0.5, "lambda": 1000}).warnings == ()
    (warning,) = check("xgboost", {"max_depth": "12"}).warnings
    assert warning == "hyperparameter 'max_depth' is 12; Amazon Redshift takes 0 to 10 only"


def test_sagemakers_own_keys_of_kmeans_are_named_as_meaningless() -> None:
    checked = check("kmeans", {"k": 3, "mini_batch_size": "5000"})
    assert checked.values == {"n_clusters": 3} and "has no effect here" in checked.warnings[0]
    with pytest.raises(SpecError, match="needs the hyperparameter 'k'"):
        check("kmeans", {})


def test_those_of_an_isolation_forest_in_both_vocabularies() -> None:
    given = {"NUM_TREES": "50", "num_samples_per_tree": 256.0, "contamination": "0.5", "bootstrap": "true"}
    assert check("isolation_forest", given).values == {
        "n_estimators": 50, "max_samples": 256, "contamination": 0.5, "bootstrap": True,
    }  # fmt: skip
    shares = {"max_samples": 1.0, "max_features": 1, "contamination": "AUTO"}
    found = check("isolation_forest", shares).values
    assert found == {"max_samples": 1.0, "max_features": 1, "contamination": "auto"}
    assert [type(found[name]) for name in ("max_samples", "max_features")] == [float, int], "all, and one"
    assert (
        check("isolation_forest", {"max_samples": "auto", "max_features": "0.5"}).values["max_features"]
        == 0.5
    )


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("contamination", 0.6, r"'contamination' must be .*at most 0\.5, got 0\.6"),
        ("contamination", 0, "'contamination' must be above 0"),
        ("contamination", "much", "'contamination' must be a number or 'auto', got 'much'"),
        ("max_samples", 1, "'max_samples' must be a whole number of at least 2, or a fraction above 0"),
        ("max_samples", 2.5, "or a fraction above 0 and at most 1.0 or 'auto', got 2.5"),
        ("max_features", "auto", "'max_features' must be a whole number of at least 1"),
        ("max_features", True, "'max_features' must be a whole number of at least 1"),
        ("n_estimator", 10, "did you mean 'n_estimators'"),
    ],
)
def test_what_an_isolation_forest_refuses(key: str, value: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        check("isolation_forest", {key: value})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("DEFAULT", {}),
        ("default except (NUM_ROUND '100', eta '0.2')", {"NUM_ROUND": "100", "eta": "0.2"}),
        ("DEFAULT EXCEPT ( K '7' )", {"K": "7"}),
        ("DEFAULT EXCEPT (k 7)", "DEFAULT EXCEPT (k 7)"),
        ("max_depth 6", "max_depth 6"),
    ],
)
def test_redshifts_clause(text: str, expected: Any) -> None:
    assert read_clause(text) == expected


def test_the_names_exist_in_the_libraries() -> None:
    known = set(inspect.signature(xgboost.XGBModel).parameters)
    by_keyword = {
        "sample_type", "normalize_type", "rate_drop", "one_drop", "skip_drop",
        "tweedie_variance_power", "huber_slope", "num_class", "quantile_alpha",
    }  # fmt: skip
    names = [
        {item.library_name for item in table.values()} - {""}
        for table in (XGBOOST, LINEAR, MLP, KMEANS, ISOLATION_FOREST)
    ]
    assert names[0] - by_keyword <= known
    assert names[1] <= set(Ridge().get_params()) | set(LogisticRegression().get_params())
    assert names[2] <= set(MLPRegressor().get_params()) & set(MLPClassifier().get_params())
    assert names[3] <= set(KMeans().get_params())
    assert names[4] <= set(IsolationForest().get_params())
