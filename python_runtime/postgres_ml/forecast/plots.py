"""Pictures of a forecast: series with their hold-out and what is told of them, and errors by step ahead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from postgres_ml.forecast.fitted import Forecast
from postgres_ml.snapshot.rows import Array
from postgres_ml.track.plots.style import BLUE, DARK, DPI, GREY, ORANGE, legend, new_axes, short

HISTORY = 4  # horizons of history that are shown, at least
SIZE = (8.0, 4.2)


def draw_all(forecast: Forecast, folder: Path) -> list[Path]:
    """Write the plots into the folder and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {
        name: series_figure(forecast, number, title)
        for name, (number, title) in shown_series(forecast).items()
    }
    if len(forecast.evaluated.ahead) > 1:
        drawn["error_by_step"] = ahead_figure(forecast)
    paths = []
    for name, figure in drawn.items():
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=DPI)
    return paths


def shown_series(forecast: Forecast) -> dict[str, tuple[int, str]]:
    """Return (place among the judged series, title) of the median and the worst, by name of the plot.

    A series is as bad as its mean absolute error in units of its steps from season to season.
    """
    losses = [
        float(np.abs(w.errors).mean()) / w.scale if w.scale > 0 and len(w.errors) else 0.0
        for w in forecast.evaluated.holdout
    ]
    order = np.argsort(losses, kind="stable")
    if len(order) == 1:
        return {"forecast": (int(order[0]), "The series")}
    median, worst = int(order[len(order) // 2]), int(order[-1])
    return {
        "median_series": (median, f"The median series, MASE {losses[median]:.2f}"),
        "worst_series": (worst, f"The worst series, MASE {losses[worst]:.2f}"),
    }


def series_figure(forecast: Forecast, place: int, title: str) -> Figure:
    """Return a series' end, what was predicted for its hold-out, and its forecast."""
    evaluated, horizon = forecast.evaluated, forecast.searched.horizon
    number = evaluated.numbers[place]
    one, told = forecast.panel.series[number], forecast.table.told[number]
    name = forecast.panel.name(one)
    heading = title if name == "the series" else f"{title}: {short(name, 40)}"
    target = forecast.job.target.name if forecast.job.target else ""
    figure, axes = new_axes(heading, "", short(target, 30), SIZE)
    first = max(0, len(one.values) - max(HISTORY * horizon, 60))
    values = np.where(one.observed, one.values, np.nan)
    axes.plot(one.times[first:].view("M8[us]"), values[first:], color=DARK, linewidth=1.2, label="rows")
    held_out = one.times[-horizon:]
    before, after = evaluated.holdout[place], told.quantiles
    _tell(axes, held_out, before.mean, before.quantiles, GREY, "predicted for the hold-out")
    _tell(axes, told.times, told.mean, after, ORANGE, "forecast")
    legend(axes, loc="best")
    figure.autofmt_xdate()
    return figure


def _tell(
    axes: Any, times: Array, mean: Array, quantiles: dict[float, Array], color: str, label: str
) -> None:
    moments = times.view("M8[us]")
    levels = sorted(quantiles)
    marker = "o" if len(times) == 1 else None
    axes.plot(moments, mean, color=color, linewidth=1.6, label=label, marker=marker)
    if len(levels) > 1:
        low, high = levels[0], levels[-1]
        axes.fill_between(
            moments, quantiles[low], quantiles[high], color=color, alpha=0.2, linewidth=0,
            label=f"percentiles {low * 100:.0f} to {high * 100:.0f}",
        )  # fmt: skip


def ahead_figure(forecast: Forecast) -> Figure:
    """Return the mean error by step ahead, beside the seasonal naive forecast's."""
    steps, ours, naive, _ = (np.array(row) for row in zip(*forecast.evaluated.ahead, strict=True))
    figure, axes = new_axes("Error by step ahead", "steps ahead", "MASE", SIZE)
    axes.plot(steps, naive, color=GREY, linewidth=1.6, label="seasonal naive")
    axes.plot(steps, ours, color=BLUE, linewidth=1.8, label="this forecast")
    axes.set_ylim(bottom=0)
    legend(axes, loc="best")
    return figure
