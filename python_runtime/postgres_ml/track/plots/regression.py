"""Predicted and actual values, and the errors between them."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from postgres_ml.snapshot.rows import Array
from postgres_ml.track.plots.style import (
    BLUE,
    MAX_POINTS,
    ORANGE,
    dress,
    legend,
    limits,
    new_axes,
    new_figure,
    note,
)

LOGARITHMIC_SPREAD = 50  # of the 95 % quantile to the 5 % quantile, from which axes are logarithmic


def predicted_vs_actual(truth: Array, predicted: Array) -> Figure:
    """Return predictions over true values."""
    figure, axes = new_axes("Predicted and actual values on the hold-out", "actual", "predicted")
    x, y = truth[:MAX_POINTS], predicted[:MAX_POINTS]
    axes.scatter(x, y, s=10, alpha=_alpha(x), color=BLUE, linewidths=0)
    both = np.concatenate([truth, predicted])
    low, high = limits(both)
    if _is_skewed(both):
        axes.set_xscale("log")
        axes.set_yscale("log")
        low, high = float(both.min()) / 1.2, float(both.max()) * 1.2
    axes.plot([low, high], [low, high], color=ORANGE, linewidth=1.5, label="a perfect prediction")
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    _say_beyond(axes, (x < low) | (x > high) | (y < low) | (y > high))
    legend(axes, loc="upper left")
    return figure


def residuals(truth: Array, predicted: Array) -> Figure:
    """Return errors over predictions, and how they are distributed."""
    figure = new_figure("Errors on the hold-out", (6.2, 4.6))
    axes, beside = figure.subplots(1, 2, sharey=True, width_ratios=(4, 1))
    errors = truth - predicted
    dress(axes, "predicted", "actual − predicted")
    x, y = predicted[:MAX_POINTS], errors[:MAX_POINTS]
    axes.scatter(x, y, s=10, alpha=_alpha(x), color=BLUE, linewidths=0)
    (left, right), (low, high) = limits(predicted), limits(errors)
    axes.set_xlim(left, right)
    axes.set_ylim(low, high)
    _say_beyond(axes, (x < left) | (x > right) | (y < low) | (y > high))
    dress(beside, "rows", "")
    beside.hist(np.clip(errors, low, high), bins=40, range=(low, high), orientation="horizontal", color=BLUE)
    beside.locator_params(axis="x", nbins=2)
    for part in (axes, beside):
        part.axhline(0, color=ORANGE, linewidth=1.5)
    return figure


def _is_skewed(values: Array) -> bool:
    if np.min(values) <= 0:
        return False
    low, high = np.quantile(values, [0.05, 0.95])
    return bool(high / low > LOGARITHMIC_SPREAD)


def _alpha(points: Array) -> float:
    return float(np.clip(300 / max(len(points), 1), 0.25, 0.8))


def _say_beyond(axes: Any, beyond: Array) -> None:
    n = int(np.count_nonzero(beyond))
    if n:
        note(axes, f"{n:,} of {len(beyond):,} points lie beyond the axes")
