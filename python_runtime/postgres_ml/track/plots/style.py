"""How all pictures look. Figures are drawn without pyplot, which keeps global state."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from postgres_ml.snapshot.rows import Array

DARK, MUTED, GRID = "#1f2933", "#52606d", "#e4e7eb"
BLUE, ORANGE, GREY = "#2f6690", "#d1603d", "#9aa5b1"
PALETTE = (BLUE, ORANGE, "#3a7d44", "#8e5572", "#c59b08", "#16697a", "#7a5195", "#5c4d3c")
MAX_POINTS = 3_000
DPI = 120
SIZE = (6.0, 4.6)


def new_figure(title: str, size: tuple[float, float] = SIZE) -> Figure:
    """Return an empty figure with its title."""
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=12, fontweight="bold", color=DARK, x=0.02, ha="left")
    return figure


def new_axes(title: str, x: str, y: str, size: tuple[float, float] = SIZE) -> tuple[Figure, Any]:
    """Return a figure of one plot."""
    figure = new_figure(title, size)
    return figure, dress(figure.add_subplot(), x, y)


def dress(axes: Any, x: str, y: str) -> Any:
    """Return the axes with labels, a light grid and dark text."""
    axes.set_xlabel(x, color=DARK, fontsize=10)
    axes.set_ylabel(y, color=DARK, fontsize=10)
    axes.tick_params(colors=DARK, labelsize=9, length=0)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(GREY)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    return axes


def legend(axes: Any, **places: Any) -> None:
    """Draw the legend on a light ground, so that curves behind it don't hide it."""
    axes.legend(fontsize=9, labelcolor=DARK, frameon=True, framealpha=0.9, edgecolor="none", **places)


def note(axes: Any, text: str) -> None:
    """Write a remark under the title."""
    axes.set_title(text, fontsize=9, color=MUTED, loc="left")


def short(text: str, limit: int = 20) -> str:
    """Return the text without what matplotlib would read as mathematics, its middle cut out beyond the limit.

    Names of a family (sales_in_the_last_30_days, …_90_days) differ at their ends.
    """
    plain = text.replace("\n", " ") or "''"
    if len(plain) > limit:
        tail = (limit - 1) // 3
        plain = plain[: limit - 1 - tail] + "…" + plain[-tail:]
    return plain.replace("$", r"\$")


def limits(values: Array) -> tuple[float, float]:
    """Return where an axis ends: at the last value, or before a few that would squeeze all others together.

    A hundredth of the values may be beyond, and only where that shortens the axis to less than half.
    """
    finite = values[np.isfinite(values)]
    low, high = float(finite.min()), float(finite.max())
    inner_low, inner_high = (float(q) for q in np.quantile(finite, [0.005, 0.995]))
    margin = 0.1 * (inner_high - inner_low)
    if 0 < inner_high - inner_low < 0.5 * (high - low):
        low, high = max(low, inner_low - margin), min(high, inner_high + margin)
    pad = 0.03 * (high - low) or 1.0
    return low - pad, high + pad
