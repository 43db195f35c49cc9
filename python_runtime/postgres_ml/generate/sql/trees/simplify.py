"""Decision trees made small: splits on arguments instead of slots, and none that changes nothing.

A split on a slot becomes a condition on the argument behind it (see `slots`). A condition whose answer
follows from the conditions above it, or whose two sides end in the same leaf values, is left out. Leaf
choice stays exact for every row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from postgres_ml.contract.exceptions import UnsupportedModelError
from postgres_ml.generate.sql.fold import monotone_threshold
from postgres_ml.generate.sql.fold.slots import (
    Categorical,
    CategoryKey,
    Computed,
    Constant,
    Monotone,
    Slot,
    Source,
)
from postgres_ml.generate.sql.trees.nodes import Among, Below, Branch, Condition, IsNull, Leaf, Member, Node
from postgres_ml.program.scorers import Tree, TreeEnsemble

MAX_DEPTH = 400  # Postgres's parser gives up at 2,000 to 3,000 levels, Python's recursion earlier


@dataclass(frozen=True)
class _Interval:
    """What is known of a source: its number is in [low, high), or it is missing."""

    low: int = -monotone_threshold.TOP
    high: int = monotone_threshold.TOP + 1
    is_missing: bool = True

    @property
    def is_number(self) -> bool:
        return self.low < self.high


_Known = dict[Source | CategoryKey, "_Interval | frozenset[int]"]


@dataclass(frozen=True)
class Facts:
    """What is known of every row that reaches the trees.

    Parameters
    ----------
    integers : least and greatest value of each source that holds whole numbers
    present : sources that are never missing, because the function has returned NULL where they are
    impossible : numbers of categories (see `CategoryKey`) that don't occur
    """

    integers: dict[Source, tuple[float, float]] = field(default_factory=dict)
    present: frozenset[Source] = frozenset()
    impossible: dict[CategoryKey, frozenset[int]] = field(default_factory=dict)


class Simplifier:
    """Turns an ensemble's trees into branches on arguments.

    Parameters
    ----------
    ensemble : whose trees these are
    slots : what each slot of the program is
    facts : which conditions are settled before any tree
    """

    def __init__(self, ensemble: TreeEnsemble, slots: Sequence[Slot], facts: Facts) -> None:
        self.ensemble = ensemble
        self.slots = [_as_source(slots[slot]) for slot in ensemble.slots]
        self.facts = facts
        self.keys = self._crossings()
        self._nodes: dict[Any, Node] = {}

    def tree(self, tree: Tree, columns: Sequence[int]) -> Node:
        """Return the tree with leaf values of these of its outputs.

        Raises
        ------
        UnsupportedModelError
            The tree is too deep for one expression.
        """
        if _depth(tree) > MAX_DEPTH:
            raise UnsupportedModelError(
                "tree", f"a depth of more than {MAX_DEPTH}", "use runtime: native, or set max_depth"
            )
        return self._node(tree, 0, columns, {})

    def _crossings(self) -> dict[tuple[int, float], tuple[int, bool]]:
        """Return for each slot and threshold: the number of the first double of the other side, and whether
        what is below it goes left.
        """
        wanted: dict[int, set[float]] = {}
        for tree in self.ensemble.trees:
            for index, threshold in zip(tree.split_index, tree.threshold, strict=True):
                if index >= 0 and not math.isnan(threshold) and isinstance(self.slots[index], Monotone):
                    wanted.setdefault(index, set()).add(threshold)
        found = {}
        for index, thresholds in wanted.items():
            slot, ordered = self.slots[index], sorted(thresholds)
            assert isinstance(slot, Monotone)
            keys, true_below = monotone_threshold.crossings(
                slot.operations, np.array(ordered), self.ensemble.operator, self.ensemble.split_dtype
            )
            for threshold, key in zip(ordered, keys.tolist(), strict=True):
                found[index, threshold] = (key, true_below)
        return found

    def _goes_left(
        self, value: float, threshold: float, codes: tuple[int, ...] | None, default: bool
    ) -> bool:
        if math.isnan(value):
            return default
        if codes is not None:
            return (value in codes) == self.ensemble.category_goes_left
        if self.ensemble.split_dtype == "float32":
            with np.errstate(all="ignore"):
                value = float(np.float32(value))
        return value < threshold if self.ensemble.operator == "<" else value <= threshold

    def _node(self, tree: Tree, number: int, columns: Sequence[int], known: _Known) -> Node:
        index = tree.split_index[number]
        if index < 0:
            values = tuple(tree.leaf_value[number][column] for column in columns)
            return self._nodes.setdefault(values, Leaf(values))
        slot, threshold = self.slots[index], tree.threshold[number]
        assert not isinstance(slot, Computed)
        left, right = tree.left[number], tree.right[number]
        codes = tree.categories[number] if tree.categories else None
        default = tree.default_left[number]
        if isinstance(slot, Constant):
            child = left if self._goes_left(slot.value, threshold, codes, default) else right
            return self._node(tree, child, columns, known)
        if isinstance(slot, Categorical):
            goes_left = [
                output is not None and self._goes_left(output, threshold, codes, default)
                for output in slot.all_outputs
            ]
            return self._member(tree, columns, known, slot.key, goes_left, (left, right))
        missing_left = self._goes_left(slot.missing, threshold, codes, default)
        if codes is not None:
            return self._among(tree, columns, known, slot, codes, (left, right), missing_left)
        key, true_below = self.keys[index, threshold]
        if true_below:
            return self._below(tree, columns, known, slot.source, key, (left, right), missing_left)
        return self._below(tree, columns, known, slot.source, key, (right, left), not missing_left)

    def _below(
        self,
        tree: Tree,
        columns: Sequence[int],
        known: _Known,
        source: Source,
        key: int,
        children: tuple[int, int],
        missing_low: bool,
    ) -> Node:
        state = known.get(source) or self._initial(source)
        assert isinstance(state, _Interval)
        if source in self.facts.integers and abs(key) <= monotone_threshold.TOP:
            key = monotone_threshold.key_of(np.ceil(monotone_threshold.value_of(key)))
        low = _Interval(state.low, min(key, state.high), state.is_missing and missing_low)
        high = _Interval(max(key, state.low), state.high, state.is_missing and not missing_low)
        return self._either(
            tree,
            columns,
            known,
            source,
            (low, high),
            children,
            Below(source, key) if low.is_number and high.is_number else IsNull(source),
        )

    def _either(
        self,
        tree: Tree,
        columns: Sequence[int],
        known: _Known,
        source: Source,
        states: tuple[_Interval, _Interval],
        children: tuple[int, int],
        condition: Below | IsNull,
    ) -> Node:
        first, second = states
        if not (second.is_number or second.is_missing):
            return self._node(tree, children[0], columns, known)
        if not (first.is_number or first.is_missing):
            return self._node(tree, children[1], columns, known)
        yes = self._node(tree, children[0], columns, {**known, source: first})
        no = self._node(tree, children[1], columns, {**known, source: second})
        if isinstance(condition, IsNull) and not first.is_missing:
            yes, no = no, yes
        missing_yes = first.is_missing if first.is_missing or second.is_missing else None
        return self._branch(condition, yes, no, True if isinstance(condition, IsNull) else missing_yes)

    def _among(
        self,
        tree: Tree,
        columns: Sequence[int],
        known: _Known,
        slot: Monotone,
        codes: tuple[int, ...],
        children: tuple[int, int],
        missing_left: bool,
    ) -> Node:
        left, right = (self._node(tree, child, columns, known) for child in children)
        yes, no = (left, right) if self.ensemble.category_goes_left else (right, left)
        missing_yes = missing_left == self.ensemble.category_goes_left
        if slot.operations:
            condition = Among(slot.source, (), _ranges(slot, codes))
        else:
            condition = Among(slot.source, tuple(map(float, codes)))
        present = slot.source in self.facts.present
        return self._branch(condition, yes, no, None if present else missing_yes)

    def _member(
        self,
        tree: Tree,
        columns: Sequence[int],
        known: _Known,
        key: CategoryKey,
        goes_left: list[bool],
        children: tuple[int, int],
    ) -> Node:
        state = known.get(key)
        if state is None:
            state = frozenset(range(len(goes_left))) - self.facts.impossible.get(key, frozenset())
        assert isinstance(state, frozenset)
        left = frozenset(number for number in state if goes_left[number])
        right = state - left
        if not left or not right:
            return self._node(tree, children[0] if left else children[1], columns, known)
        yes = self._node(tree, children[0], columns, {**known, key: left})
        no = self._node(tree, children[1], columns, {**known, key: right})
        return self._branch(Member(key, left), yes, no, None)

    def _initial(self, source: Source) -> _Interval:
        low, high = self.facts.integers.get(source, (-math.inf, math.inf))
        return _Interval(
            monotone_threshold.key_of(low),
            monotone_threshold.key_of(high) + 1,
            source not in self.facts.present,
        )

    def _branch(self, condition: Condition, yes: Node, no: Node, missing_yes: bool | None) -> Node:
        """Return the one node that stands for all equal ones, so that `is` compares subtrees."""
        if yes is no:
            return yes
        key = (condition, id(yes), id(no), missing_yes)
        return self._nodes.setdefault(key, Branch(condition, yes, no, missing_yes))


def _ranges(slot: Monotone, codes: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Return where the slot is one of the codes."""
    wanted = np.array(sorted(codes), dtype=np.float64)
    first, increasing = monotone_threshold.crossings(slot.operations, wanted, "<", "float64")
    last, _ = monotone_threshold.crossings(slot.operations, wanted, "<=", "float64")
    pairs = zip(first.tolist(), last.tolist(), strict=True)
    found = [(low, high) if increasing else (high, low) for low, high in pairs]
    return tuple((low, high) for low, high in found if low < high)


def _as_source(slot: Slot) -> Slot:
    return Monotone(Source(slot=slot.slot)) if isinstance(slot, Computed) else slot


def _depth(tree: Tree) -> int:
    depth = [0] * tree.n_nodes
    for node in range(tree.n_nodes):
        if tree.split_index[node] >= 0:
            depth[tree.left[node]] = depth[tree.right[node]] = depth[node] + 1
    return max(depth)
