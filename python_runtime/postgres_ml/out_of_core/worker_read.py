"""What Dask's workers do with a part of the rows: read it from Postgres, keep it, compute on it.

Input: a connection string and a range of a table's pages. Output: `Part`, which stays on the worker. The
functions run there; the only module of this package that imports a driver, since the rows never come here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from postgres_ml.contract.column import Column
from postgres_ml.contract.exceptions import TrainingDataError
from postgres_ml.snapshot.encoding import utf8
from postgres_ml.snapshot.file import RowWriter
from postgres_ml.snapshot.query import stored_columns
from postgres_ml.snapshot.reader import read_columns
from postgres_ml.snapshot.rows import MARKS, Array, as_frame, row_hashes


@dataclass(frozen=True)
class Source:
    """Where the rows are: the query's own table under an exported snapshot, or a copy in the snapshot's form.

    Parameters
    ----------
    dsn : of libpq; without a password the worker's own is taken (PGPASSWORD, ~/.pgpass)
    role : to read as; '' for the connection's own
    table : what is read, for people: schema and name, quoted
    head, tail : of the query of the rows in the snapshot's form, before and after a condition on `ctid`
    n_pages : that the table has
    copy : the copy, which is dropped when all have read; '' where the table is the query's own
    snapshot : that dbt has exported, whose transaction is open until all have read; '' of a copy
    settings : of dbt's session, which values are read by; none of a copy
    """

    dsn: str
    role: str
    table: str
    head: str
    tail: str
    n_pages: int
    copy: str = ""
    snapshot: str = ""
    settings: dict[str, str] = field(default_factory=dict)

    def of_pages(self, first: int, after: int | None) -> str:
        """Return the query of the rows on these pages; on all from the first one, if `after` is None."""
        until = "" if after is None else f" and ctid < '({after},0)'"
        return f"{self.head} ctid >= '({first},0)'{until} {self.tail}"

    def connect(self) -> Any:
        """Return a psycopg2 connection."""
        import psycopg2

        try:
            connection = psycopg2.connect(self.dsn)
        except psycopg2.Error as error:
            shown = str(error).strip()
            raise TrainingDataError(f"a Dask worker can't connect to Postgres: {shown}") from None
        if self.role:
            from psycopg2.extensions import quote_ident

            connection.cursor().execute(f"set role {quote_ident(self.role, connection)}")
            connection.commit()
        return connection

    def begin(self, cursor: Any) -> None:
        """Begin to read: under dbt's snapshot, if the table is the query's own."""
        if not self.snapshot:
            return
        cursor.connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        cursor.execute("set transaction snapshot %s", (self.snapshot,))
        for name, value in self.settings.items():
            cursor.execute("select pg_catalog.set_config(%s, %s, true)", (name, value))


@dataclass(frozen=True)
class Part:
    """Rows on a worker.

    Parameters
    ----------
    frame : features as `TrainingRows` has them
    hashes : ndarray of shape (n_rows,), as `snapshot.rows.row_hashes` returns them
    marks : label, split and so on
    """

    frame: pd.DataFrame
    hashes: Array
    marks: dict[str, Array]


def ranges(n_pages: int, n: int) -> list[tuple[int, int | None]]:
    """Return at most n ranges of pages, [first, next); the last is open-ended, since a table may grow."""
    bounds = np.unique(np.linspace(0, max(n_pages, 1), n + 1).astype(np.int64))[:-1].tolist()
    return [(first, after) for first, after in zip(bounds, [*bounds[1:], None], strict=True)]


def read_part(
    source: Source, pages: tuple[int, int | None], features: Sequence[Column], target: Column | None,
    weight: Column | None,
) -> Part:  # fmt: skip
    """Return the rows of a range of pages, by binary COPY.

    Raises
    ------
    TrainingDataError
        Postgres refuses it, or has ended the transaction whose snapshot is to be read.
    """
    import psycopg2

    stored = stored_columns(features, target, weight=weight)
    connection = source.connect()
    try:
        with tempfile.NamedTemporaryFile(prefix="postgres_ml_") as file, connection.cursor() as cursor:
            writer = RowWriter(file, has_totals=False)  # type: ignore[arg-type]
            source.begin(cursor)
            with utf8(cursor):
                query = f"copy ({source.of_pages(*pages)}) to stdout (format binary)"
                cursor.copy_expert(query.encode(), writer)
            writer.close()
            file.flush()
            columns = read_columns(Path(file.name), stored)
    except psycopg2.Error as error:
        raise TrainingDataError(f"a Dask worker can't read {source.table}: {str(error).strip()}") from None
    finally:
        connection.close()
    marks = {name: columns.pop(name) for name in MARKS if name in columns}
    hashes = row_hashes([*columns.values(), marks["label"]])
    frame = as_frame([columns.pop(f"c{n}") for n in range(len(features))], features)
    return Part(frame, hashes, marks)


def marks_of(part: Part) -> tuple[Array, dict[str, Array]]:
    """Return what leaves the worker of each row: its hash and its label, and what else tells rows apart."""
    return part.hashes, part.marks


def frame_of(part: Part) -> pd.DataFrame:
    """Return the features: the marks aren't needed any longer."""
    return part.frame


def drop_copy(source: Source) -> None:
    """Drop the copy that the rows were read from."""
    connection = source.connect()
    try:
        connection.autocommit = True
        connection.cursor().execute(f"drop table if exists {source.copy}")
    finally:
        connection.close()


def apply(frame: pd.DataFrame, places: Array, function: Callable[[pd.DataFrame], Any]) -> Any:
    """Return what a function returns of some rows of a part."""
    return function(frame.iloc[places].reset_index(drop=True))


def identity(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows themselves."""
    return frame
