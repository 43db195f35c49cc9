"""The steps that SQL computes, one writer each: from the values of its slots to the values of its outputs.

A writer computes only the outputs that are asked for. All arithmetic goes through `Calculator`, in the order
that the reference interpreter keeps.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from postgres_ml.generate import literals
from postgres_ml.generate.literals import DOUBLE
from postgres_ml.generate.sql.arithmetic import elementary
from postgres_ml.generate.sql.arithmetic.interval import (
    LARGEST,
    SMALLEST,
    Calculator,
    Value,
    as_double,
    constant,
)
from postgres_ml.program import encoders, scorers

Read = Callable[[int], Value]


@functools.singledispatch
def write_step(step: Any, calculator: Calculator, read: Read, positions: Sequence[int]) -> list[Value]:
    """Return the step's outputs at these positions.

    Parameters
    ----------
    read : returns the value of a slot
    """
    raise NotImplementedError(f"no SQL for {type(step).__name__}")


@write_step.register(encoders.Arithmetic)
@write_step.register(encoders.Clip)
@write_step.register(encoders.Bucket)
@write_step.register(encoders.Unary)
def _operation(step: Any, calculator: Calculator, read: Read, positions: Sequence[int]) -> list[Value]:
    return [elementary.apply(calculator, step, read(step.slot))]


@write_step.register
def _one_hot(
    step: encoders.OneHot, calculator: Calculator, read: Read, positions: Sequence[int]
) -> list[Value]:
    x = calculator.bind(read(step.slot)).sql
    return [
        Value(
            f"(case when {x}={literals.double(step.codes[p])} then '1' else '0'::{DOUBLE} end)",
            0.0,
            1.0,
            1.0,
            False,
        )
        for p in positions
    ]


@write_step.register
def _impute(
    step: encoders.Impute, calculator: Calculator, read: Read, positions: Sequence[int]
) -> list[Value]:
    return [filled(read(step.slot), step.value)]


def filled(value: Value, fill: float) -> Value:
    """Return the value, or `fill` where it is missing."""
    if not value.nullable or math.isnan(fill):
        return value
    low, high = min(value.low, fill), max(value.high, fill)
    tiny = min(value.tiny, abs(fill) or LARGEST)
    return Value(f"coalesce({value.sql},{literals.double(fill)})", low, high, tiny, False)


@write_step.register
def _null_if(
    step: encoders.NullIf, calculator: Calculator, read: Read, positions: Sequence[int]
) -> list[Value]:
    value = read(step.slot)
    return [replace(value, sql=f"nullif({value.sql},{literals.double(step.value)})", nullable=True)]


@write_step.register
def _is_missing(
    step: encoders.IsMissing, calculator: Calculator, read: Read, positions: Sequence[int]
) -> list[Value]:
    sql = f"(case when {read(step.slot).sql} is null then '1' else '0'::{DOUBLE} end)"
    return [Value(sql, 0.0, 1.0, 1.0, False)]


@write_step.register
def _piecewise_linear(
    step: encoders.PiecewiseLinear, calculator: Calculator, read: Read, positions: Sequence[int]
) -> list[Value]:
    x = calculator.bind(read(step.slot))
    at = calculator.declare("integer")
    calculator.statements.append(f"{at} := pg_catalog.width_bucket({x.sql},{elementary.array(step.x)});")
    knots_x, knots_y = np.array(step.x), np.array(step.y)
    slopes = np.diff(knots_y) / np.diff(knots_x)

    def pick(values: Any) -> Value:
        finite = np.asarray(values, dtype=np.float64)
        nonzero = np.abs(finite[finite != 0])
        tiny = float(nonzero.min()) if len(nonzero) else LARGEST
        sql = f"({elementary.array(tuple(finite.tolist()))})[{at}]"
        return Value(sql, float(finite.min()), float(finite.max()), tiny)

    # between the first and the last knot: no distance from the knot before is greater than a step
    inside = replace(x, low=step.x[0], high=step.x[-1])
    distance = calculator.subtract(inside, pick(step.x[:-1]))
    distance = replace(distance, low=0.0, high=float(np.diff(knots_x).max()))
    line = calculator.add(calculator.multiply(pick(slopes), distance), pick(step.y[:-1]))
    first, last = literals.double(step.y[0]), literals.double(step.y[-1])
    sql = (
        f"(case when {x.sql}<{literals.double(step.x[0])} then {first} "
        f"when {x.sql}>={literals.double(step.x[-1])} then {last} else {line.sql} end)"
    )
    reach = 1 + 1e-9
    low, high = min(step.y), max(step.y)
    return [Value(sql, low - abs(low) * 1e-9, high * reach if high > 0 else high + abs(high) * 1e-9)]


@write_step.register
def _product(
    step: encoders.Product, calculator: Calculator, read: Read, positions: Sequence[int]
) -> list[Value]:
    factors = [read(slot) for slot in step.slots]
    return [functools.reduce(calculator.multiply, factors)]


@write_step.register
def _normalize(
    step: encoders.Normalize, calculator: Calculator, read: Read, positions: Sequence[int]
) -> list[Value]:
    values = {slot: calculator.bind(read(slot)) for slot in dict.fromkeys(step.slots)}
    terms = [values[slot] for slot in step.slots]
    if step.norm == "l2":
        norm = elementary.unary(
            calculator, "sqrt", calculator.sum([calculator.square(term) for term in terms])
        )
    else:
        magnitudes = [elementary.unary(calculator, "abs", term) for term in terms]
        norm = calculator.sum(magnitudes) if step.norm == "l1" else greatest_of(magnitudes)
    norm = calculator.store(norm)
    divisor = replace(
        norm, sql=f"coalesce(nullif({norm.sql},'0'),'1')", low=SMALLEST, high=max(norm.high, 1.0)
    )
    if norm.nullable:  # a missing norm must stay missing
        divisor = replace(divisor, sql=f"(case when {norm.sql}='0' then '1' else {norm.sql} end)")
    divisor = calculator.store(divisor)
    return [replace(calculator.divide(terms[p], divisor), low=-1.0, high=1.0) for p in positions]


@write_step.register
def _distances(
    step: scorers.Distances, calculator: Calculator, read: Read, positions: Sequence[int]
) -> list[Value]:
    values = [calculator.bind(read(slot)) for slot in step.slots]
    results = []
    for p in positions:
        squares = [
            calculator.square(calculator.subtract(value, constant(c)))
            for value, c in zip(values, step.centers[p], strict=True)
        ]
        total = calculator.sum(squares)
        results.append(elementary.unary(calculator, "sqrt", replace(total, low=0.0)))
    return results


@write_step.register
def _weighted_sum(
    step: scorers.WeightedSum, calculator: Calculator, read: Read, positions: Sequence[int]
) -> list[Value]:
    return [
        calculator.sum(
            [
                calculator.multiply(constant(weight), as_double(read(group[p])))
                for group, weight in zip(step.groups, step.weights, strict=True)
            ]
        )
        for p in positions
    ]


def greatest_of(values: Sequence[Value]) -> Value:
    """Return the greatest value; missing where one is."""
    sql = f"greatest({','.join(value.sql for value in values)})"
    result = Value(
        sql,
        max(value.low for value in values),
        max(value.high for value in values),
        min(value.tiny for value in values),
        any(value.nullable for value in values),
        values[0].is_real,
    )
    missing = [f"{value.sql} is null" for value in values if value.nullable]
    return (
        replace(result, sql=f"(case when {' or '.join(missing)} then null else {sql} end)")
        if missing
        else result
    )
