"""How the scores of an anomaly detection are spread, and where anomalies begin."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from postgres_ml.snapshot.rows import Array
from postgres_ml.track.plots.style import BLUE, ORANGE, legend, new_axes

BINS = 50


def anomaly_scores(scores: Array, threshold: float | None) -> Figure:
    """Return a histogram of the scores, those above the threshold in another colour.

    The axis of rows is logarithmic: anomalies are few.

    Parameters
    ----------
    scores : of the hold-out, of shape (n_rows,), 0 to 1
    threshold : None where no row is called an anomaly
    """
    figure, axes = new_axes("Scores on the hold-out", "score", "rows (logarithmic)")
    if threshold is None:
        axes.hist(scores, bins=BINS, color=BLUE)
    else:
        _draw_both(axes, scores, threshold)
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.7)  # after the bars: a limit ends the fitting of the axis to them
    return figure


def _draw_both(axes: Any, scores: Array, threshold: float) -> None:
    low, high = min(float(scores.min()), threshold), max(float(scores.max()), threshold)
    pad = 0.03 * (high - low) or 0.01
    edges = np.linspace(low - pad, high + pad, BINS + 1)
    edges = np.sort(np.append(edges, threshold))  # no bar is on both sides
    for rows, color, label in (
        (scores[scores <= threshold], BLUE, "ordinary rows"),
        (scores[scores > threshold], ORANGE, "anomalies"),
    ):
        axes.hist(rows, bins=edges, color=color, label=f"{label}: {len(rows):,}")
    axes.axvline(threshold, color=ORANGE, linewidth=1.5, linestyle="--", label=f"threshold {threshold:.4f}")
    legend(axes, loc="upper right")
