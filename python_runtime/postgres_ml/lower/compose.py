"""Pipeline, ColumnTransformer, FeatureUnion and FunctionTransformer: how the matrix is cut and joined.

Source: sklearn/pipeline.py, sklearn/compose/_column_transformer.py,
sklearn/preprocessing/_function_transformer.py.
Exactness: bit-exact (columns are moved; FunctionTransformer's functions differ from NumPy's by the ulp of the
runtime's own exp, log and so on).
Refused: transformer_weights; a FunctionTransformer of anything but one of NumPy's listed functions, or with
kw_args.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from postgres_ml.features.frame_types import column_positions
from postgres_ml.lower.builder import Builder, Facts, Matrix, Scores, SlotColumn, require, unsupported
from postgres_ml.program.encoders import Arithmetic, Unary, UnaryName


def parse_pipeline_steps(pipeline: Any, matrix: Matrix, builder: Builder) -> Matrix | Scores:
    """Return what the last step returns."""
    result: Matrix | Scores = matrix
    for _, step in pipeline.steps:
        if step is None or step == "passthrough":
            continue
        if isinstance(result, Scores):
            raise unsupported(pipeline, f"step {type(step).__name__} after an estimator")
        result = builder.parse(step, result)
    return result


def parse_column_transformer(transformer: Any, matrix: Matrix, builder: Builder) -> Matrix:
    """Return the transformers' outputs side by side, in the fitted order, the remainder last."""
    require(transformer, "transformer_weights", None, {})
    names = [str(name) for name in getattr(transformer, "feature_names_in_", ())] or None
    if names is not None and matrix.names is not None and list(matrix.names) != names:
        raise unsupported(transformer, f"columns {names}, fitted", f"the inputs are {list(matrix.names)}")
    if len(matrix.columns) != transformer.n_features_in_:
        counts = f"{len(matrix.columns)} columns, fitted on {transformer.n_features_in_},"
        raise unsupported(transformer, counts)
    blocks = []
    for _, fitted, selected in transformer.transformers_:
        if isinstance(fitted, str) and fitted == "drop":
            continue
        positions = column_positions(selected, names, len(matrix.columns))
        if not positions:
            continue
        block = Matrix(
            tuple(matrix.columns[p] for p in positions),
            None if names is None else tuple(names[p] for p in positions),
            matrix.sparse,
            matrix.single,
        )
        blocks.append(block if isinstance(fitted, str) else builder.parse(fitted, block))
    return join(blocks, sparse=bool(transformer.sparse_output_))


def join(blocks: Sequence[Matrix], *, sparse: bool) -> Matrix:
    """Return the blocks side by side."""
    columns = tuple(column for block in blocks for column in block.columns)
    return Matrix(columns, None, sparse, bool(blocks) and all(block.single for block in blocks))


def parse_feature_union(union: Any, matrix: Matrix, builder: Builder) -> Matrix:
    """Return the transformers' outputs side by side."""
    require(union, "transformer_weights", None, {})
    blocks = []
    for _, fitted in union.transformer_list:
        if isinstance(fitted, str) and fitted == "drop":
            continue
        blocks.append(matrix if isinstance(fitted, str) else builder.parse(fitted, matrix))
    # scipy.sparse.hstack makes everything sparse as soon as one block is
    return join(blocks, sparse=any(block.sparse for block in blocks))


UFUNCS: dict[Any, str] = {
    np.abs: "abs",
    np.cbrt: "cbrt",
    np.cos: "cos",
    np.exp: "exp",
    np.expm1: "expm1",
    np.log: "log",
    np.log1p: "log1p",
    np.log2: "log2",
    np.log10: "log10",
    np.negative: "negative",
    np.sign: "sign",
    np.sin: "sin",
    np.sqrt: "sqrt",
    np.square: "square",
    np.tanh: "tanh",
}
BOUNDS = {"cos": 1.0, "sin": 1.0, "tanh": 1.0, "sign": 1.0}
KEEPS_BOUND = ("abs", "negative")


def parse_function_transformer(transformer: Any, matrix: Matrix, builder: Builder) -> Matrix:
    """Return the columns after a NumPy function of one argument, or unchanged without one."""
    require(transformer, "kw_args", None, {})
    if transformer.func is None:
        if transformer.validate:
            builder.check(matrix)
        return matrix
    if transformer.validate:
        builder.check(matrix)
    if matrix.sparse or matrix.single:
        raise unsupported(transformer, "a sparse or float32 matrix", "make it dense and float64")
    slots = [apply_ufunc(transformer, transformer.func, slot, builder) for slot in builder.numbers(matrix)]
    return Matrix(tuple(map(SlotColumn, slots)), matrix.names)


def apply_ufunc(owner: Any, function: Any, slot: int, builder: Builder) -> int:
    """Return a slot with a NumPy function of one argument applied.

    Raises
    ------
    UnsupportedModelError
        The function is none of `UFUNCS`; `owner` is named.
    """
    name = next((name for ufunc, name in UFUNCS.items() if ufunc is function), None)
    if name is None:
        names = ", ".join(sorted(UFUNCS.values()))
        raise unsupported(owner, f"the function {function!r}", f"use one of NumPy's {names}")
    known = builder.facts[slot]
    if name in KEEPS_BOUND:
        facts = known
    else:
        defined = name in ("cbrt", "exp", "expm1", "square", "tanh", "sign") and not known.missing
        facts = Facts(missing=not defined, limit=BOUNDS.get(name, np.inf))
    return builder.add(Unary(slot, cast(UnaryName, name)), facts)


def add_arithmetic(builder: Builder, slot: int, operator: str, constant: float) -> int:
    """Return a slot with `slot <operator> constant`; x + 0, x - 0, x * 1 and x / 1 are x itself."""
    constant = float(constant)
    if constant == (0.0 if operator in "+-" else 1.0):
        return slot
    known = builder.facts[slot]
    # one part in 2^50 for the rounding of the operation itself
    slack = 1 + 2.0**-50
    if operator in "+-":
        limit = (known.limit + abs(constant)) * slack
    elif operator == "*":
        limit = known.limit * abs(constant) * slack if constant else 0.0
    else:
        limit = known.limit / abs(constant) * slack
    missing = known.missing or (operator == "*" and constant == 0 and known.limit == np.inf)
    whole = known.whole and operator != "/" and constant.is_integer()
    return builder.add(
        Arithmetic(slot, operator, constant),  # type: ignore[arg-type]
        Facts(missing, limit, whole),
    )
