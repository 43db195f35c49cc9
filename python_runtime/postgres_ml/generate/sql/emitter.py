"""The statements of a function body: one path for ordinary rows, one that is exact for any row.

Both paths store the same slots in the same variables, so that the trees between them and after them are
written once. Where the two come out the same (nothing could raise) only one is written.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from postgres_ml.generate import literals
from postgres_ml.generate.literals import DOUBLE
from postgres_ml.generate.sql import steps
from postgres_ml.generate.sql.arguments import LIMIT, SIMPLE_CASE, ArgumentReader, Operand
from postgres_ml.generate.sql.arithmetic import elementary, links
from postgres_ml.generate.sql.arithmetic.interval import (
    LARGEST,
    SAFE_TINY,
    SMALLEST,
    Calculator,
    NotInlinableError,
    Value,
    as_double,
    constant,
    typed,
)
from postgres_ml.generate.sql.categorical import categorical_value, merged
from postgres_ml.generate.sql.characters import CharacterCounts
from postgres_ml.generate.sql.fold import monotone_threshold
from postgres_ml.generate.sql.fold.slots import Categorical, Computed, Constant, Monotone
from postgres_ml.generate.sql.plan import Plan
from postgres_ml.generate.sql.tables import Sources, TableWriter
from postgres_ml.generate.sql.words import WordArrays, arrays_of
from postgres_ml.program import encoders, scorers

FEW_WEIGHTS = 64  # of a linear map on the exact path, which calls a function for each operation
MANY_WEIGHTS = 100_000  # of a linear map that is unrolled: some 2 MB of text


class Emitter:
    """Computes a plan's slots on one of the two paths.

    Parameters
    ----------
    plan, reader : what to compute, from which arguments
    calculator : collects the statements
    is_exact : whether arguments may be anything; on the ordinary path they are within `arguments.LIMIT`

    Attributes
    ----------
    values : slots computed so far
    """

    def __init__(self, plan: Plan, reader: ArgumentReader, calculator: Calculator, is_exact: bool) -> None:
        self.plan = plan
        self.reader = reader
        self.calculator = calculator
        self.is_exact = is_exact
        self.values: dict[int, Value] = {}
        self._memo: dict[int, Value] = {}

    def group(self, numbers: Sequence[int]) -> list[str]:
        """Return the statements that store the slots of these steps, none of which is a tree ensemble."""
        self._memo = {}
        for number in numbers:
            step = self.plan.program.steps[number]
            positions = self.plan.positions[number]
            if isinstance(step, encoders.Words | encoders.Characters):
                self._read_text(number, positions)
                continue
            read = self.read if isinstance(step, scorers.Link) else self.number
            if isinstance(step, scorers.Linear):
                values = self._linear(step, positions)
            elif isinstance(step, scorers.TableSum):
                values = self._table_sum(step, positions)
            else:
                values = links.write_step(step, self.calculator, read, positions)
            offset = self.plan.program.offsets[number]
            for position, value in zip(positions, values, strict=True):
                self.values[offset + position] = self._kept(offset + position, value)
        statements, self.calculator.statements = self.calculator.statements, []
        return statements

    def _read_text(self, number: int, positions: Sequence[int]) -> None:
        """Have the prologue read the text, and take note of where the step's slots will be."""
        if not self.calculator.has_variables:
            raise NotInlinableError
        step = self.plan.program.steps[number]
        arrays: WordArrays | CharacterCounts
        if isinstance(step, encoders.Characters):
            arrays = self.reader.characters.setdefault(
                number, CharacterCounts(step, number, tuple(positions))
            )
        else:
            arrays = self._arrays(number)
        for position in positions:
            value = arrays.slot(position)
            self.keep(self.plan.program.offsets[number] + position, value, value.sql)

    def _arrays(self, number: int) -> WordArrays:
        known = self.reader.words
        if number not in known:
            known[number] = arrays_of(self.plan.program, number, self.plan.positions, self.plan.roots)
        return known[number]

    def roots(self) -> list[str]:
        """Return statements that store what is asked for and isn't computed by a step."""
        self._memo = {}
        for index in self.plan.roots:
            if not isinstance(self.plan.slots[index], Computed | Constant):
                value = self.read(index)
                self._memo[index] = self.values[index] = self._kept(index, value)
        statements, self.calculator.statements = self.calculator.statements, []
        return statements

    def keep(self, slot: int, value: Value, name: str) -> None:
        """Take note that the slot's value stands in a variable."""
        self.values[slot] = replace(value, sql=name, constant=None)
        self.reader.slot_operands[slot] = Operand(name, "real" if value.is_real else DOUBLE)

    def keep_inline(self, slot: int, value: Value) -> None:
        """Take note of a slot's expression, in a body without variables."""
        if self.plan.uses[slot] > 1:
            value = self.calculator.bind(value)
        self.values[slot] = value
        if value.is_short:
            self.reader.slot_operands[slot] = Operand(value.sql, "real" if value.is_real else DOUBLE)

    def _kept(self, slot: int, value: Value) -> Value:
        """Store the slot in its variable where there are variables, else hand it on as it is."""
        if not self.calculator.has_variables:
            self.keep_inline(slot, value)
            return self.values[slot]
        name = f"s{slot}"
        sql = value.sql if value.constant is None else f"{value.sql}::{DOUBLE}"
        self.calculator.statements.append(f"{name} := {sql};")
        self.calculator.declarations[name] = "real" if value.is_real else DOUBLE
        self.keep(slot, value, name)
        return self.values[slot]

    def number(self, index: int) -> Value:
        """Return a slot in double precision."""
        return as_double(self.read(index))

    def read(self, index: int) -> Value:
        """Return a slot, in single precision where it was computed so."""
        slot = self.plan.slots[index]
        if isinstance(slot, Computed):
            return self.values[index]
        if isinstance(slot, Constant):
            return constant(slot.value)
        if index not in self._memo:
            value = self._categorical(slot) if isinstance(slot, Categorical) else self._monotone(slot)
            if self.plan.uses[index] > 1:
                value = self.calculator.bind(value)
            self._memo[index] = value
        return self._memo[index]

    def _monotone(self, slot: Monotone) -> Value:
        source = slot.source
        is_slot = source.slot is not None
        value = as_double(self.values[source.slot or 0]) if is_slot else self._argument(slot)
        for step in slot.operations:
            value = elementary.apply(self.calculator, step, value)
        return steps.filled(value, slot.missing)

    def _argument(self, slot: Monotone) -> Value:
        source = slot.source
        nullable = source not in self.plan.facts.present
        operand = self.reader.source(source)
        sql = operand.sql if operand.sql_type == DOUBLE else f"{operand.sql}::{DOUBLE}"
        bounds = self.reader.bounds(source.base)
        low, high = bounds or (-LIMIT, LIMIT)
        if source.part is None:
            low, high = _moderate(slot, (low, high))
            self.reader.limit(source, low, high)
        if bounds is not None:
            tiny = 1.0 if source.part is None else 1e-6
            return Value(sql, *(bounds if self.is_exact else (low, high)), tiny, nullable)
        tiny = 1e-45 if operand.sql_type == "real" else SMALLEST
        if self.is_exact:
            return Value(sql, tiny=tiny, nullable=nullable)
        if not self.reader.has_variables and operand.sql != self.reader.argument(source.input or 0):
            tiny = 1e-300  # the guard looks at a numeric's scale
        return Value(sql, low, high, tiny, nullable)

    def _categorical(self, slot: Categorical) -> Value:
        is_coded = slot.key in self.plan.coded
        if not self.reader.has_variables:  # a lookup then is one where it is read
            is_coded = is_coded and len(slot.values) > SIMPLE_CASE
        return categorical_value(
            self.reader, slot, is_coded, self.plan.facts.impossible.get(slot.key, frozenset())
        )

    def _linear(self, step: scorers.Linear, positions: Sequence[int]) -> list[Value]:
        """Return a linear map's outputs: unrolled, or over arrays where that would be too long."""
        if any(self._words_at(slot) is not None for slot in step.slots):
            return [self._with_words(step, p) for p in positions]
        n_weights = len(step.slots) * len(positions)
        if n_weights <= (FEW_WEIGHTS if self.is_exact else MANY_WEIGHTS) or not self.calculator.has_variables:
            return [self._dot(step, p) for p in positions]
        inputs = [self.number(slot) for slot in step.slots]
        name = self.calculator.declare(f"{DOUBLE}[]")
        self.calculator.statements.append(f"{name} := array[{','.join(map(typed, inputs))}];")
        return [self._over_array(name, inputs, step.weights[p], step.intercepts[p]) for p in positions]

    def _table_sum(self, step: scorers.TableSum, positions: Sequence[int]) -> list[Value]:
        sources = Sources(self.plan.slots, self.reader, self.number, self._categorical)
        writer = TableWriter(step, sources, self.calculator, len(positions))
        return [writer.output(position) for position in positions]

    def _over_array(
        self, name: str, inputs: Sequence[Value], weights: Sequence[float], intercept: float
    ) -> Value:
        """Return the weighted sum of an array's elements, in order.

        sum() adds in the order of the elements, but leaves NULL out and raises like any other addition: it
        must be settled that neither can happen.
        """
        numbers, last = elementary.array(tuple(weights)), literals.double(intercept)
        reach = sum(value.magnitude * abs(w) for value, w in zip(inputs, weights, strict=True) if w)
        vanishes = any(
            w and value.tiny * abs(w) < SAFE_TINY for value, w in zip(inputs, weights, strict=True)
        )
        if self.is_exact or vanishes or not reach < 1e300 or any(value.nullable for value in inputs):
            self.calculator.uses_helper = self.calculator.uses_dot = True
            return Value(f"{self.calculator.helper_dot}({name},{numbers},{last})")
        elements = f"pg_catalog.unnest({name}),pg_catalog.unnest({numbers})"
        sql = f"((select pg_catalog.sum(u.x*u.w) from rows from ({elements}) as u(x,w))+{last})"
        bound = reach * 1.001 + abs(intercept)
        return Value(sql, -bound, bound, max(abs(intercept) * 2.0**-54, SMALLEST), False)

    def _words_at(self, index: int) -> WordArrays | None:
        """Return the arrays that a slot is in, where a linear map can read them as they are."""
        slot = self.plan.slots[index]
        arrays = self.reader.words.get(slot.step) if isinstance(slot, Computed) else None
        return None if arrays is None or arrays.is_dense else arrays

    def _with_words(self, step: scorers.Linear, position: int) -> Value:
        """Return a linear map's output where some of its slots are those of words, of which most are zero."""
        total = constant(0.0)
        pairs = zip(step.slots, step.weights[position], strict=True)
        for arrays, run in itertools.groupby(pairs, lambda pair: self._words_at(pair[0])):
            slots, weights = zip(*run, strict=True)
            if arrays is not None:
                total = arrays.add_weighted(self.calculator, total, weights)
            else:
                total = self.calculator.sum([total, *self._terms(slots, weights)])
        return self.calculator.sum([total, constant(step.intercepts[position])])

    def _dot(self, step: scorers.Linear, position: int) -> Value:
        """Return a linear map's output."""
        terms = self._terms(step.slots, step.weights[position])
        return self.calculator.sum([*terms, constant(step.intercepts[position])])

    def _terms(self, slots: Sequence[int], weights: Sequence[float]) -> list[Value]:
        """Return the products of slots and weights; one-hot slots side by side are one lookup of theirs."""
        terms: list[Value] = []
        pending: Categorical | None = None
        for index, weight in zip(slots, weights, strict=True):
            slot = self.plan.slots[index]
            weighted = slot.map(functools.partial(_times, weight)) if isinstance(slot, Categorical) else None
            both = merged(pending, weighted) if pending and weighted else None
            if pending is not None and both is None:
                terms.append(self._categorical(pending))
            pending = both or weighted
            if weighted is None:
                terms += self._term(index, weight)
        if pending is not None:
            terms.append(self._categorical(pending))
        return terms

    def _term(self, index: int, weight: float) -> list[Value]:
        value = self.number(index)
        if weight == 0.0 and not value.nullable and value.magnitude <= LARGEST:
            return []  # adds zero
        return [self.calculator.multiply(value, constant(weight))]


def _times(weight: float, number: float) -> float:
    with np.errstate(all="ignore"):
        return float(np.multiply(number, weight))


def _moderate(slot: Monotone, bounds: tuple[float, float]) -> tuple[float, float]:
    """Return between which numbers of the source no operation gets beyond 1e100.

    These are `bounds`, unless there is an exponential or a logarithm.
    """
    low, high = monotone_threshold.key_of(bounds[0]), monotone_threshold.key_of(bounds[1])
    for n in range(1, len(slot.operations) + 1):
        operations = slot.operations[:n]
        if np.all(np.abs(monotone_threshold.evaluate(operations, np.array(bounds))) <= 1e100):
            continue
        rises = all(monotone_threshold.direction(step) >= 0 for step in operations)
        sign = 1.0 if rises else -1.0
        high = min(high, _first_above(operations, sign, 1e100) - 1)
        low = max(low, _first_above(operations, sign, -1e100))
    return monotone_threshold.value_of(low), monotone_threshold.value_of(high)


def _first_above(operations: tuple[monotone_threshold.Operation, ...], sign: float, bound: float) -> int:
    """Return the number of the first double that the operations, times the sign, take beyond the bound."""
    return int(
        monotone_threshold.first_key(lambda x: sign * monotone_threshold.evaluate(operations, x) > bound, 1)[
            0
        ]
    )
