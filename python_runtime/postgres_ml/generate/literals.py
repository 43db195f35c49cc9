"""SQL text of constants and types: safe under any search_path and any quoting setting.

Constants are written as quoted literals without a cast wherever an operator's other side has a type: Postgres
reads such a literal as that very type, so the operator found is the one of pg_catalog, a negative number
needs no parentheses (`- -1` would open a comment), and the text is short.
"""

from __future__ import annotations

import math

import numpy as np

from postgres_ml.contract.exceptions import UnsupportedModelError
from postgres_ml.contract.sql_names import text
from postgres_ml.contract.sql_names import type_name as type_name

DOUBLE = "double precision"


def is_text(value: str) -> bool:
    """Return whether a Postgres text can hold the value (no zero byte, no lone surrogate)."""
    return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)


def double(value: float) -> str:
    """Return the shortest quoted literal that reads back to the same double."""
    return f"'{_digits(repr(float(value)), value)}'"


def single(value: float) -> str:
    """Return the shortest quoted literal that reads back to the same single-precision number."""
    return f"'{_digits(str(np.float32(value)), value)}'"


def _digits(shortest: str, value: float) -> str:
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    digits = shortest.removesuffix(".0").replace("e+", "e")
    return digits[1:] if digits.startswith("0.") else digits.replace("-0.", "-.", 1)


def label(value: str | float | bool, sql_type: str) -> str:
    """Return a class label as a constant of the function's type.

    Raises
    ------
    UnsupportedModelError
        A text label that no Postgres text can hold.
    """
    if isinstance(value, bool):
        written = "'true'" if value else "'false'"
    elif isinstance(value, str):
        if not is_text(value):
            raise UnsupportedModelError("label", f"{value!r} holds a character that text can't", "rename it")
        written = text(value)
    elif isinstance(value, float) and not value.is_integer():
        written = double(value)
    else:
        written = f"'{int(value)}'"
    return f"{written}::{type_name(sql_type)}"
