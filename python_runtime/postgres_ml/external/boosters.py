"""A bare Booster of xgboost or lightgbm as an estimator: of a number, or of labels where those are asked for.

Input: what a file held, and what the function is to return. Output: an estimator whose `predict` gives what
`Booster.predict` gives; or labels, by the rule of the library's own classifier.
"""

from __future__ import annotations

import json
from typing import Any

from postgres_ml.components.boosters import BoosterClassifier, BoosterRegressor
from postgres_ml.contract.exceptions import SpecError

#: objectives that learn labels: Booster.predict gives a probability, one for each class, or the class itself
BINARY = ("binary:logistic", "binary:logitraw", "binary")
MULTICLASS = ("multi:softprob", "multiclass", "multiclassova", "softmax", "multiclass_ova", "ova", "ovr")
CLASS_NUMBER = ("multi:softmax", "binary:hinge")
FRACTIONS = ("double precision", "real", "numeric")


def as_estimator(model: Any, origin: str, returns: str | None, *, labelled: bool) -> Any:
    """Return the estimator of a bare Booster; every other model as it is.

    Parameters
    ----------
    origin : for messages
    returns : SQL type of the prediction as configured, or as MLflow's signature has it; None: nobody says
    labelled : whether a target says what the predictions are

    Raises
    ------
    SpecError
        A single number is asked of a model that gives one for each class.
    """
    library = type(model).__module__.partition(".")[0]
    if type(model).__name__ != "Booster" or library not in ("xgboost", "lightgbm"):
        return model
    objective = _objective(model, library)
    asked = labelled if returns is None else not returns.startswith(FRACTIONS)
    if objective in MULTICLASS and returns is not None and returns.startswith(FRACTIONS):
        raise SpecError(
            f"{origin} has the objective {objective}: it gives a probability for each class, and no single "
            "number. returns='integer' gives the class, and the function's _probabilities all of them"
        )
    is_classifier = objective in (*MULTICLASS, *CLASS_NUMBER) or (asked and objective in BINARY)
    if library == "lightgbm":
        return (BoosterClassifier if is_classifier else BoosterRegressor)(model)
    return _of_xgboost(model, is_classifier)


def _objective(booster: Any, library: str) -> str:
    if library == "xgboost":
        return str(json.loads(booster.save_config())["learner"]["objective"]["name"])
    header = booster.model_to_string(num_iteration=1).partition("\nTree=")[0]
    lines = [line for line in header.splitlines() if line.startswith("objective=")]
    return lines[0].removeprefix("objective=").split()[0] if lines else ""


def _of_xgboost(booster: Any, is_classifier: bool) -> Any:
    """Return XGBClassifier or XGBRegressor with a copy of the booster that predicts with all of its rounds.

    The estimators stop at the best round of an early stopping, Booster.predict doesn't. (A ranker is an
    estimator too; what it predicts, XGBRegressor does.)
    """
    import xgboost

    copy = booster.copy()
    if copy.attr("scikit_learn") is None:
        copy.set_attr(best_iteration=None, best_score=None)
    copy.set_attr(scikit_learn=None)
    model = xgboost.XGBClassifier() if is_classifier else xgboost.XGBRegressor()
    model.load_model(bytearray(copy.save_raw("ubj")))
    return model
