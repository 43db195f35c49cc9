"""Reference interpreter of the scoring program: slow, plain NumPy, one step after the other over all rows.

The oracle's counterpart in tests: it says what a program means, and every code generator must agree with it.
Never used to predict in production. Columns are raw values as the database has them: None, NaN, str, bool,
int, float, Decimal, dates; a column is any sequence or array.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from postgres_ml.program.compute import Matrix, Rows, apply_step
from postgres_ml.program.program import (
    BinaryLabel,
    ClusterLabel,
    Label,
    MulticlassLabel,
    Program,
    Value,
)

Columns = Mapping[str, Sequence[Any]]


def predict(program: Program, columns: Columns) -> list[Label | None]:
    """Return each row's label, or value for regression; None for rows that the program refuses."""
    state = _run(program, columns)
    refused = _refused(program, state)
    predictions = predictions_of(program.output, state.slots)
    return [None if no else prediction for no, prediction in zip(refused, predictions, strict=True)]


def predict_probabilities(program: Program, columns: Columns) -> Matrix | None:
    """Return P(label), of shape (n_rows, n_labels) in the order of `output.labels`.

    Rows that the program refuses are NaN. None when the program has no probabilities.
    """
    if not program.output.probabilities:
        return None
    state = _run(program, columns)
    result = state.slots[:, program.output.probabilities]
    result[_refused(program, state)] = np.nan
    return result


def slots(program: Program, columns: Columns) -> Matrix:
    """Return every slot of every row, of shape (n_rows, n_slots); refused rows are computed all the same."""
    return _run(program, columns).slots


def _run(program: Program, columns: Columns) -> Rows:
    ordered = [columns[item.name] for item in program.inputs]
    n_rows = len(next(iter(columns.values()))) if columns else 0
    rows = Rows(program.inputs, ordered, np.full((n_rows, sum(s.width for s in program.steps)), np.nan))
    with np.errstate(all="ignore"):
        for step, offset in zip(program.steps, program.offsets, strict=True):
            values = np.asarray(apply_step(step, rows), dtype=np.float64)
            rows.slots[:, offset : offset + step.width] = values.reshape(n_rows, step.width)
    return rows


def _refused(program: Program, rows: Rows) -> npt.NDArray[np.bool_]:
    refused = rows.refused.copy()
    for refusal in program.refusals:
        value = rows.slots[:, refusal.slot]
        if refusal.missing:
            refused |= np.isnan(value)
        if refusal.above is not None:
            refused |= np.abs(value) > refusal.above
    return refused


@functools.singledispatch
def predictions_of(output: Any, slots: Matrix) -> list[Label]:
    """Return the label or value of each row, refused or not.

    Parameters
    ----------
    slots : of shape (n_rows, n_slots)
    """
    raise NotImplementedError(f"no interpretation of {type(output).__name__}")


@predictions_of.register
def _value(output: Value, slots: Matrix) -> list[Label]:
    values: list[Label] = slots[:, output.slot].tolist()
    return values


@predictions_of.register
def _binary_label(output: BinaryLabel, slots: Matrix) -> list[Label]:
    score = slots[:, output.score]
    is_second = score > output.threshold if output.operator == ">" else score >= output.threshold
    return [output.labels[number] for number in is_second.astype(int)]


@predictions_of.register
def _multiclass_label(output: MulticlassLabel, slots: Matrix) -> list[Label]:
    return [output.labels[number] for number in np.argmax(slots[:, output.scores], axis=1)]


@predictions_of.register
def _cluster_label(output: ClusterLabel, slots: Matrix) -> list[Label]:
    scores = slots[:, output.prediction_reads]
    # a NaN is less than nothing, and nothing is less than one that comes first
    nearest = np.argmin(np.where(np.isnan(scores), np.inf, scores), axis=1)
    return [output.labels[number] for number in np.where(np.isnan(scores[:, 0]), 0, nearest)]
