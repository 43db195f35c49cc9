"""Whether the arrays inside a loaded model hold together.

Compiled code follows indices without looking: a damaged tree ends the process that predicts, or never ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.neighbors import BallTree, KDTree
from sklearn.tree._tree import Tree

NO_FEATURE = -2


def check_structure(model: Any) -> Any:
    """Return the model.

    Raises
    ------
    ValueError
        An index in one of its trees leads out of the tree, or in circles; or rows of it name files to read.
    """
    for part in _parts(model):
        if isinstance(part, CountVectorizer | HashingVectorizer) and part.input != "content":
            raise ValueError(
                f"its {type(part).__name__}(input={part.input!r}) reads the files that its rows name, "
                "whichever these are: input must be 'content'"
            )
        if isinstance(part, Tree):
            _check_tree(part)
        elif isinstance(part, KDTree | BallTree):
            _check_neighbours(part)
        elif isinstance(getattr(part, "_predictors", None), list):
            for stage in part._predictors:
                for predictor in stage:
                    _check_boosted(predictor, int(part.n_features_in_))
        elif isinstance(getattr(part, "tree_", None), Tree) and hasattr(part, "n_features_in_"):
            _require(_greatest(part.tree_.feature) < int(part.n_features_in_), "a tree splits on no column")
        elif isinstance(getattr(part, "support_vectors_", None), np.ndarray) and hasattr(part, "_n_support"):
            _check_machine(part)
    return model


def _parts(model: Any) -> Iterator[Any]:
    """Yield everything that a model is made of, each once."""
    waiting, seen = [model], set[int]()
    while waiting:
        part = waiting.pop()
        if isinstance(part, str | bytes | int | float | type | None) or id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        if isinstance(part, dict):
            waiting += [*part.keys(), *part.values()]
        elif isinstance(part, list | tuple | set | frozenset):
            waiting += part
        elif isinstance(part, np.ndarray):
            waiting += part.ravel().tolist() if part.dtype == object else []
        else:
            waiting += vars(part).values() if hasattr(part, "__dict__") else ()


def _require(holds: Any, words: str) -> None:
    if not holds:
        raise ValueError(f"{words}: the file is damaged")


def _greatest(values: Any) -> int:
    return int(values.max()) if len(values) else -1


def _check_children(left: Any, right: Any, is_leaf: Any) -> None:
    """Check that every node but the first has one parent, which stands before it."""
    count, inner = len(left), np.flatnonzero(~is_leaf)
    children = np.concatenate([left[inner], right[inner]]).astype(np.int64)
    parents = np.concatenate([inner, inner])
    is_inside = (children > parents) & (children < count)
    _require(
        count and is_inside.all() and len(np.unique(children)) == len(children) == count - 1,
        "a tree whose nodes lead nowhere",
    )


def _check_tree(tree: Tree) -> None:
    left, right, feature = tree.children_left, tree.children_right, tree.feature
    is_leaf = left == -1
    _check_children(left, right, is_leaf)
    split = feature[~is_leaf]
    _require(((split >= 0) & (split < tree.n_features)).all(), "a tree splits on no column")
    _require(len(tree.value) == tree.node_count, "a tree has fewer values than nodes")


def _check_boosted(predictor: Any, n_features: int) -> None:
    nodes = predictor.nodes
    is_leaf = nodes["is_leaf"].astype(bool)
    _check_children(nodes["left"].astype(np.int64), nodes["right"].astype(np.int64), is_leaf)
    inner = nodes[~is_leaf]
    feature = inner["feature_idx"]
    _require(((feature >= 0) & (feature < n_features)).all(), "a tree splits on no column")
    sets = inner["bitset_idx"][inner["is_categorical"].astype(bool)]
    n_sets = min(len(predictor.raw_left_cat_bitsets), len(predictor.binned_left_cat_bitsets))
    _require(_greatest(sets) < n_sets, "a tree names no set of categories")


def _check_neighbours(tree: Any) -> None:
    """The tree of neighbours is a heap: node i has the children 2i + 1 and 2i + 2."""
    data, order, nodes, bounds = tree.get_arrays()
    count, n_nodes = len(data), len(nodes)
    _require(
        len(order) == count and count and ((order >= 0) & (order < count)).all(), "neighbours that are none"
    )
    start, end = nodes["idx_start"], nodes["idx_end"]
    _require(((start >= 0) & (start <= end) & (end <= count)).all(), "a node of neighbours that are none")
    inner = np.flatnonzero(nodes["is_leaf"] == 0)
    _require(2 * _greatest(inner) + 2 < n_nodes if len(inner) else n_nodes, "a node without its children")
    _require(bounds.shape[1] == n_nodes, "nodes without bounds")


def _check_machine(machine: Any) -> None:
    """Libsvm reads the arrays of a support vector machine by the numbers in `_n_support`."""
    vectors, counts = machine.support_vectors_, np.asarray(machine._n_support)
    is_classifier = hasattr(machine, "classes_")
    n_vectors = int(counts.sum()) if is_classifier else int(counts[0])
    if vectors.ndim != 2 or not len(vectors):  # a precomputed kernel keeps no vectors
        return
    weights = machine._dual_coef_
    _require(
        (counts >= 0).all() and n_vectors == len(vectors) == weights.shape[1],
        "a support vector machine without its vectors",
    )


def check_dtype(dtype: Any) -> None:
    """Check that a data type says where it holds objects, and that its fields lie inside it.

    Raises
    ------
    ValueError
        It doesn't: NumPy would take numbers of the file for addresses.
    """
    if not isinstance(dtype, np.dtype):
        raise ValueError(f"{str(dtype)[:100]} is no data type")
    _require(dtype.hasobject == _holds_objects(dtype), "a data type that hides its objects")


def _holds_objects(dtype: Any) -> bool:
    if dtype.subdtype is not None:
        return _holds_objects(dtype.subdtype[0])
    if dtype.fields is None:
        return bool(dtype.type is np.object_)
    for field, offset, *_ in dtype.fields.values():
        _require(0 <= offset <= dtype.itemsize - field.itemsize, "a data type whose fields lie outside it")
    return any(_holds_objects(field) for field, *_ in dtype.fields.values())
