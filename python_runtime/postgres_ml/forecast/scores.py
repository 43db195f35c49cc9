"""Losses of forecasts: Redshift's objectives, and how often percentiles hold.

Source: Hyndman and Koehler 2006 (MASE); Amazon Forecast's developer guide (WAPE, the average weighted
quantile loss, MAPE and RMSE). Steps without a row are left out of all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from postgres_ml.contract.forecast import MEAN
from postgres_ml.snapshot.rows import Array

TINY = 1e-12


@dataclass(frozen=True)
class Predicted:
    """One series' window, predicted.

    Parameters
    ----------
    actual, observed : ndarrays of shape (horizon,); a step that is not observed counts nowhere
    mean : ndarray of shape (horizon,)
    quantiles : by level; ndarrays of shape (horizon,)
    scale : mean absolute step from season to season before the window; 0 of a series that repeats itself
    """

    actual: Array
    observed: Array
    mean: Array
    quantiles: dict[float, Array]
    scale: float

    @property
    def errors(self) -> Array:
        """Actual less predicted, at the steps that have a row."""
        return np.asarray((self.actual - self.mean)[self.observed])

    @property
    def known(self) -> Array:
        """The values at the steps that have a row."""
        return np.asarray(self.actual[self.observed])


def season_scale(values: Array, observed: Array, season: int) -> float:
    """Return the mean absolute step from season to season, between steps that have a row both."""
    lag = season if len(values) > season + 1 else 1
    both = observed[lag:] & observed[:-lag]
    steps = np.abs(values[lag:] - values[:-lag])[both]
    return float(steps.mean()) if len(steps) else 0.0


def metrics(windows: Sequence[Predicted]) -> dict[str, float]:
    """Return the metrics over series: MASE is the mean of the series', the others are of all points.

    A series that repeats itself has no MASE, a value of 0 no percentage error; where that leaves nothing, or
    where all values are 0, the metric is 0 if nothing is wrong, and missing otherwise.
    """
    errors = np.concatenate([w.errors for w in windows])
    actual = np.concatenate([w.known for w in windows])
    found = {
        "mase": _mean(
            [np.abs(w.errors).mean() / w.scale for w in windows if w.scale > TINY and len(w.errors)]
        ),
        "wape": _ratio(np.abs(errors).sum(), np.abs(actual).sum()),
        "mape": _mean((np.abs(errors) / np.maximum(np.abs(actual), TINY))[np.abs(actual) > TINY]),
        "rmse": float(np.sqrt(np.mean(errors**2))),
        "mae": float(np.abs(errors).mean()),
    }
    levels = list(windows[0].quantiles)
    if levels:
        losses = [_weighted_quantile_loss(windows, level) for level in levels]
        found["average_weighted_quantile_loss"] = float(np.mean(losses))
    if len(levels) > 1:
        found["coverage"] = coverage(windows, levels[0], levels[-1])
    is_exact = not np.abs(errors).max() > TINY
    return {name: 0.0 if is_exact and np.isnan(value) else value for name, value in found.items()
            if is_exact or not np.isnan(value)}  # fmt: skip


def loss(objective: str, window: Predicted) -> float:
    """Return one window's loss by the objective; NaN where it has none."""
    if not len(window.errors):
        return float("nan")
    if objective == "average_weighted_quantile_loss" and window.quantiles:
        return float(np.mean([_weighted_quantile_loss([window], level) for level in window.quantiles]))
    if objective == "rmse":
        return float(np.sqrt(np.mean(window.errors**2)))
    if objective == "mape":
        known = window.known
        return _mean((np.abs(window.errors) / np.maximum(np.abs(known), TINY))[np.abs(known) > TINY])
    return float(np.abs(window.errors).mean())  # within one window WAPE and MASE order as it does


def coverage(windows: Sequence[Predicted], low: float, high: float) -> float:
    """Return the share of values that are within two percentiles."""
    inside = [((w.quantiles[low] <= w.actual) & (w.actual <= w.quantiles[high]))[w.observed] for w in windows]
    return float(np.concatenate(inside).mean())


def below(windows: Sequence[Predicted], level: float) -> float:
    """Return the share of values that are not above a percentile."""
    return float(np.concatenate([(w.actual <= w.quantiles[level])[w.observed] for w in windows]).mean())


def levels_of(percentiles: Sequence[str]) -> tuple[float, ...]:
    """Return the percentiles but the mean, as numbers."""
    return tuple(float(percentile) for percentile in percentiles if percentile != MEAN)


def _weighted_quantile_loss(windows: Sequence[Predicted], level: float) -> float:
    total = weight = 0.0
    for window in windows:
        over = (window.actual - window.quantiles[level])[window.observed]
        total += 2 * float(np.maximum(level * over, (level - 1) * over).sum())
        weight += float(np.abs(window.known).sum())
    return _ratio(total, weight)


def _ratio(total: float, weight: float) -> float:
    return float(total / weight) if weight > TINY else float("nan")


def _mean(values: Sequence[float] | Array) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
