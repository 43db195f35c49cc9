"""PCA, TruncatedSVD and PolynomialFeatures: columns made of several columns.

Source: sklearn/decomposition/_base.py (_BasePCA._transform), _truncated_svd.py,
sklearn/preprocessing/_polynomial.py.
Exactness: projections are summed in column order, BLAS sums in an order of its own (bound: n_features ulps
of the greatest term); powers are multiplied from left to right (bound: degree ulps).
Refused: single precision.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from postgres_ml.lower.builder import Builder, Facts, Matrix, SlotColumn, floats, rows, unsupported
from postgres_ml.lower.compose import add_arithmetic
from postgres_ml.lower.linear import linear_facts
from postgres_ml.program.encoders import Product
from postgres_ml.program.scorers import Linear


def parse_pca(pca: Any, matrix: Matrix, builder: Builder) -> Matrix:
    """Return the projections on the principal components, of unit variance if `whiten`."""
    _check_double(pca, pca.components_, matrix)
    step = Linear(builder.check(matrix), rows(pca.components_), floats(-(pca.mean_ @ pca.components_.T)))
    slots = builder.add_wide(step, linear_facts(builder, step))
    if pca.whiten:
        scales = np.maximum(np.sqrt(pca.explained_variance_), np.finfo(np.float64).eps)
        slots = tuple(
            add_arithmetic(builder, slot, "/", scale) for slot, scale in zip(slots, scales, strict=True)
        )
    return Matrix(tuple(map(SlotColumn, slots)))


def parse_truncated_svd(svd: Any, matrix: Matrix, builder: Builder) -> Matrix:
    """Return the projections on the right singular vectors."""
    _check_double(svd, svd.components_, matrix)
    step = Linear(builder.check(matrix), rows(svd.components_), (0.0,) * len(svd.components_))
    return Matrix(tuple(map(SlotColumn, builder.add_wide(step, linear_facts(builder, step)))))


def parse_polynomial_features(features: Any, matrix: Matrix, builder: Builder) -> Matrix:
    """Return the products of powers of the columns, the constant 1 among them if `include_bias`."""
    if matrix.single:
        raise unsupported(features, "a float32 matrix", "encode with dtype=float64")
    slots = builder.check(matrix)
    columns = []
    for powers in features.powers_:
        factors = tuple(slot for slot, power in zip(slots, powers, strict=True) for _ in range(power))
        columns.append(SlotColumn(_product(factors, builder)))
    return Matrix(tuple(columns), sparse=matrix.sparse)


def _product(factors: tuple[int, ...], builder: Builder) -> int:
    if len(factors) < 2:
        return factors[0] if factors else builder.constant(1.0)
    known = [builder.facts[slot] for slot in factors]
    limit = float(np.prod([fact.limit for fact in known], dtype=np.float64))
    # 0 times an infinity is NaN
    missing = any(fact.missing for fact in known) or not np.isfinite(limit)
    return builder.add(Product(factors), Facts(missing, limit * (1 + 1e-12), all(f.whole for f in known)))


def _check_double(owner: Any, components: Any, matrix: Matrix) -> None:
    if matrix.single or components.dtype != np.float64:
        raise unsupported(owner, "single-precision components or columns", "train on float64")
