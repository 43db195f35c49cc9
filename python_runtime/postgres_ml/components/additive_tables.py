"""From boosted tables to those of the model: each effect in one place, few bins, numbers that can be read.

Means are moved from pairs to columns and from columns to the intercept (purification: Lengerich et al. 2020,
"Purifying interaction effects with the functional ANOVA"), neighbouring bins of the same points become one,
and points are rounded. The rounded tables are the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from postgres_ml.components.additive import Axis, Floats, Term

PURIFYING_ROUNDS = 20
LEAST_EFFECT = 0.002  # deviation of a term, of that of the scores, below which it is left out
DIGITS = 7  # of the points, counted from the greatest one's first


@dataclass
class Tables:
    """Tables that are still being worked on.

    Parameters
    ----------
    axes : of the columns
    mains : of each column, of shape (n_outputs, n_bins)
    narrow : axes of the columns in pairs, whose edges are among those of `axes`
    pairs : by the columns' positions, of shape (n_outputs, n_bins, n_bins)
    """

    axes: Sequence[Axis]
    mains: list[Floats]
    narrow: Sequence[Axis] = ()
    pairs: dict[tuple[int, int], Floats] = field(default_factory=dict)

    def scores(self, bins: npt.NDArray[np.int64]) -> Floats:
        """Return the sums of the columns' tables, of shape (n_rows, n_outputs).

        Parameters
        ----------
        bins : on `axes`, of shape (n_rows, n_columns)
        """
        total: Floats = np.zeros((len(bins), len(self.mains[0])))
        for table, column in zip(self.mains, bins.T, strict=True):
            total += table[:, column].T
        return total


def settle(
    tables: Tables, prior: Floats, X: Floats, weight: Floats, unit: tuple[float, float], *, drops: bool
) -> tuple[Floats, list[Axis], list[Term]]:
    """Return intercepts, axes and terms of the model.

    Parameters
    ----------
    prior : constant scores
    X, weight : the training rows
    unit : of the target: scores times the second number, plus the first, are in its unit
    drops : whether terms of next to no effect are left out; where constraints shall be kept, none may be
    """
    shift, scale = unit
    share = weight / weight.sum()
    bins = [axis.bins(X) for axis in tables.axes]
    counts: list[Floats] = [
        np.bincount(b, share, axis.n_bins).astype(np.float64)
        for axis, b in zip(tables.axes, bins, strict=True)
    ]
    joint = _purify_pairs(tables, X, share)
    intercept = prior * scale + shift
    for position, table in enumerate(tables.mains):
        table *= scale
        mean = table @ counts[position]
        intercept = intercept + mean
        table -= mean[:, None]
        table[:, _never_seen(counts[position])] = 0.0  # what nothing is known of has the mean, which is 0
    for pair in tables.pairs.values():
        pair *= scale
    least, decimals = _limits(tables, counts, joint)
    least = least if drops else 0.0
    axes: list[Axis] = []
    terms: list[Term] = []
    for position, table in enumerate(tables.mains):
        if _deviation(table, counts[position]) > least:
            axis = tables.axes[position]
            _append(axes, terms, (axis,), np.round(table, decimals), counts[position])
    for (first, second), pair in tables.pairs.items():
        if _deviation(pair, joint[first, second]) > least:
            both = (tables.narrow[first], tables.narrow[second])
            _append(axes, terms, both, np.round(pair, decimals), joint[first, second])
    return np.round(intercept, decimals), axes, terms


def _purify_pairs(tables: Tables, X: Floats, share: Floats) -> dict[tuple[int, int], Floats]:
    """Move the means of pairs' rows and columns to the columns' tables; return rows' shares by cell."""
    joint: dict[tuple[int, int], Floats] = {}
    for (first, second), pair in tables.pairs.items():
        a, b = tables.narrow[first], tables.narrow[second]
        cells = a.bins(X) * b.n_bins + b.bins(X)
        counts: Floats = np.bincount(cells, share, a.n_bins * b.n_bins).astype(np.float64)
        counts = counts.reshape(a.n_bins, b.n_bins)
        joint[first, second] = counts
        moved = [np.zeros((len(pair), a.n_bins)), np.zeros((len(pair), b.n_bins))]
        for _ in range(PURIFYING_ROUNDS):
            for axis in (0, 1):
                weights = counts.sum(axis=1 - axis)
                means = (pair * counts).sum(axis=2 - axis) / np.where(weights > 0, weights, 1.0)
                pair -= means[:, :, None] if axis == 0 else means[:, None, :]
                moved[axis] += means
        pair[:, _never_seen(counts.sum(axis=1)), :] = 0.0
        pair[:, :, _never_seen(counts.sum(axis=0))] = 0.0
        for position, narrow, means in ((first, a, moved[0]), (second, b, moved[1])):
            wide = tables.axes[position]
            tables.mains[position] += means[:, _bins_on(narrow, wide)]
    return joint


def _never_seen(counts: Floats) -> npt.NDArray[np.int64]:
    """Return which of the first and the last bin, what is new and what is missing, no row fell into."""
    ends = np.array([0, len(counts) - 1])
    found: npt.NDArray[np.int64] = ends[counts[ends] == 0]
    return found


def _bins_on(narrow: Axis, wide: Axis) -> npt.NDArray[np.int64]:
    """Return the bin of the narrow axis that holds each bin of the wide one."""
    lowest = np.array([-np.inf, *wide.edges])
    inside = np.searchsorted(narrow.edges, lowest, side="right")
    return np.append(inside, narrow.n_bins - 1)


def _deviation(table: Floats, counts: Floats) -> float:
    """Return the standard deviation of the points over the rows, the greatest of all outputs."""
    flat, share = table.reshape(len(table), -1), counts.ravel()
    mean = flat @ share
    return float(np.sqrt(np.maximum(np.square(flat - mean[:, None]) @ share, 0.0)).max())


def _limits(tables: Tables, counts: list[Floats], joint: dict[tuple[int, int], Floats]) -> tuple[float, int]:
    """Return the deviation below which a term is left out, and the decimals of points."""
    all_tables = [*zip(tables.mains, counts, strict=True)]
    all_tables += [(pair, joint[key]) for key, pair in tables.pairs.items()]
    total = float(np.sqrt(sum(_deviation(table, share) ** 2 for table, share in all_tables)))
    greatest = max(float(np.abs(table).max()) for table, _ in all_tables)
    decimals = DIGITS - 1 - int(np.floor(np.log10(greatest))) if greatest > 0 else 0
    return LEAST_EFFECT * total, decimals


def _append(
    axes: list[Axis], terms: list[Term], on: tuple[Axis, ...], points: Floats, counts: Floats
) -> None:
    """Append the term on axes without the edges between bins of the same points."""
    places = []
    for number, axis in enumerate(on):
        along = np.moveaxis(points, 1 + number, -1).reshape(-1, axis.n_bins)
        differs = np.any(along[:, 1:-1] != along[:, :-2], axis=0)
        first = np.append(np.flatnonzero(np.append(True, differs)), axis.n_bins - 1)
        points = np.take(points, first, axis=1 + number)
        counts = np.add.reduceat(counts, first, axis=number)
        merged = Axis(axis.feature, tuple(e for e, kept in zip(axis.edges, differs, strict=True) if kept))
        if merged not in axes:
            axes.append(merged)
        places.append(axes.index(merged))
    terms.append(Term(tuple(places), points.reshape(len(points), -1), counts.ravel()))
