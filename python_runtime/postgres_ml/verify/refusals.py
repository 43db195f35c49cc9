"""Rows that a library refuses, and the check that it doesn't refuse what it should predict.

Input: `predict` and a frame. Output: predictions, None where the library raises; or an error with its words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from postgres_ml.contract.exceptions import ParityError, SpecError
from postgres_ml.serve.values import REFUSALS
from postgres_ml.snapshot.rows import Array

REFUSED_SHARE = (
    0.01  # of plausible rows; more of them say that the model gets other rows than it was made for
)


def row_by_row(predict: Callable[[pd.DataFrame], Array], frame: pd.DataFrame) -> list[Any]:
    """Return each row's prediction as Python values, None where the library refuses it.

    A library refuses a whole batch for one row: batches are halved until the row is found. Rows with an
    infinity, which are the usual cause, are asked apart. What is no ValueError, and is raised for every row,
    is a fault of the code and not of the rows: it is raised here too.
    """
    results: list[Any] = [None] * len(frame)
    faults: list[BaseException] = []
    numbers = frame.select_dtypes(float).to_numpy()
    infinite = np.isinf(numbers).any(axis=1)

    def ask(positions: Array) -> None:
        if len(positions) == 0:
            return
        try:
            predictions = predict(frame.iloc[positions])
        except REFUSALS as error:
            if len(positions) > 1:
                half = len(positions) // 2
                ask(positions[:half])
                ask(positions[half:])
            elif not isinstance(error, ValueError):
                faults.append(error)
            return
        for position, prediction in zip(positions.tolist(), np.asarray(predictions).tolist(), strict=True):
            results[position] = prediction

    ask(np.flatnonzero(~infinite))
    ask(np.flatnonzero(infinite))
    if faults and len(faults) == len(frame):
        raise faults[0]
    return results


def row_predictions(model: Any, frame: pd.DataFrame) -> list[Any]:
    """Return the model's prediction of each row, None where it refuses the row.

    Raises
    ------
    SpecError
        It predicts several values for a row.
    """
    return row_by_row(lambda rows: one_each(model.predict(rows)), frame)


def one_each(predictions: Any) -> Array:
    """Return predictions as an array of shape (n_rows,): a regressor fitted on one column has (n_rows, 1).

    Raises
    ------
    SpecError
        There are several for each row.
    """
    found = np.asarray(predictions)
    n_outputs = found[0].size if found.ndim > 1 and len(found) else 1
    if n_outputs > 1:
        raise SpecError(several_outputs(n_outputs))
    return found.reshape(len(found)) if found.ndim > 1 else found


def several_outputs(n_outputs: int) -> str:
    """Return why a model of several outputs has no function, and what to do."""
    return (
        f"the model predicts {n_outputs} values for a row, and a function returns one: fit and bring one "
        "model for each"
    )


def check_plausible(predict: Callable[[pd.DataFrame], Array], frame: pd.DataFrame, limit: float) -> None:
    """Check that the library predicts rows that it should.

    Parameters
    ----------
    frame : rows of the query, of an example, or made of values that the model knows
    limit : the share of them that may be refused; all of them never may

    Raises
    ------
    ParityError
        Has the first row that is refused, and the library's own words.
    """
    refused = [0]
    first: list[tuple[int, BaseException]] = []

    def ask(start: int, end: int) -> None:
        try:
            predict(frame.iloc[start:end])
        except REFUSALS as error:
            if end - start > 1:
                middle = (start + end) // 2
                ask(start, middle)
                ask(middle, end)
            else:
                refused[0] += 1
                first.append((start, error))

    if len(frame):
        ask(0, len(frame))
    if not first or (refused[0] < len(frame) and refused[0] <= limit * len(frame)):
        return
    position, error = first[0]
    row = ", ".join(f"{name} => {_shown(value)}" for name, value in frame.iloc[position].items())
    words = " ".join(str(error).split("Stack trace")[0].split()) or type(error).__name__
    raise ParityError(
        f"the model refuses {refused[0]:,} of {len(frame):,} rows that it should predict: the function would "
        f"return NULL. The first: ({row}), for which the library says: {words[:500]}. Nothing was published; "
        "give 'arguments' the names and types of the columns that the model was fitted on, or select rows "
        "that it takes"
    )


def _shown(value: Any) -> str:
    is_null = value is None or value != value
    return "NULL" if is_null else repr(value.item() if isinstance(value, np.generic) else value)
