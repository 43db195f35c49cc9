"""The training query's columns, and one consistent copy of its rows in a file.

Input: a psycopg2 cursor, the compiled query. Output: typed columns, and `snapshot.bin`, which `rows` reads.
Runs in dbt's process, inside dbt's own session, so that the query sees the same transaction, role, row
security and temporary tables as every other node; imports nothing but the standard library.
"""

from __future__ import annotations

import difflib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from postgres_ml.contract.column import Column, Kind
from postgres_ml.contract.config import ProblemType, Settings
from postgres_ml.contract.exceptions import StorageError, TrainingDataError
from postgres_ml.contract.json_file import to_json
from postgres_ml.contract.sql_names import identifier
from postgres_ml.snapshot.encoding import check_names, row_writer, utf8
from postgres_ml.snapshot.point import in_utc, is_midnight, is_number
from postgres_ml.snapshot.query import INTEGER_TYPES, snapshot_query, stored_columns

MAX_FEATURES = 1600  # attributes of a composite type, which models of more than 100 features take

# Their numbers are part of Postgres's own sources: no query is needed to know a column of these types.
BUILT_IN = {
    16: "boolean",
    20: "bigint",
    21: "smallint",
    23: "integer",
    25: "text",
    700: "real",
    701: "double precision",
    1042: "character",
    1043: "character varying",
    1082: "date",
    1083: "time without time zone",
    1114: "timestamp without time zone",
    1184: "timestamp with time zone",
    1266: "time with time zone",
    1700: "numeric",
}
KINDS: dict[str, Kind] = {
    "smallint": "number",
    "integer": "number",
    "bigint": "number",
    "numeric": "number",
    "real": "number",
    "double precision": "number",
    "boolean": "boolean",
    "text": "text",
    "character varying": "text",
    "character": "text",
    "date": "date",
    "time without time zone": "time",
    "time with time zone": "time",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
}
CURES = {
    "interval": "use extract(epoch from {0})",
    "json": "extract its values: ({0}->>'key')::numeric",
    "jsonb": "extract its values: ({0}->>'key')::numeric",
    "money": "cast it: {0}::numeric",
    "uuid": "it looks like an identifier: leave it out",
}
TIMES = ("date", "timestamp without time zone", "timestamp with time zone")
GENERAL_CURE = "cast it to text or to a number, or leave it out"


class Cursor(Protocol):
    """What is used of a psycopg2 cursor."""

    description: Any
    connection: Any

    def execute(self, query: str, vars: Any = None) -> Any:
        """Run a statement."""

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return its rows."""

    def copy_expert(self, sql: str | bytes, file: Any) -> None:
        """Run a COPY statement from or to a file."""


@dataclass(frozen=True)
class SnapshotSummary:
    """What was copied.

    Parameters
    ----------
    n_rows_query : rows of the query
    n_rows : rows in the file; rows without a target stay out
    n_null_target : rows whose target is NULL
    sampled : whether `max_cells` left rows out
    digest : of the query's rows, as `digest.measure` returns it
    seconds : duration
    """

    n_rows_query: int
    n_rows: int
    n_null_target: int
    sampled: bool
    digest: int
    seconds: float


def describe_query(cursor: Cursor, sql: str, settings: Settings | None = None) -> tuple[Column, ...]:
    """Return the query's columns, in order, without running it.

    Parameters
    ----------
    settings : name the column that says which rows are held out, which has types of its own

    Raises
    ------
    TrainingDataError
        Columns without a name, with one name, or of a type that can't be trained on; all in one message.
    psycopg2.Error
        The database refuses the query.
    """
    cursor.execute(f"select * from (\n{sql}\n) query limit 0")
    described = [(column[0], column[1]) for column in cursor.description]
    check_names(cursor.connection, [name for name, _ in described])
    types = _types(cursor, {oid for _, oid in described})
    problems = _naming_problems([name for name, _ in described])
    columns = []
    split = settings.split_column if settings else None
    for name, oid in described:
        sql_type, is_enum = types[oid]
        kind = "text" if is_enum else KINDS.get(sql_type)
        if name == split:
            columns.append(Column(name, sql_type, kind or "date"))
            problems += _split_problems(columns[-1], settings or Settings())
        elif kind is None:
            cure = CURES.get(sql_type, GENERAL_CURE).format(identifier(name))
            problems.append(f'column "{name}" is of type {sql_type}: {cure}')
        else:
            columns.append(Column(name, sql_type, kind))
    if problems:
        raise TrainingDataError("the training query can't be used:\n  " + "\n  ".join(problems))
    return tuple(columns)


def _types(cursor: Cursor, oids: set[int]) -> dict[int, tuple[str, bool]]:
    """Return each type's name, and whether it is an enum."""
    types = {oid: (BUILT_IN[oid], False) for oid in oids & BUILT_IN.keys()}
    if others := sorted(oids - BUILT_IN.keys()):
        cursor.execute(
            "select oid::bigint, format_type(oid, null), typtype = 'e' from pg_catalog.pg_type "
            "where oid = any(%s)",
            (others,),
        )
        types |= {oid: (name, is_enum) for oid, name, is_enum in cursor.fetchall()}
    return types


def _split_problems(column: Column, settings: Settings) -> list[str]:
    """Return what is wrong with the column that says which rows are held out."""
    by_time = settings.holdout_time is not None
    if by_time and column.sql_type not in TIMES and column.kind != "number":
        return [
            f'settings: holdout: time "{column.name}" is of type {column.sql_type}, not a date, '
            "a timestamp or a number: cast it"
        ]
    if by_time and not _is_point(settings.holdout_after or "", column):
        wanted = "a number" if column.kind == "number" else "a date or time in ISO 8601, such as '2024-03-31'"
        return [f"settings: holdout: after must be {wanted}, found {settings.holdout_after!r}"]
    if by_time and column.sql_type == "date" and not is_midnight(settings.holdout_after or ""):
        return [
            f'settings: holdout: time "{column.name}" is a date, and after {settings.holdout_after!r} is not '
            "the beginning of a day in UTC: write the first day that is held out, such as '2024-03-31'"
        ]
    if not by_time and column.sql_type not in ("boolean", *INTEGER_TYPES):
        return [
            f'settings: holdout: column "{column.name}" is of type {column.sql_type}, not boolean '
            "or 0 and 1; for a date or timestamp use {time: …, after: …}"
        ]
    return []


def _is_point(after: str, column: Column) -> bool:
    """Return whether the text is a point on the column: a number, or a date or time in ISO 8601."""
    if column.kind == "number" or is_number(after):
        return column.kind == "number" and is_number(after)
    try:
        in_utc(after)
    except ValueError:
        return False
    return True


def _naming_problems(names: Sequence[str]) -> list[str]:
    problems = [
        f"column {position} has no name: add `as <name>`"
        for position, name in enumerate(names, 1)
        if name == "?column?"
    ]
    problems += [
        f'{count} columns are named "{name}": rename or leave out all but one'
        for name, count in Counter(names).items()
        if count > 1 and name != "?column?"
    ]
    return problems


def split_target(
    columns: Sequence[Column], target: str | None, split: str | None = None, weight: str | None = None
) -> tuple[tuple[Column, ...], Column | None]:
    """Return the features and the target among the query's columns.

    Parameters
    ----------
    target : None for a clustering
    split, weight : the columns that say which rows are held out and how much each counts, which are no
        features

    Raises
    ------
    TrainingDataError
        The query has no such columns, nothing but them, or more features than a function has arguments.
    """
    by_name = {column.name: column for column in columns}
    for name, purpose in ((target, "target"), (split, "settings: holdout"), (weight, "weight")):
        if name is not None and name not in by_name:
            near = difflib.get_close_matches(name, by_name, 1, 0.5)
            hint = f'; did you mean "{near[0]}"?' if near else ""
            raise TrainingDataError(
                f'the query has no column "{name}" ({purpose}){hint} It has: {", ".join(by_name)}'
            )
    if target is not None and by_name[target].kind not in ("number", "boolean", "text"):
        raise TrainingDataError(
            f'target "{target}" is of type {by_name[target].sql_type}, and a prediction is a number or a '
            f"label: predict a part of it, such as extract(epoch from {identifier(target)})"
        )
    features = tuple(column for column in columns if column.name not in (target, split, weight))
    if not features:
        besides = " and ".join(f'"{name}"' for name in (target, split, weight) if name is not None)
        raise TrainingDataError(
            f"the query has no column besides the target {besides}, so there is nothing to predict from"
        )
    if len(features) > MAX_FEATURES:
        raise TrainingDataError(
            f"the query has {len(features)} features; a composite type, which a function of more than 100 "
            f"arguments needs, has at most {MAX_FEATURES} attributes: select fewer columns"
        )
    return features, None if target is None else by_name[target]


def weight_of(columns: Sequence[Column], weight: str | None) -> Column | None:
    """Return the column that says how much a row counts, if the query has it.

    Raises
    ------
    TrainingDataError
        It is no number.
    """
    found = next((column for column in columns if column.name == weight), None)
    if found is not None and found.kind != "number":
        raise TrainingDataError(
            f'weight "{found.name}" is of type {found.sql_type}, not a number: cast it, or name another'
        )
    return found


def copy_snapshot(
    cursor: Cursor,
    sql: str,
    features: Sequence[Column],
    target: Column | None,
    path: Path,
    settings: Settings,
    problem_type: ProblemType | None,
    weight: Column | None = None,
) -> SnapshotSummary:
    """Copy the query's rows into a file for `training_data.load` and return what was copied.

    The summary goes into a JSON file of the same name, for the training process.

    The query runs once, in one statement: what it reads is consistent. Above `settings.max_cells` rows x
    columns the database drops rows by a hash of their content: without bias, the same rows whatever the
    order they come in, and some rows of every class.

    Raises
    ------
    StorageError
        The file can't be written.
    TrainingDataError
        A text isn't ASCII, and the database has no encoding.
    psycopg2.Error
        The database refuses the query.
    """
    started = time.monotonic()
    version = cursor.connection.server_version
    query = snapshot_query(sql, features, target, settings, problem_type, version, weight)
    stored = stored_columns(features, target, settings, problem_type, weight)
    names = {f"c{index}": column.name for index, column in enumerate(features)}
    names["label"] = names["exact"] = target.name if target else ""
    try:
        with path.open("wb") as file, utf8(cursor):
            writer = row_writer(file, cursor.connection, stored, names)
            # bytes: psycopg2 would encode a text as it believes the session to be
            cursor.copy_expert(f"copy (\n{query}\n) to stdout (format binary)".encode(), writer)
            writer.close()
        n_query, n_labelled, digest = writer.totals
        summary = SnapshotSummary(
            n_rows_query=n_query,
            n_rows=writer.n_rows,
            n_null_target=n_query - n_labelled,
            sampled=writer.n_rows < n_labelled,
            digest=digest,
            seconds=time.monotonic() - started,
        )
        path.with_suffix(".json").write_text(to_json(summary), encoding="utf-8")
    except OSError as error:
        raise StorageError(f"the training snapshot can't be written to {path}: {error.strerror}") from error
    return summary
