"""Which candidates each series is forecast by, from their backtests without the hold-out.

A series ranks candidates by its own losses, relative to the baseline's, drawn towards the means over all
series: the few windows of one series say little. How many of the best are averaged is the same for all.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from postgres_ml.forecast.backtest import Backtest
from postgres_ml.forecast.models import Candidate
from postgres_ml.snapshot.rows import Array

MOST_MEMBERS = 4
POOL_WEIGHT = 2.0  # windows that the means over series count as
PRIOR_WEIGHT = 1.0  # series that the prior counts as
MARGIN = 0.25  # in logarithms: members that are worse than the best by more only harm
FARTHEST = 2.0  # in logarithms: one window that fails altogether must not outweigh all others
#: what candidates gain on the baseline where nothing was measured, in logarithms of the loss: their order in
#: the M4 competition's public results, roughly
PRIOR = {"AutoETS": -0.10, "AutoTheta": -0.11, "AutoARIMA": -0.09, "DynamicOptimizedTheta": -0.10,
         "AutoCES": -0.08, "MSTL": -0.06, "CrostonSBA": -0.05, "TSB": -0.04}  # fmt: skip
WindowLoss = Callable[[int, int, Array, Array], float]
"""The loss of (series, window, mean, width)."""


@dataclass(frozen=True)
class Choice:
    """What is averaged.

    Parameters
    ----------
    members : of each series, the best first
    size : how many at most
    gains : of each candidate over the baseline, in logarithms of the loss, mean over series and windows
    """

    members: tuple[tuple[Candidate, ...], ...]
    size: int
    gains: dict[Candidate, float]


def choose(tests: Sequence[Backtest], loss: WindowLoss) -> Choice:
    """Return the choice; window 0, the hold-out, is not looked at."""
    gains = [_gains(number, test, loss) for number, test in enumerate(tests)]
    pooled = _pooled(tests, gains, None)
    size = _best_size(tests, gains, loss)
    members = tuple(
        rank(test.candidates, own, pooled, None)[:size] for test, own in zip(tests, gains, strict=True)
    )
    return Choice(members, size, pooled)


def rank(
    candidates: Sequence[Candidate], own: Array, pooled: dict[Candidate, float], without: int | None
) -> tuple[Candidate, ...]:
    """Return the candidates worth averaging, the best first.

    Parameters
    ----------
    own : ndarray of shape (n_candidates, n_windows - 1): logarithms of the losses over the baseline's
    without : the window, of those, that is not looked at
    """
    seen = own if without is None else np.delete(own, without, axis=1)
    known = np.isfinite(seen)
    total = np.where(known, seen, 0.0).sum(axis=1)
    weight = known.sum(axis=1)
    prior = np.array([pooled[candidate] for candidate in candidates])
    score = (total + POOL_WEIGHT * prior) / (weight + POOL_WEIGHT)
    order = np.argsort(score, kind="stable")
    return tuple(candidates[i] for i in order if score[i] <= score[order[0]] + MARGIN)


def _gains(number: int, test: Backtest, loss: WindowLoss) -> Array:
    """Return logarithms of the losses over the baseline's, of shape (n_candidates, n_windows - 1)."""
    windows = range(1, test.n_windows)
    losses = np.array(
        [
            [loss(number, window, test.means[c, window], test.widths[c, window]) for window in windows]
            for c in range(len(test.candidates))
        ]
    ).reshape(len(test.candidates), len(windows))
    return _log_ratio(losses, losses[0])


def _log_ratio(losses: Array, base: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(losses) - np.log(base)
    both_exact = (losses == 0) & (base == 0)
    return np.clip(np.where(both_exact, 0.0, ratio), -FARTHEST, FARTHEST)


def _pooled(tests: Sequence[Backtest], gains: Sequence[Array], without: int | None) -> dict[Candidate, float]:
    found: dict[Candidate, list[float]] = defaultdict(list)
    for test, own in zip(tests, gains, strict=True):
        seen = own if without is None or without >= own.shape[1] else np.delete(own, without, axis=1)
        for candidate, row in zip(test.candidates, seen, strict=True):
            known = row[np.isfinite(row)]
            found[candidate] += [float(known.mean())] if len(known) else []
    return {
        candidate: (sum(values) + PRIOR_WEIGHT * PRIOR.get(candidate.name, 0.0))
        / (len(values) + PRIOR_WEIGHT)
        for candidate, values in found.items()
    }


def _best_size(tests: Sequence[Backtest], gains: Sequence[Array], loss: WindowLoss) -> int:
    """Return how many members are best, each window predicted by what the other windows choose."""
    totals = np.zeros(MOST_MEMBERS)
    n_seen = 0
    for left_out in range(max((own.shape[1] for own in gains), default=0)):
        pooled = _pooled(tests, gains, left_out)
        for number, (test, own) in enumerate(zip(tests, gains, strict=True)):
            if own.shape[1] < 2 or left_out >= own.shape[1]:
                continue
            ranked = rank(test.candidates, own, pooled, left_out)
            base = loss(number, left_out + 1, test.means[0, left_out + 1], test.widths[0, left_out + 1])
            for size in range(1, MOST_MEMBERS + 1):
                mean, width = blended(test, ranked[:size], left_out + 1)
                value = loss(number, left_out + 1, mean, width)
                if math.isfinite(value) and math.isfinite(base):
                    totals[size - 1] += float(_log_ratio(np.array([value]), np.array([base]))[0])
            n_seen += 1
    return int(np.argmin(totals)) + 1 if n_seen else MOST_MEMBERS - 1


def blended(test: Backtest, members: Sequence[Candidate], window: int) -> tuple[Array, Array]:
    """Return mean and width of the members' average in a window, of shape (horizon,)."""
    rows = [test.candidates.index(member) for member in members]
    return test.means[rows, window].mean(axis=0), test.widths[rows, window].mean(axis=0)
