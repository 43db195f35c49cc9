"""The bins of an additive model's columns: edges that people can read, between values that were seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from postgres_ml.components.additive import Axis, Floats


def make_axes(X: Floats, max_bins: int, categorical: Sequence[int]) -> list[Axis]:
    """Return an axis of each column.

    Numbers are cut into bins of about as many rows each; a column of categories has a bin for each code.

    Parameters
    ----------
    X : of shape (n_rows, n_features); NaN is missing
    max_bins : of a number, at most
    categorical : positions of the columns that hold codes
    """
    axes = []
    for feature, column in enumerate(X.T):
        present = column[~np.isnan(column)]
        if feature in categorical:
            n_codes = int(present.max()) + 1 if len(present) else 0
            axes.append(Axis(feature, tuple(map(float, range(max(n_codes, 0))))))
        else:
            axes.append(Axis(feature, _edges(present, max_bins)))
    return axes


def _edges(values: Floats, max_bins: int) -> tuple[float, ...]:
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= max_bins:
        cuts = np.arange(1, len(distinct))
    else:
        filled = np.cumsum(counts) / len(values)
        cuts = np.unique(np.searchsorted(filled, np.arange(1, max_bins) / max_bins) + 1)
        cuts = cuts[cuts < len(distinct)]
    return tuple(short_between(float(distinct[cut - 1]), float(distinct[cut])) for cut in cuts)


def short_between(low: float, high: float) -> float:
    """Return the number of the fewest digits above `low` and at most `high`; of two the one near `high`."""
    middle = low + (high - low) / 2
    for digits in range(1, 17):
        for candidate in (high, middle):
            number = float(f"{candidate:.{digits}g}")
            if low < number <= high:
                return number
    return high


def coarser(axis: Axis, bins: npt.NDArray[np.int64], max_bins: int, categorical: Sequence[int]) -> Axis:
    """Return the axis with some of its edges, about as many rows between each two; categories stay.

    Parameters
    ----------
    bins : of the rows on the axis
    """
    if len(axis.edges) < max_bins or axis.feature in categorical:
        return axis
    counts = np.bincount(bins, minlength=axis.n_bins)[:-1]
    filled = np.cumsum(counts) / max(counts.sum(), 1)
    kept = np.unique(np.searchsorted(filled, np.arange(1, max_bins) / max_bins))
    return Axis(axis.feature, tuple(axis.edges[edge] for edge in kept if edge < len(axis.edges)))
