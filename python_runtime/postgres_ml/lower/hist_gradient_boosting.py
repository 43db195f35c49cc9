"""HistGradientBoostingClassifier and HistGradientBoostingRegressor.

Source: sklearn/ensemble/_hist_gradient_boosting/_predictor.pyx (_predict_one_from_raw_data),
gradient_boosting.py (_raw_predict, _preprocess_X, predict).
Exactness: leaves are exact, raw scores equal to the last bit: doubles are compared with doubles and added in
tree order from the baseline.
Refused: sparse matrices; categorical columns that may hold fractions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from postgres_ml.lower.builder import Builder, Facts, Matrix, Scores, SlotColumn, floats, unsupported
from postgres_ml.lower.linear import PROBABILITY, complemented
from postgres_ml.lower.tree import compact
from postgres_ml.program.program import BinaryLabel, MulticlassLabel, Value
from postgres_ml.program.scorers import Link, Tree, TreeEnsemble

IDENTITY_LOSSES = ("squared_error", "absolute_error", "quantile")
LOG_LOSSES = ("poisson", "gamma")


def parse_hist_gradient_boosting_regressor(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return the raw score through the loss's link."""
    raw = _raw_scores(estimator, matrix, builder)
    if estimator.loss in IDENTITY_LOSSES:
        return Scores(Value(raw[0]))
    if estimator.loss in LOG_LOSSES:
        return Scores(Value(builder.add(Link(raw, "exp"), Facts(False))))
    raise unsupported(estimator, f"loss={estimator.loss!r}")


def parse_hist_gradient_boosting_classifier(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return raw scores, labels (two classes: the second where the score is > 0) and probabilities."""
    raw = _raw_scores(estimator, matrix, builder)
    labels = tuple(estimator.classes_.tolist())
    if len(raw) > 1:
        probabilities = builder.add_wide(Link(raw, "softmax"), PROBABILITY)
        return Scores(MulticlassLabel(labels, raw, probabilities), raw)
    positive = builder.add(Link(raw, "logistic"), PROBABILITY)
    return Scores(BinaryLabel(labels, raw[0], ">", 0.0, complemented(positive, builder)), raw)


def _raw_scores(estimator: Any, matrix: Matrix, builder: Builder) -> tuple[int, ...]:
    if matrix.sparse:
        raise unsupported(estimator, "a sparse matrix", "make it dense")
    if estimator._preprocessor is not None:
        matrix = _encoded(estimator._preprocessor, matrix, builder)
    slots = builder.numbers(matrix)
    trees = tuple(
        _tree_nodes(predictor, output)
        for stage in estimator._predictors
        for output, predictor in enumerate(stage)
    )
    for feature in {
        t.split_index[n] for t in trees for n, codes in enumerate(t.categories) if codes is not None
    }:
        if not builder.facts[slots[feature]].whole:
            raise unsupported(estimator, f"categorical feature {feature} of a column that may hold fractions")
    used, trees = compact(slots, trees)
    base = floats(estimator._baseline_prediction)
    step = TreeEnsemble(used, trees, "<=", "float64", "float64", base)
    return builder.add_wide(step, Facts(False))


def _encoded(preprocessor: Any, matrix: Matrix, builder: Builder) -> Matrix:
    """Return the matrix as the trees see it: categorical columns first, as codes, unknown ones missing."""
    (_, encoder, chosen), *_ = preprocessor.transformers_
    is_categorical = np.zeros(len(matrix.columns), dtype=bool)
    is_categorical[chosen] = True
    block = Matrix(tuple(c for c, yes in zip(matrix.columns, is_categorical, strict=True) if yes))
    encoded: Matrix = builder.parse(encoder, block)
    others = [c for c, yes in zip(matrix.columns, is_categorical, strict=True) if not yes]
    numbers = tuple(SlotColumn(builder.number(column)) for column in others)
    return Matrix((*encoded.columns, *numbers))


def _tree_nodes(predictor: Any, output: int) -> Tree:
    nodes = predictor.nodes
    is_leaf = nodes["is_leaf"].astype(bool)
    is_categorical = nodes["is_categorical"].astype(bool) & ~is_leaf
    categories: tuple[tuple[int, ...] | None, ...] = ()
    if is_categorical.any():
        categories = tuple(
            _codes(predictor.raw_left_cat_bitsets[node["bitset_idx"]]) if chosen else None
            for node, chosen in zip(nodes, is_categorical, strict=True)
        )
    values = nodes["value"].tolist()
    return Tree(
        tuple(np.where(is_leaf, -1, nodes["feature_idx"].astype(np.int64)).tolist()),
        tuple(np.where(is_leaf | is_categorical, np.nan, nodes["num_threshold"]).tolist()),
        tuple(np.where(is_leaf, -1, nodes["left"].astype(np.int64)).tolist()),
        tuple(np.where(is_leaf, -1, nodes["right"].astype(np.int64)).tolist()),
        tuple(nodes["missing_go_to_left"].astype(bool).tolist()),
        tuple((value,) if leaf else () for value, leaf in zip(values, is_leaf.tolist(), strict=True)),
        (output,),
        categories,
    )


def _codes(bitset: Any) -> tuple[int, ...]:
    """Return the set bits of eight 32-bit words."""
    return tuple(
        32 * word + bit for word, bits in enumerate(bitset.tolist()) for bit in range(32) if bits >> bit & 1
    )
