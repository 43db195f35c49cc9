"""Sixth step, for a dbt model in Python: the estimator that the model's own code fits.

Input: dbt's compiled code of `def model(dbt, session)`, and rows. Output: a fitted Pipeline. The code runs in
the training process, once on the rows to train on and once on all rows, as every training does.
"""

from __future__ import annotations

import sys
import traceback
import types
from typing import Any

import pandas as pd
from sklearn.base import BaseEstimator, is_classifier
from sklearn.pipeline import Pipeline

from postgres_ml.exceptions import SpecError
from postgres_ml.training_data import TrainingRows

FILE = "<dbt model>"
MODULE = "postgres_ml_dbt_model"


def fit(code: str, target: str | None, is_regression: bool, rows: TrainingRows) -> Pipeline:
    """Return what the code's `model` returns for the rows.

    Parameters
    ----------
    code : as dbt compiled it: the user's functions and dbt's class dbtObj
    target : the column of labels in the frame that `dbt.ref` gives
    is_regression : whether numbers are predicted

    Raises
    ------
    SpecError
        The code raises, or what it returns is no fitted estimator for the columns.
    """
    frame = rows.frame.copy()
    if target is not None:
        frame[target] = rows.target
    module = types.ModuleType(MODULE)
    sys.modules[MODULE] = module  # a pickle finds the classes that the code defines there
    returned = _run(module, code, frame)
    # metrics beside it are the code's own affair: those of the hold-out are measured here
    estimator = returned[0] if isinstance(returned, tuple) and len(returned) == 2 else returned
    return _checked(estimator, rows.frame, is_regression)


def _run(module: types.ModuleType, code: str, frame: pd.DataFrame) -> Any:
    try:
        exec(compile(code, FILE, "exec"), module.__dict__)
        dbt = module.__dict__["dbtObj"](lambda relation: frame.copy())
        return module.__dict__["model"](dbt, None)
    except Exception as error:  # it is the user's code: it may raise anything
        lines = [at.lineno for at in traceback.extract_tb(error.__traceback__) if at.filename == FILE]
        where = f" (line {lines[-1]} of the compiled code)" if lines else ""
        raise SpecError(f"the model's own code raised {type(error).__name__}: {error}{where}") from error


def _checked(estimator: Any, frame: pd.DataFrame, is_regression: bool) -> Pipeline:
    name = type(estimator).__name__
    if not isinstance(estimator, BaseEstimator) or not hasattr(estimator, "predict"):
        raise SpecError(
            f"`model` must return a fitted scikit-learn estimator or pipeline; it returned {name}"
        )
    if is_classifier(estimator) == is_regression:
        wanted = "a regressor" if is_regression else "a classifier"
        raise SpecError(f"`model` returned {name}, and the target needs {wanted}: see problem_type")
    if not is_regression and not hasattr(estimator, "predict_proba"):
        raise SpecError(f"{name} has no predict_proba: put it into a CalibratedClassifierCV")
    names = list(getattr(estimator, "feature_names_in_", frame.columns))
    if names != list(frame.columns):
        raise SpecError(
            f"the estimator was fitted on {', '.join(map(str, names))}, and the function's arguments are "
            f"{', '.join(frame.columns)}: select these columns in `model`, or set 'arguments'"
        )
    return estimator if isinstance(estimator, Pipeline) else Pipeline([("estimator", estimator)])
