"""The library's own predictions, and the comparison of a runtime's with them.

Used by every runtime's equivalence test: the interpreter here, SQL and native code elsewhere. The oracle is
always the fitted pipeline itself, never another runtime.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from postgres_ml.program.program import ClusterLabel, Input, Program

Columns = dict[str, list[Any]]
HUGE = 1e100
"""Inexact estimators overflow, or cancel all digits, somewhere above; only refusals are compared there."""


@dataclass
class Fitted:
    """A fitted pipeline and what it was fitted on.

    Parameters
    ----------
    inputs : the frame's columns in order
    return_type : SQL type of the prediction
    """

    pipeline: Any
    inputs: tuple[Input, ...]
    frame: pd.DataFrame
    return_type: str

    @property
    def training_columns(self) -> Columns:
        """The training rows as raw values."""
        return {name: [None if _is_nan(v) else v for v in self.frame[name]] for name in self.frame}


@dataclass
class Expected:
    """What the pipeline says of some rows.

    Parameters
    ----------
    predictions : label or number of each row; None where the library refuses the row
    probabilities : of shape (n_rows, n_labels), NaN where refused; None without predict_proba
    scores : raw scores of shape (n_rows, n_outputs) for bit-exact comparison; None where there are none
    """

    predictions: list[Any]
    probabilities: np.ndarray | None = None
    scores: np.ndarray | None = None
    refused: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.refused = np.array([p is None for p in self.predictions], dtype=bool)


def frame_of(columns: Columns, inputs: tuple[Input, ...]) -> pd.DataFrame:
    """Return raw columns as the frame that a pipeline is trained on and predicts from."""
    frame = {}
    for item in inputs:
        values = columns[item.name]
        if item.kind in ("number", "boolean"):
            frame[item.name] = np.array([np.nan if v is None else float(v) for v in values], dtype=np.float64)
        elif item.kind == "text" or item.kind == "time":
            frame[item.name] = pd.Series(values, dtype=object)
        else:
            naive = [v.replace(tzinfo=None) if hasattr(v, "tzinfo") else v for v in values]
            frame[item.name] = np.array(naive, dtype="datetime64[us]")
    return pd.DataFrame(frame)


def expected_of(
    fitted: Fitted, columns: Columns, scores: Any = None, hint: Sequence[bool] | None = None
) -> Expected:
    """Return the pipeline's own predictions, row by row where a batch is refused.

    Parameters
    ----------
    scores : function of (pipeline, frame) that returns raw scores, or None
    hint : rows that are thought to be refused: they are tried one by one and the others at once, which saves
        time and never changes the result
    """
    frame = frame_of(columns, fitted.inputs)
    n_rows = len(frame)
    accepted = _accepted(fitted.pipeline, frame, hint)
    predictions: list[Any] = [None] * n_rows
    usable = frame.iloc[accepted]
    probabilities = raw = None
    if len(accepted):
        for row, value in zip(accepted, _quietly(fitted.pipeline.predict, usable), strict=True):
            predictions[row] = value.item() if hasattr(value, "item") else value
        if hasattr(fitted.pipeline, "predict_proba"):
            probabilities = _spread(_quietly(fitted.pipeline.predict_proba, usable), accepted, n_rows)
        if scores is not None:
            raw = _spread(_quietly(scores, fitted.pipeline, usable), accepted, n_rows)
    return Expected(predictions, probabilities, raw)


def _quietly(function: Any, *arguments: Any) -> Any:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return function(*arguments)


def _spread(values: Any, accepted: np.ndarray, n_rows: int) -> np.ndarray:
    values = np.asarray(values)
    spread = np.full((n_rows, 1 if values.ndim == 1 else values.shape[1]), np.nan)
    spread[accepted] = values.reshape(len(accepted), -1)
    return spread


def _accepted(pipeline: Any, frame: pd.DataFrame, hint: Sequence[bool] | None) -> np.ndarray:
    """Return the rows that predict takes; one bad row makes a batch raise as a whole."""
    doubtful = np.zeros(len(frame), dtype=bool) if hint is None else np.asarray(hint, dtype=bool)
    sure = np.flatnonzero(~doubtful)
    singles = [_taken(pipeline, frame, np.array([row])) for row in np.flatnonzero(doubtful)]
    return np.sort(np.concatenate([_taken(pipeline, frame, sure), *singles]))


def _taken(pipeline: Any, frame: pd.DataFrame, rows: np.ndarray) -> np.ndarray:
    """Return the rows that predict takes, halving a batch that raises."""
    try:
        if len(rows):
            _quietly(pipeline.predict, frame.iloc[rows])
        return rows
    except ValueError:
        if len(rows) == 1:
            return rows[:0]
    half = len(rows) // 2
    return np.concatenate([_taken(pipeline, frame, part) for part in (rows[:half], rows[half:])])


def _is_nan(value: Any) -> bool:
    return value is None or value != value


def check_predictions(
    program: Program,
    columns: Columns,
    expected: Expected,
    predictions: list[Any],
    probabilities: np.ndarray | None,
    tolerance: float,
) -> None:
    """Assert that a runtime's predictions are the library's.

    Parameters
    ----------
    predictions : label or number of each row, None for NULL
    probabilities : in the order of the program's labels, NaN for NULL; None skips them
    tolerance : 0 demands equal bits; else absolute for probabilities, relative for numbers, and a label may
        differ where the two best probabilities are that close
    """
    assert len(predictions) == len(expected.predictions)
    compared = ~expected.refused
    wrong = [i for i, p in enumerate(predictions) if (p is None) != bool(expected.refused[i])]
    assert not wrong, f"refusal differs in {len(wrong)} rows: {_rows(columns, wrong, predictions, expected)}"
    if tolerance > 0:
        compared &= ~_is_huge(columns, len(predictions))
    for i in np.flatnonzero(compared):
        ours, theirs = predictions[i], expected.predictions[i]
        if isinstance(theirs, float) and not program.output.labels:
            close = _is_close(ours, theirs, tolerance)
        else:
            close = ours == theirs or _is_tie(program, expected, i, ours, tolerance)
        assert close, f"prediction differs: {_rows(columns, [i], predictions, expected)}"
    if probabilities is None or expected.probabilities is None:
        return
    assert probabilities.shape == expected.probabilities.shape
    difference = np.abs(probabilities - expected.probabilities)[compared]
    both_nan = np.isnan(probabilities)[compared] & np.isnan(expected.probabilities)[compared]
    difference[both_nan] = 0
    # half an ulp of single precision is lost where xgboost computes 1 - p
    assert np.all(difference <= max(tolerance, 1.2e-7)), f"probabilities differ by {np.nanmax(difference)}"


def _is_close(ours: float, theirs: float, tolerance: float) -> bool:
    if ours == theirs or (ours != ours and theirs != theirs):
        return True
    return abs(ours - theirs) <= tolerance * max(1.0, abs(theirs))


def _is_tie(program: Program, expected: Expected, row: int, ours: Any, tolerance: float) -> bool:
    if isinstance(program.output, ClusterLabel) and expected.scores is not None:
        distances = expected.scores[row]
        return bool(distances[program.output.labels.index(ours)] <= distances.min() * (1 + tolerance))
    if tolerance == 0 or expected.probabilities is None:
        return False
    best = np.sort(expected.probabilities[row])[-2:]
    return bool(best[1] - best[0] <= tolerance)


def _is_huge(columns: Columns, n_rows: int) -> np.ndarray:
    huge = np.zeros(n_rows, dtype=bool)
    for values in columns.values():
        huge |= np.array([isinstance(v, float) and abs(v) > HUGE for v in values], dtype=bool)
    return huge


def _rows(columns: Columns, rows: list[int], predictions: list[Any], expected: Expected) -> str:
    shown = [
        ({name: values[i] for name, values in columns.items()}, predictions[i], expected.predictions[i])
        for i in rows[:3]
    ]
    return "; ".join(f"{row} gives {ours!r}, the library {theirs!r}" for row, ours, theirs in shown)
