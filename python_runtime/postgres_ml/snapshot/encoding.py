"""The encoding in which the snapshot's texts come: UTF-8, and of a database without an encoding ASCII only.

The server converts text to the session's client_encoding, in COPY's binary format too. A database in
SQL_ASCII holds bytes that it knows no characters of: it converts nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

from postgres_ml.contract.exceptions import TrainingDataError
from postgres_ml.snapshot.file import TRAILER, RowWriter
from postgres_ml.snapshot.query import StoredColumn

WITHOUT = "SQL_ASCII"
CURE = "move the database to one that is made with `encoding 'UTF8'`, or leave the column out"


def has_encoding(connection: Any) -> bool:
    """Return whether the database of a psycopg2 connection knows what its bytes mean."""
    return server_encoding(connection) != WITHOUT


def server_encoding(connection: Any) -> str:
    """Return the encoding of the database of a psycopg2 connection, as the server names it."""
    return str(connection.get_parameter_status("server_encoding"))


@contextmanager
def utf8(cursor: Any) -> Iterator[None]:
    """Have the server send UTF-8 within this transaction, whatever the session has; then as before.

    Bytes of a database without an encoding come as they are.
    """
    before = cursor.connection.get_parameter_status("client_encoding")
    wanted = "UTF8" if has_encoding(cursor.connection) else WITHOUT
    if before == wanted:
        yield
        return
    cursor.execute(f"set local client_encoding to '{wanted}'")
    yield  # after an error the transaction is rolled back, and with it the setting
    cursor.execute(f"set local client_encoding to '{before}'")


def check_names(connection: Any, names: Sequence[str]) -> None:
    """Refuse names beyond ASCII in a database without an encoding.

    Raises
    ------
    TrainingDataError
    """
    for name in names:
        if not name.isascii() and not has_encoding(connection):
            raise _not_ascii(f'a column is named "{name}"')


def row_writer(
    file: BinaryIO, connection: Any, stored: Sequence[StoredColumn], names: Mapping[str, str]
) -> RowWriter:
    """Return what COPY writes the rows into.

    Parameters
    ----------
    stored : the snapshot's columns
    names : by theirs, the names of the query's columns
    """
    if has_encoding(connection):
        return RowWriter(file)
    return AsciiWriter(file, [names.get(c.name, "") if c.sql_type == "text" else "" for c in stored])


class AsciiWriter(RowWriter):
    """A RowWriter that refuses every text with a byte beyond ASCII.

    Parameters
    ----------
    names : of the row's fields after the first, as the query has them; '' where a field is no text
    """

    def __init__(self, file: BinaryIO, names: Sequence[str]) -> None:
        super().__init__(file)
        self.names = names

    def write(self, row: bytes) -> int:
        """Take a row; raises TrainingDataError."""
        if self.totals and row != TRAILER:
            self._check(row)
        return super().write(row)

    def _check(self, row: bytes) -> None:
        position = 2
        for name in ("", *self.names):
            (size,) = struct.unpack_from("!i", row, position)
            value = row[position + 4 : position + 4 + max(size, 0)]
            position += 4 + len(value)
            if name and not value.isascii():
                shown = value.decode("ascii", "backslashreplace")
                raise _not_ascii(f"column \"{name}\" has the value '{shown}'")


def _not_ascii(what: str) -> TrainingDataError:
    return TrainingDataError(
        f"{what}, which is not ASCII, in a database of encoding {WITHOUT}, where nobody knows which "
        f"characters its bytes are: {CURE}"
    )
