"""The file between dbt's process, which copies the rows, and the training process, which reads them.

COPY's binary rows as they came, in blocks: number of rows and of bytes, each row's length, the rows. With the
lengths a reader finds the rows without walking through them. Imports nothing but the standard library.
"""

from __future__ import annotations

import shutil
import struct
from array import array
from pathlib import Path
from typing import BinaryIO

SIGNATURE = b"PGCOPY\n\xff\r\n\0"
HEADER_BYTES = len(SIGNATURE) + 8  # flags, length of an extension that no server sends
TRAILER = b"\xff\xff"
ROWS = "rows"  # in a job's folder, the beginning of the names of folders that hold rows
BLOCK_HEAD = struct.Struct("=II")
BLOCK_BYTES = 1 << 18  # what a reader allocates for a block stays in the processor's cache


def remove_rows(directory: Path) -> None:
    """Remove whatever a job's folder holds of the database's rows: snapshots, and what was made of them."""
    for path in directory.glob("snapshot*.bin"):
        path.unlink(missing_ok=True)
    for path in directory.glob(f"{ROWS}*"):
        shutil.rmtree(path, ignore_errors=True)


class RowWriter:
    """What psycopg2 copies into: takes the row of totals out of the stream and writes all others.

    psycopg2 calls `write` once for each row, so that it does no more than it has to.

    Parameters
    ----------
    file : to write to
    has_totals : whether the first row holds them

    Attributes
    ----------
    totals : the numbers of the first row
    n_rows : rows written
    """

    def __init__(self, file: BinaryIO, *, has_totals: bool = True) -> None:
        self.file = file
        self._is_first = True
        self._has_totals = has_totals
        self.totals: tuple[int, ...] = ()
        self.n_rows = 0
        self._rows: list[bytes] = []
        self._bytes = 0

    def write(self, row: bytes) -> int:
        """Take a row of COPY's binary stream."""
        if self._is_first:
            return self._read_first(row)
        self._rows.append(row)
        self._bytes += len(row)
        if self._bytes >= BLOCK_BYTES:
            self._flush()
        return len(row)

    def close(self) -> None:
        """Write what is left, without the stream's last mark."""
        if self._rows and self._rows[-1] == TRAILER:
            self._rows.pop()
        self._flush()

    def _read_first(self, message: bytes) -> int:
        """Take the first row, whose first column is a text of numbers; the stream's head comes with it."""
        row = message[HEADER_BYTES:] if message.startswith(SIGNATURE) else message
        if not row:
            return len(message)
        self._is_first = False
        if not self._has_totals:
            return self.write(row) + len(message) - len(row)
        (size,) = struct.unpack_from("!i", row, 2)
        self.totals = tuple(map(int, row[6 : 6 + size].split()))
        return len(message)

    def _flush(self) -> None:
        rows = b"".join(self._rows)
        lengths = array("I", map(len, self._rows)).tobytes()
        self.file.write(b"".join((BLOCK_HEAD.pack(len(self._rows), len(rows)), lengths, rows)))
        self.n_rows += len(self._rows)
        self._rows, self._bytes = [], 0
