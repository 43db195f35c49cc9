"""Reads the snapshot's rows into columns that have their final size from the beginning.

Input: the file that `snapshot_file` wrote. Output: an array for each column. A million rows of ten columns
take the columns and 1 MB more: the rows of a block are gathered as records, of which NumPy copies the fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from postgres_ml.snapshot.file import BLOCK_HEAD
from postgres_ml.snapshot.query import StoredColumn

Array = np.ndarray[Any, np.dtype[Any]]

DTYPES = {"float8": ">f8", "bigint": ">i8", "boolean": "?"}
NATIVE = {"float8": np.float64, "bigint": np.int64, "boolean": np.bool_, "text": np.object_}
MAX_WORDS = 100_000  # texts that are kept to be used again


class SnapshotFormatError(ValueError):
    """The file wasn't written for these columns."""


def read_columns(path: Path, columns: Sequence[StoredColumn]) -> dict[str, Array]:
    """Return the columns by name, rows in the file's order; text as str objects, None is NULL.

    Parameters
    ----------
    columns : as `snapshot_sql.stored_columns` returns them

    Raises
    ------
    SnapshotFormatError
        The file was written for other columns, or not to its end.
    """
    with path.open("rb") as file:
        blocks = list(_blocks(file, path.stat().st_size))
        n_rows = sum(n for n, _ in blocks)
        found: dict[str, Array] = {c.name: np.empty(n_rows, NATIVE[c.sql_type]) for c in columns}
        reader = _BlockReader(columns)
        file.seek(0)
        _read_blocks(file, reader, blocks, found)
    return found


def read_chunks(path: Path, columns: Sequence[StoredColumn], n_rows: int) -> Iterator[dict[str, Array]]:
    """Yield the columns of so many rows at a time, in the file's order; the last chunk has fewer.

    Chunks end where the file's blocks do, of 256 kB, so one may have some more rows.

    Raises
    ------
    SnapshotFormatError
        As `read_columns` says.
    """
    with path.open("rb") as file:
        blocks = list(_blocks(file, path.stat().st_size))
        reader = _BlockReader(columns)
        file.seek(0)
        first = 0
        while first < len(blocks):
            last, n = first, 0
            while last < len(blocks) and n < n_rows:
                n += blocks[last][0]
                last += 1
            found: dict[str, Array] = {c.name: np.empty(n, NATIVE[c.sql_type]) for c in columns}
            _read_blocks(file, reader, blocks[first:last], found)
            yield found
            first = last


def count_rows(path: Path) -> int:
    """Return the number of rows in the file, from the heads of its blocks."""
    with path.open("rb") as file:
        return sum(n for n, _ in _blocks(file, path.stat().st_size))


def _read_blocks(
    file: BinaryIO, reader: _BlockReader, blocks: Sequence[tuple[int, int]], found: dict[str, Array]
) -> None:
    """Copy the next blocks of the file into the columns."""
    start = 0
    for n, size in blocks:
        file.seek(BLOCK_HEAD.size, 1)
        lengths = np.frombuffer(file.read(4 * n), np.uint32)
        reader.read(file.read(size), lengths, {name: found[name][start : start + n] for name in found})
        start += n


def _blocks(file: BinaryIO, end: int) -> Iterator[tuple[int, int]]:
    """Yield each block's number of rows and of bytes."""
    while head := file.read(BLOCK_HEAD.size):
        n, size = BLOCK_HEAD.unpack(head) if len(head) == BLOCK_HEAD.size else (0, end)
        if file.tell() + 4 * n + size > end:
            raise SnapshotFormatError("the snapshot ends within a block")
        yield n, size
        file.seek(4 * n + size, 1)


class _BlockReader:
    """Copies the rows of a block into the columns' next places.

    A row is the number of its fields, then each field's size and value. Fields of one size come first, and
    none of them is NULL: up to there all rows look alike.
    """

    def __init__(self, columns: Sequence[StoredColumn]) -> None:
        self.fixed = [column.name for column in columns if column.sql_type != "text"]
        self.texts = [column.name for column in columns if column.sql_type == "text"]
        fields = [("n_fields", ">i2"), ("totals", ">i4")]
        for column in columns:
            if column.sql_type != "text":
                fields += [(f"size {column.name}", ">i4"), (column.name, DTYPES[column.sql_type])]
        self.record = np.dtype(fields)
        self.n_fields = 1 + len(columns)
        self.words = _Words()

    def read(self, block: bytes, lengths: Array, places: dict[str, Array]) -> None:
        """Copy one block."""
        ends = np.cumsum(lengths, dtype=np.int64)
        if len(ends) == 0:
            return
        if len(block) != ends[-1] or lengths.min() < self.record.itemsize:
            raise SnapshotFormatError("the snapshot's rows don't have the length that their columns give")
        starts = ends - lengths
        records = _at(block, starts, self.record)
        if (records["n_fields"] != self.n_fields).any():
            raise SnapshotFormatError(f"the snapshot's rows don't have {self.n_fields} fields")
        for name in self.fixed:
            places[name][:] = records[name]
        position = starts + self.record.itemsize
        for name in self.texts:
            sizes = _at(block, position, np.dtype(">i4")).astype(np.int64)
            position += 4
            end = position + np.maximum(sizes, 0)
            words = self.words
            pairs = zip(position.tolist(), end.tolist(), strict=True)
            places[name][:] = [words[block[first:last]] for first, last in pairs]
            places[name][sizes < 0] = None
            position = end


def _at(block: bytes, positions: Array, dtype: np.dtype[Any]) -> Array:
    """Return the values that begin at these bytes of the block."""
    anywhere: Array = np.ndarray((len(block) - dtype.itemsize + 1,), dtype, block, strides=(1,))
    return anywhere[positions]


class _Words(dict[bytes, str]):
    """One str for all texts that are the same: a million rows of fifty texts take 8 MB, not 70."""

    def __missing__(self, raw: bytes) -> str:
        word = raw.decode()
        if len(self) < MAX_WORDS:
            self[raw] = word
        return word
