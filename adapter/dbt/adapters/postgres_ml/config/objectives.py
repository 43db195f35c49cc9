"""The objectives: metrics that every model type knows, and xgboost's own."""

from __future__ import annotations

from typing import NamedTuple

#: metrics, which every supervised model type can be chosen and judged by
AUTO_OBJECTIVES = ("mse", "accuracy", "f1", "f1_macro", "auc")


class Objective(NamedTuple):
    """One of xgboost's objectives.

    Parameters
    ----------
    problem_type : that it makes of the problem
    target, returns : what it takes and what the prediction function returns, in Markdown
    """

    problem_type: str
    target: str
    returns: str


_LABELS = "the label; probabilities by `<function>_probabilities`"
#: those of Redshift, and others that a function can express
XGBOOST_OBJECTIVES = {
    "reg:squarederror": Objective("regression", "a number", "a number"),
    "reg:squaredlogerror": Objective("regression", "a number greater than -1", "a number"),
    "reg:logistic": Objective("regression", "a number from 0 to 1, or a boolean", "the probability"),
    "reg:pseudohubererror": Objective("regression", "a number", "a number"),
    "reg:tweedie": Objective("regression", "a number, not negative", "a number"),
    "reg:absoluteerror": Objective("regression", "a number", "a number"),
    "reg:quantileerror": Objective(
        "regression", "a number", "the quantile that hyperparameter `quantile_alpha` names"
    ),
    "reg:gamma": Objective("regression", "a number greater than 0", "a number"),
    "count:poisson": Objective("regression", "a number, not negative", "a number"),
    "binary:logistic": Objective("binary_classification", "two classes", _LABELS),
    "binary:hinge": Objective("binary_classification", "two classes", "the label, without probabilities"),
    "multi:softmax": Objective("multiclass_classification", "classes", _LABELS),
    "multi:softprob": Objective("multiclass_classification", "classes", _LABELS),
}
