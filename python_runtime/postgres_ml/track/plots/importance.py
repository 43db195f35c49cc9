"""Which columns predictions depend on."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from postgres_ml.explain import Explanation
from postgres_ml.track.plots.style import BLUE, DARK, PALETTE, legend, new_axes, note, short

MAX_BARS = 20
MAX_LABELS = len(PALETTE)


def importance(explanation: Explanation) -> Figure:
    """Return bars of the columns' mean absolute SHAP values, greatest on top; of several classes, stacked."""
    totals = explanation.global_values.sum(axis=0)
    top = np.argsort(-totals, kind="stable")[:MAX_BARS]
    names = [short(explanation.names[column], 32) for column in top]
    places = np.arange(len(top))
    x = f"mean |SHAP value|, {explanation.unit}"
    figure, axes = new_axes("What predictions depend on", x, "", (6.8, 1.5 + 0.3 * max(len(top), 3)))
    left = np.zeros(len(top))
    order = np.argsort(-explanation.global_values.sum(axis=1), kind="stable")
    shown = order if len(order) <= MAX_LABELS else order[: MAX_LABELS - 1]
    for color, number in zip(PALETTE if len(order) > 1 else (BLUE,), shown, strict=False):
        values = explanation.global_values[number, top]
        axes.barh(places, values, left=left, color=color, height=0.7, label=short(explanation.labels[number]))
        left = left + values
    if len(shown) < len(order):
        label = f"{len(order) - len(shown)} others"
        axes.barh(places, totals[top] - left, left=left, color=PALETTE[-1], height=0.7, label=label)
    for place, total in zip(places, totals[top], strict=True):
        axes.annotate(f"{total:.3g}", (total, place), (3, 0), textcoords="offset points", va="center",
                      fontsize=8, color=DARK)  # fmt: skip
    axes.set_yticks(places, names)
    axes.set_ylim(max(len(top), 3) - 0.4, -0.6)
    axes.set_xlim(0, float(totals.max()) * 1.14 or 1.0)
    axes.grid(visible=False, axis="y")
    if len(order) > 1:
        legend(axes, loc="lower right")
    if len(totals) > len(top):
        note(axes, f"the first {len(top)} of {len(totals)} columns")
    return figure
