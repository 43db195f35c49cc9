"""A column of a training query, and how a scoring program reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["number", "boolean", "text", "date", "time", "timestamp", "timestamptz"]


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
