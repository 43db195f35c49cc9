"""Sixth step: a candidate fitted as a whole pipeline, from the query's columns to the labels.

Input: what `search` chose, and rows. Output: a scikit-learn Pipeline.
"""

from __future__ import annotations

import functools
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import xgboost
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline

from postgres_ml.data.training_data import TrainingRows
from postgres_ml.estimators import BlendedClassifier, BlendedRegressor, LabelEncodedClassifier
from postgres_ml.features.preprocess import (
    FeatureColumns,
    feature_types,
    linear_columns,
    tree_columns,
    view_columns,
)
from postgres_ml.features.problem import Problem
from postgres_ml.fitting import explicit
from postgres_ml.fitting.candidates import Candidate, build_estimator
from postgres_ml.fitting.own_code import OwnCode
from postgres_ml.networks import NetworkClassifier, NetworkRegressor
from postgres_ml.spec import TrainingSpec

if TYPE_CHECKING:
    from postgres_ml.search.trial import Trial


class Deadline:
    """The end of `max_runtime`, on the wall clock.

    Parameters
    ----------
    seconds : from now on
    clock : seconds that only grow
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds, self.clock = seconds, clock
        self.end = clock() + seconds

    @property
    def left(self) -> float:
        """Seconds left; negative when it has passed."""
        return self.end - self.clock()

    @property
    def passed(self) -> bool:
        """Whether no new work should begin."""
        return self.left <= 0

    def part(self, share: float) -> Deadline:
        """Return the deadline at which this share of the time left will have passed."""
        return Deadline(share * max(self.left, 0.0), self.clock)


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
    n_threads : cores to use
    deadline : of search, evaluation and refit together
    is_sql : whether the function will be SQL, where each tree node and weight costs time in every call
    """

    spec: TrainingSpec
    problem: Problem
    columns: FeatureColumns
    n_threads: int
    deadline: Deadline
    is_sql: bool = True


@dataclass(frozen=True)
class Member:
    """One estimator of what is fitted.

    Parameters
    ----------
    n_rounds : trees per class, or epochs of a network; None leaves it to the candidate's parameters
    weight : of its predictions, among all members
    """

    candidate: Candidate
    n_rounds: int | None = None
    weight: float = 1.0


@dataclass(frozen=True)
class Choice:
    """What to fit.

    Parameters
    ----------
    candidate : of the one estimator, or a name for the blend of `members`
    n_trees : None leaves it to the candidate's parameters
    threshold : probability from which class 1 is predicted; None is the estimator's own rule
    trials : what it was chosen from; empty when it was configured
    reason : why it was chosen
    members : of a blend; empty for one estimator
    code : of a dbt model in Python, which fits an estimator of its own; None otherwise
    factors : of the classes' probabilities, the greatest product is the label; empty for the most likely one
    """

    candidate: Candidate
    n_trees: int | None = None
    threshold: float | None = None
    trials: tuple[Trial, ...] = ()
    reason: str = "as configured"
    members: tuple[Member, ...] = ()
    code: OwnCode | None = None
    factors: tuple[float, ...] = ()


def fit_pipeline(task: Task, choice: Choice, rows: TrainingRows, deadline: Deadline | None) -> Pipeline:
    """Return a new pipeline fitted on the rows: columns to numbers, then the estimator.

    A blend is one step that takes the columns themselves, since its members encode them differently.

    Parameters
    ----------
    deadline : boosting and networks end there, with the trees and epochs so far

    Raises
    ------
    SpecError, TrainingDataError
        As `explicit.fit` says.
    """
    if choice.code is not None:
        return choice.code.fit(task.spec.target, task.problem.is_regression, rows)
    if not task.spec.auto:
        if deadline is None:
            return explicit.fit(task, choice.candidate, rows, [])
        is_late = functools.partial(getattr, deadline, "passed")
        pipeline = explicit.fit(task, choice.candidate, rows, [StopAtDeadline(deadline)], is_late)
        _forget_clock(pipeline)
        return pipeline
    if choice.members:
        pipeline = Pipeline([("estimator", _labelled(task, choice, _blend(task, choice, deadline)))])
    else:
        member = Member(choice.candidate, choice.n_trees)
        pipeline = member_pipeline(task, member, task.n_threads, deadline)
        pipeline.steps[-1] = ("estimator", _labelled(task, choice, pipeline[-1]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # iterations were limited on purpose
        pipeline.fit(rows.frame, rows.target)
    _forget_clock(pipeline)
    return pipeline


def member_pipeline(task: Task, member: Member, n_threads: int, deadline: Deadline | None) -> Pipeline:
    """Return an unfitted pipeline of one candidate, for class codes or numbers."""
    candidate = member.candidate
    more: dict[str, Any] = {}
    if candidate.model_type == "mlp":
        more = {"stop_epoch": member.n_rounds}
        if deadline is not None:
            more["is_late"] = functools.partial(getattr, deadline, "passed")
    elif candidate.model_type == "xgboost":
        more = {} if member.n_rounds is None else {"n_estimators": member.n_rounds}
        if deadline is not None:
            more["callbacks"] = [StopAtDeadline(deadline)]
        if candidate.view == "codes":
            types = feature_types(task.columns, task.problem)
            more |= {"enable_categorical": True, "feature_types": types}
    estimator = build_estimator(candidate, task.problem, task.spec.settings.seed, n_threads, **more)
    if candidate.view:
        columns = view_columns(candidate.view, task.columns, task.problem)
    else:
        columns = linear_columns(task.columns) if candidate.is_linear else tree_columns(task.columns)
    return Pipeline([("columns", columns), ("estimator", estimator)])


def _blend(task: Task, choice: Choice, deadline: Deadline | None) -> BlendedClassifier | BlendedRegressor:
    n_jobs = min(task.n_threads, len(choice.members))
    n_threads = task.n_threads // n_jobs
    members = [
        (f"{number} {member.candidate.name}", member_pipeline(task, member, n_threads, deadline))
        for number, member in enumerate(choice.members, 1)
    ]
    blend = BlendedRegressor if task.problem.is_regression else BlendedClassifier
    return blend(members, [member.weight for member in choice.members], n_jobs=n_jobs)


def _labelled(task: Task, choice: Choice, estimator: Any) -> Any:
    if task.problem.is_regression:
        return estimator
    return LabelEncodedClassifier(estimator, choice.threshold, choice.factors or None)


def _forget_clock(estimator: Any) -> None:
    """Take this process's clock out of all estimators inside: it must not be pickled with them."""
    if isinstance(estimator, xgboost.XGBModel):
        estimator.set_params(callbacks=None)
    elif isinstance(estimator, NetworkClassifier | NetworkRegressor):
        estimator.is_late = None
    elif isinstance(estimator, Pipeline):
        _forget_clock(estimator[-1])
    for name in ("estimator", "estimator_"):
        if hasattr(estimator, name):
            _forget_clock(getattr(estimator, name))
    if isinstance(estimator, BlendedClassifier | BlendedRegressor):
        fitted = getattr(estimator, "estimators_", ())  # none where it is the parameter of another
        for part in (*(inner for _, inner in estimator.estimators), *fitted):
            _forget_clock(part)
