"""Sums of trees: in one expression, or in parts that call each other in turn.

Exactness: bit for bit. Leaves are added one after the other in the trees' order, from the base score on, in
the ensemble's own precision.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from postgres_ml.contract.exceptions import UnsupportedModelError
from postgres_ml.generate import literals
from postgres_ml.generate.literals import DOUBLE
from postgres_ml.generate.sql.arithmetic.interval import Calculator, Value
from postgres_ml.generate.sql.plan import EnsemblePlan
from postgres_ml.generate.sql.trees.nodes import Leaf, Node, count_branches, leaves
from postgres_ml.generate.sql.trees.write import TreeWriter

MAX_TERMS = 1000  # of one sum: 4,000 CASE terms work at max_stack_depth = 2MB, 6,000 don't
LARGEST_SINGLE = 3.4028234663852886e38


@dataclass(frozen=True)
class Chunk:
    """Trees that are added in one statement, or in one part.

    Parameters
    ----------
    outputs : indices into the plan's positions; every tree of the chunk adds to all of them
    trees : in order
    """

    outputs: tuple[int, ...]
    trees: tuple[Node, ...]


def chunks(plan: EnsemblePlan, max_nodes: float) -> Iterator[Chunk]:
    """Yield the trees, each output's in order; a chunk has at most `max_nodes` or is one tree."""
    pending: dict[tuple[int, ...], list[Node]] = {}
    sizes: dict[tuple[int, ...], int] = {}
    for outputs, tree in plan.trees:
        size = 2 * count_branches(tree) + 1
        for other in list(pending):
            full = other == outputs and (sizes[other] + size > max_nodes or len(pending[other]) == MAX_TERMS)
            if full or (other != outputs and set(other) & set(outputs)):
                yield Chunk(other, tuple(pending.pop(other)))
        if outputs not in pending:
            pending[outputs], sizes[outputs] = [], 0
        pending[outputs].append(tree)
        sizes[outputs] += size
    for outputs, trees in pending.items():
        yield Chunk(outputs, tuple(trees))


def sql_type(plan: EnsemblePlan) -> str:
    """Return the type that the trees' leaves are added in."""
    return "real" if plan.ensemble.dtype == "float32" else DOUBLE


def add_chunk(
    writer: TreeWriter, calculator: Calculator, plan: EnsemblePlan, chunk: Chunk, totals: Sequence[str]
) -> None:
    """Write the statements that add the chunk's leaves to the totals, one for each of its outputs."""
    number_type = sql_type(plan)
    if len(chunk.outputs) == 1:
        calculator.statements.append(f"{totals[0]} := {total(writer, plan, chunk, totals[0])};")
        return
    leaf_number = calculator.declare("integer")
    for tree in chunk.trees:
        values = sorted({leaf.values for leaf in leaves(tree)})
        numbers = {leaf: number for number, leaf in enumerate(values, 1)}
        found = writer.expression(tree, functools.partial(_number, numbers), "integer")
        calculator.statements.append(f"{leaf_number} := {found};")
        for column, name in enumerate(totals):
            numerals = ",".join(_literal(plan, value[column])[1:-1] for value in values)
            calculator.statements.append(
                f"{name} := {name}+('{{{numerals}}}'::{number_type}[])[{leaf_number}];"
            )


def total(writer: TreeWriter, plan: EnsemblePlan, chunk: Chunk, start: str) -> str:
    """Return the sum of the chunk's trees, each evaluated to its only value, as an expression."""
    number_type = sql_type(plan)
    written = [
        writer.expression(tree, lambda leaf: _literal(plan, leaf.values[0]), number_type)
        for tree in chunk.trees
    ]
    return "\n+".join([start, *written])


def start(plan: EnsemblePlan, output: int) -> str:
    """Return an output's base score as a constant with its type."""
    base = plan.ensemble.base_scores[plan.positions[output]]
    return f"{_literal(plan, base)}::{sql_type(plan)}"


def finished(plan: EnsemblePlan, output: int, sql: str, calculator: Calculator) -> Value:
    """Return the total `sql` with its bounds, divided by the ensemble's divisor."""
    value = _bounded(plan, output, sql)
    divisor = plan.ensemble.divisor
    if divisor == 1:
        return value
    if not value.is_real:
        return calculator.divide(
            value, Value(literals.double(divisor), divisor, divisor, divisor, False, False, divisor)
        )
    return Value(
        f"({sql}/{literals.single(divisor)})",
        value.low / divisor,
        value.high / divisor,
        value.tiny / divisor,
        False,
        True,
    )


def _bounded(plan: EnsemblePlan, output: int, sql: str) -> Value:
    base = plan.ensemble.base_scores[plan.positions[output]]
    low = high = base
    peak, tiny = abs(base), abs(base) or math.inf
    for outputs, tree in plan.trees:
        if output in outputs:
            numbers = [leaf.values[outputs.index(output)] for leaf in leaves(tree)]
            low, high = low + min(numbers), high + max(numbers)
            peak = max(peak, abs(low), abs(high))
            tiny = min([tiny, *(abs(number) for number in numbers if number)])
    is_real = plan.ensemble.dtype == "float32"
    slack = 1 + len(plan.trees) * (6e-8 if is_real else 1.2e-16)
    if peak * slack > (LARGEST_SINGLE if is_real else 1e307):
        raise UnsupportedModelError("tree ensemble", f"a sum of leaves of up to {peak:g}", "scale the target")
    lattice = tiny * (2.0**-24 if is_real else 2.0**-53)
    low, high = (
        bound * slack if bound * side > 0 else bound / slack for bound, side in ((low, -1), (high, 1))
    )
    return Value(sql, low, high, max(lattice, 5e-324), False, is_real)


def _number(numbers: dict[tuple[float, ...], int], leaf: Leaf) -> str:
    return f"'{numbers[leaf.values]}'"


def _literal(plan: EnsemblePlan, value: float) -> str:
    if plan.ensemble.dtype == "float32":
        return literals.single(value)
    return literals.double(value)
