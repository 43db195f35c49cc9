"""IsolationForest, and our AnomalyDetector around it.

Source: sklearn/ensemble/_iforest.py (predict, _compute_score_samples, _average_path_length),
sklearn/tree/_tree.pyx (Tree._apply_dense, Tree._apply_sparse_csr).
Exactness: the sum of a row's depths is equal to the last bit, and so is what is called an anomaly: the score
falls as the sum grows, so the greatest sum that the library's own arithmetic calls an anomaly is the limit.
The score is 2 to the power of -x, here exp(-ln 2 * x): within an ulp or two of NumPy's.
Refused: a limit around which NumPy's power function does not fall steadily, which none has been seen to do.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import _iforest

from postgres_ml.lower.builder import Builder, Facts, Matrix, Scores, unsupported
from postgres_ml.lower.compose import add_arithmetic
from postgres_ml.lower.tree import compact, tree_nodes
from postgres_ml.program.program import BinaryLabel, Label, Value
from postgres_ml.program.scorers import Link, Tree, TreeEnsemble

Doubles = npt.NDArray[np.float64]
NEAR = 1_000  # doubles on either side of the limit
NEVER = -1.0  # less than every sum of depths


def parse_isolation_forest(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return -1 for an anomaly, 1 for any other row, as predict does."""
    return Scores(_rule(estimator, _depths(estimator, matrix, builder), (-1, 1), builder))


def parse_anomaly_detector(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return the forest's -score_samples, 0 to 1, and beside it whether the row is an anomaly."""
    forest = estimator.estimator_
    if type(forest) is not _iforest.IsolationForest:
        raise unsupported(estimator, f"{type(forest).__name__} inside", "use an IsolationForest")
    depths = _depths(forest, matrix, builder)
    rule = _rule(forest, depths, (True, False), builder) if estimator.has_rule else None
    denominator = _denominator(forest)
    mean = builder.constant(1.0)
    if denominator:
        mean = add_arithmetic(builder, depths, "/", denominator)
    power = add_arithmetic(builder, mean, "*", -math.log(2.0))
    return Scores(Value(builder.add(Link((power,), "exp"), Facts(False, 1.0))), rule=rule)


def _depths(forest: Any, matrix: Matrix, builder: Builder) -> int:
    """Return the slot of the sum over the trees of the depth at which each isolates the row.

    Any value is taken, infinity and NaN too. A NaN goes where its split says, but in a sparse matrix, whose
    rows the library compares as they are, to the right.
    """
    slots = builder.numbers(matrix)
    trees = []
    for number, member in enumerate(forest.estimators_):
        nodes = tree_nodes(member.tree_, 1.0, (0,))
        # as the library adds them, so that the last bits are the same
        depth = forest._decision_path_lengths[number] + forest._average_path_length_per_tree[number] - 1.0
        leaves = zip(nodes.split_index, depth.tolist(), strict=True)
        trees.append(
            dataclasses.replace(
                nodes,
                split_index=_features(forest, number, nodes),
                leaf_value=tuple((value,) if feature < 0 else () for feature, value in leaves),
                default_left=(False,) * nodes.n_nodes if matrix.sparse else nodes.default_left,
            )
        )
    used, counted = compact(slots, tuple(trees))
    step = TreeEnsemble(used, counted, "<=", "float32", "float64", (0.0,))
    return builder.add(step, Facts(False, _greatest(counted)))


def _features(forest: Any, number: int, nodes: Tree) -> tuple[int, ...]:
    """Return the columns that a tree splits on; with max_features it counts in those that were drawn."""
    if forest._max_features == forest.n_features_in_:
        return nodes.split_index
    drawn = forest.estimators_features_[number].tolist()
    return tuple(feature if feature < 0 else drawn[feature] for feature in nodes.split_index)


def _greatest(trees: tuple[Tree, ...]) -> float:
    """Return a limit that no sum of depths exceeds, the rounding of the sums included."""
    return sum(max(value[0] for value in tree.leaf_value if value) for tree in trees) * (1 + 1e-9)


def _denominator(forest: Any) -> float:
    """Return what the sum is divided by; 0 where trees have seen one row each, and every score is 0.5."""
    return float(len(forest.estimators_) * _iforest._average_path_length([forest._max_samples])[0])


def _rule(forest: Any, depths: int, labels: tuple[Label, Label], builder: Builder) -> BinaryLabel:
    """Return the rule that a row is an anomaly where its sum of depths is at most the limit."""
    limit = _greatest_anomaly(forest, builder.facts[depths].limit)
    return BinaryLabel(labels, depths, ">", limit, ())


def _greatest_anomaly(forest: Any, greatest: float) -> float:
    """Return the greatest sum of depths that predict calls an anomaly, by bisection of the doubles."""
    low, high = 0, int(np.float64(greatest).view(np.int64))  # positive doubles are ordered as their bits
    if not _are_anomalies(forest, _doubles(low, low))[0]:
        return NEVER
    while low < high:
        middle = (low + high + 1) // 2
        if _are_anomalies(forest, _doubles(middle, middle))[0]:
            low = middle
        else:
            high = middle - 1
    limit = float(_doubles(low, low)[0])
    around = _doubles(max(low - NEAR, 0), low + NEAR)
    around = around[around <= greatest]
    if not np.array_equal(_are_anomalies(forest, around), around <= limit):
        raise unsupported(forest, "a limit around which NumPy's power function does not fall steadily")
    return limit


def _doubles(first: int, last: int) -> Doubles:
    """Return the doubles from one to another, given by their bits."""
    return np.arange(first, last + 1, dtype=np.int64).view(np.float64)


def _are_anomalies(forest: Any, depths: Doubles) -> npt.NDArray[np.bool_]:
    """Return what predict says of rows with these sums of depths, by the library's own operations."""
    denominator = _denominator(forest)
    mean = np.divide(depths, denominator, out=np.ones_like(depths), where=denominator != 0)
    found: npt.NDArray[np.bool_] = -(2 ** (-mean)) - forest.offset_ < 0
    return found
