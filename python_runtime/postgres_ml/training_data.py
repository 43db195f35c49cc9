"""Second step: the snapshot file as a frame, ordered by nothing but the rows' content; the split.

Input: `snapshot.csv`. Output: `TrainingRows`, and which of them are the hold-out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv

from postgres_ml.snapshot_sql import INTEGER_TYPES
from postgres_ml.spec import Column

Array = np.ndarray[Any, np.dtype[Any]]

# From this many equal rows on average, a table has few distinct rows because its columns have few values, not
# because rows were doubled by accident; then equal rows have to be spread over both sides of the split.
FEW_DISTINCT_ROWS = 5.0
ARROW_TYPES = {"number": pa.float64(), "boolean": pa.bool_(), "text": pa.string()}
DTYPES = {"number": float, "boolean": float, "text": object}


@dataclass(frozen=True)
class TrainingRows:
    """Labelled rows, sorted by `keys`.

    Parameters
    ----------
    frame : features in the query's order; numbers and booleans as float64 (NaN is missing), text as str
        objects (None is missing), dates and timestamps as datetime64[us] in UTC, times as such on 1970-01-01
        (NaT is missing)
    target : ndarray of shape (n_rows,); int64, float64, bool or str objects, never NULL
    keys : ndarray of shape (n_rows,), uint64, increasing; a random number that follows from the row's
        content and the seed
    digest : of all rows' content, whatever their order
    split : ndarray of shape (n_rows,), int64: 1 in rows that a column or a point in time holds out, else 0;
        None where a fraction is held out
    """

    frame: pd.DataFrame
    target: Array
    keys: Array
    digest: str
    split: Array | None = None

    def __len__(self) -> int:
        return len(self.target)

    def take(self, mask: Array) -> TrainingRows:
        """Return the rows where the mask is true."""
        frame = self.frame[mask].reset_index(drop=True)
        split = None if self.split is None else self.split[mask]
        return TrainingRows(frame, self.target[mask], self.keys[mask], self.digest, split)


def load(path: Path, features: Sequence[Column], target: Column | None, seed: int = 0) -> TrainingRows:
    """Return the rows that `snapshot.copy_snapshot` wrote: NULL, '' and NaN stay what they were.

    Without a target (a clustering) it is 0 in every row.

    Raises
    ------
    pyarrow.ArrowInvalid
        The file wasn't written by `copy_snapshot` for these columns.
    """
    names = [f"c{index}" for index in range(len(features))]
    types = dict(zip(names, (ARROW_TYPES.get(column.kind, pa.int64()) for column in features), strict=True))
    types |= {"hash": pa.int64(), "split": pa.int64(), "target": _target_type(target)}
    if path.stat().st_size == 0:
        table = pa.table({name: pa.array([], type=kind) for name, kind in types.items()})
    else:
        table = _read(path, ["n_rows", "n_labelled", "hash", "split", *names, "target"], types)
    hashes = table["hash"].to_numpy().astype(np.int64).view(np.uint64)
    keys = _keys(hashes, seed)
    order = np.argsort(keys, kind="stable")
    sorted_columns = {}
    for name, column in zip(names, features, strict=True):
        values = _values(table[name], column.kind)[order]
        sorted_columns[column.name] = pd.Series(values, dtype=DTYPES.get(column.kind, "datetime64[us]"))
        table = table.drop_columns([name])  # what is in the frame isn't kept a second time
    frame = pd.DataFrame(sorted_columns, copy=False)
    digest = np.sum(_mix(hashes), dtype=np.uint64)  # wraps around; the same in any order
    split = table["split"].to_numpy()[order] if len(table) and not table["split"].null_count else None
    return TrainingRows(frame, _labels(table["target"])[order], keys[order], f"{digest:016x}", split)


def _read(path: Path, names: list[str], types: dict[str, pa.DataType]) -> pa.Table:
    return pyarrow.csv.read_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(column_names=names, use_threads=False),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=types,
            include_columns=list(types),
            null_values=[""],
            true_values=["t"],
            false_values=["f"],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,  # COPY writes '' as "" and NULL as nothing
        ),
    )


def _target_type(target: Column | None) -> pa.DataType:
    return pa.int64() if target is None or target.sql_type in INTEGER_TYPES else ARROW_TYPES[target.kind]


def _values(column: pa.ChunkedArray, kind: str) -> Array:
    if kind not in DTYPES:
        instants: Array = column.cast(pa.timestamp("us")).to_numpy(zero_copy_only=False)
        return instants
    if pa.types.is_string(column.type):
        return _texts(column)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    numbers: Array = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return numbers


def _texts(column: pa.ChunkedArray) -> Array:
    """Return str objects, one for each text: a million rows of fifty texts take 8 MB, not 70."""
    codes = column.combine_chunks().dictionary_encode()
    words = np.array([*codes.dictionary.to_pylist(), None], dtype=object)
    texts: Array = words[codes.indices.fill_null(len(words) - 1).to_numpy()]
    return texts


def _labels(column: pa.ChunkedArray) -> Array:
    labels: Array = column.to_numpy(zero_copy_only=False)
    return labels.astype(bool) if pa.types.is_boolean(column.type) else labels


def _keys(hashes: Array, seed: int) -> Array:
    """Return splitmix64 of content hash and seed; equal rows get equal keys unless there are many."""
    if len(hashes) >= FEW_DISTINCT_ROWS * max(len(np.unique(hashes)), 1):
        hashes = _mix(hashes + _occurrence(hashes) * np.uint64(0xD1B54A32D192ED03))
    return _mix(hashes + np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64))


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
