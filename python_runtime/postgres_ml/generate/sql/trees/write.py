"""Trees as CASE expressions.

NULL makes a comparison unknown, which sends the row to ELSE: a condition is written so that ELSE is where a
missing value goes. Right-nested conditions become one CASE with several WHENs, which is shorter and saves the
server a jump for each level.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from postgres_ml.generate import literals
from postgres_ml.generate.literals import DOUBLE
from postgres_ml.generate.sql.arguments import INTEGERS, ArgumentReader, Operand
from postgres_ml.generate.sql.fold import monotone_threshold
from postgres_ml.generate.sql.fold.slots import CategoryKey
from postgres_ml.generate.sql.trees.nodes import (
    Among,
    Below,
    Branch,
    IsNull,
    Leaf,
    Member,
    Node,
    count_branches,
)

EXACT_INTEGERS = 2.0**53


@dataclass(frozen=True)
class _Test:
    """A condition as text, and where the row goes: ELSE takes what makes the condition NULL."""

    sql: str
    then: Node
    otherwise: Node


class TreeWriter:
    """Writes trees over the arguments of one function body.

    Parameters
    ----------
    reader : where operands come from
    coded : categories that are read from a variable; others are compared as they are
    """

    def __init__(self, reader: ArgumentReader, coded: frozenset[CategoryKey]) -> None:
        self.reader = reader
        self.coded = coded

    def expression(self, node: Node, leaf: Callable[[Leaf], str], sql_type: str) -> str:
        """Return the tree as an expression of the type.

        Parameters
        ----------
        leaf : writes a leaf as a quoted literal
        """
        if isinstance(node, Leaf):
            return f"{leaf(node)}::{sql_type}"
        parts = ["CASE"]
        while isinstance(node, Branch):
            test = self._test(node)
            then = test.then
            value = leaf(then) if isinstance(then, Leaf) else self.expression(then, leaf, sql_type)
            parts.append(f"WHEN {test.sql} THEN {value}")
            node = test.otherwise
        return f"{' '.join(parts)} ELSE {leaf(node)}::{sql_type} END"

    def _test(self, branch: Branch) -> _Test:
        condition = branch.condition
        if isinstance(condition, IsNull):
            return _Test(f"{self.reader.source(condition.source).sql} is null", branch.yes, branch.no)
        if isinstance(condition, Below):
            return self._below(condition, branch)
        if isinstance(condition, Among):
            return self._among(condition, branch)
        return self._member(condition, branch)

    def _below(self, condition: Below, branch: Branch) -> _Test:
        operand = self.reader.source(condition.source)
        yes_is_else = branch.missing_yes
        if yes_is_else is None:  # nothing is missing: the larger side continues the CASE
            yes_is_else = count_branches(branch.yes) > count_branches(branch.no)
        sql = below(operand, condition.key, not yes_is_else)
        first, second = (branch.no, branch.yes) if yes_is_else else (branch.yes, branch.no)
        return _Test(sql, first, second)

    def _among(self, condition: Among, branch: Branch) -> _Test:
        operand = self.reader.source(condition.source)
        values = ",".join(f"{literals.double(value)}::{DOUBLE}" for value in condition.values)
        tests = [f"{operand.sql} in ({values})"] if values else []
        for low, high in condition.ranges:
            ends = [below(operand, low, False)] if low > -monotone_threshold.TOP else []
            ends += [below(operand, high, True)] if high <= monotone_threshold.TOP else []
            tests.append(" and ".join(ends) or f"{operand.sql}={operand.sql}")
        listed = " or ".join(tests) or f"{operand.sql}<>{operand.sql}"
        if not branch.missing_yes:
            return _Test(listed, branch.yes, branch.no)
        return _Test(f"({listed}) is not false", branch.yes, branch.no)

    def _member(self, condition: Member, branch: Branch) -> _Test:
        sql, positive = self.member(condition.key, condition.members)
        yes, no = (branch.yes, branch.no) if positive else (branch.no, branch.yes)
        return _Test(sql, yes, no)

    def member(self, key: CategoryKey, members: frozenset[int]) -> tuple[str, bool]:
        """Return a condition on the category, and whether it means that it is a member.

        The condition is NULL for a missing one at most where that is no member.
        """
        return self._coded_member(key, members) if key in self.coded else self._direct_member(key, members)

    def _coded_member(self, key: CategoryKey, members: frozenset[int]) -> tuple[str, bool]:
        variable, n = self.reader.code(key), len(key.values) + 2
        candidates = [
            (_numbers(variable, sorted(chosen), n), positive)
            for chosen, positive in ((members, True), (frozenset(range(n)) - members, False))
        ]
        return min(candidates, key=lambda candidate: len(candidate[0]))

    def _direct_member(self, key: CategoryKey, members: frozenset[int]) -> tuple[str, bool]:
        missing, unseen = len(key.values), len(key.values) + 1
        positive = unseen not in members
        chosen = members if positive else frozenset(range(unseen + 1)) - members
        conditions = [f"{self.reader.presence(key.input)} is null"] if missing in chosen else []
        listed = [
            literal
            for index in sorted(chosen - {missing})
            if (literal := self.reader.scalar(key, key.values[index])) is not None
        ]
        operand = self.reader.category(key.input)
        if listed in (["'true'"], ["'false'"]) and self.reader.inputs[key.input].kind == "boolean":
            conditions.append(operand if listed == ["'true'"] else f"not {operand}")
        elif len(listed) == 1:
            conditions.append(f"{operand}={listed[0]}")
        elif listed:
            conditions.append(f"{operand} in ({','.join(listed)})")
        return " or ".join(conditions) or "false", positive


def _numbers(variable: str, members: Sequence[int], n: int) -> str:
    """Return the shortest condition for a code, counted from 1, being among `members`, counted from 0."""
    low, high = members[0] + 1, members[-1] + 1
    if len(members) == 1:
        return f"{variable}={low}"
    if high - low + 1 == len(members):
        if low == 1:
            return f"{variable}<{high + 1}"
        if high == n:
            return f"{variable}>{low - 1}"
        return f"{variable} between {low} and {high}"
    return f"{variable} in ({','.join(str(member + 1) for member in members)})"


def below(operand: Operand, key: int, is_below: bool) -> str:
    """Return a comparison that is true where the operand is less than the double of number `key`, or not.

    Parameters
    ----------
    is_below : False asks for the opposite, which is NULL for a NULL operand too
    """
    value = monotone_threshold.value_of(key)
    if operand.sql_type in INTEGERS:
        if abs(value) > EXACT_INTEGERS:
            return below(Operand(f"{operand.sql}::{DOUBLE}", DOUBLE), key, is_below)
        whole = math.ceil(value)
        return f"{operand.sql}<'{whole}'" if is_below else f"{operand.sql}>='{whole}'"
    if operand.sql_type == "real":
        at, under = _neighbours(value)
        strict, loose = literals.single(at), literals.single(under)
    else:
        strict, loose = literals.double(value), literals.double(monotone_threshold.value_of(key - 1))
    if len(strict) <= len(loose):
        return f"{operand.sql}{'<' if is_below else '>='}{strict}"
    return f"{operand.sql}{'<=' if is_below else '>'}{loose}"


def _neighbours(value: float) -> tuple[float, float]:
    """Return the least single-precision number that isn't less than the double, and the one before it."""
    with np.errstate(all="ignore"):
        at = np.float32(value)
        if float(at) < value:
            at = np.nextafter(at, np.float32(np.inf))
        return float(at), float(np.nextafter(at, np.float32(-np.inf)))
