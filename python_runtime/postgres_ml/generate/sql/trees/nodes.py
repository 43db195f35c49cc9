"""Simplified trees: conditions on arguments, and leaves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from postgres_ml.generate.sql.fold.slots import CategoryKey, Source


@dataclass(frozen=True)
class Below:
    """Whether the source is less than the double of number `key`; a missing one is not asked."""

    source: Source
    key: int


@dataclass(frozen=True)
class Among:
    """Whether the source is one of the values, or in one of the ranges (doubles by number, end excluded)."""

    source: Source
    values: tuple[float, ...]
    ranges: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class IsNull:
    """Whether the source is missing."""

    source: Source


@dataclass(frozen=True)
class Member:
    """Whether the category is one of these, numbered as in `CategoryKey`."""

    key: CategoryKey
    members: frozenset[int]


Condition = Below | Among | IsNull | Member


@dataclass(frozen=True, eq=False)
class Branch:
    """`yes` where the condition holds, else `no`.

    `missing_yes` : where the condition's source is missing; None where that can't be
    """

    condition: Condition
    yes: Node
    no: Node
    missing_yes: bool | None


@dataclass(frozen=True, eq=False)
class Leaf:
    """Values, one for each output that is asked for."""

    values: tuple[float, ...]


Node = Branch | Leaf


def expected_visits(node: Node) -> float:
    """Return how many conditions a row meets if each is true half of the time."""
    if isinstance(node, Leaf):
        return 0.0
    return 1.0 + 0.5 * (expected_visits(node.yes) + expected_visits(node.no))


def count_branches(node: Node) -> int:
    """Return the number of conditions."""
    return 0 if isinstance(node, Leaf) else 1 + count_branches(node.yes) + count_branches(node.no)


def branches(node: Node) -> Iterator[Branch]:
    """Yield the tree's conditions."""
    stack = [node]
    while stack:
        current = stack.pop()
        if not isinstance(current, Leaf):
            yield current
            stack += [current.yes, current.no]


def sources(node: Node) -> Iterator[Source]:
    """Yield the numbers that the tree compares, again and again."""
    for branch in branches(node):
        if not isinstance(branch.condition, Member):
            yield branch.condition.source


def leaves(node: Node) -> Iterator[Leaf]:
    """Yield the tree's leaves."""
    stack = [node]
    while stack:
        current = stack.pop()
        if isinstance(current, Branch):
            stack += [current.no, current.yes]
        else:
            yield current
