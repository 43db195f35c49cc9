"""Exact path-dependent TreeSHAP of a tree ensemble of any library, for many rows at once.

A leaf is reached if all features of its path agree. In the game of Lundberg et al. (2020, "From local
explanations to global understanding", algorithm 1) a known feature j contributes o_j, 1 if the row fits the
path's conditions on j and else 0; an unknown one contributes z_j, the share of the background rows that do.
With k features on the path, the Shapley value of i is leaf * (o_i - z_i) times the sum over subsets S of the
others of

    |S|! (k - |S| - 1)! / k! * product of o_j in S * product of z_j outside.

Since s! (k - s - 1)! / k! is the integral of t^s (1 - t)^(k - 1 - s) over [0, 1], that sum is the integral of
the product of o_j t + z_j (1 - t): a polynomial of degree k - 1, which ceil(k/2) points of Gauss-Legendre
integrate exactly.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from postgres_ml.program.compute import leaf_index
from postgres_ml.program.scorers import Tree, TreeEnsemble

Floats = npt.NDArray[np.float64]
CHUNK_CELLS = 1_000_000  # doubles in the largest array of a chunk of rows: 8 MB, of which there are seven


@dataclass(frozen=True)
class Paths:
    """Leaves whose paths ask about the same number k of features.

    Parameters
    ----------
    features : of shape (n_leaves, k), positions in the ensemble's slots
    shares : of shape (n_leaves, k), the share of the background rows that pass the path's conditions on the
        feature, of those that reach each of its nodes
    conditions : for each of the k positions, a list of (leaf, node, whether the path goes left) as arrays
    values : of shape (n_leaves, n_outputs)
    """

    features: npt.NDArray[np.int64]
    shares: Floats
    conditions: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]]
    values: Floats


class Explainer:
    """An ensemble, and the shares of background rows at its nodes.

    Parameters
    ----------
    background : of shape (n_rows, n_slots), slots that the ensemble reads
    """

    def __init__(self, step: TreeEnsemble, background: Floats) -> None:
        self.step = step
        self.dtype = np.float32 if step.split_dtype == "float32" else np.float64
        self.offsets = np.cumsum([0, *(tree.n_nodes for tree in step.trees)])
        self.counts = [_counts(step, tree, background.astype(self.dtype)) for tree in step.trees]
        self.paths = list(self._paths())
        self.expected = self._expected()

    @property
    def cost(self) -> int:
        """Multiplications for one row, about."""
        return sum(p.features.size * (p.features.shape[1] + 1) // 2 for p in self.paths)

    def shap_values(self, x: Floats) -> Floats:
        """Return Shapley values of shape (n_outputs, n_rows, n_slots).

        With `expected` they add up to the ensemble's output, of the same row, in double precision.
        """
        n_outputs, n_slots = self.step.width, len(self.step.slots)
        result = np.zeros((len(x), n_outputs * n_slots))
        largest = max((p.features.size for p in self.paths), default=1)
        size = max(1, CHUNK_CELLS // max(largest, int(self.offsets[-1])))
        scatter = [self._scatter(p) for p in self.paths]
        for start in range(0, len(x), size):
            goes_left = self._goes_left(x[start : start + size])
            for paths, matrix in zip(self.paths, scatter, strict=True):
                shares = _leaf_shares(paths, goes_left)
                result[start : start + size] += (
                    matrix.T @ shares.reshape(len(shares), paths.features.size).T
                ).T
        return result.reshape(len(x), n_outputs, n_slots).transpose(1, 0, 2) / self.step.divisor

    def _goes_left(self, x: Floats) -> npt.NDArray[np.bool_]:
        """Return of shape (n_rows, n_nodes) whether a row would go left at each inner node."""
        trees = self.step.trees
        split = np.concatenate([tree.split_index for tree in trees])
        inner = np.flatnonzero(split >= 0)
        values = x.astype(self.dtype)[:, split[inner]].astype(np.float64)
        compare = np.less if self.step.operator == "<" else np.less_equal
        with np.errstate(invalid="ignore"):
            left = compare(values, np.concatenate([tree.threshold for tree in trees])[inner])
        categories = [codes for tree in trees for codes in tree.categories or (None,) * tree.n_nodes]
        for column, node in enumerate(inner.tolist()):
            codes = categories[node]
            if codes is not None:
                listed = np.isin(values[:, column], codes)
                left[:, column] = listed == self.step.category_goes_left
        default = np.concatenate([tree.default_left for tree in trees])[inner]
        left = np.where(np.isnan(values), default, left)
        result = np.zeros((len(x), len(split)), dtype=bool)
        result[:, inner] = left
        return result

    def _paths(self) -> Iterator[Paths]:
        groups: dict[int, list[tuple[dict[int, list[tuple[int, bool]]], list[float], list[float]]]]
        groups = defaultdict(list)
        for tree, start, counts in zip(self.step.trees, self.offsets, self.counts, strict=False):
            for conditions, shares, values in _leaves(tree, int(start), counts):
                row = [0.0] * self.step.width
                for output, value in zip(tree.outputs, values, strict=True):
                    row[output] += value
                groups[len(conditions)].append((conditions, shares, row))
        for k, leaves in sorted(groups.items()):
            asked: list[list[tuple[int, int, bool]]] = [[] for _ in range(k)]
            for number, (conditions, _, _) in enumerate(leaves):
                for position, nodes in enumerate(conditions.values()):
                    asked[position] += [(number, node, left) for node, left in nodes]
            yield Paths(
                np.array([list(conditions) for conditions, _, _ in leaves], dtype=np.int64).reshape(
                    len(leaves), k
                ),
                np.array([shares for _, shares, _ in leaves], dtype=np.float64).reshape(len(leaves), k),
                [_columns(triples) for triples in asked],
                np.array([values for _, _, values in leaves]),
            )

    def _expected(self) -> Floats:
        total = np.array(self.step.base_scores, dtype=np.float64)
        for paths in self.paths:
            total = total + np.prod(paths.shares, axis=1) @ paths.values
        return total / self.step.divisor

    def _scatter(self, paths: Paths) -> Any:
        """Return the matrix of (leaf, position) to (output, slot) that carries the leaves' values."""
        n_leaves, k = paths.features.shape
        n_outputs, n_slots = self.step.width, len(self.step.slots)
        leaf, output = np.nonzero(paths.values)
        rows = (leaf[:, None] * k + np.arange(k)).ravel()
        columns = (output[:, None] * n_slots + paths.features[leaf]).ravel()
        data = np.repeat(paths.values[leaf, output], k)
        return sparse.csr_matrix((data, (rows, columns)), shape=(n_leaves * k, n_outputs * n_slots))


def _counts(step: TreeEnsemble, tree: Tree, background: Any) -> npt.NDArray[np.int64]:
    """Return how many background rows reach each node."""
    counts = np.bincount(leaf_index(step, tree, background), minlength=tree.n_nodes)
    for node in range(tree.n_nodes - 1, -1, -1):  # children follow their parents
        if tree.split_index[node] >= 0:
            counts[node] = counts[tree.left[node]] + counts[tree.right[node]]
    return counts


def _leaves(
    tree: Tree, start: int, counts: npt.NDArray[np.int64]
) -> Iterator[tuple[dict[int, list[tuple[int, bool]]], list[float], tuple[float, ...]]]:
    """Yield each leaf: its path's (node, goes left) by feature, the features' shares, its values."""
    stack: list[tuple[int, dict[int, list[tuple[int, bool]]], dict[int, float]]] = [(0, {}, {})]
    while stack:
        node, conditions, shares = stack.pop()
        feature = tree.split_index[node]
        if feature < 0:
            yield conditions, list(shares.values()), tree.leaf_value[node]
            continue
        for child, left in ((tree.left[node], True), (tree.right[node], False)):
            # where no background row comes, either side is as likely: the shares have to add up to 1
            share = counts[child] / counts[node] if counts[node] else 0.5
            asked = [*conditions.get(feature, ()), (start + node, left)]
            stack.append(
                (child, {**conditions, feature: asked}, {**shares, feature: shares.get(feature, 1.0) * share})
            )


def _columns(triples: list[tuple[int, int, bool]]) -> Any:
    leaf, node, left = (np.array(column) for column in zip(*triples, strict=True))
    return leaf, node, left


def _leaf_shares(paths: Paths, goes_left: npt.NDArray[np.bool_]) -> Floats:
    """Return of shape (n_rows, n_leaves, k) each feature's part of the leaf's value."""
    n_leaves, k = paths.features.shape
    known = np.ones((len(goes_left), n_leaves, k), dtype=bool)
    for position, (leaf, node, left) in enumerate(paths.conditions):
        fits = goes_left[:, node] == left
        # conditions of one leaf follow one another
        first = np.flatnonzero(np.append(True, leaf[1:] != leaf[:-1]))
        known[:, leaf[first], position] = np.logical_and.reduceat(fits, first, axis=1)
    gain = known - paths.shares
    total = np.zeros_like(gain)
    points, weights = np.polynomial.legendre.leggauss((k + 1) // 2) if k else ((), ())
    for point, weight in zip(points, weights, strict=True):
        total += _products_of_others(paths.shares + (point + 1) / 2 * gain) * (weight / 2)
    result: Floats = gain * total
    return result


def _products_of_others(factors: Floats) -> Floats:
    """Return for each position of the last axis the product of all other positions."""
    result = np.ones_like(factors)
    k = factors.shape[-1]
    before, after = np.ones(factors.shape[:-1]), np.ones(factors.shape[:-1])
    for position in range(k):
        result[..., position] *= before
        before = before * factors[..., position]
        result[..., k - 1 - position] *= after
        after = after * factors[..., k - 1 - position]
    return result
