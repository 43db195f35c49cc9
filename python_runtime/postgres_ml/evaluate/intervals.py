"""Intervals around a regression's predictions: which, how wide, and how many true values lie in them.

Input: the evaluated pipeline and the hold-out, which it never saw. Output: `Interval`. Source:
split-conformal prediction with normalised residuals (Papadopoulos et al. 2002; Lei et al. 2018, sections 2.2
and 5.2); without auto the scales are cross-fitted (Vovk 2015).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xgboost
from sklearn.pipeline import Pipeline

from postgres_ml.contract.exceptions import TrainingDataError
from postgres_ml.evaluate.metrics import weighted_mean
from postgres_ml.features.preprocess import tree_columns
from postgres_ml.fit.choice import Choice
from postgres_ml.fit.task import Task
from postgres_ml.snapshot.rows import Array, TrainingRows

N_FOLDS = 5  # each row's error is scaled by a model that did not learn from it
MIN_SCALE_ROWS = 100  # fewer tell too little of where errors are large
MAX_SCALE_ROWS = 20_000  # more make the scale no better
MIN_GAIN = 0.02  # of the mean width: what a scale has to save to be worth its trees
LEAST_SCALE = 0.1  # of the mean error; a row whose errors seem smaller could be given no width at all
# from 3.4 on xgboost's leaves come of a smooth loss: a step goes about a quarter of the way to the quantile
STEP = 0.08 if tuple(map(int, xgboost.__version__.split(".")[:2])) < (3, 4) else 0.3
#: small, since every call computes it: 30 trees of at most 8 leaves, which SQL writes as one short expression
SCALE = {"n_estimators": 30, "max_depth": 3, "learning_rate": STEP, "tree_method": "hist", "verbosity": 1}
N_GROUPS = 10  # of the hold-out's rows, by their prediction


@dataclass(frozen=True)
class Group:
    """Rows of the hold-out with similar predictions.

    Parameters
    ----------
    low, high : least and greatest prediction
    coverage : share of the rows whose true value lies in the interval
    width : mean of the intervals
    """

    low: float
    high: float
    n_rows: int
    coverage: float
    width: float


@dataclass(frozen=True)
class Interval:
    """From `prediction - factor * scale` to `prediction + factor * scale`, in double precision.

    Parameters
    ----------
    level : share of rows whose true value it shall cover
    factor : half of the width where the scale is 1, in units of the target
    scale : predicts how large a row's error is, relative to the mean; None where all rows have the same width
    least, most : limits of the scale; a row that the scale refuses has the widest interval
    constant : half of the width that all rows would have without a scale
    n_rows : of the hold-out, by which the factor was chosen
    coverage, width : of the hold-out's rows, each by a factor and a scale that other rows gave
    groups : the same of each tenth of the hold-out, by prediction
    """

    level: float
    factor: float
    scale: Pipeline | None
    least: float
    most: float
    constant: float
    n_rows: int
    coverage: float
    width: float
    groups: tuple[Group, ...] = ()

    @property
    def metrics(self) -> dict[str, float]:
        """Coverage and mean width on the hold-out, by the names of metrics."""
        return {"interval_coverage": self.coverage, "interval_width": self.width}

    def bounds(self, predicted: float, scale: float | None) -> tuple[float, float]:
        """Return the lower and the upper bound of one row.

        Parameters
        ----------
        scale : as `scale` predicts it; None where it refuses the row, or where there is none
        """
        if self.scale is None:
            half = self.factor
        else:
            half = self.factor * min(max(self.most if scale is None else scale, self.least), self.most)
        return predicted - half, predicted + half


def check_enough(level: float, n_rows: int) -> None:
    """Check that so many errors have a quantile at the level.

    Raises
    ------
    TrainingDataError
        They are too few: not even the greatest of them is exceeded seldom enough.
    """
    needed = next(n for n in range(1, 100_000) if _place(n, level) <= n)
    if n_rows < needed:
        raise TrainingDataError(
            f"interval: {level:g} needs at least {needed:,} rows that are held out, and there are "
            f"{n_rows:,}: add rows, hold out more (settings: holdout), or lower 'interval'"
        )


def calibrate(
    task: Task, choice: Choice, evaluated: Any, training: TrainingRows, holdout: TrainingRows
) -> Interval:
    """Return the interval for the config's share of rows, by the errors on the hold-out.

    They are scaled where that makes intervals narrower, on average over rows that the scale did not learn
    from.

    Parameters
    ----------
    evaluated : the pipeline that never saw the hold-out
    """
    level = task.spec.interval
    assert level is not None, "asked for only where the config has an interval"
    predicted = np.asarray(evaluated.predict(holdout.frame), dtype=np.float64)
    errors = np.abs(task.problem.encode(holdout.target) - predicted)
    weight = holdout.weight
    constant = quantile(errors, level, weight)
    factor, scales, scale, most = constant, np.ones(len(errors)), None, 1.0
    found = _scaled(task, choice, training, holdout, errors)
    if found is not None:
        scaled = quantile(errors / found.scales, level, weight)
        if scaled * weighted_mean(found.scales, weight) < (1 - MIN_GAIN) * constant:
            factor, scales, scale, most = scaled, found.scales, found.scale, found.most
    halves = _honest_halves(errors, scales, level, weight)
    covered = errors <= halves
    return Interval(
        level=level,
        factor=factor,
        scale=scale,
        least=LEAST_SCALE,
        most=most,
        constant=constant,
        n_rows=len(errors),
        coverage=weighted_mean(covered, weight),
        width=weighted_mean(2 * halves, weight),
        groups=_groups(predicted, covered, 2 * halves, weight),
    )


@dataclass(frozen=True)
class _Scaled:
    """A model of errors, the greatest scale of the rows it learned from, and scales of the hold-out's rows.

    The latter are of a model that did not learn from the row.
    """

    scale: Pipeline
    most: float
    scales: Array


def _scaled(
    task: Task, choice: Choice, training: TrainingRows, holdout: TrainingRows, errors: Array
) -> _Scaled | None:
    """Return a model of errors: of those that auto's folds made, else of the hold-out's; None of too few.

    Of the hold-out's, each row is scaled by a model of the other rows.
    """
    of_folds = choice.out_of_fold
    frame, learned = holdout.frame, errors
    if of_folds is not None:
        frame = training.frame.iloc[of_folds.rows]
        learned = np.abs(task.problem.encode(training.target)[of_folds.rows] - of_folds.predicted)
    if len(learned) < MIN_SCALE_ROWS or learned.mean() == 0 or errors.mean() == 0:
        return None
    scale = _fit_scale(task, frame, learned)
    most = max(float(np.max(_predict(scale, frame))), LEAST_SCALE)
    if of_folds is not None:
        return _Scaled(scale, most, np.clip(_predict(scale, holdout.frame), LEAST_SCALE, most))
    scales = np.empty(len(errors))
    for here in _folds(len(errors)):
        fitted = _fit_scale(task, frame[~here], errors[~here])
        scales[here] = np.clip(_predict(fitted, frame[here]), LEAST_SCALE, most)
    return _Scaled(scale, most, scales)


def quantile(errors: Array, level: float, weight: Array | None = None) -> float:
    """Return the least error that a new one exceeds with a probability of at most 1 - level.

    It is the ceil((n + 1) * level)-th of n; the greatest, where n is too small for that. With weights it is
    the least with which so large a part of all weights, that of the new row included, is reached; the new row
    has the mean weight.
    """
    if weight is not None:
        order = np.argsort(errors, kind="stable")
        reached = np.cumsum(weight[order]) / (weight.sum() + weight.mean())
        return float(errors[order][min(int(np.searchsorted(reached, level - 1e-12)), len(errors) - 1)])
    place = min(_place(len(errors), level), len(errors))
    return float(np.partition(errors, place - 1)[place - 1])


def _place(n: int, level: float) -> int:
    """Return ceil((n + 1) * level) of the level as it is written: 100 * 0.55 is 55, not a little more."""
    return math.ceil((n + 1) * level - 1e-9)


def _folds(n_rows: int) -> list[Array]:
    """Return masks of the rows of each fold; rows come in random order."""
    folds = np.arange(n_rows) % N_FOLDS
    return [folds == fold for fold in np.unique(folds)]


def _fit_scale(task: Task, frame: pd.DataFrame, errors: Array) -> Pipeline:
    """Return a model of how large errors are, relative to their mean: of the quantile that is asked for.

    On seven data sets it makes narrower intervals than a model of the mean or the median error.
    """
    every = -(-len(errors) // MAX_SCALE_ROWS)
    columns = dataclasses.replace(task.columns, sets=None, crowded=())
    n_least = max(10, len(errors) // every // 100)
    estimator = xgboost.XGBRegressor(
        **SCALE,
        objective="reg:quantileerror",
        quantile_alpha=task.spec.interval,
        min_child_weight=n_least,
        random_state=task.spec.settings.seed,
        n_jobs=1,  # threads that wait for busy cores take longer than so small a fit
    )
    pipeline = Pipeline([("columns", tree_columns(columns)), ("estimator", estimator)])
    return pipeline.fit(frame[::every], (errors / errors.mean())[::every])


def _predict(scale: Pipeline, frame: pd.DataFrame) -> Array:
    return np.asarray(scale.predict(frame), dtype=np.float64)


def _honest_halves(errors: Array, scales: Array, level: float, weight: Array | None) -> Array:
    """Return half of each row's width, by the factor that the rows of the other folds give."""
    halves = np.empty(len(errors))
    for here in _folds(len(errors)):
        others = ~here if len(errors) > 1 else here
        some = None if weight is None else weight[others]
        halves[here] = quantile(errors[others] / scales[others], level, some) * scales[here]
    return halves


def _groups(predicted: Array, covered: Array, widths: Array, weight: Array | None) -> tuple[Group, ...]:
    order = np.argsort(predicted, kind="stable")
    parts: Sequence[Array] = np.array_split(order, min(N_GROUPS, len(order)))
    return tuple(
        Group(
            float(predicted[part[0]]),
            float(predicted[part[-1]]),
            len(part),
            weighted_mean(covered[part], None if weight is None else weight[part]),
            weighted_mean(widths[part], None if weight is None else weight[part]),
        )
        for part in parts
    )
