"""What `returns` makes of a prediction, checked before anything is published.

Input: the SQL type, the model's labels, predictions. Output: nothing, or an error that says what doesn't fit.
Functions convert as Postgres casts: whole numbers are rounded, half to even.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np

from postgres_ml.contract.column import STRINGS
from postgres_ml.contract.exceptions import SpecError
from postgres_ml.serve.values import WHOLE_NUMBERS, WORDS
from postgres_ml.snapshot.copy import KINDS

NUMBERS = (*WHOLE_NUMBERS, "numeric", "real", "double precision")


def check_labels(returns: str, labels: Sequence[Any]) -> None:
    """Check that each label has a value of the type, and no two the same.

    Raises
    ------
    SpecError
        Names the labels that have none.
    """
    if returns not in KINDS:  # a type of the user's own, such as an enum: the server knows its values
        return
    values = [_value(label, returns) for label in labels]
    wrong = [repr(label) for label, value in zip(labels, values, strict=True) if value is None]
    if returns in (*NUMBERS, *STRINGS, "boolean") and not wrong and len(set(values)) == len(values):
        return
    named = f"is no type of the labels {', '.join(wrong[:5])}" if wrong else "can't tell the labels apart"
    raise SpecError(f"returns: {returns} {named}; the model's labels are {', '.join(map(str, labels[:5]))}")


def _value(label: Any, returns: str) -> Any:
    """Return the label as the type has it; None where it has none."""
    if returns in STRINGS:
        return str(label)
    if returns == "boolean":
        text = str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)
        return WORDS.get(text.strip().lower())
    try:
        number = Decimal(str(int(label) if isinstance(label, bool) else label))
    except InvalidOperation:
        return None
    if returns not in WHOLE_NUMBERS:
        return number
    limit = WHOLE_NUMBERS[returns]
    return number if number == number.to_integral_value() and -limit <= number < limit else None


def check_number(returns: str) -> None:
    """Check that a number can be returned as the type.

    Raises
    ------
    SpecError
        It is a type of text, booleans or dates.
    """
    if returns not in NUMBERS:
        raise SpecError(
            f"returns: {returns} is no type of a number, which is what the model predicts: "
            f"use one of {', '.join(NUMBERS)}"
        )


def check_range(returns: str, predictions: Any) -> None:
    """Check that the type holds the predictions for ordinary rows.

    Parameters
    ----------
    predictions : numbers, of shape (n_rows,); NaN, which is NULL in whole numbers, is left out

    Raises
    ------
    SpecError
        Shows the first that is too great.
    """
    found = np.asarray(predictions, dtype=np.float64)
    if returns in WHOLE_NUMBERS:
        limit = float(WHOLE_NUMBERS[returns])
        beyond = ~((np.rint(found) >= -limit) & (np.rint(found) < limit)) & ~np.isnan(found)
    elif returns == "real":
        beyond = np.isfinite(found) & (np.abs(found) > float(np.finfo(np.float32).max))
    else:
        return
    if beyond.any():
        raise SpecError(
            f"returns: {returns} is too small for {int(beyond.sum()):,} of {len(found):,} predictions, such "
            f"as {found[beyond][0]:g}: use a wider type, or double precision"
        )
