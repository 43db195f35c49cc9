"""The point from which rows are held out: a number, or a date or time that no session's time zone changes."""

from __future__ import annotations

import math
from datetime import datetime, timezone


def in_utc(after: str) -> str:
    """Return a date or time in ISO 8601 as one that no session's time zone changes; a number as it is.

    Without an offset it is in UTC. Columns without a time zone are read in UTC, too.

    Raises
    ------
    ValueError
        It is neither a number nor in ISO 8601.
    """
    if is_number(after):
        return after
    moment = datetime.fromisoformat(after.strip().replace("Z", "+00:00"))
    moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    return moment.astimezone(timezone.utc).isoformat(sep=" ")


def is_midnight(after: str) -> bool:
    """Return whether the point is the beginning of a day in UTC; of a date or time in ISO 8601."""
    return " 00:00:00+" in in_utc(after)


def is_number(after: str) -> bool:
    """Return whether the text is a finite number."""
    try:
        return math.isfinite(float(after))
    except ValueError:
        return False
