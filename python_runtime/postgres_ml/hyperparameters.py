"""Which hyperparameters a config may name, and their values as Python numbers.

Stdlib only: the adapter checks configs with it while dbt parses.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from postgres_ml.exceptions import SpecError

# xgboost's own names (and Redshift's); what it stands for in xgboost's scikit-learn interface, and the type
XGBOOST: dict[str, tuple[str, type]] = {
    "num_round": ("n_estimators", int),
    "num_boost_round": ("n_estimators", int),
    "n_estimators": ("n_estimators", int),
    "eta": ("learning_rate", float),
    "learning_rate": ("learning_rate", float),
    "max_depth": ("max_depth", int),
    "max_leaves": ("max_leaves", int),
    "max_bin": ("max_bin", int),
    "grow_policy": ("grow_policy", str),
    "gamma": ("gamma", float),
    "min_split_loss": ("gamma", float),
    "min_child_weight": ("min_child_weight", float),
    "max_delta_step": ("max_delta_step", float),
    "subsample": ("subsample", float),
    "sampling_method": ("sampling_method", str),
    "colsample_bytree": ("colsample_bytree", float),
    "colsample_bylevel": ("colsample_bylevel", float),
    "colsample_bynode": ("colsample_bynode", float),
    "lambda": ("reg_lambda", float),
    "reg_lambda": ("reg_lambda", float),
    "alpha": ("reg_alpha", float),
    "reg_alpha": ("reg_alpha", float),
    "tree_method": ("tree_method", str),
    "scale_pos_weight": ("scale_pos_weight", float),
    "num_parallel_tree": ("num_parallel_tree", int),
    "base_score": ("base_score", float),
    "booster": ("booster", str),
    "sample_type": ("sample_type", str),
    "normalize_type": ("normalize_type", str),
    "rate_drop": ("rate_drop", float),
    "one_drop": ("one_drop", int),
    "skip_drop": ("skip_drop", float),
    "tweedie_variance_power": ("tweedie_variance_power", float),
    "huber_slope": ("huber_slope", float),
    "num_class": ("num_class", int),
    "seed": ("random_state", int),
}
# scikit-learn's names: Ridge for a regression, LogisticRegression for classes
LINEAR: dict[str, tuple[str, type]] = {
    "alpha": ("alpha", float),
    "c": ("C", float),
    "fit_intercept": ("fit_intercept", bool),
    "max_iter": ("max_iter", int),
    "tol": ("tol", float),
    "solver": ("solver", str),
    "class_weight": ("class_weight", str),
}
KNOWN = {"xgboost": XGBOOST, "linear_learner": LINEAR}
ONE_OF = {
    "booster": ("gbtree", "dart"),
    "grow_policy": ("depthwise", "lossguide"),
    "tree_method": ("auto", "exact", "approx", "hist"),
    "sampling_method": ("uniform",),
    "class_weight": ("balanced",),
}


def check(model_type: str, hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hyperparameters under the library's names, strings made numbers.

    Raises
    ------
    SpecError
        Unknown names, wrong types, values out of range, one thing given twice; all in one message.
    """
    known = KNOWN[model_type]
    problems: list[str] = []
    checked: dict[str, Any] = {}
    for key, value in hyperparameters.items():
        name = key.lower()
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.6)
            hint = f", did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
            problems.append(f"unknown hyperparameter {key!r} of {model_type}{hint}")
            continue
        library_name, kind = known[name]
        if library_name in checked:
            problems.append(f"hyperparameter {key!r} is given twice, under two names")
        try:
            checked[library_name] = _convert(name, kind, value)
        except ValueError as error:
            problems.append(f"hyperparameter {key!r} must be {error}, got {value!r}")
    if problems:
        raise SpecError("; ".join(problems))
    return checked


def _convert(name: str, kind: type, value: Any) -> Any:
    if kind is bool:
        words = {"true": True, "false": False}
        if str(value).lower() not in words:
            raise ValueError("true or false")
        return words[str(value).lower()]
    if kind is str:
        if str(value) not in ONE_OF.get(name, (str(value),)):
            raise ValueError("one of " + ", ".join(ONE_OF[name]))
        return str(value)
    if isinstance(value, bool):
        raise ValueError("a number")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError("a number") from None
    if kind is int:
        if not number.is_integer():
            raise ValueError("a whole number")
        return _positive(name, int(number))
    return number


def _positive(name: str, number: int) -> int:
    if (
        name in ("num_round", "num_boost_round", "n_estimators", "num_parallel_tree", "max_iter")
        and number < 1
    ):
        raise ValueError("at least 1")
    return number
