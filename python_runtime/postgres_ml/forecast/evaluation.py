"""How good the choice is on the hold-out, beside the seasonal naive forecast; and how wide its errors are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from postgres_ml.contract.exceptions import TrainingDataError
from postgres_ml.forecast import scores
from postgres_ml.forecast.backtest import cut
from postgres_ml.forecast.choice import blended
from postgres_ml.forecast.panel import Panel
from postgres_ml.forecast.scores import Predicted
from postgres_ml.forecast.search import Searched, scale_of
from postgres_ml.forecast.spread import quantiles, standard_quantiles
from postgres_ml.snapshot.rows import Array

TINY = 1e-12
MEDIAN = 0.5


@dataclass(frozen=True)
class Evaluated:
    """The choice and the baseline on the windows of the backtest.

    Parameters
    ----------
    metrics : of the choice on the hold-out; those of the seasonal naive forecast begin with 'naive_'
    numbers : of the series that have a hold-out, in the panel's order
    holdout, naive : of each of them, what the choice and the baseline predicted
    ahead : (step, mean absolute error, that of the baseline, values) over all windows; errors in units of the
        series' scale
    errors : ndarray of shape (n,): of all windows, in units of the widths
    n_windows : of all series
    """

    metrics: dict[str, float]
    numbers: tuple[int, ...]
    holdout: tuple[Predicted, ...]
    naive: tuple[Predicted, ...]
    ahead: tuple[tuple[int, float, float, int], ...]
    errors: Array
    n_windows: int


def levels(percentiles: Sequence[str]) -> tuple[float, ...]:
    """Return the percentiles asked for; the median where the mean alone is."""
    return scores.levels_of(percentiles) or (MEDIAN,)


def least_of(values: Array) -> float | None:
    """Return what no forecast is below: 0 where nothing ever was."""
    return 0.0 if float(values.min()) >= 0 else None


def evaluate(panel: Panel, searched: Searched, percentiles: Sequence[str], objective: str) -> Evaluated:
    """Return the scores of the choice, whose percentiles come from the windows before the hold-out.

    Raises
    ------
    TrainingDataError
        The objective has no value.
    """
    asked = levels(percentiles)
    earlier = _errors(panel, searched, first=1)
    standard = standard_quantiles(asked, earlier, searched.horizon)
    normal = standard_quantiles(asked, np.empty(0), searched.horizon)
    numbers = tuple(n for n, test in enumerate(searched.tests) if test.n_windows)
    holdout = tuple(_predicted(panel, searched, n, 0, asked, standard, is_naive=False) for n in numbers)
    naive = tuple(_predicted(panel, searched, n, 0, asked, normal, is_naive=True) for n in numbers)
    metrics = scores.metrics(holdout)
    of_naive = scores.metrics(naive)
    metrics |= {f"naive_{name}": of_naive[name] for name in ("mase", "wape", "rmse") if name in of_naive}
    if objective not in metrics:
        raise TrainingDataError(
            f"objective {objective} has no value on the last {searched.horizon} steps: all of them are 0, "
            "or all "
            "series repeated themselves exactly before. Set objective: rmse"
        )
    return Evaluated(
        metrics, numbers, holdout, naive, _ahead(panel, searched, asked),
        _errors(panel, searched, first=0), sum(test.n_windows for test in searched.tests),
    )  # fmt: skip


def _predicted(
    panel: Panel,
    searched: Searched,
    number: int,
    window: int,
    asked: Sequence[float],
    standard: Array,
    *,
    is_naive: bool,
) -> Predicted:
    one, test = panel.series[number], searched.tests[number]
    start = cut(len(one.values), searched.horizon, window)
    span = slice(start, start + searched.horizon)
    members = test.candidates[:1] if is_naive else searched.choice.members[number]
    mean, width = blended(test, members, window)
    least = least_of(one.history(start))
    mean = mean if least is None else np.maximum(mean, least)
    told = quantiles(mean, width, asked, standard, least)
    scale = scale_of(one, searched.seasons[number], start)
    return Predicted(one.values[span], one.observed[span], mean, told, scale)


def _errors(panel: Panel, searched: Searched, first: int) -> Array:
    """Return the choice's errors in units of its widths, of the windows from `first` on."""
    found = []
    for number, (one, test) in enumerate(zip(panel.series, searched.tests, strict=True)):
        for window in range(first, test.n_windows):
            start = cut(len(one.values), searched.horizon, window)
            span = slice(start, start + searched.horizon)
            mean, width = blended(test, searched.choice.members[number], window)
            counts = one.observed[span] & (width > TINY)
            found.append(((one.values[span] - mean)[counts]) / width[counts])
    return np.concatenate(found) if found else np.empty(0)


def _ahead(
    panel: Panel, searched: Searched, asked: Sequence[float]
) -> tuple[tuple[int, float, float, int], ...]:
    total, base = np.zeros(searched.horizon), np.zeros(searched.horizon)
    counts = np.zeros(searched.horizon, np.int64)
    normal = standard_quantiles(asked, np.empty(0), searched.horizon)
    for number, test in enumerate(searched.tests):
        for window in range(test.n_windows):
            ours, naive = (
                _predicted(panel, searched, number, window, asked, normal, is_naive=which)
                for which in (False, True)
            )
            if ours.scale <= TINY:
                continue
            seen = ours.observed
            total[seen] += np.abs(ours.actual - ours.mean)[seen] / ours.scale
            base[seen] += np.abs(naive.actual - naive.mean)[seen] / ours.scale
            counts += seen
    return tuple(
        (step + 1, float(total[step] / n), float(base[step] / n), int(n))
        for step, n in enumerate(counts)
        if n
    )
