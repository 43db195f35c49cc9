"""What reading any config value needs: numbers in quotes, and the likely key for a misspelling."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from typing import Any


def hint(found: str, known: Sequence[str]) -> str:
    """Return ", did you mean 'x'?" if one of the known words resembles the one found, else ''."""
    near = difflib.get_close_matches(found.lower(), known, 1)
    return f", did you mean '{near[0]}'?" if near else ""


def number_of(value: Any) -> float | None:
    """Return the number that the value is or, as Redshift writes them, that its text spells; None if none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return None if math.isnan(number) else number


def boolean_of(value: Any) -> bool | None:
    """Return the boolean that the value is or spells ('ON', 'off', 'true'); None if none."""
    if isinstance(value, bool):
        return value
    words = {"on": True, "true": True, "off": False, "false": False}
    return words.get(value.strip().lower()) if isinstance(value, str) else None


def wrong_type(key: str, found: Any, wanted: str) -> str:
    """Return the sentence about a value of another type than wanted."""
    return f"{key} must be {wanted}, found {type(found).__name__} {found!r}"
