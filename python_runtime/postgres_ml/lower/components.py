"""Transformers of our own: calendar parts, robust smooth clipping, piecewise-linear and quantile-normal
columns, words and characters of texts.

Source: postgres_ml/components/transformers.py, text.py, text_statistics.py, frame_reader.py.
Exactness: bit-exact but for sine and cosine (1 ulp of the runtime's libm).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np

from postgres_ml.components.transformers import PERIODS
from postgres_ml.lower.builder import (
    Builder,
    Column,
    Facts,
    Matrix,
    RawColumn,
    SlotColumn,
    floats,
    unsupported,
)
from postgres_ml.lower.compose import add_arithmetic
from postgres_ml.program.characters import CLASSES, MOST_CHARACTERS
from postgres_ml.program.encoders import Characters, DatePart, DatePartName, PiecewiseLinear, Unary, Words

TIME_OF_DAY = {
    "year": 1970.0, "quarter": 1.0, "month": 1.0, "day": 1.0, "weekday": 3.0, "day_of_year": 1.0,
}  # fmt: skip


def parse_frame_types(step: Any, matrix: Matrix, builder: Builder) -> Matrix:
    """Return the columns with the missing values and categories that the pipeline was fitted on."""
    nulls, categories = step.nulls or {}, step.categories or {}
    columns: list[Column] = []
    for name, column in zip(step.names, matrix.columns, strict=True):
        if not isinstance(column, RawColumn):
            raise unsupported(step, "a computed column", "put it before all other steps")
        known = tuple(categories[name].tolist()) if name in categories else ()
        columns.append(replace(column, null=nulls.get(name, ""), categories=known))
    return Matrix(tuple(columns), matrix.names)


def parse_date_time_vectorizer(vectorizer: Any, matrix: Matrix, builder: Builder) -> Matrix:
    """Return the calendar parts of each column."""
    columns: list[Column] = []
    for column in matrix.columns:
        if not isinstance(column, RawColumn) or builder.inputs[column.input].kind not in (
            "date", "time", "timestamp", "timestamptz",
        ):  # fmt: skip
            raise unsupported(vectorizer, "a column that is no date, time or timestamp of the query")
        for part in vectorizer.parts:
            slot = _date_part(builder, column.input, part)
            if vectorizer.cyclical and part in PERIODS:
                angle = add_arithmetic(builder, slot, "*", 2 * np.pi / PERIODS[part])
                sine = builder.add(Unary(angle, "sin"), Facts(True, 1.0))
                cosine = builder.add(Unary(angle, "cos"), Facts(True, 1.0))
                columns += [SlotColumn(sine), SlotColumn(cosine)]
            else:
                columns.append(SlotColumn(slot))
    return Matrix(tuple(columns))


def _date_part(builder: Builder, position: int, part: str) -> int:
    """Return the slot of a calendar part; those of a time of day are of 1970-01-01, a Thursday."""
    if builder.inputs[position].kind == "time" and part in TIME_OF_DAY:
        epoch = builder.add(DatePart(position, "epoch"), Facts(True, 1e6))
        zero = add_arithmetic(builder, epoch, "*", 0.0)  # missing where the time is
        return add_arithmetic(builder, zero, "+", TIME_OF_DAY[part])
    whole = part != "epoch"
    return builder.add(DatePart(position, cast(DatePartName, part)), Facts(True, 1e15, whole))


def parse_robust_smooth_clip(clipper: Any, matrix: Matrix, builder: Builder) -> Matrix:
    """Return (x - median) / scale, bent into (-3, 3)."""
    columns = []
    slots = builder.check(matrix, missing=True)
    for slot, center, scale in zip(slots, clipper.center_, clipper.scale_, strict=True):
        scaled = add_arithmetic(builder, add_arithmetic(builder, slot, "-", center), "/", scale)
        facts = Facts(builder.facts[slot].missing, 3.0)
        columns.append(SlotColumn(builder.add(Unary(scaled, "smooth_clip"), facts)))
    return Matrix(tuple(columns), matrix.names)


def parse_piecewise_linear(ladder: Any, matrix: Matrix, builder: Builder) -> Matrix:
    """Return one column per interval between the edges; missing values are 0 in each."""
    columns = []
    for slot, edges in zip(builder.check(matrix, missing=True), ladder.edges_, strict=True):
        for low, high in zip(floats(edges[:-1]), floats(edges[1:]), strict=True):
            filled = builder.impute(slot, low)
            columns.append(
                SlotColumn(builder.add(PiecewiseLinear(filled, (low, high), (0.0, 1.0)), Facts(False, 1.0)))
            )
    return Matrix(tuple(columns))


def parse_quantile_normal(transformer: Any, matrix: Matrix, builder: Builder) -> Matrix:
    """Return the normal score of each column's quantile."""
    columns = []
    slots = builder.check(matrix, missing=True)
    for slot, points, scores in zip(slots, transformer.quantiles_, transformer.scores_, strict=True):
        facts = Facts(builder.facts[slot].missing, float(np.abs(scores).max(initial=0.0)) + 1e-9)
        x, y = floats(points), floats(scores)
        if len(x) < 2:
            # missing stays missing: x * 0, once infinities are refused
            columns.append(SlotColumn(add_arithmetic(builder, slot, "*", 0.0)))
        else:
            columns.append(SlotColumn(builder.add(PiecewiseLinear(slot, x, y), facts)))
    return Matrix(tuple(columns), matrix.names)


def parse_text_vectorizer(vectorizer: Any, matrix: Matrix, builder: Builder) -> Matrix:
    """Return the weighted counts of each text column's words and pairs of words."""
    columns: list[Column] = []
    for column, terms, weights in zip(matrix.columns, vectorizer.terms_, vectorizer.weights_, strict=True):
        source = _text_input(vectorizer, column, builder)
        if terms:
            step = Words(source, tuple(terms), floats(weights), vectorizer.norm or "none")
            limit = 1.0 + 1e-9 if vectorizer.norm else float(np.max(weights)) * MOST_CHARACTERS
            columns += map(SlotColumn, builder.add_wide(step, Facts(False, limit)))
        if vectorizer.fixed_width:
            columns += [SlotColumn(builder.constant(0.0))] * (vectorizer.max_features - len(terms))
    return Matrix(tuple(columns), None, sparse=bool(vectorizer.sparse_output))


def parse_text_statistics(statistics: Any, matrix: Matrix, builder: Builder) -> Matrix:
    """Return how many characters of each class each text column has."""
    columns: list[Column] = []
    facts = Facts(False, MOST_CHARACTERS, True)
    for column in matrix.columns:
        step = Characters(_text_input(statistics, column, builder), CLASSES)
        columns += map(SlotColumn, builder.add_wide(step, facts))
    return Matrix(tuple(columns))


def _text_input(transformer: Any, column: Column, builder: Builder) -> int:
    """Return the input that holds the column's text."""
    if not isinstance(column, RawColumn) or not builder.is_text(column):
        raise unsupported(transformer, "a column that is no text of the query", "leave it out")
    if column.fill is not None or column.replaced or column.categories:
        hint = "take the imputer away: a missing text has no words"
        raise unsupported(transformer, "a text whose missing values were replaced", hint)
    return column.input
