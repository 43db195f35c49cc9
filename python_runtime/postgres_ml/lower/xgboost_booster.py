"""An xgboost Booster, read from its own JSON form: trees, base scores, and the booster without its trees.

Source: xgboost doc/model.schema; src/tree/tree_model.cc (RegTree::LoadModel), src/gbm/gbtree.cc
(Dart::PredictBatchImpl, GBTree::Slice), src/common/categorical.h (Decision).
Exactness: leaves are exact, margins are equal to the last bit: single precision, in tree order, from the base
score.
Layouts: up to xgboost 3.2 dart is a booster of its own, which holds `weight_drop` beside a gbtree; since
3.3 it is a gbtree whose model holds `weight_drop`. Which one it is shows in the fields themselves. Of a
layout that nobody has seen, the missing field is named; and the caller compares the margins.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from postgres_ml.contract.exceptions import UnsupportedModelError
from postgres_ml.lower.tree import compact
from postgres_ml.program.scorers import Tree, TreeEnsemble

Margins = npt.NDArray[np.float32]
NO_PARENT = 2147483647
KNOWN_LAYOUTS = "those of xgboost 2.1 to 3.4"
#: what the layouts put into a booster of trees; another field may change what a tree is worth
FIELDS = frozenset({"name", "model", "gbtree", "weight_drop"})
MODEL_FIELDS = frozenset(
    {"gbtree_model_param", "iteration_indptr", "tree_info", "trees", "cats", "weight_drop"}
)


@dataclass(frozen=True)
class BoosterParts:
    """What a Booster is made of.

    Parameters
    ----------
    objective : its name
    n_groups : outputs: 1, or the number of classes
    trees : in the order of their addition, leaf weights of dart folded in
    categorical : features that some tree splits by category
    stub : a Booster with the same objective and base scores whose trees all give 0
    unknown : what is said if the margins differ: fields that no known layout has; '' if there are none
    """

    objective: str
    n_features: int
    n_groups: int
    trees: tuple[Tree, ...]
    base_scores: tuple[float, ...]
    categorical: frozenset[int]
    stub: Any
    unknown: str = ""


def read_booster(booster: Any, n_rounds: int | None, *, in_place: bool) -> BoosterParts:
    """Return the booster's parts.

    Parameters
    ----------
    n_rounds : boosting rounds that predict uses; None for all
    in_place : whether predict is Booster.inplace_predict (the estimators), or Booster.predict; dart adds its
        trees differently in the two

    Raises
    ------
    UnsupportedModelError
        gblinear, several targets, vector leaves, or categories that xgboost encodes itself.
    """
    content = json.loads(bytes(booster.save_raw("json")))
    try:
        return _read(content, n_rounds, in_place)
    except (KeyError, IndexError) as error:
        detail = f"the model as {_written_by(content)} stores it, where {error.args[0]!r} is not found,"
        raise UnsupportedModelError("Booster", detail, f"known are {KNOWN_LAYOUTS}") from error


def _read(content: dict[str, Any], n_rounds: int | None, in_place: bool) -> BoosterParts:
    learner = content["learner"]
    parameters = learner["learner_model_param"]
    boosting = learner["gradient_booster"]
    _check_supported(boosting, parameters)
    model = boosting.get("gbtree", boosting)["model"]
    end = len(model["trees"]) if n_rounds is None else model["iteration_indptr"][n_rounds]
    groups = model["tree_info"][:end]
    n_groups = max(1, int(parameters["num_class"]))
    stub = _stub(content, n_groups)
    zeros = np.zeros((1, int(parameters["num_feature"])), dtype=np.float32)
    base_scores = margins_of(stub, zeros, None, in_place=True)[0]
    trees = [_parse_tree(t, group) for t, group in zip(model["trees"][:end], groups, strict=True)]
    trees = _weigh(trees, boosting, base_scores if in_place else np.zeros_like(base_scores))
    return BoosterParts(
        learner["objective"]["name"],
        int(parameters["num_feature"]),
        n_groups,
        tuple(trees),
        tuple(base_scores.astype(np.float64).tolist()),
        frozenset(t.split_index[n] for t in trees for n, c in enumerate(t.categories) if c is not None),
        stub,
        _unknown(content, boosting, model),
    )


def _written_by(content: dict[str, Any]) -> str:
    return f"xgboost {'.'.join(map(str, content.get('version', ['?'])))}"


def _unknown(content: dict[str, Any], boosting: dict[str, Any], model: dict[str, Any]) -> str:
    """Return which fields no known layout has. They stop nothing as long as the margins are equal."""
    fields = [f"gradient_booster.{name}" for name in sorted(boosting.keys() - FIELDS)]
    fields += [f"gradient_booster.model.{name}" for name in sorted(model.keys() - MODEL_FIELDS)]
    if not fields:
        return ""
    return (
        f"{_written_by(content)} stores {', '.join(fields)}, which is unknown here; known are {KNOWN_LAYOUTS}"
    )


def margins_of(booster: Any, rows: Any, n_rounds: int | None, *, in_place: bool) -> Margins:
    """Return the booster's own margins, of shape (n_rows, n_groups)."""
    import xgboost

    used = (0, n_rounds or 0)
    if in_place:
        margins = booster.inplace_predict(rows, predict_type="margin", iteration_range=used)
    else:
        data = xgboost.DMatrix(rows, feature_names=booster.feature_names, feature_types=booster.feature_types)
        margins = booster.predict(data, output_margin=True, iteration_range=used)
    return np.asarray(margins, dtype=np.float32).reshape(len(rows), -1)


def predictions_at(stub: Any, margins: npt.NDArray[np.float32], n_features: int) -> Margins:
    """Return what the library's own objective makes of margins of one output.

    Parameters
    ----------
    margins : of shape (n_rows,)

    Returns
    -------
    predictions : of shape (n_rows,)
    """
    import xgboost

    data = xgboost.DMatrix(np.zeros((len(margins), n_features), dtype=np.float32), base_margin=margins)
    # a booster that was trained on a data frame knows names that this matrix has not
    return np.asarray(stub.predict(data, validate_features=False), dtype=np.float32)


def ensemble(parts: BoosterParts, slots: tuple[int, ...]) -> TreeEnsemble:
    """Return the ensemble over the slots of the booster's features; unused features are left out."""
    used, trees = compact(slots, parts.trees)
    return TreeEnsemble(
        used,
        trees,
        operator="<",
        split_dtype="float32",
        dtype="float32",
        base_scores=parts.base_scores,
        # xgboost sends the listed categories to the right, and every other code to the left
        category_goes_left=False,
    )


def _check_supported(boosting: dict[str, Any], parameters: dict[str, Any]) -> None:
    if boosting["name"] not in ("gbtree", "dart"):
        raise UnsupportedModelError("Booster", f"booster={boosting['name']!r}", "use gbtree or dart")
    if int(parameters.get("num_target", "1")) > 1:
        raise UnsupportedModelError("Booster", "several targets", "train one model for each")
    content = boosting.get("gbtree", boosting)["model"]
    if any(int(tree["tree_param"]["size_leaf_vector"]) > 1 for tree in content["trees"]):
        hint = "use multi_strategy='one_output_per_tree'"
        raise UnsupportedModelError("Booster", "a tree with several values in a leaf", hint)
    if content.get("cats", {}).get("enc"):
        hint = "encode categories with an OrdinalEncoder and give feature_types"
        raise UnsupportedModelError("Booster", "categories of a data frame, encoded by xgboost itself,", hint)


def _parse_tree(content: dict[str, Any], group: int) -> Tree:
    left, right = content["left_children"], content["right_children"]
    # split_conditions hold the leaf values too; JSON has single precision in decimal
    conditions = np.array(content["split_conditions"], dtype=np.float32).astype(np.float64)
    is_leaf = np.array(left) == -1
    categories: tuple[tuple[int, ...] | None, ...] = ()
    threshold = np.where(is_leaf, np.nan, conditions)
    if content["categories_nodes"]:
        categories = _categories(content, len(left))
        threshold[content["categories_nodes"]] = np.nan
    return _in_order(
        Tree(
            tuple(np.where(is_leaf, -1, content["split_indices"]).tolist()),
            tuple(threshold.tolist()),
            tuple(left),
            tuple(right),
            tuple(map(bool, content["default_left"])),
            tuple((value,) if leaf else () for value, leaf in zip(conditions.tolist(), is_leaf, strict=True)),
            (group,),
            categories,
        )
    )


def _categories(content: dict[str, Any], n_nodes: int) -> tuple[tuple[int, ...] | None, ...]:
    listed: list[tuple[int, ...] | None] = [None] * n_nodes
    spans = zip(
        content["categories_nodes"], content["categories_segments"], content["categories_sizes"], strict=True
    )
    for node, start, size in spans:
        listed[node] = tuple(sorted(content["categories"][start : start + size]))
    return tuple(listed)


def _in_order(tree: Tree) -> Tree:
    """Return the tree with its nodes renumbered breadth first, without nodes that pruning deleted."""
    order = [0]
    for node in order:
        if tree.split_index[node] >= 0:
            order += (tree.left[node], tree.right[node])
    if order == list(range(tree.n_nodes)):
        return tree
    new = {old: number for number, old in enumerate(order)} | {-1: -1}
    return Tree(
        tuple(tree.split_index[n] for n in order),
        tuple(tree.threshold[n] for n in order),
        tuple(new[tree.left[n]] if tree.split_index[n] >= 0 else -1 for n in order),
        tuple(new[tree.right[n]] if tree.split_index[n] >= 0 else -1 for n in order),
        tuple(tree.default_left[n] for n in order),
        tuple(tree.leaf_value[n] for n in order),
        tree.outputs,
        tuple(tree.categories[n] for n in order) if tree.categories else (),
    )


def _weigh(trees: list[Tree], boosting: dict[str, Any], bases: Margins) -> list[Tree]:
    """Return the trees with their leaves times dart's weights, every operation rounded to single precision.

    As a booster of its own (up to xgboost 3.2), dart's in-place prediction adds the base score to each tree's
    leaf and takes it away again before it multiplies; that loses up to an ulp of the base score. As part of
    gbtree it multiplies the leaf, in both ways of predicting.

    Parameters
    ----------
    bases : of shape (n_groups,): what the first layout's prediction adds; 0 leaves a leaf as it is
    """
    weights = boosting["model"].get("weight_drop") if "model" in boosting else boosting["weight_drop"]
    if not weights:
        return trees
    if "model" in boosting:
        bases = np.zeros_like(bases)
    used = zip(trees, weights[: len(trees)], strict=True)
    return [_weighted(tree, np.float32(weight), bases[tree.outputs[0]]) for tree, weight in used]


def _weighted(tree: Tree, weight: np.float32, base: np.float32) -> Tree:
    values = [tuple(float((base + np.float32(v) - base) * weight) for v in leaf) for leaf in tree.leaf_value]
    return dataclasses.replace(tree, leaf_value=tuple(values))


def _stub(content: dict[str, Any], n_groups: int) -> Any:
    """Return a Booster whose margins are the base scores: every tree is one leaf of 0."""
    import xgboost

    learner = dict(content["learner"])
    n_features = learner["learner_model_param"]["num_feature"]
    model = {
        "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": str(n_groups)},
        "iteration_indptr": [0, n_groups],
        "tree_info": list(range(n_groups)),
        "trees": [_zero_tree(number, n_features) for number in range(n_groups)],
    }
    learner["gradient_booster"] = {"name": "gbtree", "model": model}
    stub = xgboost.Booster(params={"nthread": 1})
    stub.load_model(bytearray(json.dumps({**content, "learner": learner}).encode()))
    return stub


def _zero_tree(number: int, n_features: str) -> dict[str, Any]:
    parameters = {"num_deleted": "0", "num_feature": n_features, "num_nodes": "1", "size_leaf_vector": "1"}
    none = ("categories", "categories_nodes", "categories_segments", "categories_sizes")
    tree: dict[str, Any] = {"id": number, "tree_param": parameters, "parents": [NO_PARENT]}
    tree |= {key: [] for key in none}
    tree |= {key: [0] for key in ("default_left", "split_indices", "split_type")}
    tree |= {key: [0.0] for key in ("base_weights", "loss_changes", "split_conditions")}
    return tree | {"left_children": [-1], "right_children": [-1], "sum_hessian": [1.0]}
