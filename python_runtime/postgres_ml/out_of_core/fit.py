"""A fit on rows that are read in parts, as the whole pipeline that a fit in memory returns.

Input: what to fit, the rows. Output: a scikit-learn Pipeline, or why there is none: then the training goes on
with as many rows as memory holds.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from sklearn.pipeline import Pipeline

from postgres_ml.components.estimators import LabelEncodedClassifier
from postgres_ml.contract.exceptions import SpecError
from postgres_ml.features.problem import Problem
from postgres_ml.fit import configured
from postgres_ml.fit.candidates import Candidate, Member
from postgres_ml.fit.choice import Choice
from postgres_ml.fit.constraints import translated
from postgres_ml.fit.fit import known, member_pipeline
from postgres_ml.fit.hyperparameters import BY_COLUMN
from postgres_ml.fit.stop import forget_clock
from postgres_ml.fit.task import Deadline, Task
from postgres_ml.out_of_core.cluster_rows import ClusterRows
from postgres_ml.out_of_core.encode import fitted_columns
from postgres_ml.out_of_core.linear import fit_logistic, fit_ridge
from postgres_ml.out_of_core.rows import HOLDOUT, Batch, LargeRows, Look
from postgres_ml.process.memory import give_back, is_shortage
from postgres_ml.snapshot.file import ROWS
from postgres_ml.snapshot.rows import Array, TrainingRows

TREE_METHODS = (None, "auto", "hist")  # whose trees grow on bins, which is what external memory keeps
RIDGE_SOLVERS = ("auto", "svd", "cholesky", "lsqr", "sparse_cg", "sag", "saga")
LOGISTIC_SOLVERS = ("lbfgs", "newton-cg", "newton-cholesky", "sag", "saga")


Rows = LargeRows | ClusterRows


@dataclass(frozen=True)
class Encoder:
    """From a batch to what xgboost learns from.

    Parameters
    ----------
    columns : the fitted preprocessing
    scale : what weights are multiplied by
    """

    problem: Problem
    columns: Any
    scale: float

    def __call__(self, batch: Batch) -> tuple[Any, Any, Any]:
        """Return the matrix in the precision that xgboost computes in, class codes or values, weights."""
        matrix = self.columns.transform(configured.narrow(batch.frame))
        weight = None if batch.weight is None else batch.weight * self.scale
        return np.asarray(matrix, np.float32), self.problem.encode(batch.target), weight


@dataclass(frozen=True)
class LargeFit:
    """What fits on rows that are not in memory.

    Parameters
    ----------
    look : at these rows
    sample, is_held : some of them in memory, and which of those are held out
    folder : for files
    """

    task: Task
    rows: Rows
    look: Look
    sample: TrainingRows
    is_held: Array
    folder: Path

    def fit(self, choice: Choice, sides: Sequence[int], deadline: Deadline | None) -> Pipeline:
        """Return a new pipeline fitted on the rows of these sides.

        Raises
        ------
        SpecError
            The library refuses a hyperparameter's value.
        """
        candidate = choice.candidate
        some = self.sample if HOLDOUT in sides else self.sample.take(~self.is_held)
        columns, estimator = self._parts(choice, deadline)
        columns = fitted_columns(columns, self.task.columns, self.look, sides, some.frame)
        with _readable(candidate.model_type), _folder(self.folder) as cache:
            if candidate.model_type == "xgboost":
                _translate(candidate, estimator, list(some.frame), columns)
                fitted = self._boost(estimator, columns, sides, cache, deadline)
            else:
                fitted = self._line(estimator, columns, sides, cache)
        pipeline = Pipeline([("columns", columns), ("estimator", fitted)])
        forget_clock(pipeline)
        give_back()
        return pipeline

    def _parts(self, choice: Choice, deadline: Deadline | None) -> tuple[Any, Any]:
        """Return the unfitted preprocessing and estimator."""
        task, candidate = self.task, choice.candidate
        if not task.spec.auto:
            columns = configured.columns_of(task, candidate)
            return columns, configured.estimator_of(task, candidate, deadline)
        pipeline = member_pipeline(task, Member(candidate, choice.n_trees), task.n_threads, deadline)
        estimator = pipeline[-1]
        if not task.problem.is_regression:
            estimator = LabelEncodedClassifier(estimator, choice.threshold, choice.class_multipliers or None)
        return pipeline[0], estimator

    def _boost(
        self, estimator: Any, columns: Any, sides: Sequence[int], cache: Path, deadline: Deadline | None
    ) -> Any:
        encode = Encoder(self.task.problem, columns, self._weight_scale())
        seconds = math.inf if deadline is None else deadline.left
        return self.rows.boost(estimator, self.task.problem, encode, sides, cache, seconds)

    def _line(self, estimator: Any, columns: Any, sides: Sequence[int], cache: Path) -> Any:
        """Fit on encoded batches in files: a logistic regression reads them a hundred times."""
        problem, targets = self.task.problem, []
        files: list[Path] = []
        for batch in self.rows.batches(sides):
            files.append(cache / f"{len(files):05}.npy")
            np.save(files[-1], columns.transform(batch.frame))
            targets.append((problem.encode(batch.target), batch.weight))

        def batches() -> Iterator[tuple[Array, Array, Array | None]]:
            for path, (target, weight) in zip(files, targets, strict=True):
                yield np.load(path), target, weight

        if problem.is_regression:
            return fit_ridge(estimator, batches)
        counts = np.bincount(np.concatenate([codes for codes, _ in targets]), minlength=len(problem.classes))
        return known(problem, estimator, fit_logistic(estimator.estimator, batches, counts))

    def _weight_scale(self) -> float:
        """Return what AUTO multiplies weights by, whose candidates penalize weights of mean 1."""
        weight = self.rows.index.weight
        return 1.0 if weight is None or not self.task.spec.auto else 1 / float(weight.mean())


def obstacle(task: Task, choice: Choice, fits: Sequence[str]) -> str:
    """Return why a choice can't be fitted on rows that are read in parts; '' if it can.

    Parameters
    ----------
    fits : model types that there is a way for
    """
    candidate = choice.candidate
    given, kind = candidate.parameters, candidate.model_type
    if choice.code is not None:
        return "a model in Python fits its rows in memory"
    if kind not in fits:
        return f"{'a blend' if kind == 'ensemble' else kind} is fitted in memory"
    if task.columns.sets is not None:
        return "configured preprocessors are fitted in memory"
    if task.columns.words:
        return "the words of free text are chosen in memory"
    if candidate.log_target:
        return "a model of the target's logarithm is fitted in memory"
    if kind == "linear_learner":
        return "" if not task.spec.auto and _is_plain(task, given) else _linear_obstacle(task, given)
    if task.spec.auto and (candidate.encoding != "codes" or task.columns.crowded):
        return "texts of many categories are encoded by the target's mean, which is computed in memory"
    if given.get("tree_method") not in TREE_METHODS or not (
        task.spec.auto or configured.takes_categories(candidate)
    ):
        return f"xgboost with {_named(given)} knows no external memory"
    return ""


def _named(given: dict[str, Any]) -> str:
    names = ("tree_method", "multi_strategy", "updater")
    return ", ".join(f"{name} {given[name]}" for name in names if name in given)


def _is_plain(task: Task, given: dict[str, Any]) -> bool:
    if task.problem.is_regression:
        return given.get("solver", "auto") in RIDGE_SOLVERS
    return (
        given.get("solver", "lbfgs") in LOGISTIC_SOLVERS
        and not given.get("l1_ratio")
        and not (given.get("class_weight") and task.spec.weight)
    )


def _linear_obstacle(task: Task, given: dict[str, Any]) -> str:
    if task.spec.auto:
        return "AUTO's linear models are fitted in memory"
    names = ("solver", "l1_ratio", "class_weight")
    shown = ", ".join(f"{name} {given[name]}" for name in names if name in given)
    return f"linear_learner with {shown} is fitted in memory"


def _translate(candidate: Candidate, estimator: Any, names: list[str], columns: Any) -> None:
    """Give the estimator its parameters that name columns by the columns' places after the encoding."""
    if any(name in candidate.parameters for name in BY_COLUMN):
        library = estimator.estimator if isinstance(estimator, LabelEncodedClassifier) else estimator
        library.set_params(**translated(candidate.parameters, names, columns))


@contextmanager
def _readable(model_type: str) -> Iterator[None]:
    try:
        yield
    except (xgboost.core.XGBoostError, ValueError) as error:
        if is_shortage(error):
            raise
        reason = str(error).strip().splitlines()[0]
        raise SpecError(f"{model_type} rejects these hyperparameters: {reason}") from error


@contextmanager
def _folder(parent: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=ROWS, dir=parent, ignore_cleanup_errors=True) as name:
        yield Path(name)
