"""StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler and Normalizer.

Source: sklearn/preprocessing/_data.py (the `transform` methods, operation by operation).
Exactness: bit-exact, except Normalizer: its l2 norm is a sum in NumPy's order (bound 1e-15 relative).
Refused: single precision.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from postgres_ml.lower.builder import Builder, Facts, Matrix, SlotColumn, unsupported
from postgres_ml.lower.compose import add_arithmetic
from postgres_ml.program.encoders import Clip, Normalize


def parse_standard_scaler(scaler: Any, matrix: Matrix, builder: Builder) -> Matrix:
    """Return (x - mean) / scale."""
    mean = scaler.mean_ if scaler.with_mean else None
    return _shift_and_scale(scaler, matrix, builder, mean, scaler.scale_ if scaler.with_std else None)


def parse_robust_scaler(scaler: Any, matrix: Matrix, builder: Builder) -> Matrix:
    """Return (x - median) / interquartile range."""
    center = scaler.center_ if scaler.with_centering else None
    return _shift_and_scale(scaler, matrix, builder, center, scaler.scale_ if scaler.with_scaling else None)


def parse_max_abs_scaler(scaler: Any, matrix: Matrix, builder: Builder) -> Matrix:
    """Return x / max|x|, clipped to [-1, 1] if `clip`."""
    scaled = _shift_and_scale(scaler, matrix, builder, None, scaler.scale_)
    return _clipped(scaled, -1.0, 1.0, builder) if getattr(scaler, "clip", False) else scaled


def parse_min_max_scaler(scaler: Any, matrix: Matrix, builder: Builder) -> Matrix:
    """Return x * scale + min, clipped to the feature range if `clip`."""
    columns = []
    for slot, scale, low in zip(_checked(scaler, matrix, builder), scaler.scale_, scaler.min_, strict=True):
        scaled = add_arithmetic(builder, add_arithmetic(builder, slot, "*", scale), "+", low)
        columns.append(SlotColumn(scaled))
    result = Matrix(tuple(columns), matrix.names)
    low, high = scaler.feature_range
    return _clipped(result, float(low), float(high), builder) if scaler.clip else result


def parse_normalizer(normalizer: Any, matrix: Matrix, builder: Builder) -> Matrix:
    """Return each row divided by its norm."""
    _check_double(normalizer, matrix)
    slots = builder.check(matrix)
    # a norm that overflows gives 0 or NaN
    facts = Facts(missing=any(builder.facts[s].limit > 1e150 for s in slots), limit=1 + 1e-12)
    columns = tuple(map(SlotColumn, builder.add_wide(Normalize(slots, normalizer.norm), facts)))
    return Matrix(columns, matrix.names, matrix.sparse)


def _check_double(scaler: Any, matrix: Matrix) -> None:
    if matrix.single:
        raise unsupported(scaler, "a float32 matrix", "encode with dtype=float64")


def _checked(scaler: Any, matrix: Matrix, builder: Builder) -> tuple[int, ...]:
    _check_double(scaler, matrix)
    return builder.check(matrix, missing=True)


def _shift_and_scale(scaler: Any, matrix: Matrix, builder: Builder, shift: Any, scale: Any) -> Matrix:
    slots = _checked(scaler, matrix, builder)
    shifts = np.zeros(len(slots)) if shift is None else shift
    scales = np.ones(len(slots)) if scale is None else scale
    columns = []
    for slot, minus, divisor in zip(slots, shifts, scales, strict=True):
        shifted = add_arithmetic(builder, slot, "-", minus)
        # of a sparse matrix scikit-learn multiplies the columns, which rounds twice
        operation = ("*", 1.0 / divisor) if matrix.sparse else ("/", divisor)
        columns.append(SlotColumn(add_arithmetic(builder, shifted, *operation)))
    # a sparse matrix is never shifted, so its zeros stay zeros
    return Matrix(tuple(columns), matrix.names, matrix.sparse)


def _clipped(matrix: Matrix, low: float, high: float, builder: Builder) -> Matrix:
    columns = []
    for slot in builder.numbers(matrix):
        facts = Facts(builder.facts[slot].missing, max(abs(low), abs(high)))
        columns.append(SlotColumn(builder.add(Clip(slot, low, high), facts)))
    return Matrix(tuple(columns), matrix.names, matrix.sparse)
