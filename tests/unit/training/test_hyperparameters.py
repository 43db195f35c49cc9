from __future__ import annotations

import inspect

import pytest
import xgboost
from postgres_ml.exceptions import SpecError
from postgres_ml.hyperparameters import LINEAR, XGBOOST, check
from sklearn.linear_model import LogisticRegression, Ridge


def test_names_and_strings_become_the_librarys() -> None:
    given = {"NUM_ROUND": "100", "eta": "0.3", "lambda": 1, "grow_policy": "lossguide", "subsample": 0.5}
    assert check("xgboost", given) == {
        "n_estimators": 100,
        "learning_rate": 0.3,
        "reg_lambda": 1.0,
        "grow_policy": "lossguide",
        "subsample": 0.5,
    }
    assert check("linear_learner", {"C": "0.1", "fit_intercept": "false"}) == {
        "C": 0.1,
        "fit_intercept": False,
    }


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(SpecError) as caught:
        check(
            "xgboost",
            {"max_dept": 3, "eta": "fast", "num_round": 2.5, "booster": "gblinear", "n_estimators": 0},
        )
    text = str(caught.value)
    assert "'max_dept' of xgboost, did you mean 'max_depth'?" in text
    assert "'eta' must be a number, got 'fast'" in text
    assert "'num_round' must be a whole number, got 2.5" in text
    assert "'booster' must be one of gbtree, dart, got 'gblinear'" in text
    assert "'n_estimators' must be at least 1, got 0" in text


def test_one_thing_under_two_names_is_refused() -> None:
    with pytest.raises(SpecError, match="'learning_rate' is given twice"):
        check("xgboost", {"eta": 0.1, "learning_rate": 0.2})


@pytest.mark.parametrize("value", [True, None, [1]])
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(SpecError, match="'max_depth' must be a number"):
        check("xgboost", {"max_depth": value})


def test_the_names_exist_in_the_libraries() -> None:
    known = set(inspect.signature(xgboost.XGBModel).parameters)
    by_keyword = {
        "sample_type", "normalize_type", "rate_drop", "one_drop", "skip_drop",
        "tweedie_variance_power", "huber_slope", "num_class",
    }  # fmt: skip
    assert {name for name, _ in XGBOOST.values()} - by_keyword <= known
    assert {name for name, _ in LINEAR.values()} <= set(Ridge().get_params()) | set(
        LogisticRegression().get_params()
    )
