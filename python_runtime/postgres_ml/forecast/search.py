"""From series to a choice: candidates, their backtests on all cores, what each series is averaged of."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from postgres_ml.contract.forecast import ordered
from postgres_ml.contract.job import TrainingJob
from postgres_ml.forecast import budget, choice, scores, workers
from postgres_ml.forecast.backtest import Backtest, backtest, blend, cut, n_windows, predict_windows
from postgres_ml.forecast.choice import Choice
from postgres_ml.forecast.models import candidates_for, seasons_of
from postgres_ml.forecast.panel import Panel, Series
from postgres_ml.forecast.scores import Predicted, season_scale
from postgres_ml.forecast.spread import quantiles, standard_quantiles
from postgres_ml.process.report import Report
from postgres_ml.snapshot.rows import Array

SEARCH_SHARE = 0.8  # of max_runtime; then only baselines are fitted


@dataclass(frozen=True)
class Searched:
    """What was tried and chosen.

    Parameters
    ----------
    tests : of each series
    seasons : of each series, the period that its scores are scaled by
    end : on the clock of time.time(), when max_runtime is over
    """

    plan: budget.Plan
    tests: tuple[Backtest, ...]
    choice: Choice
    seasons: tuple[int, ...]
    horizon: int
    end: float

    @property
    def shares(self) -> dict[str, int]:
        """How many series each candidate is a member of."""
        counts = Counter(member.shown for members in self.choice.members for member in members)
        return dict(counts.most_common())


def search(panel: Panel, job: TrainingJob, objective: str, report: Report) -> Searched:
    """Return the choice; the hold-out, each series' last window, decides nothing."""
    settings, started = job.spec.settings, time.time()
    horizon = settings.horizon or 1
    lengths = [len(one.values) for one in panel.series]
    possible = [
        candidates_for(_before_holdout(one, horizon), panel.grid.frequency, _least_fit(n, horizon), n)
        for one, n in zip(panel.series, lengths, strict=True)
    ]
    plan = budget.plan(panel.series, possible, horizon, settings.max_runtime, job.n_threads)
    if text := budget.note(plan, len(panel.series)):
        report.note(text)
    end = started + SEARCH_SHARE * settings.max_runtime
    tests = _backtests(panel.series, plan, horizon, end, job.n_threads)
    if time.time() > end:
        report.note("max_runtime ended the search before all candidates were compared", "warning")
    levels = scores.levels_of(ordered(settings.percentiles))
    chosen = choice.choose(tests, _window_loss(panel.series, horizon, objective, levels))
    seasons = tuple(seasons_of(panel.grid.frequency, _least_fit(n, horizon))[0] for n in lengths)
    found = Searched(plan, tuple(tests), chosen, seasons, horizon, started + settings.max_runtime)
    report.note(f"chosen: {_shown(found)}")
    return found


def _before_holdout(one: Series, horizon: int) -> Array:
    """Return what a series' candidates may be told by: all of it where it has no hold-out."""
    n = len(one.values)
    return one.history(cut(n, horizon, 0)) if n_windows(n, horizon) else one.values


def _least_fit(n_points: int, horizon: int) -> int:
    """Return how many points the shortest fit of a series sees, two windows at the end left out."""
    windows = min(n_windows(n_points, horizon), 2)
    return n_points - windows * horizon


def _shown(found: Searched) -> str:
    shares = found.shares
    if len(found.choice.members) == 1:
        return "the average of " + ", ".join(shares) if len(shares) > 1 else next(iter(shares))
    listed = ", ".join(f"{name} of {n:,}" for name, n in list(shares.items())[:6])
    return f"for each series the average of at most {found.choice.size}: {listed}"


def _backtests(
    series: Sequence[Series], plan: budget.Plan, horizon: int, end: float, n_processes: int
) -> list[Backtest]:
    windows = [
        budget.windows_of(one, names, horizon, plan.windows)
        for one, names in zip(series, plan.candidates, strict=True)
    ]
    # candidate by candidate, the cheap ones first: where time runs out, it does for all series
    order = sorted(
        (number, place) for place, names in enumerate(plan.candidates) for number in range(len(names))
    )
    jobs = [
        (
            series[place], plan.candidates[place][number], horizon, windows[place],
            math.inf if number == 0 else end,
        )
        for number, place in order
    ]  # fmt: skip
    found = dict(zip(order, workers.run(predict_windows, jobs, n_processes, plan.expected_s), strict=True))
    return [
        backtest(one, names, [found[number, place] for number in range(len(names))], horizon, windows[place])
        for place, (one, names) in enumerate(zip(series, plan.candidates, strict=True))
    ]


def _window_loss(
    series: Sequence[Series], horizon: int, objective: str, levels: Sequence[float]
) -> choice.WindowLoss:
    standard = standard_quantiles(levels, np.empty(0), horizon)

    def loss(number: int, window: int, mean: Array, width: Array) -> float:
        one = series[number]
        start = cut(len(one.values), horizon, window)
        span = slice(start, start + horizon)
        told = quantiles(mean, width, levels, standard, None) if objective.startswith("average") else {}
        return scores.loss(objective, Predicted(one.values[span], one.observed[span], mean, told, 1.0))

    return loss


def scale_of(one: Series, season: int, before: int) -> float:
    """Return what a series' errors are divided by: its steps from season to season before a window."""
    return season_scale(one.values[:before], one.observed[:before], season)


def refit(panel: Panel, job: TrainingJob, searched: Searched, report: Report) -> list[tuple[Array, Array]]:
    """Return mean and width of each series after its end, by its members fitted on all points."""
    jobs = [
        (one.values, members, searched.horizon, season)
        for one, members, season in zip(panel.series, searched.choice.members, searched.seasons, strict=True)
    ]
    expected = searched.plan.expected_s / max(searched.plan.windows, 1)
    found = workers.run(blend, jobs, job.n_threads, expected)
    fell_back = [
        panel.name(one)
        for one, members, (_, _, answered) in zip(panel.series, searched.choice.members, found, strict=True)
        if len(answered) < len(members)
    ]
    if fell_back:
        report.note(f"{len(fell_back):,} series lost a member that failed on all points: {fell_back[0]}, …")
    return [(mean, width) for mean, width, _ in found]
