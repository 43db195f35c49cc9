"""OneHotEncoder, OrdinalEncoder and TargetEncoder: categories to numbers.

Source: sklearn/preprocessing/_encoders.py (_BaseEncoder._transform, _map_infrequent_categories),
sklearn/preprocessing/_target_encoder.py.
Exactness: bit-exact; the encodings are tables.
Refused: categories of computed columns; categories that are neither text nor numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from postgres_ml.lower.builder import MAX_FLOAT64, Builder, Column, Matrix, RawColumn, SlotColumn, unsupported
from postgres_ml.program.encoders import Category

NO_CODE = -1.0
"""A code that equals no one-hot column: all of them are 0."""


def parse_one_hot_encoder(encoder: Any, matrix: Matrix, builder: Builder) -> Matrix:
    """Return one column per category that is neither dropped nor grouped into the infrequent one."""
    _check_dense(encoder, matrix)
    columns: list[Column] = []
    for position, column in enumerate(matrix.columns):
        codes, unseen = _grouped_codes(encoder, position, keep_missing=False)
        width = int(max(codes.values())) + 1
        if encoder.handle_unknown == "error":
            unseen = None
        elif encoder.handle_unknown == "ignore" or unseen is None:
            unseen = NO_CODE
        dropped = _dropped_code(encoder, position, codes)
        slot = _lookup(encoder, column, codes, unseen, builder)
        kept = [float(code) for code in range(width) if code != dropped]
        columns.extend(SlotColumn(s) for s in builder.one_hot(slot, kept))
    single = np.dtype(encoder.dtype) == np.float32
    return Matrix(tuple(columns), None, sparse=bool(encoder.sparse_output), single=single)


def parse_ordinal_encoder(encoder: Any, matrix: Matrix, builder: Builder) -> Matrix:
    """Return each column's position in its sorted categories."""
    _check_dense(encoder, matrix)
    unseen = None
    if encoder.handle_unknown == "use_encoded_value":
        unseen = float(encoder.unknown_value)
    columns = []
    for position, column in enumerate(matrix.columns):
        codes, _ = _grouped_codes(encoder, position, keep_missing=True)
        if np.nan in codes:
            codes[np.nan] = float(encoder.encoded_missing_value)
        columns.append(SlotColumn(_lookup(encoder, column, codes, unseen, builder)))
    return Matrix(tuple(columns), None, single=np.dtype(encoder.dtype) == np.float32)


def parse_target_encoder(encoder: Any, matrix: Matrix, builder: Builder) -> Matrix:
    """Return the target's smoothed mean for each category; several classes: one column per class."""
    _check_dense(encoder, matrix)
    means = np.atleast_1d(encoder.target_mean_)
    n_outputs = len(means) if encoder.target_type_ == "multiclass" else 1
    columns = []
    for position, column in enumerate(matrix.columns):
        categories = [_normal(value) for value in encoder.categories_[position]]
        for output in range(n_outputs):
            encodings = encoder.encodings_[position * n_outputs + output].tolist()
            codes = dict(zip(categories, encodings, strict=True))
            columns.append(SlotColumn(_lookup(encoder, column, codes, float(means[output]), builder)))
    return Matrix(tuple(columns))


def _check_dense(encoder: Any, matrix: Matrix) -> None:
    if matrix.sparse:
        raise unsupported(encoder, "a sparse matrix", "encode before other columns are made sparse")


def _normal(value: Any) -> Any:
    """Return a category as a Python scalar, with the one NaN object for every NaN."""
    value = value.item() if isinstance(value, np.generic) else value
    return np.nan if isinstance(value, float) and np.isnan(value) else value


def _grouped_codes(
    encoder: Any, position: int, *, keep_missing: bool
) -> tuple[dict[Any, float], float | None]:
    """Return the code of each category after grouping, and the infrequent group's code if there is one.

    Frequent categories count from 0 in their order, all infrequent ones get the next code.

    Parameters
    ----------
    keep_missing : NaN is neither counted nor grouped (OrdinalEncoder), its code here is meaningless
    """
    categories = [_normal(value) for value in encoder.categories_[position]]
    groups = getattr(encoder, "infrequent_categories_", None)
    grouped = [] if groups is None or groups[position] is None else [_normal(v) for v in groups[position]]
    counted = [value for value in categories if not (keep_missing and value is np.nan)]
    frequent = [value for value in counted if not any(value is g or value == g for g in grouped)]
    codes = {value: float(code) for code, value in enumerate(frequent)}
    infrequent = float(len(frequent)) if grouped else None
    for value in categories:
        codes.setdefault(value, -1.0 if infrequent is None else infrequent)
    return codes, infrequent


def _dropped_code(encoder: Any, position: int, codes: dict[Any, float]) -> float | None:
    dropped = None if encoder.drop_idx_ is None else encoder.drop_idx_[position]
    return None if dropped is None else codes[_normal(encoder.categories_[position][dropped])]


def _lookup(
    encoder: Any, column: Column, codes: dict[Any, float], unseen: float | None, builder: Builder
) -> int:
    """Return a slot with the code of the column's value.

    The column's missing value, None or NaN, may itself be a category; if it is none, it is unseen.
    """
    if not isinstance(column, RawColumn):
        return _lookup_again(encoder, column.slot, codes, unseen, builder)
    text = builder.is_text(column)
    kind = builder.inputs[column.input].kind
    if kind not in ("text", "number", "boolean"):
        raise unsupported(encoder, f"categories of a {kind} column", "use a DateTimeVectorizer")
    null = np.nan if builder.null_is_nan(column) else None
    values = {value: code for value, code in codes.items() if value is not None and value is not np.nan}
    expected: tuple[type, ...] = (str,) if text else (int, float)
    for value in values:
        if not isinstance(value, expected):
            name = builder.inputs[column.input].name
            raise unsupported(encoder, f"the category {value!r} of the {kind} column {name!r}")
    if not text:
        builder.refuse(builder.number(RawColumn(column.input)), missing=False, above=MAX_FLOAT64)
    return builder.lookup(column, values, codes.get(null, unseen), unseen)


def _lookup_again(
    encoder: Any, slot: int, codes: dict[Any, float], unseen: float | None, builder: Builder
) -> int:
    """Return a slot with the code of another encoder's output: both tables become one.

    HistGradientBoosting encodes once more what an OrdinalEncoder before it has encoded.
    """
    step = builder.step_of(slot)
    if not isinstance(step, Category):
        raise unsupported(encoder, "categories of a computed column", "encode the query's own columns")

    def again(output: float | None) -> float | None:
        return None if output is None else codes.get(_normal(output), unseen)

    outputs = [again(output) for output in step.outputs]
    known = [output for output in outputs if output is not None]
    if len(known) < len(outputs):
        raise unsupported(
            encoder, "categories of codes that it has not seen", "fit both encoders on the same rows"
        )
    table = dict(zip(step.values, known, strict=True))
    return builder.lookup(RawColumn(step.input), table, again(step.missing), again(step.unseen))
