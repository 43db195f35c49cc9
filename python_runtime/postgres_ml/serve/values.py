"""Values between Postgres, PL/Python and a pipeline's rows, both ways.

Travels in artifacts and runs in the server's own Python, like `scorer`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np


def reader(kind: str, sql_type: str) -> Callable[[Any], Any]:
    """Return what makes a value of the training's frame out of what PL/Python hands over."""
    if kind in ("number", "boolean"):
        return lambda value: math.nan if value is None else float(value)
    if kind == "text":
        # blanks at the end mean nothing in type character, and Postgres's casts drop them
        return (lambda v: None if v is None else v.rstrip(" ")) if sql_type == "character" else lambda v: v
    return instant


MOMENT = re.compile(
    r"(?:(\d{4,})-(\d\d)-(\d\d))?[ T]?(?:(\d\d):(\d\d):(\d\d)(?:\.(\d+))?)?"
    r"(?:([+-])(\d\d)(?::?(\d\d))?(?::?(\d\d))?)?( BC)?"
)
LAST_YEAR = 294_000  # of 64 bits of microseconds; Postgres's go further, and are missing in training too


def instant(value: str | None) -> np.datetime64:
    """Return a date, time or timestamp in UTC, as in training; a time is an instant of 1970-01-01."""
    found = None if value is None else MOMENT.fullmatch(value)
    if found is None:  # NULL, or infinity
        return np.datetime64("NaT", "us")
    year, month, day, hour, minute, second, fraction, sign, *zone, before = found.groups()
    days = np.datetime64(0, "D")
    if year is not None:
        number = 1 - int(year) if before else int(year)
        if number > LAST_YEAR:
            return np.datetime64("NaT", "us")
        months = np.datetime64((number - 1970) * 12 + int(month) - 1, "M")
        days = months.astype("datetime64[D]") + np.timedelta64(int(day) - 1, "D")
    seconds = 3600 * int(hour or 0) + 60 * int(minute or 0) + int(second or 0)
    offset = sum(int(part or 0) * weight for part, weight in zip(zone, (3600, 60, 1), strict=True))
    seconds -= -offset if sign == "-" else offset
    micros = seconds * 1_000_000 + int((fraction or "").ljust(6, "0"))
    result: np.datetime64 = days.astype("datetime64[us]") + np.timedelta64(micros, "us")
    return result


def writer(sql_type: str) -> Callable[[Any], Any]:
    """Return what makes a value for Postgres out of a prediction."""
    if sql_type == "boolean":
        return lambda value: None if value is None else bool(value)
    if sql_type in ("smallint", "integer", "bigint"):
        return lambda value: None if value is None or value != value else int(value)
    if sql_type in ("real", "double precision"):
        return lambda value: None if value is None else float(value)
    return lambda value: None if value is None else _text(value)


def _text(value: Any) -> str:
    """Return a label as Postgres prints it: true, 3, 1.5, yes."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def plain(value: Any) -> Any:
    """Return NumPy's scalar as Python's."""
    return value.item() if hasattr(value, "item") else value
