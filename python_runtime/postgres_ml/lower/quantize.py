"""KBinsDiscretizer and QuantileTransformer: functions of one column given by a table of points.

Source: sklearn/preprocessing/_discretization.py (transform), sklearn/preprocessing/_data.py
(QuantileTransformer._transform_col).
Exactness: bins are exact; quantiles within 1e-14 (the two interpolations and their mean are rounded apart).
Refused: QuantileTransformer(output_distribution='normal') (use QuantileNormal of
postgres_ml.components.transformers); single precision; sparse matrices.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from postgres_ml.lower.builder import Builder, Column, Facts, Matrix, SlotColumn, floats, require, unsupported
from postgres_ml.program.encoders import Bucket, PiecewiseLinear
from postgres_ml.program.scorers import WeightedSum


def parse_k_bins_discretizer(binner: Any, matrix: Matrix, builder: Builder) -> Matrix:
    """Return each column's bin number, or one column per bin."""
    if matrix.single or binner.dtype == np.float32:
        raise unsupported(binner, "single precision", "use dtype=None and float64 columns")
    columns: list[Column] = []
    for slot, edges, n_bins in zip(builder.check(matrix), binner.bin_edges_, binner.n_bins_, strict=True):
        inner = floats(edges[1:-1])
        number = builder.add(Bucket(slot, inner), Facts(False, float(n_bins), True))
        if binner.encode == "ordinal":
            columns.append(SlotColumn(number))
        else:
            columns.extend(SlotColumn(s) for s in builder.one_hot(number, list(map(float, range(n_bins)))))
    return Matrix(tuple(columns), sparse=binner.encode == "onehot")


def parse_quantile_transformer(transformer: Any, matrix: Matrix, builder: Builder) -> Matrix:
    """Return each column's quantile in the training rows."""
    hint = "use postgres_ml.components.transformers.QuantileNormal"
    require(transformer, "output_distribution", "uniform", hint=hint)
    if matrix.sparse or matrix.single:
        raise unsupported(transformer, "a sparse or float32 matrix", "make it dense and float64")
    columns = []
    for slot, quantiles in zip(builder.check(matrix, missing=True), transformer.quantiles_.T, strict=True):
        gaps = np.diff(np.unique(quantiles))
        if len(gaps) and gaps.min() < np.finfo(np.float64).tiny:
            hint = "round the column, or multiply it by a constant, in the query"
            raise unsupported(transformer, "quantiles that are closer than a slope can be computed", hint)
        columns.append(SlotColumn(_quantile(slot, quantiles, transformer.references_, builder)))
    return Matrix(tuple(columns))


def _quantile(slot: int, quantiles: Any, references: Any, builder: Builder) -> int:
    """Return a slot with the mean of the interpolations from the left and from the right.

    A value that several quantiles share is a jump: below it the first of their references is approached,
    above it the last, and at it their mean. The jumps are taken out of the interpolated points and added
    again by counting, exactly, which of the jumps lie below the value.
    """
    values, first = np.unique(quantiles, return_index=True)
    last = np.append(first[1:], len(quantiles)) - 1
    low, high = references[first], references[last]
    at = (low + high) / 2
    # the ends are given, whatever is repeated there
    at[-1], at[0] = 1.0, 0.0
    facts = Facts(builder.facts[slot].missing, 1.0 + 1e-12)
    if len(values) == 1:
        number = builder.add(Bucket(slot, (float(values[0]), math.nextafter(values[0], math.inf))), facts)
        return _interpolated(number, (0.0, 1.0, 2.0), (0.0, 0.0, 1.0), facts, builder)
    # outside, the value is the end's
    low[0], high[-1] = 0.0, 1.0
    jumped = (at > low) | (high > at)
    before = np.cumsum(high - low) - (high - low)
    smooth = _interpolated(slot, floats(values), floats(low - before), facts, builder)
    if not jumped.any():
        return smooth
    edges: list[float] = []
    heights = [0.0]
    for value, up_to, middle, beyond in zip(
        values[jumped], before[jumped], (at - low)[jumped], (high - low)[jumped], strict=True
    ):
        if edges and edges[-1] == value:  # the next double after another jump: nothing lies between
            edges.pop()
            heights.pop()
        edges += [float(value), math.nextafter(value, math.inf)]
        heights += [float(up_to + middle), float(up_to + beyond)]
    number = builder.add(Bucket(slot, tuple(edges)), facts)
    steps = _interpolated(number, floats(range(len(heights))), tuple(heights), facts, builder)
    return builder.add(WeightedSum(((smooth,), (steps,)), (1.0, 1.0)), facts)


def _interpolated(
    slot: int, x: tuple[float, ...], y: tuple[float, ...], facts: Facts, builder: Builder
) -> int:
    return builder.add(PiecewiseLinear(slot, x, y), facts)
