"""The payload of a tree ensemble: nodes breadth first, so that children need no pointers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from postgres_ml.generate.native.buffer import Buffer
from postgres_ml.program.scorers import Tree, TreeEnsemble

OR_EQUAL, DOUBLE_SPLITS, DOUBLE_SUMS, CATEGORY_GOES_LEFT, WIDE_SPLITS, VECTOR_LEAVES = (
    1 << i for i in range(6)
)
DEFAULT_LEFT, CATEGORICAL = 1, 2
NARROW_SLOTS = 1 << 14  # slots that fit a 16-bit split beside its two flags


def write_ensemble(step: TreeEnsemble, buffer: Buffer) -> None:
    """Append the ensemble."""
    trees = [_breadth_first(tree) for tree in step.trees]
    vector_leaves = any(len(tree.outputs) != 1 for tree in step.trees)
    flags = {
        OR_EQUAL: step.operator == "<=",
        DOUBLE_SPLITS: step.split_dtype == "float64",
        DOUBLE_SUMS: step.dtype == "float64",
        CATEGORY_GOES_LEFT: step.category_goes_left,
        WIDE_SPLITS: len(step.slots) > NARROW_SLOTS,
        VECTOR_LEAVES: vector_leaves,
    }
    n_leaf_values = sum(len(values) for tree in step.trees for values in tree.leaf_value)
    buffer.u8(sum(flag for flag, is_set in flags.items() if is_set))
    buffer.f64(step.divisor)
    buffer.u32(len(step.base_scores))
    buffer.f64s(step.base_scores)
    buffer.slots(step.slots)
    buffer.u32(len(trees))
    buffer.u32(step.n_nodes)
    buffer.u32(n_leaf_values if vector_leaves else 0)
    buffer.u32(sum(codes is not None for tree in step.trees for codes in tree.categories))
    for tree, order in zip(step.trees, trees, strict=True):
        _write_tree(buffer, step, tree, order)


def _breadth_first(tree: Tree) -> npt.NDArray[np.int64]:
    """Return the tree's node numbers level by level, a node's children side by side."""
    split_index, left, right = (np.array(a) for a in (tree.split_index, tree.left, tree.right))
    levels = [np.zeros(1, dtype=np.int64)]
    while True:
        inner = levels[-1][split_index[levels[-1]] >= 0]
        if not len(inner):
            return np.concatenate(levels)
        levels.append(np.column_stack([left[inner], right[inner]]).ravel())


def _write_tree(buffer: Buffer, step: TreeEnsemble, tree: Tree, order: npt.NDArray[np.int64]) -> None:
    split_index = np.array(tree.split_index)[order]
    is_leaf = split_index < 0
    inner, leaves = order[~is_leaf], order[is_leaf]
    buffer.u32(len(order))
    buffer.slots(tree.outputs)
    buffer.array(np.packbits(is_leaf, bitorder="little"))
    categories = tree.categories or (None,) * len(order)
    flags = np.array(tree.default_left)[inner] * DEFAULT_LEFT
    flags = flags + np.array([categories[n] is not None for n in inner.tolist()], dtype=int) * CATEGORICAL
    narrow = len(step.slots) <= NARROW_SLOTS
    buffer.array((split_index[~is_leaf] * 4 + flags).astype(np.uint16 if narrow else np.uint32))
    buffer.array(_thresholds(step, np.array(tree.threshold, dtype=np.float64)[inner]))
    values = np.array([tree.leaf_value[n] for n in leaves.tolist()], dtype=step.dtype)
    buffer.array(values)
    for node in inner.tolist():
        codes = categories[node]
        if codes is not None:
            buffer.slots(sorted(set(codes)))


def _thresholds(step: TreeEnsemble, thresholds: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    """Return the thresholds in the type that the splits compare in; no comparison changes.

    scikit-learn compares single-precision values with double-precision thresholds. Such an x is <= t exactly
    where it is <= the greatest single-precision number that is <= t, and < t where it is < the least one
    that is >= t.
    """
    thresholds = np.where(np.isnan(thresholds), 0.0, thresholds)  # categorical splits: not looked at
    if step.split_dtype == "float64":
        return thresholds
    with np.errstate(over="ignore"):
        single = thresholds.astype(np.float32)
    towards = np.float32(-np.inf if step.operator == "<=" else np.inf)
    beyond = single > thresholds if step.operator == "<=" else single < thresholds
    return np.where(beyond, np.nextafter(single, towards), single).astype(np.float32)
