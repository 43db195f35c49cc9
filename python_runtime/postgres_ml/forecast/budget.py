"""What candidates cost, and which of them are compared for all series in the time there is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from postgres_ml.forecast.backtest import MAX_WINDOWS, n_windows
from postgres_ml.forecast.models import MAX_POINTS, Candidate, predict
from postgres_ml.forecast.panel import Series
from postgres_ml.process.progress import duration

SEARCH_S = 30.0  # wall time; a forecast is trained again with every new row
SHARE = 0.5  # of max_runtime, at most
ARIMA_SHARE = 0.25  # of that: it costs as much as all others, and gains as one of them
PROBE_POINTS = 150
ARIMA = "AutoARIMA"
#: what is given up first: a number is the windows that are left, the hold-out among them
GIVEN_UP = (6, 4, "AutoTheta", ARIMA, 3, "AutoCES", "AutoETS", 2, "MSTL", "SeasonalWindowAverage")


@dataclass(frozen=True)
class Plan:
    """What is compared.

    Parameters
    ----------
    candidates : of each series, the baseline first
    windows : with the hold-out
    expected_s : CPU seconds of all fits
    given_up : names of candidates that were left out to save time
    """

    candidates: tuple[tuple[Candidate, ...], ...]
    windows: int
    expected_s: float
    given_up: tuple[str, ...] = ()


def plan(
    series: Sequence[Series],
    candidates: Sequence[tuple[Candidate, ...]],
    horizon: int,
    max_runtime: float,
    n_processes: int,
) -> Plan:
    """Return the most that fits into the time.

    Parameters
    ----------
    candidates : that make sense for each series
    """
    costs = _costs(series, candidates, horizon)
    allowed = min(SEARCH_S, SHARE * max_runtime) * n_processes
    windows, given_up = MAX_WINDOWS, list[str]()

    def cost(left: Sequence[tuple[Candidate, ...]]) -> float:
        return sum(
            (windows_of(one, names, horizon, windows) + 1) * _points(one) * costs[candidate]
            for one, names in zip(series, left, strict=True)
            for candidate in names
        )

    arima = [tuple(c for c in names if c.name == ARIMA) for names in candidates]
    if cost(arima) > ARIMA_SHARE * allowed:
        given_up.append(ARIMA)
    for given in (*GIVEN_UP, None):
        kept = [_without(names, given_up) for names in candidates]
        expected = cost(kept)
        if expected <= allowed or given is None:
            break
        if isinstance(given, int):
            windows = given
        else:
            given_up.append(given)
    there = {candidate.name for names in candidates for candidate in names}
    return Plan(
        tuple(kept), windows, expected, tuple(name for name in dict.fromkeys(given_up) if name in there)
    )


def windows_of(one: Series, candidates: Sequence[Candidate], horizon: int, most: int) -> int:
    """Return how many windows a series is compared on, the hold-out among them.

    Parameters
    ----------
    candidates : of the series, the baseline first
    most : as a plan has it
    """
    return n_windows(len(one.values), horizon, most, candidates[0].seasons[0])


def note(found: Plan, n_series: int) -> str:
    """Return what is left out, and why; '' for nothing."""
    if not found.given_up:
        return ""
    names = ", ".join(found.given_up)
    return (
        f"{names} left out: with them {n_series:,} series would take longer than {duration(SEARCH_S)} or "
        "half "
        "of max_runtime"
    )


def _costs(
    series: Sequence[Series], candidates: Sequence[tuple[Candidate, ...]], horizon: int
) -> dict[Candidate, float]:
    """Return each candidate's CPU seconds a point, measured on the first series that has it."""
    costs: dict[Candidate, float] = {}
    for one, names in zip(series, candidates, strict=True):
        for candidate in names:
            if candidate in costs:
                continue
            values = one.values[-max(PROBE_POINTS, 3 * max(candidate.seasons)) :]
            if not costs:
                predict(candidate, values, horizon)  # imports the library, which is no cost of a fit
            started = time.process_time()
            predict(candidate, values, horizon)
            costs[candidate] = (time.process_time() - started) / min(len(values), MAX_POINTS)
    return costs


def _points(one: Series) -> int:
    return min(len(one.values), MAX_POINTS)


def _without(names: tuple[Candidate, ...], given_up: Sequence[str]) -> tuple[Candidate, ...]:
    """Return the candidates that are left; the plain Theta model is there only for want of AutoTheta."""
    has_auto = any(candidate.name == "AutoTheta" for candidate in names) and "AutoTheta" not in given_up
    unwanted = {*given_up, *["DynamicOptimizedTheta"] * has_auto}
    return tuple(candidate for candidate in names if candidate.name not in unwanted)
