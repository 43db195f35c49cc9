"""The snapshot file as a frame, in an order that depends on nothing but the rows' content; the split.

Input: `snapshot.bin`. Output: `TrainingRows`, and which of them are the hold-out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from postgres_ml.contract.column import Column
from postgres_ml.snapshot.query import MISSING, stored_columns
from postgres_ml.snapshot.reader import read_columns

Array = np.ndarray[Any, np.dtype[Any]]

# From this many equal rows on average, a table has few distinct rows because its columns have few values, not
# because rows were doubled by accident; then equal rows have to be spread over both sides of the split.
FEW_DISTINCT_ROWS = 5.0
MARKS = ("split", "label", "exact", "weight")  # stored columns that are no features


@dataclass(frozen=True)
class TrainingRows:
    """Labelled rows, sorted by `keys`.

    Parameters
    ----------
    frame : features in the query's order; numbers and booleans as float64 (NaN is missing), text as str
        objects (None is missing), dates and timestamps as datetime64[us] in UTC, times as such on 1970-01-01
        (NaT is missing)
    target : ndarray of shape (n_rows,); int64, float64, bool, str objects or, of numeric labels that doubles
        would round, Decimal objects; never NULL
    keys : ndarray of shape (n_rows,), uint64, increasing; a random number that follows from the row's
        content and the seed
    digest : of all rows' content, whatever their order
    weight : ndarray of shape (n_rows,), float64: how much a row counts; None counts all alike
    split : ndarray of shape (n_rows,), int64: 1 in rows that a column or a point in time holds out, else 0;
        None where a fraction is held out
    """

    frame: pd.DataFrame
    target: Array
    keys: Array
    digest: str
    split: Array | None = None
    weight: Array | None = None

    def __len__(self) -> int:
        return len(self.target)

    def take(self, mask: Array) -> TrainingRows:
        """Return the rows where the mask is true.

        Those that follow each other, as the rows on a side of a fraction do, are not copied.
        """
        places = np.flatnonzero(mask)
        chosen: slice | Array = places
        if len(places) and places[-1] - places[0] + 1 == len(places):
            chosen = slice(int(places[0]), int(places[-1]) + 1)
        frame = self.frame.iloc[chosen].reset_index(drop=True)
        split = None if self.split is None else self.split[chosen]
        weight = None if self.weight is None else self.weight[chosen]
        return TrainingRows(frame, self.target[chosen], self.keys[chosen], self.digest, split, weight)


def load(
    path: Path,
    features: Sequence[Column],
    target: Column | None,
    seed: int = 0,
    weight: Column | None = None,
) -> TrainingRows:
    """Return the rows that `snapshot.copy_snapshot` wrote: NULL, '' and NaN stay what they were.

    Without a target (a clustering) it is 0 in every row. Keys don't follow from weights: a row stays on its
    side of the split when it comes to count more.

    Raises
    ------
    SnapshotFormatError
        The file wasn't written by `copy_snapshot` for these columns.
    """
    stored = read_columns(path, stored_columns(features, target, weight=weight))
    marks = {name: stored.pop(name) for name in MARKS if name in stored}
    order, rows = arrange(row_hashes([*stored.values(), marks["label"]]), marks, seed)
    names = [f"c{index}" for index in range(len(features))]
    # what is in the frame isn't kept a second time
    return dataclasses.replace(rows, frame=as_frame([stored.pop(name)[order] for name in names], features))


def arrange(hashes: Array, marks: dict[str, Array], seed: int) -> tuple[Array, TrainingRows]:
    """Return the places of the rows in the order of their keys, and the rows without their features.

    Parameters
    ----------
    hashes : ndarray of shape (n_rows,), of features and label
    marks : the columns `MARKS` that there are; taken out of the dict, since they may be large
    """
    split, labels = _marks(marks.pop("split")), marks.pop("label")
    exact, weights = marks.pop("exact", None), marks.pop("weight", None)
    if exact is not None:
        labels = _exact_labels(labels, exact)
    keys = _keys(hashes, seed) if weights is None else _keys_by_weight(hashes, seed, weights)
    order = np.argsort(keys, kind="stable") if weights is None else np.lexsort((weights, keys))
    if weights is not None:
        hashes = row_hashes([hashes.view(np.int64), weights])
    digest = np.sum(_mix(hashes), dtype=np.uint64)  # wraps around; the same in any order
    return order, TrainingRows(
        pd.DataFrame(index=pd.RangeIndex(len(order))),
        labels[order],
        keys[order],
        f"{digest:016x}",
        None if split is None else split[order],
        None if weights is None else weights[order],
    )


def as_frame(columns: Sequence[Array], features: Sequence[Column]) -> pd.DataFrame:
    """Return stored columns as a frame: whole numbers are microseconds, of dates and times."""
    frame = {}
    for column, values in zip(features, columns, strict=True):
        stored = values.view("datetime64[us]") if values.dtype == np.int64 else values
        frame[column.name] = pd.Series(stored, dtype=stored.dtype, copy=False)  # else pandas 3 makes text str
    return pd.DataFrame(frame, copy=False)


def _exact_labels(labels: Array, exact: Array) -> Array:
    """Return numeric labels as they are in the database: Decimals if a double would round one of them.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), float64
    exact : ndarray of shape (n_rows,), str objects; None where the double says it all
    """
    rounded = np.array([text is not None for text in exact], bool)
    if not rounded.any():
        return labels
    decimals = np.array([Decimal(repr(label)) for label in labels.tolist()], dtype=object)
    decimals[rounded] = [Decimal(text) for text in exact[rounded]]
    return decimals


def _marks(split: Array) -> Array | None:
    return split if len(split) and split[0] != MISSING else None


def row_hashes(columns: Sequence[Array]) -> Array:
    """Return 64 bits for each row that follow from its values alone, ndarray of shape (n_rows,), uint64."""
    hashes = np.zeros(len(columns[0]), np.uint64)
    for values in columns:
        hashes = _mix(hashes + _bits(values) + np.uint64(0x9E3779B97F4A7C15))
    return hashes


def _bits(values: Array) -> Array:
    """Return 64 bits of each value; one pattern for all NaN."""
    if values.dtype == np.float64:
        return np.where(np.isnan(values), np.nan, values).view(np.uint64)
    if values.dtype == np.int64:
        return values.view(np.uint64)
    if values.dtype == np.bool_:
        return values.astype(np.uint64)
    codes, words = pd.factorize(values)  # NULL is -1
    bits: Array = np.append(pd.util.hash_array(words, categorize=False), np.uint64(0))[codes]
    return bits


def _keys(hashes: Array, seed: int) -> Array:
    """Return splitmix64 of content hash and seed; equal rows get equal keys unless there are many."""
    if len(hashes) >= FEW_DISTINCT_ROWS * max(len(np.unique(hashes)), 1):
        hashes = _mix(hashes + _occurrence(hashes) * np.uint64(0xD1B54A32D192ED03))
    return _mix(hashes + np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64))


def _keys_by_weight(hashes: Array, seed: int, weights: Array) -> Array:
    """Return the same where equal rows are told apart by their weights, whatever the order they came in."""
    order = np.argsort(weights, kind="stable")
    keys = np.empty_like(hashes)
    keys[order] = _keys(hashes[order], seed)
    return keys


def _occurrence(hashes: Array) -> Array:
    """Return 0 for the first of equal hashes, 1 for the second…; equal rows are interchangeable."""
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    occurrence = np.empty(len(hashes), np.uint64)
    occurrence[order] = np.arange(len(hashes)) - np.searchsorted(ordered, ordered, side="left")
    return occurrence


def _mix(x: Array) -> Array:
    """Return splitmix64's finaliser (Steele, Lea, Flood 2014): every input bit moves half of the output's."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Array = x ^ (x >> np.uint64(31))
    return mixed


def holdout_mask(keys: Array, fraction: float) -> Array:
    """Return which rows are the hold-out: those whose key is in the lowest `fraction` of all keys possible.

    A row's side depends on its own content and the seed alone: it stays there when other rows come or go.
    """
    mask: Array = keys < np.uint64(fraction * 2.0**64)
    return mask


def spread_part(codes: Array, share: float, least: int = 2) -> Array:
    """Return increasing places of this share of the rows: every n-th of each class, and at least some of it.

    Parameters
    ----------
    codes : ndarray of shape (n_rows,), class codes; all 0 for a regression
    least : rows of a class that are kept, or all it has
    """
    parts = []
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        n = min(len(rows), max(least, round(share * len(rows))))
        parts.append(rows[np.linspace(0, len(rows) - 1, n).astype(np.int64)])
    return np.sort(np.concatenate(parts))


def fold_numbers(keys: Array, codes: Array, n_folds: int) -> Array:
    """Return each row's fold, 0…n_folds - 1: stratified by `codes`, equal rows together.

    Where equal rows together would leave a class to one fold only, they are spread.

    Parameters
    ----------
    keys : ndarray of shape (n_rows,), increasing
    codes : ndarray of shape (n_rows,), class codes; all 0 for regression
    """
    folds = np.zeros(len(keys), np.int64)
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        together = np.searchsorted(keys[rows], keys[rows], side="left") * n_folds // len(rows)
        spread = np.arange(len(rows)) * n_folds // len(rows)
        folds[rows] = together if len(np.unique(together)) > 1 else spread
    return folds
