"""A column of a training query, and how a scoring program reads it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal["number", "boolean", "text", "date", "time", "timestamp", "timestamptz"]
#: types of strings that Postgres casts to text by itself
STRINGS = frozenset({"text", "character varying", "character"})


@dataclass(frozen=True)
class Column:
    """A column of the training query.

    Parameters
    ----------
    name : unquoted
    sql_type : format_type() without modifier: 'integer', 'character varying', 'numeric'
    kind : how a program reads it
    """

    name: str
    sql_type: str
    kind: Kind


def as_arguments(columns: Iterable[Column]) -> tuple[Column, ...]:
    """Return the columns as arguments of a prediction function, of the widest type of their kind.

    Postgres casts to these by itself: any number may be passed where double precision is taken, any string
    where text is. All else, enums too, keeps its type.
    """
    return tuple(map(_as_argument, columns))


def padded(columns: Iterable[Column]) -> tuple[str, ...]:
    """Return the columns of type character, whose blanks at the end mean nothing."""
    return tuple(column.name for column in columns if column.sql_type == "character")


def singles(columns: Iterable[Column]) -> tuple[str, ...]:
    """Return the columns of type real, whose values JSON has in fewer digits than the double they become."""
    return tuple(column.name for column in columns if column.sql_type == "real")


def _as_argument(column: Column) -> Column:
    if column.kind == "number":
        return replace(column, sql_type="double precision")
    if column.sql_type in STRINGS:
        return replace(column, sql_type="text")
    return column
