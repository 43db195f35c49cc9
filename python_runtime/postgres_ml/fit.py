"""Sixth step: a candidate fitted as a whole pipeline, from the query's columns to the labels.

Input: what `search` chose, and rows. Output: a scikit-learn Pipeline.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import xgboost
from sklearn.pipeline import Pipeline

from postgres_ml import explicit
from postgres_ml.candidates import Candidate, build_estimator
from postgres_ml.estimators import LabelEncodedClassifier
from postgres_ml.preprocess import FeatureColumns, linear_columns, tree_columns
from postgres_ml.problem import Problem
from postgres_ml.spec import TrainingSpec
from postgres_ml.training_data import TrainingRows

if TYPE_CHECKING:
    from postgres_ml.search import Trial


class Deadline:
    """The end of `max_runtime`, on the wall clock.

    Parameters
    ----------
    seconds : from now on
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left; negative when it has passed."""
        return self.end - time.monotonic()

    @property
    def passed(self) -> bool:
        """Whether no new work should begin."""
        return self.left <= 0


class StopAtDeadline(xgboost.callback.TrainingCallback):  # type: ignore[misc]
    """Ends boosting when the deadline has passed; the trees so far are an estimator."""

    def __init__(self, deadline: Deadline) -> None:
        super().__init__()
        self.deadline = deadline

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Return whether to stop."""
        return self.deadline.passed


@dataclass(frozen=True)
class Task:
    """What every fit of a training has in common.

    Parameters
    ----------
    columns : the columns that are used
    n_threads : for xgboost
    """

    spec: TrainingSpec
    problem: Problem
    columns: FeatureColumns
    n_threads: int
    deadline: Deadline


@dataclass(frozen=True)
class Choice:
    """What to fit.

    Parameters
    ----------
    n_trees : None leaves it to the candidate's parameters
    threshold : probability from which class 1 is predicted; None is the estimator's own rule
    trials : what it was chosen from; empty when it was configured
    reason : why it was chosen
    """

    candidate: Candidate
    n_trees: int | None = None
    threshold: float | None = None
    trials: tuple[Trial, ...] = ()
    reason: str = "as configured"


def fit_pipeline(task: Task, choice: Choice, rows: TrainingRows, deadline: Deadline | None) -> Pipeline:
    """Return a new pipeline fitted on the rows: columns to numbers, then the estimator.

    Parameters
    ----------
    deadline : boosting ends there, with the trees so far

    Raises
    ------
    SpecError, TrainingDataError
        As `explicit.fit` says.
    """
    candidate = choice.candidate
    if not task.spec.auto:
        callbacks = [] if deadline is None else [StopAtDeadline(deadline)]
        return _without_callbacks(explicit.fit(task, candidate, rows, callbacks))
    more: dict[str, Any] = {}
    if not candidate.is_linear:
        if choice.n_trees is not None:
            more["n_estimators"] = choice.n_trees
        if deadline is not None:
            more["callbacks"] = [StopAtDeadline(deadline)]
    estimator = build_estimator(candidate, task.problem, task.spec.settings.seed, task.n_threads, **more)
    if not task.problem.is_regression:
        estimator = LabelEncodedClassifier(estimator, threshold=choice.threshold)
    columns = linear_columns(task.columns) if candidate.is_linear else tree_columns(task.columns)
    pipeline = Pipeline([("columns", columns), ("estimator", estimator)])
    pipeline.fit(rows.frame, rows.target)
    return _without_callbacks(pipeline)


def _without_callbacks(pipeline: Pipeline) -> Pipeline:
    """A callback holds this process's clock: it must not be pickled with the estimator."""
    estimator = pipeline[-1]
    for part in (estimator, getattr(estimator, "estimator", None), getattr(estimator, "estimator_", None)):
        if isinstance(part, xgboost.XGBModel):
            part.set_params(callbacks=None)
    return pipeline
