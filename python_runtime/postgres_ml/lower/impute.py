"""SimpleImputer and MissingIndicator.

Source: sklearn/impute/_base.py.
Exactness: bit-exact.
Refused: sparse matrices; missing_values other than None, NaN, pandas.NA, a number, or a text for text.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from postgres_ml.lower.builder import (
    MAX_FLOAT64,
    Builder,
    Column,
    Facts,
    Matrix,
    RawColumn,
    SlotColumn,
    require,
    unsupported,
)
from postgres_ml.program.encoders import Category, IsMissing, NullIf


def parse_simple_imputer(imputer: Any, matrix: Matrix, builder: Builder) -> Matrix:
    """Return the columns with the fitted statistic for missing values, then the indicator's columns."""
    if matrix.sparse or matrix.single:
        raise unsupported(imputer, "a sparse or float32 matrix", "make it dense and float64")
    columns: list[Column] = []
    indicators: list[Column] = []
    indicated = set(imputer.indicator_.features_.tolist()) if imputer.add_indicator else set()
    for position, (column, statistic) in enumerate(zip(matrix.columns, imputer.statistics_, strict=True)):
        marked = _mark_missing(imputer, column, builder)
        if position in indicated:
            indicators.append(SlotColumn(_is_missing(imputer, marked, builder)))
        if imputer.keep_empty_features or not _is_nan(statistic):
            columns.append(_filled(imputer, marked, statistic, builder) if marked is not None else column)
    names = matrix.names if len(columns) == len(matrix.columns) and not indicators else None
    return Matrix(tuple(columns + indicators), names)


def parse_missing_indicator(indicator: Any, matrix: Matrix, builder: Builder) -> Matrix:
    """Return 1 where a value is missing, for the columns with missing values at fit or for all."""
    require(indicator, "sparse", False, "auto")
    if matrix.sparse:
        raise unsupported(indicator, "a sparse matrix", "make it dense")
    chosen = set(indicator.features_.tolist())
    columns = []
    for position, column in enumerate(matrix.columns):
        marked = _mark_missing(indicator, column, builder)
        if position in chosen:
            columns.append(SlotColumn(_is_missing(indicator, marked, builder)))
        elif indicator.features == "missing-only" and indicator.error_on_new and marked is not None:
            if isinstance(indicator.missing_values, str):
                raise unsupported(indicator, "a text that it refuses", "set error_on_new=False")
            _refuse_missing(marked, builder)
    return Matrix(tuple(columns))


def _is_nan(value: Any) -> bool:
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def _mark_missing(imputer: Any, column: Column, builder: Builder) -> Column | None:
    """Return the column with NaN (text: NULL) for missing values; None if none of its values is missing.

    A frame has NaN or None for NULL, and scikit-learn tells them apart: missing_values=nan never finds a
    None. Where NaN isn't what is replaced, it is refused.
    """
    marker = imputer.missing_values
    if isinstance(column, RawColumn) and (builder.is_text(column) or not builder.null_is_nan(column)):
        return _mark_objects(imputer, column, builder)
    if marker is pd.NA:
        marker = np.nan
    slot = builder.number(column)
    builder.refuse(slot, missing=not _is_nan(marker), above=MAX_FLOAT64)
    if _is_nan(marker):
        return column
    if isinstance(marker, int | float | np.number):
        known = builder.facts[slot]
        return SlotColumn(builder.add(NullIf(slot, float(marker)), Facts(True, known.limit, known.whole)))
    raise unsupported(imputer, f"missing_values={marker!r}", "use NaN, or None for text columns")


def _mark_objects(imputer: Any, column: RawColumn, builder: Builder) -> Column | None:
    """Return a column of objects, NULL for missing values, if it has some that are replaced; else None."""
    marker, is_nan = imputer.missing_values, builder.null_is_nan(column)
    if marker is pd.NA or (marker is None and not is_nan) or (_is_nan(marker) and is_nan):
        return column
    if is_nan and not _is_nan(marker):
        _refuse_missing(column, builder)
    if isinstance(marker, str):
        return column if builder.is_text(column) else None
    if marker is None or _is_nan(marker):
        return None
    raise unsupported(imputer, f"missing_values={marker!r}", "use None, NaN or a text for columns of objects")


def _filled(imputer: Any, column: Column, statistic: Any, builder: Builder) -> Column:
    if isinstance(column, RawColumn):
        if builder.is_text(column) and not isinstance(statistic, str):
            raise unsupported(imputer, f"the statistic {statistic!r} of a text column", "fill text with text")
        if not builder.is_text(column) and isinstance(statistic, str):
            kind = builder.inputs[column.input].kind
            hint = "impute numbers and texts apart, in a ColumnTransformer"
            raise unsupported(imputer, f"the statistic {statistic!r} of a {kind} column", hint)
        if isinstance(imputer.missing_values, str):
            return _with_text_replaced(column, imputer.missing_values, str(statistic))
        if column.fill is not None:
            return column
        fill = str(statistic) if builder.is_text(column) else float(statistic)
        return replace(column, fill=fill)
    return SlotColumn(builder.impute(column.slot, float(statistic)))


def _with_text_replaced(column: RawColumn, text: str, by: str) -> RawColumn:
    """Return the column with one text in place of another, which an imputer before may have put there."""
    replaced = [(value, by if other == text else other) for value, other in column.replaced]
    known = {value for value, _ in replaced}
    fill = by if column.fill == text else column.fill
    return replace(column, fill=fill, replaced=(*replaced, *([] if text in known else [(text, by)])))


def _is_missing(imputer: Any, column: Column | None, builder: Builder) -> int:
    if isinstance(column, RawColumn) and isinstance(imputer.missing_values, str):
        return builder.lookup(column, {imputer.missing_values: 1.0}, 0.0, 0.0)
    if column is None or (isinstance(column, RawColumn) and column.fill is not None):
        return builder.constant(0.0)
    if builder.is_text(column) and isinstance(column, RawColumn):
        return builder.add(Category(column.input, (), (), missing=1.0, unseen=0.0), Facts(False, 1.0, True))
    return builder.add(IsMissing(builder.number(column)), Facts(False, 1.0, True))


def _refuse_missing(column: Column, builder: Builder) -> None:
    if builder.is_text(column) and isinstance(column, RawColumn):
        if column.fill is None:
            builder.add(Category(column.input, (), (), missing=None, unseen=0.0), Facts(False, 0.0, True))
        return
    builder.refuse(builder.number(column), missing=True, above=None)
