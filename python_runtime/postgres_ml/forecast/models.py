"""The candidates: models of statsforecast, each for series on which it makes sense.

Source: the library's models, called on arrays. statsforecast is imported when the first is asked, so that
what has no forecast needs no library.
"""

from __future__ import annotations

import importlib
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from postgres_ml.forecast.calendar import SEASONS
from postgres_ml.snapshot.rows import Array

LEVEL = 80  # of the interval that the width of a model's errors is read from, in percent
LEVEL_Z = 1.2815515655446004  # half its width, in standard deviations of a normal distribution
LONGEST_ETS_SEASON = 24  # the library's, as R's
LONG_SEASON = 1000  # steps; what repeats after more than this is left to MSTL
MAX_POINTS = 4000  # of a series' end that models are fitted on
ARIMA_POINTS = {True: 200, False: 600}  # by whether it is seasonal; longer series take minutes
INTERMITTENT = 0.3  # share of zeros from which demand comes now and then
BASELINE = "SeasonalNaive"
WITHOUT_INTERVAL = frozenset(
    {
        "CrostonOptimized", "CrostonSBA", "TSB", "SeasonalWindowAverage",
        "SimpleExponentialSmoothingOptimized",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Candidate:
    """A model of statsforecast with its seasons.

    Parameters
    ----------
    name : the library's
    seasons : periods in steps; (1,) is none
    """

    name: str
    seasons: tuple[int, ...] = (1,)

    @property
    def shown(self) -> str:
        """Its name, with the periods."""
        periods = ", ".join(str(period) for period in self.seasons if period > 1)
        return f"{self.name}({periods})" if periods else self.name


def seasons_of(frequency: str, n_points: int) -> tuple[int, ...]:
    """Return the periods of which a series has at least two; (1,) if there is none."""
    return tuple(period for period in SEASONS[frequency] if n_points >= 2 * period + 2) or (1,)


def candidates_for(values: Array, frequency: str, shortest: int, longest: int) -> tuple[Candidate, ...]:
    """Return what makes sense for a series, the baseline first.

    Parameters
    ----------
    values : of the series before its hold-out
    shortest, longest : how many points the fits will see
    """
    seasons = seasons_of(frequency, shortest)
    first = seasons[0]
    found = [Candidate(BASELINE, (first,))]
    found += [Candidate(BASELINE, (period,)) for period in seasons[1:] if period < LONG_SEASON]
    if _is_intermittent(values):
        return (*found, Candidate("CrostonOptimized"), Candidate("CrostonSBA"), Candidate("TSB"))
    found += [Candidate("DynamicOptimizedTheta", (first,)), Candidate("AutoTheta", (first,))]
    if first > 1:
        found += [Candidate("SeasonalWindowAverage", (first,)), Candidate("MSTL", seasons)]
        if len(seasons) > 1:
            found.append(Candidate("MSTL", (first,)))
            found += [Candidate("SeasonalWindowAverage", (p,)) for p in seasons[1:] if p < LONG_SEASON]
    else:
        found += [Candidate("SimpleExponentialSmoothingOptimized"), Candidate("RandomWalkWithDrift")]
    if first <= LONGEST_ETS_SEASON:
        found += [Candidate("AutoETS", (first,)), Candidate("AutoCES", (first,))]
        if min(longest, MAX_POINTS) <= ARIMA_POINTS[first > 1]:
            found.append(Candidate("AutoARIMA", (first,)))
    return tuple(found)


def _is_intermittent(values: Array) -> bool:
    return bool((values >= 0).all() and (values == 0).mean() >= INTERMITTENT)


def predict(candidate: Candidate, values: Array, horizon: int) -> tuple[Array, Array] | None:
    """Return mean and width of the errors at each step, both of shape (horizon,); None where it fails.

    The width is a standard deviation: half of the model's own interval, in units of the normal
    distribution's. A model without intervals gets that of the steps between seasons.

    Parameters
    ----------
    values : ndarray of shape (n_steps,); the last `MAX_POINTS` are used
    """
    values = np.ascontiguousarray(values[-MAX_POINTS:], dtype=np.float64)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found = _ask(candidate, values, horizon)
    except Exception as error:
        # the library raises Exception itself where it finds no model; what is a mistake of ours passes
        if type(error) is not Exception and not isinstance(
            error, (ValueError, ArithmeticError, IndexError, RuntimeError, NotImplementedError, KeyError)
        ):
            raise
        return None
    mean = np.asarray(found["mean"], dtype=np.float64)
    high = found.get(f"hi-{LEVEL}")
    width = _seasonal_width(values, candidate.seasons[0], horizon)
    if high is not None and np.isfinite(high).all():
        width = np.maximum(np.asarray(high, dtype=np.float64) - mean, 0.0) / LEVEL_Z
    if mean.shape != (horizon,) or not np.isfinite(mean).all() or not np.isfinite(width).all():
        return None
    return mean, width


def _ask(candidate: Candidate, values: Array, horizon: int) -> dict[str, Any]:
    models = importlib.import_module("statsforecast.models")
    model = _make(models, candidate)
    level = None if candidate.name in WITHOUT_INTERVAL else [LEVEL]
    found: dict[str, Any] = model.forecast(y=values, h=horizon, level=level)
    return found


def _make(models: Any, candidate: Candidate) -> Any:
    name, seasons = candidate.name, candidate.seasons
    if name == BASELINE and seasons == (1,):
        return models.Naive()
    if name == "SeasonalWindowAverage":
        return models.SeasonalWindowAverage(season_length=seasons[0], window_size=2)
    if name == "TSB":
        return models.TSB(alpha_d=0.2, alpha_p=0.2)
    if name == "MSTL":
        return models.MSTL(list(seasons), trend_forecaster=models.AutoETS(model="ZZN"))
    if name in (
        "CrostonOptimized",
        "CrostonSBA",
        "SimpleExponentialSmoothingOptimized",
        "RandomWalkWithDrift",
    ):
        return getattr(models, name)()
    return getattr(models, name)(season_length=seasons[0])


def _seasonal_width(values: Array, season: int, horizon: int) -> Array:
    """Return the standard deviation of the steps from season to season, the same at each step ahead."""
    lag = season if len(values) > season else 1
    steps = values[lag:] - values[:-lag] if len(values) > lag else np.zeros(1)
    return np.full(horizon, float(np.sqrt(np.mean(steps**2))))
