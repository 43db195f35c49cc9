"""Slots that depend on a category alone, as SQL: a CASE over the categories, or an array by their number."""

from __future__ import annotations

import math
from dataclasses import replace

from postgres_ml.generate import literals
from postgres_ml.generate.literals import DOUBLE
from postgres_ml.generate.sql.arguments import ArgumentReader
from postgres_ml.generate.sql.arithmetic import elementary
from postgres_ml.generate.sql.arithmetic.interval import LARGEST, Value, constant
from postgres_ml.generate.sql.fold.slots import Categorical
from postgres_ml.generate.sql.search import searched


def merged(first: Categorical, second: Categorical) -> Categorical | None:
    """Return the sum of two encodings of one category if each category has at most one part of it."""
    if first.key != second.key:
        return None
    sums: list[float | None] = []
    for a, b in zip(first.all_outputs, second.all_outputs, strict=True):
        if a is None or b is None:
            sums.append(None)
        elif a == 0.0 or b == 0.0:
            sums.append(a + b)
        elif math.isnan(a) and math.isnan(b):
            sums.append(a)
        else:
            return None
    return replace(first, outputs=tuple(sums[:-2]), missing=sums[-2], unseen=sums[-1])


def categorical_value(
    reader: ArgumentReader, slot: Categorical, is_coded: bool, impossible: frozenset[int]
) -> Value:
    """Return the category's number as an expression; a category that was refused is NULL."""
    outputs = [math.nan if output is None else output for output in slot.all_outputs]
    bounds = _bounds([output for number, output in enumerate(outputs) if number not in impossible])
    if is_coded and not reader.has_variables and reader.is_searched(slot.key):
        return replace(bounds, sql=_searched(reader, slot, outputs))
    if is_coded:
        return replace(bounds, sql=f"({elementary.array(tuple(outputs))})[{reader.code(slot.key)}]")
    *listed, missing, unseen = outputs
    operand, groups = reader.category(slot.input), dict[str, list[str]]()
    default = _number(unseen)
    for value, output in zip(slot.values, listed, strict=True):
        literal = reader.scalar(slot.key, value)
        if literal is not None and _number(output) != default:
            groups.setdefault(_number(output), []).append(literal)
    whens = [
        f"when {operand}={found[0]} then {number}" if len(found) == 1 else
        f"when {operand} in ({','.join(found)}) then {number}"
        for number, found in groups.items()
    ]  # fmt: skip
    if _number(missing) != default:
        whens.insert(0, f"when {reader.presence(slot.input)} is null then {_number(missing)}")
    elif all(len(found) == 1 for found in groups.values()) and whens:
        simple = " ".join(f"when {found[0]} then {number}" for number, found in groups.items())
        return replace(bounds, sql=f"(case {operand} {simple} else {default}::{DOUBLE} end)")
    if not whens:
        return constant(unseen)
    return replace(bounds, sql=f"(case {' '.join(whens)} else {default}::{DOUBLE} end)")


def _searched(reader: ArgumentReader, slot: Categorical, outputs: list[float]) -> str:
    *listed, missing, unseen = map(_number, outputs)
    found = searched(reader.category(slot.input), reader.in_order(slot.key, listed), f"{unseen}::{DOUBLE}")
    return f"(case when {reader.presence(slot.input)} is null then {missing} else {found} end)"


def _bounds(possible: list[float]) -> Value:
    """Return what is known of the number, without an expression yet."""
    numbers = [output for output in possible if not math.isnan(output)] or [0.0]
    nonzero = [abs(number) for number in numbers if number]
    return Value("", min(numbers), max(numbers), min(nonzero, default=LARGEST), len(numbers) < len(possible))


def _number(value: float) -> str:
    return "null" if math.isnan(value) else literals.double(value)
