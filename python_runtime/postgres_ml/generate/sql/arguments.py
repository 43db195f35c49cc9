"""How a function body reads its arguments: conversions, category codes, the guard against extreme values.

Arguments are written as $1, $2, … (or as fields of the composite argument), never by name, so that a
column may be named like a keyword or like a variable. `ArgumentReader` hands out text for sources and
categories and collects the statements that must stand before the body.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from postgres_ml.contract import sql_names
from postgres_ml.contract.column import STRINGS
from postgres_ml.contract.exceptions import UnsupportedModelError
from postgres_ml.generate import literals
from postgres_ml.generate.literals import DOUBLE
from postgres_ml.generate.sql.arithmetic.interval import NotInlinableError
from postgres_ml.generate.sql.characters import CharacterCounts
from postgres_ml.generate.sql.conversions import read_numeric, read_part
from postgres_ml.generate.sql.fold.slots import CategoryKey, Source
from postgres_ml.generate.sql.search import MOST_SEARCHED, have_one_order, searched
from postgres_ml.generate.sql.words import WordArrays
from postgres_ml.program.encoders import Scalar
from postgres_ml.program.program import Input, Program

# Numbers beyond this take the exact path. Below, products of a few of them and sums of many can't overflow.
LIMIT = 1e37
SIMPLE_CASE = 12  # categories that a CASE compares one after the other; more are searched for

INTEGERS: dict[str, tuple[float, float]] = {
    "smallint": (-(2.0**15), 2.0**15 - 1),
    "integer": (-(2.0**31), 2.0**31 - 1),
    "bigint": (-(2.0**63), 2.0**63),
}
UNCONVERTED = ("text", "character varying")  # compared with text as they are
FLOATS = ("real", DOUBLE)


@dataclass(frozen=True)
class Operand:
    """Text that stands for a number, and its SQL type."""

    sql: str
    sql_type: str


class ArgumentReader:
    """The arguments of one function body.

    Parameters
    ----------
    program : whose inputs are the arguments
    has_variables : False in a SQL function: conversions are written where they are used
    """

    def __init__(self, program: Program, has_variables: bool) -> None:
        self.inputs = program.inputs
        self.has_variables = has_variables
        self.is_composite = len(program.inputs) > sql_names.MAX_ARGUMENTS
        self.conversions: dict[Source, tuple[str, str]] = {}  # variable and expression
        self.codes: dict[CategoryKey, tuple[str, str]] = {}
        self.slot_operands: dict[int, Operand] = {}
        self.limits: dict[Source, tuple[float, float]] = {}
        self.words: dict[int, WordArrays] = {}  # by step
        self.characters: dict[int, CharacterCounts] = {}

    @property
    def texts(self) -> list[WordArrays | CharacterCounts]:
        """What is read of texts before the body, words first."""
        return [*self.words.values(), *self.characters.values()]

    def argument(self, position: int) -> str:
        """Return the argument as it is written in the body."""
        if not self.is_composite:
            return f"${position + 1}"
        record = "f" if self.has_variables else "($1)"
        return f"{record}.{sql_names.identifier(self.inputs[position].name)}"

    def number_type(self, source: Source) -> str:
        """Return the type of the source's text."""
        if source.slot is not None:
            return self.slot_operands[source.slot].sql_type
        if source.part is not None or source != source.base:
            return DOUBLE
        sql_type = _input(self.inputs, source).sql_type
        return sql_type if sql_type in INTEGERS or sql_type in FLOATS else DOUBLE

    def source(self, source: Source) -> Operand:
        """Return the number that splits and arithmetic read."""
        if source.slot is not None:
            if source.slot not in self.slot_operands:
                raise NotInlinableError
            return self.slot_operands[source.slot]
        sql_type = self.number_type(source)
        base = source.base
        if source == base and source.part is None and _input(self.inputs, source).sql_type == sql_type:
            self.limits.setdefault(source, (-math.inf, math.inf))
            return Operand(self.argument(_position(source)), sql_type)
        if source not in self.conversions:
            if source == base:
                expression = self._read(source)
                self.limits.setdefault(source, (-math.inf, math.inf))
            else:
                operand = self.source(base)
                cast = "" if operand.sql_type == DOUBLE else f"::{DOUBLE}"
                expression = _changed(operand.sql + cast, source)
            name = f"n{len(self.conversions) + 1}"
            self.conversions[source] = (name, expression) if self.has_variables else (f"({expression})", "")
        return Operand(self.conversions[source][0], DOUBLE)

    def limit(self, source: Source, low: float, high: float) -> None:
        """Send rows in which the source is outside of [low, high] on the exact path."""
        base = source.base
        if base.slot is not None or base.part is not None:
            return
        least, greatest = self.bounds(base) or (-math.inf, math.inf)
        self.source(base)
        known = self.limits[base]
        low, high = (low if low > least else -math.inf), (high if high < greatest else math.inf)
        self.limits[base] = (max(known[0], low), min(known[1], high))

    def bounds(self, source: Source) -> tuple[float, float] | None:
        """Return the bounds that the source's type has by itself; None for floating point and numeric."""
        if source.part is not None:
            return (-1e13, 1e13)
        return INTEGERS.get(_input(self.inputs, source).sql_type) if source.slot is None else None

    def guard(self) -> str:
        """Return a condition that is true for rows with NaN or a number outside of its limits.

        Empty when no argument can be so. It costs some 9 nanoseconds a column.
        """
        conditions: list[str] = []
        for source, (low, high) in self.limits.items():
            if source.part is None:
                conditions += self._beyond(source, low, high)
        return " or ".join(conditions)

    def _beyond(self, source: Source, low: float, high: float) -> list[str]:
        sql_type = _input(self.inputs, source).sql_type
        operand = self.source(source).sql
        if sql_type in INTEGERS:
            above = [f"{operand}>'{math.floor(high)}'"] if high < math.inf else []
            return above + ([f"{operand}<'{math.ceil(low)}'"] if low > -math.inf else [])
        if sql_type == "numeric" and not self.has_variables:
            # the plain cast may convert it where this is false
            operand = self.argument(_position(source))
            low, high = max(low, -LIMIT), min(high, LIMIT)
            ends = f"{operand}>{literals.double(high)} or {operand}<{literals.double(low)}"
            return [f"{ends} or pg_catalog.scale({operand})>300"]
        greatest, least = literals.double(high), literals.double(low)
        if sql_type == "real":
            greatest, least = literals.single(_toward_zero(high)), literals.single(_toward_zero(low))
        if low == -math.inf:
            return [f"{operand}>{greatest}"]  # NaN is greater than Infinity
        if low == -high:
            return [f"pg_catalog.abs({operand})>{greatest}"]
        return [f"{operand}>{greatest} or {operand}<{least}"]

    def floats(self) -> list[str]:
        """Return the arguments that may be NaN and are read as they are."""
        return [
            self.argument(_position(source))
            for source in self.limits
            if source.part is None and _input(self.inputs, source).sql_type in FLOATS
        ]

    def category(self, position: int) -> str:
        """Return the argument as it is compared with categories."""
        item = self.inputs[position]
        if item.kind == "text":
            cast = "" if item.sql_type == "text" else "::pg_catalog.text"
            return f'{self.argument(position)}{cast} collate pg_catalog."C"'
        if item.kind == "boolean":
            return self.argument(position)
        return self.source(Source(position)).sql

    def is_stable(self, position: int) -> bool:
        """Return whether reading the argument is not immutable: an enum's labels may be renamed."""
        item = self.inputs[position]
        return item.kind == "text" and item.sql_type not in STRINGS

    def scalar(self, key: CategoryKey, value: Scalar) -> str | None:
        """Return a category as a literal; None where no value of the argument's type equals it."""
        if isinstance(value, str):
            return sql_names.text(value)
        if isinstance(value, bool):
            return "'true'" if value else "'false'"
        sql_type = self.number_type(Source(key.input))
        if sql_type in INTEGERS:
            low, high = INTEGERS[sql_type]
            return f"'{int(value)}'" if float(value).is_integer() and low <= value <= high else None
        return f"{literals.double(value)}::{DOUBLE}" if sql_type == "real" else literals.double(value)

    def code(self, key: CategoryKey) -> str:
        """Return the variable that holds the category's number, from 1 on, in the order of `CategoryKey`."""
        if not self.has_variables:
            return self._code(key)
        if key not in self.codes:
            self.codes[key] = (f"c{len(self.codes) + 1}", self._code(key))
        return self.codes[key][0]

    def _code(self, key: CategoryKey) -> str:
        missing, unseen = len(key.values) + 1, len(key.values) + 2
        operand = self.category(key.input)
        if self.is_searched(key):
            found = searched(operand, self.in_order(key, [str(n) for n in range(1, missing)]), str(unseen))
        elif self.inputs[key.input].kind == "text" and len(key.values) > SIMPLE_CASE:
            numbers = json.dumps(
                {str(value): number for number, value in enumerate(key.values, 1)}, ensure_ascii=False
            )
            argument = operand.removesuffix(' collate pg_catalog."C"')
            found = f"coalesce(({sql_names.text(numbers)}::pg_catalog.jsonb->>{argument})::integer,{unseen})"
        else:
            found = " ".join(
                f"when {literal} then {number}"
                for number, value in enumerate(key.values, 1)
                if (literal := self.scalar(key, value)) is not None
            )
            found = f"case {operand} {found} else {unseen} end" if found else str(unseen)
        return f"case when {self.presence(key.input)} is null then {missing} else {found} end"

    def is_searched(self, key: CategoryKey) -> bool:
        """Return whether the category's number is found by binary search."""
        return (
            self.inputs[key.input].sql_type in UNCONVERTED
            and SIMPLE_CASE < len(key.values) <= MOST_SEARCHED
            and have_one_order([str(value) for value in key.values])
        )

    def in_order(self, key: CategoryKey, results: Sequence[str]) -> list[tuple[str, str]]:
        """Return literals of text categories, each with its result, in the order of collation "C"."""
        pairs = sorted(zip(map(str, key.values), results, strict=True))
        return [(sql_names.text(value), result) for value, result in pairs]

    def presence(self, position: int) -> str:
        """Return what is NULL where the input is missing."""
        if self.inputs[position].kind == "number":
            return self.source(Source(position)).sql
        return self.argument(position)

    def _read(self, source: Source) -> str:
        item, argument = _input(self.inputs, source), self.argument(_position(source))
        if source.part is None:
            if item.sql_type != "numeric":
                raise UnsupportedModelError(
                    "column", f'"{item.name}" of type {item.sql_type}', "cast it to numeric"
                )
            return read_numeric(argument) if self.has_variables else f"{argument}::{DOUBLE}"
        return read_part(source.part, item, argument)


def _toward_zero(value: float) -> float:
    """Return the single-precision number next to the double, on the side of zero."""
    single = np.float32(value)
    return float(single if abs(float(single)) <= abs(value) else np.nextafter(single, np.float32(0)))


def _changed(sql: str, source: Source) -> str:
    if source.null_if is not None:
        return f"nullif({sql},{literals.double(source.null_if)})"
    if source.fill is not None:
        sql = f"coalesce({sql},{literals.double(source.fill)})"
    if source.lowest is not None:
        return f"case when {sql}>={literals.double(source.lowest)} then {sql} end"
    return sql


def _position(source: Source) -> int:
    assert source.input is not None
    return source.input


def _input(inputs: tuple[Input, ...], source: Source) -> Input:
    return inputs[_position(source)]
