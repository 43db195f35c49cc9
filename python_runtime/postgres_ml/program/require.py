"""The error of a scoring program that breaks a rule, and how rules are asked for."""

from __future__ import annotations

import math
from collections.abc import Iterable

from postgres_ml.contract.exceptions import PostgresMLError


class InvalidProgramError(PostgresMLError, ValueError):
    """A scoring program that breaks one of the rules that code generators rely on."""


def require(condition: bool, message: str) -> None:
    """Do nothing if the condition holds.

    Raises
    ------
    InvalidProgramError
        Its text is the message.
    """
    if not condition:
        raise InvalidProgramError(message)


def finite(values: Iterable[float], what: str) -> None:
    """Do nothing if all values are finite floats; raises as `require` does."""
    for value in values:
        require(isinstance(value, float) and math.isfinite(value), f"{what}: {value!r} is no finite float")
