"""Seed rows by COPY into a staging table: 53,940 rows x 11 columns in 2 s, where dbt's INSERTs took 85 s.

dbt-postgres sends `insert … values` with typed literals: 181.0 is a numeric, '2020-01-01T00:00:00+02:00'
a timestamptz, and Postgres casts each to the column's type. COPY straight into the seed's table has no such
cast; an integer column refuses the text 181.0, a timestamp column silently ignores +02:00. So the staging
table's columns have the literals' types, and an `insert … select` from it casts as dbt-postgres' would.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def staging_type(values: Sequence[Any]) -> str | None:
    """Return the SQL type of the literals that psycopg2 makes of a column's values.

    None where it makes untyped ones, of text and NULL, which the seed's own column reads.

    Parameters
    ----------
    values : as agate parsed them: None, or text, bool, int, Decimal, date, datetime or timedelta, all of one
    """
    known = [value for value in values if value is not None]
    first = known[0] if known else None
    if isinstance(first, bool):
        return "boolean"
    if isinstance(first, int | Decimal):
        return "numeric"
    if isinstance(first, datetime):
        return "timestamptz" if any(value.tzinfo for value in known) else "timestamp"
    if isinstance(first, date):
        return "date"
    if isinstance(first, timedelta):
        return "interval"
    return None


def copy_rows(cursor: Any, table: str, rows: Iterable[Iterable[Any]]) -> str:
    """Copy rows into a table whose columns have their `staging_type` and return the statement.

    Parameters
    ----------
    cursor : psycopg2 cursor
    table : rendered, quoted SQL
    rows : values as in `staging_type`, in the order of the table's columns

    Raises
    ------
    psycopg2.Error
        A text is not of its column's type.
    """
    statement = f"copy {table} from stdin"
    # The text format, not CSV: before Postgres 18 a quoted text with a line \. ends CSV data there and then.
    buffer = io.StringIO("".join("\t".join(map(copy_field, row)) + "\n" for row in rows))
    cursor.copy_expert(statement, buffer)
    return statement


def copy_field(value: Any) -> str:
    r"""Return a value as COPY's text format reads it: NULL is \N, and nothing but NULL is."""
    if value is None:
        return "\\N"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, timedelta):
        # not total_seconds(): a float has no microseconds left at 300 years
        return f"{value.days} days {value.seconds}.{value.microseconds:06} seconds"
    return str(value).translate(ESCAPES)
