"""A dbt model in Python: the estimator that the model's own code fits.

Input: dbt's compiled code of `def model(dbt, session)`, and rows. Output: a fitted Pipeline. The code runs in
the training process, once on the training rows and once on all rows, as every training does.
"""

from __future__ import annotations

import math
import numbers
import re
import sys
import traceback
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline

from postgres_ml.contract.column import Column
from postgres_ml.contract.exceptions import SpecError
from postgres_ml.contract.job import TrainingJob
from postgres_ml.features.frame_types import as_fitted
from postgres_ml.snapshot import rows as training_data
from postgres_ml.snapshot.rows import TrainingRows

FILE = "<dbt model>"
MODULE = "postgres_ml_dbt_model"


class UserCode:
    """The code of a dbt model in Python, and the relations that it reads whole.

    Parameters
    ----------
    code : as dbt compiled it: the user's functions and dbt's class dbtObj
    relation : the one that the training rows are of
    others : the other relations' rows, by name

    Attributes
    ----------
    metrics : what the code returned beside the estimator, the last time that it ran; names begin with own_
    """

    def __init__(self, code: str, relation: str, others: Mapping[str, pd.DataFrame]) -> None:
        self.code, self.relation, self.others = code, relation, others
        self.metrics: dict[str, float] = {}

    @classmethod
    def of_job(cls, job: TrainingJob) -> UserCode | None:
        """Return the job's code with the rows that it reads; None of a dbt model in SQL."""
        if job.code is None:
            return None
        others = {}
        for other in job.others:
            others[other.name] = training_data.load(Path(other.file), other.columns, None).frame
            Path(other.file).unlink()  # the database's rows stay on the disk no longer than they must
        return cls(job.code, job.relation, others)

    def fit(
        self, target: str | None, is_regression: bool, rows: TrainingRows, weight: str | None = None
    ) -> Pipeline:
        """Return what the code's `model` returns for the rows.

        Parameters
        ----------
        target : the column of labels in the frame that `dbt.ref` gives
        is_regression : whether numbers are predicted
        weight : the column of weights in that frame, which the code itself gives to its estimator

        Raises
        ------
        SpecError
            The code raises, or what it returns is no fitted estimator for the columns.
        """
        frame = rows.frame.copy()
        if target is not None:
            frame[target] = rows.target
        if weight is not None:
            frame[weight] = rows.weight
        returned = self._run({**self.others, self.relation: frame})
        estimator, metrics = returned, dict[str, float]()
        if isinstance(returned, list | tuple) and len(returned) == 2:  # dbt refuses `return a, b`
            estimator, metrics = returned
        self.metrics = _checked_metrics(metrics)
        pipeline = _checked(estimator, rows.frame, is_regression)
        if target is not None and not is_regression:
            _check_labels(estimator, target, rows.target)
        return pipeline

    def _run(self, frames: Mapping[str, pd.DataFrame]) -> Any:
        module = types.ModuleType(MODULE)
        sys.modules[MODULE] = module  # a pickle finds the classes that the code defines there
        try:
            exec(compile(self.code, FILE, "exec"), module.__dict__)
            dbt = module.__dict__["dbtObj"](lambda relation: frames[relation].copy())
            return module.__dict__["model"](dbt, None)
        except Exception as error:  # it is the user's code: it may raise anything
            lines = [at.lineno for at in traceback.extract_tb(error.__traceback__) if at.filename == FILE]
            where = f" (line {lines[-1]} of the compiled code)" if lines else ""
            raise SpecError(f"the model's own code raised {type(error).__name__}: {error}{where}") from error


def _checked_metrics(found: Any) -> dict[str, float]:
    """Return the code's own metrics, named so that they can't be taken for those of the hold-out."""
    form = "`model` may return [estimator, {name: number, …}]"
    if not isinstance(found, Mapping):
        raise SpecError(f"{form}; the second value it returned is a {type(found).__name__}")
    metrics: dict[str, float] = {}
    for name, value in found.items():
        if not isinstance(name, str) or not re.fullmatch(r"[a-z]\w{0,49}", name):
            raise SpecError(f"{form}: a metric's name consists of letters, digits and _, found {name!r}")
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
            raise SpecError(f"{form}: the metric {name} is {value!r}, which is not a finite number")
        metrics[f"own_{name}"] = float(value)
    return metrics


def _checked(estimator: Any, frame: pd.DataFrame, is_regression: bool) -> Pipeline:
    name = type(estimator).__name__
    if not isinstance(estimator, BaseEstimator) or not hasattr(estimator, "predict"):
        raise SpecError(
            f"`model` must return a fitted scikit-learn estimator or pipeline; it returned {name}"
        )
    if is_classifier(estimator) == is_regression:
        wanted = "a regressor" if is_regression else "a classifier"
        raise SpecError(f"`model` returned {name}, but the target needs {wanted} (see problem_type)")
    if not is_regression and not hasattr(estimator, "predict_proba"):
        raise SpecError(f"{name} has no predict_proba: wrap it in a CalibratedClassifierCV")
    names = list(getattr(estimator, "feature_names_in_", frame.columns))
    if names != list(frame.columns):
        raise SpecError(
            f"the estimator was fitted on {', '.join(map(str, names))}, but the function's arguments are "
            f"{', '.join(frame.columns)}: select these columns in `model`, or set 'arguments'"
        )
    fitted = as_fitted(estimator, [_column(name, frame) for name in frame])
    pipeline = fitted if isinstance(fitted, Pipeline) else Pipeline([("estimator", fitted)])
    try:
        pipeline.predict(frame.iloc[:1])
    except NotFittedError as error:
        raise SpecError(f"`model` returned {name} without having fitted it: call its `fit` first") from error
    return pipeline


def _check_labels(estimator: Any, name: str, target: Any) -> None:
    """Check that the estimator predicts the target's own labels: its function returns what it predicts."""
    predicted, labels = set(np.asarray(estimator.classes_).tolist()), set(target.tolist())
    if predicted == labels:
        return
    shown, wanted = (_listed(found) for found in (predicted, labels))
    raise SpecError(
        f'`model` returned an estimator that predicts {shown}, and the target "{name}" is {wanted}: fit it '
        "on all of the labels as they are, or wrap it in one that gives them back"
    )


def _listed(labels: set[Any]) -> str:
    found = sorted(map(repr, labels))
    return ", ".join(found[:6]) + (f", … ({len(found):,} in all)" if len(found) > 6 else "")


def _column(name: str, frame: pd.DataFrame) -> Column:
    """Return the column by what our own frames hold: the code may have retyped it before it fitted."""
    kind = frame[name].dtype.kind
    if kind == "O":
        return Column(name, "text", "text")
    if kind == "f":
        return Column(name, "double precision", "number")
    return Column(name, "timestamp without time zone", "timestamp")
