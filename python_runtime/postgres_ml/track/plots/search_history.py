"""How the search went: each candidate's loss over time, and the best so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from postgres_ml.fit.trial import Trial
from postgres_ml.track.plots.style import DARK, GREY, PALETTE, legend, limits, new_axes, note


def search_history(trials: Sequence[Trial], chosen: Sequence[object], loss: str) -> Figure:
    """Return the losses of the trials that have one, in the order of their end.

    Parameters
    ----------
    trials : at least one of them done
    chosen : the candidates that were chosen; one, or those of a blend
    loss : its name
    """
    figure, axes = new_axes("The search", "seconds", f"{loss}, cross-validated", (6.4, 4.6))
    ended = sorted((t for t in trials if np.isfinite(t.loss)), key=lambda trial: trial.finished_s)
    done = [trial for trial in ended if trial.state == "done"]
    families = sorted({trial.candidate.model_type for trial in done})
    for color, family in zip(PALETTE, families, strict=False):
        mine = [trial for trial in done if trial.candidate.model_type == family]
        _points(axes, mine, s=34, color=color, label=family, zorder=3)
    dropped = [trial for trial in ended if trial.state == "pruned"]
    if dropped:
        _points(axes, dropped, s=26, marker="x", color=GREY, label="dropped after the first fold", zorder=2)
    x, best = [t.finished_s for t in done], np.minimum.accumulate([t.loss for t in done])
    axes.step([*x, ended[-1].finished_s], [*best, best[-1]], where="post", color=DARK, linewidth=1.2,
              label="best so far")  # fmt: skip
    taken = [trial for trial in done if trial.candidate in chosen]
    _points(axes, taken, s=130, facecolors="none", edgecolors=DARK, linewidths=1.5, label="chosen", zorder=4)
    low, high = limits(np.array([trial.loss for trial in ended]))
    axes.set_ylim(low, high)
    n_beyond = sum(trial.loss > high for trial in ended)
    if n_beyond:
        note(axes, f"{n_beyond} of {len(ended)} candidates lie above the picture")
    legend(axes, loc="upper right")
    return figure


def _points(axes: Axes, trials: Sequence[Trial], **style: Any) -> None:
    axes.scatter([t.finished_s for t in trials], [t.loss for t in trials], **style)
