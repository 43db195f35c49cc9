from __future__ import annotations

import math

import pytest
from postgres_ml.contract.exceptions import UnsupportedModelError
from postgres_ml.generate.sql.fold import monotone_threshold
from postgres_ml.generate.sql.fold.slots import Categorical, Constant, Monotone, Slot, Source
from postgres_ml.generate.sql.trees.nodes import Below, Branch, IsNull, Leaf, Member, Node, count_branches
from postgres_ml.generate.sql.trees.simplify import MAX_DEPTH, Facts, Simplifier
from postgres_ml.program.scorers import Tree, TreeEnsemble

NAN = math.nan
X = Monotone(Source(0))
COLOUR = Categorical(1, ("red", "green", "blue"), (0.0, 1.0, 0.0), 0.0, 0.0)


def _tree(*nodes: tuple[int, float, int, int, bool, tuple[float, ...]]) -> Tree:
    return Tree(*zip(*nodes, strict=True))  # type: ignore[arg-type]


def _split(slot: int, threshold: float, left: int, right: int, default_left: bool = False) -> tuple:
    return (slot, threshold, left, right, default_left, ())


def _leaf(value: float) -> tuple:
    return (-1, NAN, -1, -1, False, (value,))


def _simplified(tree: Tree, *slots: Slot, facts: Facts | None = None) -> Node:
    ensemble = TreeEnsemble(tuple(range(len(slots))), (tree,), "<", "float64", "float64", (0.0,))
    return Simplifier(ensemble, list(slots), facts or Facts()).tree(tree, [0])


def test_a_split_with_equal_leaves_is_left_out() -> None:
    tree = _tree(_split(0, 1.0, 1, 2), _leaf(0.5), _split(0, 2.0, 3, 4), _leaf(0.5), _leaf(0.5))
    assert isinstance(_simplified(tree, X), Leaf)


def test_a_split_that_a_split_above_answers_is_left_out() -> None:
    # x < 1 and then x < 2: always true, and a missing x went right above
    tree = _tree(_split(0, 1.0, 1, 2), _split(0, 2.0, 3, 4), _leaf(0.5), _leaf(1.5), _leaf(2.5))
    node = _simplified(tree, X)
    assert isinstance(node, Branch)
    assert isinstance(node.yes, Leaf) and node.yes.values == (1.5,)


def test_a_missing_value_keeps_a_split_that_numbers_do_not_need() -> None:
    tree = _tree(_split(0, 1.0, 1, 2, True), _split(0, 2.0, 3, 4, False), _leaf(0.5), _leaf(1.5), _leaf(2.5))
    node = _simplified(tree, X)
    assert isinstance(node, Branch) and isinstance(node.yes, Branch)
    assert node.yes.condition == IsNull(Source(0))
    assert isinstance(node.yes.yes, Leaf) and node.yes.yes.values == (2.5,)


def test_one_hot_split_asks_for_the_category() -> None:
    tree = _tree(_split(0, 0.5, 1, 2), _leaf(0.0), _leaf(1.0))
    node = _simplified(tree, COLOUR)
    assert isinstance(node, Branch)
    assert node.condition == Member(COLOUR.key, frozenset({0, 2, 3, 4}))


def test_a_category_settled_above_is_not_asked_again() -> None:
    inner = _split(0, 0.5, 3, 4)
    tree = _tree(_split(0, 0.5, 1, 2), inner, _leaf(1.0), _leaf(2.0), _leaf(3.0))
    node = _simplified(tree, COLOUR)
    assert count_branches(node) == 1


def test_whole_numbers_have_no_room_between_neighbours() -> None:
    # 2.1 <= x < 2.9 holds for no integer
    tree = _tree(_split(0, 2.1, 1, 2), _leaf(0.0), _split(0, 2.9, 3, 4), _leaf(1.0), _leaf(2.0))
    facts = Facts(integers={Source(0): (-32768.0, 32767.0)}, present=frozenset({Source(0)}))
    node = _simplified(tree, X, facts=facts)
    assert isinstance(node, Branch) and count_branches(node) == 1
    assert node.condition == Below(Source(0), monotone_threshold.key_of(3.0))


def test_a_threshold_outside_of_the_type_is_no_split() -> None:
    tree = _tree(_split(0, 40000.0, 1, 2), _leaf(0.0), _leaf(1.0))
    facts = Facts(integers={Source(0): (-32768.0, 32767.0)}, present=frozenset({Source(0)}))
    assert isinstance(_simplified(tree, X, facts=facts), Leaf)


def test_constant_slots_decide() -> None:
    tree = _tree(_split(0, 0.5, 1, 2), _leaf(0.0), _leaf(1.0))
    node = _simplified(tree, Constant(0.7))
    assert isinstance(node, Leaf) and node.values == (1.0,)


def test_too_deep_a_tree_is_refused() -> None:
    nodes = []
    for level in range(MAX_DEPTH + 1):
        nodes += [_split(0, float(-level), 2 * level + 2, 2 * level + 1), _leaf(float(level))]
    tree = _tree(*nodes, _leaf(0.5))
    with pytest.raises(UnsupportedModelError, match="depth"):
        _simplified(tree, X)
