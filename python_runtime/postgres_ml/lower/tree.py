"""scikit-learn's trees and the forests and boosters made of them.

Source: sklearn/tree/_tree.pyx (Tree._apply_dense), sklearn/tree/_classes.py (_validate_X_predict),
sklearn/ensemble/_forest.py (predict, predict_proba, _accumulate_prediction), sklearn/ensemble/_gb.py
(_raw_predict), sklearn/ensemble/_gradient_boosting.pyx (predict_stages).
Exactness: leaves are exact, scores equal to the last bit: x is rounded to single precision and compared
with a double threshold; values are added in double precision, in tree order. (With n_jobs > 1 a forest
itself adds in the order in which its threads finish; this is n_jobs=1.)
Refused: several targets; GradientBoosting with an init estimator.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from postgres_ml.lower.builder import Builder, Facts, Matrix, Scores, floats, require, unsupported
from postgres_ml.lower.compose import add_arithmetic
from postgres_ml.lower.linear import PROBABILITY, complemented
from postgres_ml.program.program import BinaryLabel, MulticlassLabel, Value
from postgres_ml.program.scorers import Link, Tree, TreeEnsemble

# scikit-learn 1.6 and 1.7 can put NaN for a threshold where a column has missing values: then no value is
# below it. Of single precision, none is below this one
NOTHING_LEFT = -float(np.finfo(np.float64).max)


def parse_tree_or_forest_regressor(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return the mean of the trees' values."""
    (slot,) = _mean_of_trees(estimator, matrix, builder, 1)
    return Scores(Value(slot), (slot,))


def parse_tree_or_forest_classifier(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return the mean of the trees' class fractions, and the label of the greatest."""
    labels = tuple(estimator.classes_.tolist())
    probabilities = _mean_of_trees(estimator, matrix, builder, len(labels))
    # argmax, not p > 0.5: the fractions need not sum to 1 to the last bit
    return Scores(MulticlassLabel(labels, probabilities, probabilities))


def parse_gradient_boosting_regressor(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return the initial prediction plus the shrunken trees."""
    (slot,) = _boosted(estimator, matrix, builder)
    return Scores(Value(slot), (slot,))


def parse_gradient_boosting_classifier(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return raw scores, labels (two classes: the second where the score is >= 0) and probabilities."""
    raw = _boosted(estimator, matrix, builder)
    labels = tuple(estimator.classes_.tolist())
    if len(labels) > 2:
        probabilities = builder.add_wide(Link(raw, "softmax"), PROBABILITY)
        return Scores(MulticlassLabel(labels, raw, probabilities), raw)
    score = raw[0]
    # the exponential loss has the half logit as its link
    logit = add_arithmetic(builder, score, "*", 2.0) if estimator.loss == "exponential" else score
    positive = builder.add(Link((logit,), "logistic"), PROBABILITY)
    return Scores(BinaryLabel(labels, score, ">=", 0.0, complemented(positive, builder)), raw)


def tree_nodes(tree: Any, scale: float, outputs: tuple[int, ...]) -> Tree:
    """Return a scikit-learn `Tree` with its leaves times `scale`."""
    nodes = tree.__getstate__()["nodes"]
    is_leaf = nodes["left_child"] == -1
    threshold = np.where(np.isnan(nodes["threshold"]), NOTHING_LEFT, nodes["threshold"])
    values = (tree.value.reshape(len(nodes), -1) * scale).tolist()
    default_left = nodes["missing_go_to_left"] if "missing_go_to_left" in nodes.dtype.names else is_leaf
    return Tree(
        tuple(np.where(is_leaf, -1, nodes["feature"]).tolist()),
        tuple(np.where(is_leaf, np.nan, threshold).tolist()),
        tuple(nodes["left_child"].tolist()),
        tuple(np.where(is_leaf, -1, nodes["right_child"]).tolist()),
        tuple(default_left.astype(bool).tolist()),
        tuple(tuple(value) if leaf else () for value, leaf in zip(values, is_leaf.tolist(), strict=True)),
        outputs,
    )


def compact(slots: tuple[int, ...], trees: tuple[Tree, ...]) -> tuple[tuple[int, ...], tuple[Tree, ...]]:
    """Return the slots that some tree splits on, and the trees counting in them."""
    used = sorted({feature for tree in trees for feature in tree.split_index if feature >= 0})
    position = {feature: number for number, feature in enumerate(used)} | {-1: -1}
    counted = tuple(
        dataclasses.replace(tree, split_index=tuple([position[feature] for feature in tree.split_index]))
        for tree in trees
    )
    return tuple(slots[feature] for feature in used), counted


def _checked(estimator: Any, tree_estimator: Any, matrix: Matrix, builder: Builder) -> tuple[int, ...]:
    if getattr(estimator, "n_outputs_", 1) > 1:
        raise unsupported(estimator, f"{estimator.n_outputs_} targets", "train one model for each")
    missing = not matrix.sparse and bool(tree_estimator._support_missing_values(np.zeros((1, 1))))
    return builder.check(matrix, missing=missing, dtype="float32")


def _mean_of_trees(estimator: Any, matrix: Matrix, builder: Builder, n_outputs: int) -> tuple[int, ...]:
    members = getattr(estimator, "estimators_", [estimator])
    slots = _checked(estimator, members[0], matrix, builder)
    outputs = tuple(range(n_outputs))
    used, trees = compact(slots, tuple(tree_nodes(member.tree_, 1.0, outputs) for member in members))
    step = TreeEnsemble(used, trees, "<=", "float32", "float64", (0.0,) * n_outputs, float(len(trees)))
    values = np.array([value for tree in trees for value in tree.leaf_value if value])
    return builder.add_wide(step, Facts(False, float(np.abs(values).max()) * (1 + 1e-9)))


def _boosted(estimator: Any, matrix: Matrix, builder: Builder) -> tuple[int, ...]:
    """Return the slots of the raw scores.

    The initial prediction must be a constant: the default (the target's distribution) or zero.
    """
    require(estimator, "init", None, "zero", hint="leave init at its default")
    slots = builder.check(matrix, dtype="float32")
    base = estimator._raw_predict_init(np.zeros((1, estimator.n_features_in_), dtype=np.float32))[0]
    n_outputs = estimator.estimators_.shape[1]
    trees = tuple(
        tree_nodes(member.tree_, estimator.learning_rate, (output,))
        for stage in estimator.estimators_
        for output, member in enumerate(stage)
    )
    used, trees = compact(slots, trees)
    step = TreeEnsemble(used, trees, "<=", "float32", "float64", floats(base))
    if len(base) != n_outputs:
        raise unsupported(estimator, f"{len(base)} initial predictions for {n_outputs} outputs")
    return builder.add_wide(step, Facts(False))
