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


#: whole numbers, and the number that is the first too great for the type
WHOLE_NUMBERS = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}
#: texts that Postgres reads as booleans
WORDS = {
    **dict.fromkeys(("t", "true", "y", "yes", "on", "1"), True),
    **dict.fromkeys(("f", "false", "n", "no", "off", "0"), False),
}
#: what libraries raise for rows that they can't predict; xgboost's XGBoostError is a ValueError
REFUSALS = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError)


def writer(sql_type: str) -> Callable[[Any], Any]:
    """Return what makes a value for Postgres out of a prediction; None where the type has none for it."""
    if sql_type == "boolean":
        return lambda value: None if value is None else _boolean(value)
    if sql_type in WHOLE_NUMBERS:
        limit = WHOLE_NUMBERS[sql_type]
        return lambda value: None if value is None else _whole(value, limit)
    if sql_type == "real":
        return lambda value: None if value is None else _known(_single(value))
    if sql_type == "double precision":
        return lambda value: None if value is None else _known(float(value))
    if sql_type == "numeric":
        return lambda value: None if value is None or _is_endless(value) else _text(value)
    return lambda value: None if value is None else _text(value)


def _boolean(value: Any) -> bool:
    return WORDS[value.strip().lower()] if isinstance(value, str) else bool(value)


def _whole(value: Any, limit: int) -> int | None:
    """Return the number, rounded half to even as SQL's cast does."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    number = int(value) if isinstance(value, str) else round(value)
    return number if -limit <= number < limit else None


def _single(value: Any) -> float:
    with np.errstate(over="ignore"):
        return float(np.float32(value))


def _known(value: float) -> float | None:
    """Return the number; None for NaN, as the other runtimes have it."""
    return None if math.isnan(value) else value


def _is_endless(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


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
