"""Reading raw column values as the scoring program's encoders see them: NULL, numbers, dates and times.

The values may be Python's (None, str, bool, int, float, Decimal, date, time, datetime), NumPy's or pandas'.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

EPOCH = datetime.datetime(1970, 1, 1)


def is_null(value: Any) -> bool:
    """Return whether the value stands for SQL's NULL or is NaN (None, NaN, NaT, pandas.NA)."""
    if value is None:
        return True
    try:
        return bool(value != value)
    except TypeError:  # pandas.NA has no truth value
        return True


def read_numbers(values: Sequence[Any]) -> Floats:
    """Return a number or boolean column as doubles of shape (n_rows,); NULL becomes NaN."""
    array = np.asarray(values)
    if array.dtype.kind in "fiub":
        return array.astype(np.float64)
    return np.array([np.nan if is_null(v) else float(v) for v in values], dtype=np.float64)


def read_instants(values: Sequence[Any] | npt.NDArray[Any], kind: str) -> npt.NDArray[np.datetime64]:
    """Return a date, time or timestamp column as UTC datetime64[us] of shape (n_rows,); NULL becomes NaT.

    A time is an instant of 1970-01-01.
    """
    array = np.asarray(values)
    if array.dtype.kind == "M":
        return array.astype("datetime64[us]")
    return np.array([_instant(v, kind) for v in values], dtype="datetime64[us]")


def _instant(value: Any, kind: str) -> np.datetime64:
    if is_null(value):
        return np.datetime64("NaT", "us")
    if isinstance(value, str):
        value = (datetime.time if kind == "time" else datetime.datetime).fromisoformat(value)
    if isinstance(value, datetime.time):
        value = datetime.datetime.combine(EPOCH, value)
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        value = value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    return np.datetime64(value, "us")


def seconds_since_epoch(instants: npt.NDArray[np.datetime64]) -> Floats:
    """Return seconds since 1970-01-01 as doubles of shape (n_rows,), rounded once; NaT becomes NaN."""
    microseconds = instants.astype("datetime64[us]").astype(np.int64)
    return np.where(np.isnat(instants), np.nan, microseconds / 1e6)


def calendar_part(instants: npt.NDArray[np.datetime64], part: str) -> Floats:
    """Return one calendar part as doubles of shape (n_rows,); NaT becomes NaN.

    Parameters
    ----------
    instants : of shape (n_rows,), in UTC
    part : see `encoders.DatePart`
    """
    if part == "epoch":
        return seconds_since_epoch(instants)
    days, months, years = (instants.astype(f"datetime64[{unit}]") for unit in "DMY")
    seconds = (instants.astype("datetime64[s]") - days).astype(np.int64)
    month = months.astype(np.int64) % 12 + 1
    parts = {
        "year": years.astype(np.int64) + 1970,
        "quarter": (month - 1) // 3 + 1,
        "month": month,
        "day": (days - months).astype(np.int64) + 1,
        # 1970-01-01 was a Thursday
        "weekday": (days.astype(np.int64) + 3) % 7,
        "day_of_year": (days - years).astype(np.int64) + 1,
        "hour": seconds // 3600,
        "minute": seconds // 60 % 60,
        "second": seconds % 60,
    }
    return np.where(np.isnat(instants), np.nan, parts[part].astype(np.float64))
