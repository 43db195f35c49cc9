"""Rows that don't fit into memory: their features in Arrow files, in the order that `rows.load` has.

Input: `snapshot.bin`. Output: `StoredRows`. What a row is told apart by (its key, its label, its weight)
stays in memory, 16 to 40 bytes a row; features are read one file at a time.

The rows are sorted on disk: a first pass over the snapshot hashes them, so that each row's place is known;
a second one appends each row to the file of its place; then each file is sorted for itself.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from postgres_ml.contract.column import Column
from postgres_ml.contract.exceptions import StorageError
from postgres_ml.process.memory import in_units
from postgres_ml.snapshot.query import StoredColumn, stored_columns
from postgres_ml.snapshot.reader import count_rows, read_chunks
from postgres_ml.snapshot.rows import MARKS, Array, TrainingRows, arrange, as_frame, row_hashes

TYPES = {"float8": pa.float64(), "bigint": pa.int64(), "text": pa.string()}
FILES_OF_A_CHUNK = 4  # rows that are appended at once, as a part of one file's
RANK = "rank"


@dataclass(frozen=True)
class StoredRows:
    """Labelled rows, sorted by their keys, whose features are on disk.

    Parameters
    ----------
    index : the rows without features: its frame has no columns
    features : the query's, in its order
    files : Arrow IPC files, each with the next `n_file_rows` rows; the last one has the rest
    n_bytes : of all files
    """

    index: TrainingRows
    features: tuple[Column, ...]
    files: tuple[Path, ...]
    n_file_rows: int
    n_bytes: int

    def __len__(self) -> int:
        return len(self.index)

    def frames(self) -> Iterator[tuple[slice, pd.DataFrame]]:
        """Yield the places of each file's rows, and their features as `TrainingRows` has them."""
        for number, path in enumerate(self.files):
            start = number * self.n_file_rows
            frame = self._read(path)
            yield slice(start, start + len(frame)), frame

    def take(self, places: Array) -> TrainingRows:
        """Return the rows at these increasing places, in memory."""
        parts = []
        for number, path in enumerate(self.files):
            start = number * self.n_file_rows
            first, last = np.searchsorted(places, [start, start + self.n_file_rows])
            if last > first:
                parts.append(self._read(path).iloc[places[first:last] - start])
        frame = pd.concat(parts, ignore_index=True) if parts else next(self.frames())[1].iloc[:0]
        index = self.index
        return TrainingRows(
            frame,
            index.target[places],
            index.keys[places],
            index.digest,
            None if index.split is None else index.split[places],
            None if index.weight is None else index.weight[places],
        )

    def remove(self) -> None:
        """Remove the files."""
        if self.files:
            shutil.rmtree(self.files[0].parent, ignore_errors=True)

    def _read(self, path: Path) -> pd.DataFrame:
        with pa.OSFile(str(path)) as file, pa.ipc.open_file(file) as reader:  # a map would count as memory
            table = reader.read_all()
        return as_frame([_values(column) for column in table.columns], self.features)


def store(
    snapshot: Path,
    folder: Path,
    features: Sequence[Column],
    target: Column | None,
    seed: int,
    n_file_rows: int,
    weight: Column | None = None,
) -> StoredRows:
    """Write the snapshot's rows into files, in the order and with the keys that `rows.load` gives them.

    Parameters
    ----------
    folder : is made; holds the rows twice for a while

    Raises
    ------
    StorageError
        The disk is full, or will be.
    SnapshotFormatError
        The snapshot wasn't written by `copy_snapshot` for these columns.
    """
    stored = stored_columns(features, target, weight=weight)
    n_rows = count_rows(snapshot)
    _check_space(snapshot, folder.parent)
    chunk = FILES_OF_A_CHUNK * n_file_rows
    hashes, marks = _first_pass(snapshot, stored, n_rows, chunk)
    order, index = arrange(hashes, marks, seed)
    del hashes
    ranks = np.empty(n_rows, np.int64)
    ranks[order] = np.arange(n_rows)
    del order
    names = [f"c{number}" for number in range(len(features))]
    types = {column.name: TYPES[column.sql_type] for column in stored if column.name in names}
    schema = pa.schema([(RANK, pa.int64()), *((name, types[name]) for name in names)])
    n_files = -(-n_rows // n_file_rows)
    files = tuple(folder / f"{number:05}.arrow" for number in range(n_files))
    try:
        folder.mkdir()
        start = 0
        for columns in read_chunks(snapshot, stored, chunk):
            n = len(columns["label"])
            _append(columns, ranks[start : start + n], files, n_file_rows, schema)
            start += n
        for path in files:
            _sort(path, schema)
    except OSError as error:
        raise StorageError(f"rows can't be written to {folder}: {error.strerror}") from error
    return StoredRows(index, tuple(features), files, n_file_rows, sum(path.stat().st_size for path in files))


def _check_space(snapshot: Path, folder: Path) -> None:
    needed, free = 2 * snapshot.stat().st_size, shutil.disk_usage(folder).free
    if free < needed:
        raise StorageError(
            f"the rows are more than max_memory holds, and sorting them in {folder} takes {in_units(needed)} "
            f"of disk, of which {in_units(free)} are free: free some, raise settings: max_memory, or lower "
            "max_cells"
        )


def _first_pass(
    snapshot: Path, stored: Sequence[StoredColumn], n_rows: int, chunk: int
) -> tuple[Array, dict[str, Array]]:
    """Return each row's hash, and the columns that stay in memory."""
    hashes = np.empty(n_rows, np.uint64)
    marks: dict[str, Array] = {}
    start = 0
    for columns in read_chunks(snapshot, stored, chunk):
        label = columns["label"]
        part = slice(start, start + len(label))
        for name in MARKS:
            if name in columns:
                values = columns.pop(name)
                marks.setdefault(name, np.empty(n_rows, values.dtype))[part] = values
        hashes[part] = row_hashes([*columns.values(), label])
        start = part.stop
    for column in stored:  # of no rows
        if column.name in MARKS:
            marks.setdefault(column.name, np.empty(0, np.int64))
    return hashes, marks


def _append(
    columns: dict[str, Array], ranks: Array, files: Sequence[Path], n_file_rows: int, schema: pa.Schema
) -> None:
    """Append each row to the file of its rank; files are opened one by one, as there may be thousands."""
    order = np.argsort(ranks)
    ranks = ranks[order]
    features = (pa.array(columns.pop(field.name)[order], field.type) for field in list(schema)[1:])
    batch = pa.record_batch([pa.array(ranks), *features], schema=schema)
    ends = np.searchsorted(ranks, np.arange(1, len(files) + 1) * n_file_rows)
    start = 0
    for path, end in zip(files, ends.tolist(), strict=True):
        if end > start:
            with path.open("ab") as file:
                file.write(batch.slice(start, end - start).serialize())
        start = end


def _sort(path: Path, schema: pa.Schema) -> None:
    """Sort what was appended to a file, and write it again as an Arrow IPC file."""
    batches = []
    with pa.OSFile(str(path)) as file:
        while file.tell() < file.size():
            batches.append(pa.ipc.read_record_batch(pa.ipc.read_message(file), schema))
    table = pa.Table.from_batches(batches, schema)
    order = np.argsort(table.column(RANK).to_numpy())
    table = table.drop_columns([RANK]).take(order)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())


def _values(column: pa.ChunkedArray) -> Array:
    """Return a column as NumPy has it; a text's str objects are shared, None is NULL."""
    if column.type != pa.string():
        values: Array = column.to_numpy()
        return values
    coded = column.combine_chunks().dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.combine_chunks()
    words = np.array([*coded.dictionary.to_pylist(), None], dtype=object)
    codes: Any = coded.indices.fill_null(len(words) - 1).to_numpy()
    texts: Array = words[codes]
    return texts
