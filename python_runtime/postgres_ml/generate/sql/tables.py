"""A TableSum in SQL: each column's points are an array, whose place width_bucket() finds.

NULL and NaN have the last bin: the edges end in NaN, which width_bucket() takes for the greatest number and
compares equal to itself; NULL has no place in the array and coalesce() gives its points. So no argument needs
the guard against NaN. Of a column of categories the points stand in a CASE, as its codes would.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from postgres_ml.generate import literals
from postgres_ml.generate.literals import DOUBLE
from postgres_ml.generate.sql.arguments import FLOATS, INTEGERS, ArgumentReader
from postgres_ml.generate.sql.arithmetic import elementary
from postgres_ml.generate.sql.arithmetic.interval import LARGEST, Calculator, Value, constant, typed
from postgres_ml.generate.sql.fold.slots import Categorical, Constant, Monotone, Slot
from postgres_ml.program.compute import bins_of
from postgres_ml.program.scorers import Table, TableSum

KEPT_READS = 3  # of a place in the arrays, from which a variable is cheaper than finding it again


@dataclass(frozen=True)
class Sources:
    """Where a TableSum's axes come from.

    Parameters
    ----------
    slots : of the program, folded
    reader : of the arguments
    number : returns a slot that SQL computes, in double precision
    categorical : returns a slot that depends on a category
    """

    slots: Sequence[Slot]
    reader: ArgumentReader
    number: Callable[[int], Value]
    categorical: Callable[[Categorical], Value]


class TableWriter:
    """Writes the outputs of one TableSum.

    Parameters
    ----------
    n_outputs : that are asked for
    """

    def __init__(self, step: TableSum, sources: Sources, calculator: Calculator, n_outputs: int) -> None:
        self.step, self.sources, self.calculator = step, sources, calculator
        self.reads = [0] * len(step.slots)
        for table in step.tables:
            for axis in table.axes:
                self.reads[axis] += n_outputs
        self.numbers: dict[int, Value] = {}
        self.kept: dict[int, str] = {}

    def output(self, position: int) -> Value:
        """Return one of the step's outputs."""
        terms = [self._points(table, table.points[position]) for table in self.step.tables]
        return self.calculator.sum([constant(self.step.intercepts[position]), *terms])

    def _points(self, table: Table, points: Sequence[float]) -> Value:
        if len(table.axes) == 1:
            return self._of_one(table.axes[0], points)
        first, second = table.axes
        n_second = self.step.n_bins(second)
        known = [self._constant_bin(axis) for axis in table.axes]
        grid = np.array(points).reshape(-1, n_second)
        if known[0] is not None:
            return self._of_one(second, grid[known[0]].tolist())
        if known[1] is not None:
            return self._of_one(first, grid[:, known[1]].tolist())
        place = f"{self._place(first)}*{n_second}+{self._place(second)}+1"
        return _bounded(f"({elementary.array(tuple(points))})[{place}]", points)

    def _of_one(self, axis: int, points: Sequence[float]) -> Value:
        slot = self.sources.slots[self.step.slots[axis]]
        edges = self.step.edges[axis]
        known = self._constant_bin(axis)
        if known is not None:
            return constant(points[known])
        if isinstance(slot, Categorical):
            return self.sources.categorical(
                slot.map(lambda value: points[int(bins_of(edges, np.array(value)))])
            )
        missing = literals.double(points[-1])
        if axis in self.kept or (self.reads[axis] >= KEPT_READS and self.calculator.has_variables):
            return _bounded(f"({elementary.array(tuple(points))})[{self._place(axis)}+1]", points)
        found = f"({elementary.array(tuple(points))})[{self._bucket(axis)}+1]"
        return _bounded(f"coalesce({found},{missing})", points)

    def _constant_bin(self, axis: int) -> int | None:
        slot = self.sources.slots[self.step.slots[axis]]
        if not isinstance(slot, Constant):
            return None
        return int(bins_of(self.step.edges[axis], np.array(slot.value)))

    def _place(self, axis: int) -> str:
        """Return the number of the row's bin, an integer from 0 on."""
        if axis in self.kept:
            return self.kept[axis]
        edges = self.step.edges[axis]
        slot = self.sources.slots[self.step.slots[axis]]
        if isinstance(slot, Categorical):
            bins = slot.map(lambda value: float(bins_of(edges, np.array(value))))
            place = f"{typed(self.sources.categorical(bins))}::integer"
        else:
            place = f"coalesce({self._bucket(axis)},{len(edges) + 1})"
        if self.reads[axis] >= KEPT_READS and self.calculator.has_variables:
            name = self.calculator.declare("integer")
            self.calculator.statements.append(f"{name} := {place};")
            self.kept[axis] = place = name
        return place

    def _bucket(self, axis: int) -> str:
        """Return the bin of a number; NULL where it is NULL."""
        if axis not in self.numbers:
            value = self._number(self.step.slots[axis])
            self.numbers[axis] = value
        edges = ",".join([*(literals.double(edge)[1:-1] for edge in self.step.edges[axis]), "NaN"])
        return f"pg_catalog.width_bucket({typed(self.numbers[axis])},'{{{edges}}}'::{DOUBLE}[])"

    def _number(self, number: int) -> Value:
        """Return the slot; an argument as it is, since neither NaN nor an extreme number needs care here."""
        slot = self.sources.slots[number]
        if isinstance(slot, Monotone) and not slot.operations and math.isnan(slot.missing):
            source = slot.source
            if source == source.base and source.input is not None and source.part is None:
                sql_type = self.sources.reader.inputs[source.input].sql_type
                if sql_type in (*FLOATS, *INTEGERS):
                    argument = self.sources.reader.argument(source.input)
                    return Value(argument if sql_type == DOUBLE else f"{argument}::{DOUBLE}")
        return self.sources.number(number)


def _bounded(sql: str, points: Sequence[float]) -> Value:
    nonzero = [abs(value) for value in points if value]
    return Value(sql, min(points), max(points), min(nonzero, default=LARGEST), False)
