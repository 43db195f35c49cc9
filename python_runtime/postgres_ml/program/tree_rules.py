"""The rules of an ensemble's trees, checked for all nodes at once: there may be a million of them.

A rule is an array of one truth for each node; the first node that breaks one is named.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from postgres_ml.program import scorers
from postgres_ml.program.require import InvalidProgramError, finite, require

Integers = npt.NDArray[np.int64]


def check_trees(step: scorers.TreeEnsemble) -> None:
    """Do nothing if all trees keep the rules.

    Raises
    ------
    InvalidProgramError
        The text names tree, node and rule.
    """
    for number, tree in enumerate(step.trees):
        try:
            _check_form(tree, step.width)
        except InvalidProgramError as error:  # noqa: PERF203  (free in Python 3.11)
            raise InvalidProgramError(f"tree {number}: {error}") from None
    if step.trees:
        _check_nodes(step)


def _check_form(tree: scorers.Tree, n_outputs: int) -> None:
    n = tree.n_nodes
    arrays = (tree.threshold, tree.left, tree.right, tree.default_left, tree.leaf_value)
    require(n > 0 and all(len(a) == n for a in arrays), "arrays are empty or differ in length")
    require(len(tree.categories) in (0, n), "categories differ in length")
    require(len(set(tree.outputs)) == len(tree.outputs) > 0, "outputs are empty or not distinct")
    require(all(0 <= o < n_outputs for o in tree.outputs), f"outputs {tree.outputs} of {n_outputs}")


class _Nodes:
    """All nodes of all trees, one after another.

    Attributes
    ----------
    sizes : nodes of each tree
    node : of each node its number in its own tree
    """

    def __init__(self, trees: tuple[scorers.Tree, ...]) -> None:
        self.sizes = np.array([tree.n_nodes for tree in trees])
        self.starts = np.cumsum(self.sizes) - self.sizes
        self.start = np.repeat(self.starts, self.sizes)
        self.node = np.arange(len(self.start)) - self.start

    def require(self, holds: Any, says: Callable[[int], str]) -> None:
        """Raise what is said of the first node for which the rule doesn't hold."""
        broken = np.flatnonzero(~holds)
        if len(broken):
            place = int(broken[0])
            tree = int(np.searchsorted(self.starts, place, side="right")) - 1
            raise InvalidProgramError(f"tree {tree}: {says(place)}")


def _check_nodes(step: scorers.TreeEnsemble) -> None:
    trees, nodes = step.trees, _Nodes(step.trees)
    split = _integers((tree.split_index for tree in trees), "split_index")
    left, right = (_integers((getattr(tree, side) for tree in trees), side) for side in ("left", "right"))
    n_values = np.array([len(values) for tree in trees for values in tree.leaf_value])
    node, is_leaf = nodes.node, split == -1
    known = is_leaf | ((split >= 0) & (split < len(step.slots)))
    nodes.require(known, lambda i: f"node {node[i]} splits on {split[i]}")
    nodes.require(is_leaf | (n_values == 0), lambda i: f"node {node[i]} is inner and has a leaf value")
    nodes.require(~is_leaf | ((left == -1) & (right == -1)), lambda i: f"leaf {node[i]} has children")
    n_outputs = np.repeat([len(tree.outputs) for tree in trees], nodes.sizes)
    nodes.require(
        ~is_leaf | (n_values == n_outputs), lambda i: f"leaf {node[i]} has no value for each output"
    )
    _check_leaf_values(trees)
    _check_splits(step, nodes, is_leaf)
    size = np.repeat(nodes.sizes, nodes.sizes)
    for child in (left, right):
        follows = is_leaf | ((child > node) & (child < size))
        nodes.require(follows, functools.partial(_says_child, node, child))
    children = np.concatenate([(nodes.start + child)[~is_leaf] for child in (left, right)])
    n_parents = np.bincount(children, minlength=len(node))
    nodes.require(n_parents == (node > 0), lambda i: "a node has not one parent")


def _says_child(node: Integers, child: Integers, place: int) -> str:
    return f"node {node[place]} has child {child[place]}; children follow parents"


def _check_leaf_values(trees: tuple[scorers.Tree, ...]) -> None:
    values = list(itertools.chain.from_iterable(itertools.chain.from_iterable(t.leaf_value for t in trees)))
    if set(map(type, values)) <= {float} and np.isfinite(np.array(values, dtype=np.float64)).all():
        return
    for number, tree in enumerate(trees):
        for node, value in enumerate(tree.leaf_value):
            finite(value, f"tree {number}: leaf {node}")


def _check_splits(step: scorers.TreeEnsemble, nodes: _Nodes, is_leaf: npt.NDArray[np.bool_]) -> None:
    threshold = np.array([value for tree in step.trees for value in tree.threshold], dtype=np.float64)
    codes = [c for tree in step.trees for c in tree.categories or (None,) * tree.n_nodes]
    is_categorical = np.array([c is not None for c in codes]) & ~is_leaf
    node = nodes.node
    nodes.require(
        ~is_categorical | np.isnan(threshold),
        lambda i: f"node {node[i]} is categorical and has a threshold",
    )
    has_codes = np.ones(len(node), bool)
    for place in np.flatnonzero(is_categorical).tolist():
        has_codes[place] = all(type(code) is int and code >= 0 for code in codes[place] or ())
    nodes.require(has_codes, lambda i: f"node {node[i]} has codes {codes[i]}")
    everything_left = (threshold == math.inf) if step.operator == "<=" else np.zeros(len(node), bool)
    nodes.require(
        is_leaf | is_categorical | np.isfinite(threshold) | everything_left,
        lambda i: f"node {node[i]} has threshold {float(threshold[i])!r}",
    )


def _integers(values: Iterable[tuple[int, ...]], what: str) -> Integers:
    """Return all values in one array."""
    listed = list(itertools.chain.from_iterable(values))
    require(set(map(type, listed)) <= {int}, f"{what} has values that are no integers")
    try:
        return np.array(listed, dtype=np.int64)
    except OverflowError:
        raise InvalidProgramError(f"{what} has a value beyond 64 bits") from None
