"""What reading any config value needs: numbers in quotes, and the likely word for a misspelling."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from typing import Any


def hint(found: str, known: Sequence[str]) -> str:
    """Return ", did you mean 'x'?" if one of the known words resembles the one found, else ''."""
    by_lower = {word.lower(): word for word in known}
    near = difflib.get_close_matches(found.lower(), by_lower, 1)
    return f", did you mean '{by_lower[near[0]]}'?" if near else ""


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


def not_one_of(key: str, found: str, allowed: Sequence[str]) -> str:
    """Return the sentence about a word that is not among those allowed, with the likely one."""
    return f"{key} '{found}' is not one of {', '.join(allowed)}{hint(found, allowed)}"


def unknown_key(where: str, found: str, known: Sequence[str], what: str = "key") -> str:
    """Return the sentence about a key that is not among those known, with the likely one."""
    return f"{where}: unknown {what} '{found}'{hint(found, known)} (known: {', '.join(known)})"
