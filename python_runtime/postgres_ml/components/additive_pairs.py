"""Which pairs of columns have something to say that their tables can't: a cheap test of every pair.

Source: Lou et al. 2013, "Accurate intelligible models with pairwise interactions" (FAST): the gain of the
best cut of both columns into four quadrants, in gradients and hessians, less the gain of either cut alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from postgres_ml.components.additive import Axis, Floats

GROUPS = 8  # of the bins of each column
MAX_ROWS = 50_000
MAX_COLUMNS = 60  # those whose own tables move the scores most


def rank_pairs(
    rows: Any,
    bins: npt.NDArray[np.int64],
    axes: Sequence[Axis],
    categorical: Sequence[int],
    scores: Floats,
    strengths: Sequence[float],
) -> list[tuple[int, int]]:
    """Return the pairs of columns that gain something, the best first.

    Parameters
    ----------
    rows : `additive_boosting.Rows`
    bins : of shape (n_rows, n_columns)
    scores : of shape (n_rows, n_outputs), of the columns by themselves
    strengths : how much each column moves the scores
    """
    step = max(1, len(bins) // MAX_ROWS)
    gradients, hessians = _derivatives(rows, scores)
    g, h = gradients[::step], hessians[::step]
    grouped = []
    for axis, column in zip(axes, bins[::step].T, strict=True):
        by_gradient = axis.feature in categorical
        grouped.append(_groups(column, axis.n_bins, g[:, 0] if by_gradient else None))
    columns = sorted(range(len(axes)), key=lambda k: -strengths[k])[:MAX_COLUMNS]
    gains = {
        (i, j): sum(_gain(grouped[i], grouped[j], g[:, k], h[:, k]) for k in range(g.shape[1]))
        for i, j in itertools.combinations(sorted(columns), 2)
    }
    return sorted((pair for pair, gain in gains.items() if gain > 0), key=lambda pair: (-gains[pair], pair))


def _derivatives(rows: Any, scores: Floats) -> tuple[Floats, Floats]:
    """Return negative gradients and hessians of the loss, of shape (n_rows, n_outputs)."""
    weight = rows.weight[:, None]
    if not rows.n_classes:
        return (rows.target[:, None] - scores) * weight, np.ones_like(scores) * weight
    if rows.n_classes == 2:
        p = 1 / (1 + np.exp(-scores))
        return (rows.target[:, None] - p) * weight, p * (1 - p) * weight
    terms = np.exp(scores - scores.max(axis=1, keepdims=True))
    p = terms / terms.sum(axis=1, keepdims=True)
    truth = np.eye(rows.n_classes)[rows.target.astype(np.int64)]
    return (truth - p) * weight, p * (1 - p) * weight


def _groups(
    bins: npt.NDArray[np.int64], n_bins: int, gradient: Floats | None
) -> tuple[npt.NDArray[np.int64], int]:
    """Return each row's group of neighbouring bins, and the number of groups.

    Parameters
    ----------
    gradient : of the rows, whose means order categories, which have no order of their own; None of numbers
    """
    counts = np.bincount(bins, minlength=n_bins)
    order = np.arange(n_bins)
    if gradient is not None:
        means = np.bincount(bins, gradient, n_bins) / np.maximum(counts, 1)
        order = np.argsort(means, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    group = np.empty(n_bins, np.int64)
    group[order] = np.minimum(before * GROUPS // max(len(bins), 1), GROUPS - 1)
    used, numbers = np.unique(group[bins], return_inverse=True)
    return numbers, len(used)


def _gain(first: tuple[Any, int], second: tuple[Any, int], g: Floats, h: Floats) -> float:
    """Return what the best four quadrants gain over the best two halves."""
    (a, n), (b, m) = first, second
    if n < 2 or m < 2:
        return 0.0
    cells = a * m + b
    sums = np.bincount(cells, g, n * m).reshape(n, m).cumsum(0).cumsum(1)
    weights = np.bincount(cells, h, n * m).reshape(n, m).cumsum(0).cumsum(1)

    def quadrants(table: Floats) -> tuple[Floats, ...]:
        low, by_row, by_column = table[:-1, :-1], table[:-1, -1:], table[-1:, :-1]
        rest = table[-1, -1] - by_row - by_column + low
        return low, by_row - low, by_column - low, rest

    four = sum(_score(x, y) for x, y in zip(quadrants(sums), quadrants(weights), strict=True))
    total, total_weight = sums[-1, -1], weights[-1, -1]
    rows = _score(sums[:-1, -1:], weights[:-1, -1:])
    rows = rows + _score(total - sums[:-1, -1:], total_weight - weights[:-1, -1:])
    columns = _score(sums[-1:, :-1], weights[-1:, :-1])
    columns = columns + _score(total - sums[-1:, :-1], total_weight - weights[-1:, :-1])
    return float(np.max(four - np.maximum(rows, columns)))


def _score(g: Floats, h: Floats) -> Floats:
    result: Floats = g * g / (h + 1)
    return result
