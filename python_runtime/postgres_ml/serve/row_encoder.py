"""Answers for one row without a data frame: found when a pipeline is packed, and proved on rows there.

Input: the fitted pipeline and some rows. Output: the source of an encoder whose matrix is, to the last bit,
what the pipeline's own transformers make of each of these rows; or None, and the pipeline gets frames.
"""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
from sklearn.pipeline import Pipeline

from postgres_ml.contract.column import Column
from postgres_ml.contract.exceptions import UnsupportedModelError
from postgres_ml.generate.python.row import Encoded, generate_encoder
from postgres_ml.lower import INTEGER_TYPES, PARSERS
from postgres_ml.lower.builder import Builder, Matrix, RawColumn
from postgres_ml.program.program import Input
from postgres_ml.serve.fast_estimators import quick
from postgres_ml.serve.scorer import ENCODER_SCOPE, last_step
from postgres_ml.serve.values import REFUSALS, reader

N_SAMPLES = 24  # rows as they are, before as many with odd values
ODD_TEXTS = (None, "", " ", "never seen 日本")
#: values that the types hold: no integer is infinite, and encoders know it
ODD_NUMBERS = (None, 0.0, -0.0, 3e38, -3e38, float("inf"))
ODD_INTEGERS = (None, 0, -32_768, 32_767)
ODD_MOMENTS = (None, "infinity", "1970-01-01T00:00:00", "2024-02-29T23:59:59.999999")


def encoder_of(pipeline: Any, columns: Sequence[Column], sample: pd.DataFrame) -> str | None:
    """Return the source of a function that encodes one row for the pipeline's last step, or None.

    Parameters
    ----------
    columns : of the pipeline's frame
    sample : rows on which both have to agree
    """
    if sample.empty:
        return None
    try:
        source = generate_encoder(_encoded(pipeline, columns))
    except UnsupportedModelError:
        return None
    scope: dict[str, Any] = dict(ENCODER_SCOPE)
    exec(compile(source, "<encoder>", "exec"), scope)
    rows = samples(columns, sample)
    return source if agree(pipeline, scope["encode"], rows, columns) else None


def _before(pipeline: Any) -> Pipeline | None:
    """Return the steps before the last one."""
    return pipeline[:-1] if isinstance(pipeline, Pipeline) and len(pipeline) > 1 else None


def _encoded(pipeline: Any, columns: Sequence[Column]) -> Encoded:
    inputs = tuple(Input(column.name, column.sql_type, column.kind) for column in columns)
    builder = Builder(inputs, PARSERS)
    raw = tuple(RawColumn(position) for position in range(len(inputs)))
    matrix: Any = Matrix(raw, tuple(item.name for item in inputs))
    before = _before(pipeline)
    if before is not None:
        matrix = builder.parse(before, matrix)
    if not isinstance(matrix, Matrix):
        raise UnsupportedModelError(type(pipeline).__name__, "a step after an estimator", "")
    slots = builder.numbers(matrix)
    return Encoded(inputs, tuple(builder.steps), tuple(builder.refusals), slots, matrix.sparse, matrix.single)


def samples(columns: Sequence[Column], sample: pd.DataFrame) -> list[list[Any]]:
    """Return rows of Postgres's values: ordinary ones, and copies of them with an odd value in one column."""
    names = [column.name for column in columns]
    cells = sample[names].head(N_SAMPLES).astype(object).to_numpy().tolist()
    rows = [[_postgres_value(cell) for cell in row] for row in cells]
    odd: list[list[Any]] = []
    for position, column in enumerate(columns):
        for value in _odd_values(column):
            row = list(rows[len(odd) % len(rows)])
            row[position] = value
            odd.append(row)
    random = np.random.default_rng(0)
    chosen = [odd[i] for i in random.permutation(len(odd))[: 2 * N_SAMPLES]]
    return [*rows, *chosen, [None] * len(columns)]


def _postgres_value(cell: Any) -> Any:
    if cell is None or cell != cell:
        return None
    if isinstance(cell, pd.Timestamp):
        return str(np.datetime64(cell, "us"))
    return cell.isoformat() if isinstance(cell, datetime.date | datetime.time) else cell


def _odd_values(column: Column) -> tuple[Any, ...]:
    if column.kind == "text":
        return ODD_TEXTS
    if column.kind == "boolean":
        return None, 0.0, 1.0
    if column.kind != "number":
        return ODD_MOMENTS
    return ODD_INTEGERS if column.sql_type in INTEGER_TYPES else ODD_NUMBERS


def agree(
    pipeline: Any, encode: Callable[[Any], Any], rows: Sequence[Sequence[Any]], columns: Sequence[Column]
) -> bool:
    """Return whether encoder and last step give exactly what the pipeline gives, for each row alone."""
    fast, before = quick(last_step(pipeline)), _before(pipeline)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for row in rows:
            frame = one_row_frame(row, columns)
            if before is not None and not _same(partial(encode, row), partial(before.transform, frame)):
                return False
            for method in ("predict", "predict_proba"):
                if not hasattr(pipeline, method):
                    continue
                ours, theirs = getattr(fast, method), getattr(pipeline, method)
                if not _same(partial(_answer, ours, encode, row), partial(theirs, frame)):
                    return False
    return True


def _answer(method: Callable[[Any], Any], encode: Callable[[Any], Any], row: Sequence[Any]) -> Any:
    matrix = encode(row)
    return None if matrix is None else method(matrix)


def one_row_frame(row: Sequence[Any], columns: Sequence[Column]) -> pd.DataFrame:
    """Return the frame of one row that the pipeline takes."""
    data = {}
    for value, column in zip(row, columns, strict=True):
        cell = reader(column.kind, column.sql_type)(value)
        dtype = {"text": "object", "number": "float64", "boolean": "float64"}.get(
            column.kind, "datetime64[us]"
        )
        data[column.name] = pd.Series(np.array([cell], dtype=dtype))
    return pd.DataFrame(data)


def _same(ours: Callable[[], Any], theirs: Callable[[], Any]) -> bool:
    """Return whether both give equal arrays of one dtype, or both refuse the row."""
    try:
        expected = theirs()
    except REFUSALS:
        expected = None
    try:
        found = ours()
    except REFUSALS:
        found = None
    if expected is None or found is None:
        return expected is None and found is None
    if scipy.sparse.issparse(expected) and scipy.sparse.issparse(found):
        parts = ("indptr", "indices", "data")
        return expected.shape == found.shape and all(
            _equal(getattr(expected, part), getattr(found, part)) for part in parts
        )
    return not scipy.sparse.issparse(expected) and _equal(np.asarray(expected), np.asarray(found))


def _equal(first: Any, second: Any) -> bool:
    same = first.shape == second.shape and first.dtype == second.dtype
    return same and bool(np.all((first == second) | ((first != first) & (second != second))))
