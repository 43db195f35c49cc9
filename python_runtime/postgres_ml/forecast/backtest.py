"""Rolling-origin backtests: each candidate predicts the last windows of a series from what came before them.

Window 0 is the end of the series, the hold-out; window 1 is what comes before it, and so on. A gap before a
window is not interpolated, since the row after it may be in the window: `Series.history`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from postgres_ml.contract.exceptions import TrainingDataError
from postgres_ml.forecast.models import BASELINE, Candidate, predict
from postgres_ml.forecast.panel import Series
from postgres_ml.snapshot.rows import Array

MAX_WINDOWS = 8  # with the hold-out: days of an hourly series that is forecast a day ahead make a week
LEAST_TRAINING = 6  # points


@dataclass(frozen=True)
class Backtest:
    """What candidates predicted for a series' windows.

    Parameters
    ----------
    candidates : those that answered for all windows, the baseline first
    means, widths : ndarrays of shape (n_candidates, n_windows, horizon)
    """

    candidates: tuple[Candidate, ...]
    means: Array
    widths: Array

    @property
    def n_windows(self) -> int:
        """How many windows the series is long enough for."""
        return int(self.means.shape[1])


def n_windows(n_points: int, horizon: int, most: int = MAX_WINDOWS, season: int = 1) -> int:
    """Return how many windows a series has: what is left of it is never shorter than a window.

    Parameters
    ----------
    season : of the series' candidates, in steps; beyond two windows two of it are left before each, or
        the seasonal models would predict something else there, or nothing
    """
    spare = n_points - max(horizon, LEAST_TRAINING)
    windows = max(min(spare // horizon, most), 0)
    return min(windows, max((n_points - 2 * season) // horizon, min(windows, 2)))


def check_horizon(n_points: int, horizon: int, word: str) -> None:
    """Check that a series has a hold-out and what to predict it from.

    Parameters
    ----------
    n_points : of the longest series
    word : for one step

    Raises
    ------
    TrainingDataError
    """
    if n_windows(n_points, horizon):
        return
    before = max(horizon, LEAST_TRAINING)
    allowed = min(n_points // 2, n_points - LEAST_TRAINING)
    lower = f"Lower settings: {{horizon: {allowed}}}, or select" if allowed > 0 else "Select"
    raise TrainingDataError(
        f"horizon {horizon} is longer than history allows: the longest series has {n_points:,} steps of one "
        f"{word}, and a forecast is judged by predicting the last {horizon} from at least {before} before "
        f"them. {lower} more history: {horizon + before} steps or more"
    )


def cut(n_points: int, horizon: int, window: int) -> int:
    """Return how many points come before a window."""
    return n_points - (window + 1) * horizon


def predict_windows(
    one: Series, candidate: Candidate, horizon: int, windows: int, end: float
) -> tuple[Array, Array] | None:
    """Return a candidate's means and widths, of shape (n_windows, horizon); None if it fails or is too late.

    Parameters
    ----------
    end : on the clock of time.time(); no fit begins after it
    """
    found = []
    for window in range(windows):
        fit = None
        if time.time() <= end:
            fit = predict(candidate, one.history(cut(len(one.values), horizon, window)), horizon)
        if fit is None:
            return None
        found.append(fit)
    means, widths = (np.array([fit[part] for fit in found]).reshape(windows, horizon) for part in (0, 1))
    return means, widths


def backtest(
    one: Series,
    candidates: Sequence[Candidate],
    predicted: Sequence[tuple[Array, Array] | None],
    horizon: int,
    windows: int,
) -> Backtest:
    """Return what came of a series' candidates; the last value stands in for a baseline that fails."""
    first = predicted[0] if predicted[0] is not None else _last_values(one, horizon, windows)
    pairs = [(candidates[0], first)]
    pairs += [(c, p) for c, p in zip(candidates[1:], predicted[1:], strict=True) if p is not None]
    means, widths = (np.array([p[part] for _, p in pairs]) for part in (0, 1))
    return Backtest(tuple(candidate for candidate, _ in pairs), means, widths)


def _last_values(one: Series, horizon: int, windows: int) -> tuple[Array, Array]:
    """Return what stands in for a baseline that fails: the last value before each window."""
    known = [one.history(cut(len(one.values), horizon, window)) for window in range(windows)]
    means = np.array([[values[-1]] * horizon for values in known]).reshape(windows, horizon)
    widths = np.array([[np.std(values)] * horizon for values in known]).reshape(windows, horizon)
    return means, widths


def blend(
    values: Array, members: Sequence[Candidate], horizon: int, season: int
) -> tuple[Array, Array, tuple[Candidate, ...]]:
    """Return mean and width of the members' average after the series' end, and the members that answered."""
    fits = [(member, predict(member, values, horizon)) for member in members]
    found = [(member, fit) for member, fit in fits if fit is not None]
    if not found:
        baseline = Candidate(BASELINE, (season if len(values) > season else 1,))
        fit = predict(baseline, values, horizon)
        if fit is None:
            fit = np.full(horizon, values[-1]), np.full(horizon, float(np.std(values)))
        found = [(baseline, fit)]
    means = np.mean([fit[0] for _, fit in found], axis=0)
    widths = np.mean([fit[1] for _, fit in found], axis=0)
    return means, widths, tuple(member for member, _ in found)
