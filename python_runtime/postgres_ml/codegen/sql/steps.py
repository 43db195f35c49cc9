"""The steps that SQL computes, one writer each: from the values of a step's slots to the values of its outputs.

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

from postgres_ml.codegen.sql import functions, literals
from postgres_ml.codegen.sql.literals import DOUBLE
from postgres_ml.codegen.sql.values import LARGEST, SMALLEST, Calculator, Value, as_double, constant
from postgres_ml.ir import encoders, models

Read = Callable[[int], Value]
ABOVE_HALF_RANGE = 700.0  # exp() of a number up to this, and sums of a thousand of them, are finite
SINGLE_RANGE = 87.0  # and in single precision
LARGEST_SINGLE, SMALLEST_SINGLE = 3.4028234663852886e38, 1.1754943508222875e-38


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
    return [functions.apply(calculator, step, read(step.slot))]


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
    calculator.statements.append(f"{at} := pg_catalog.width_bucket({x.sql},{functions.array(step.x)});")
    knots_x, knots_y = np.array(step.x), np.array(step.y)
    slopes = np.diff(knots_y) / np.diff(knots_x)

    def pick(values: Any) -> Value:
        finite = np.asarray(values, dtype=np.float64)
        nonzero = np.abs(finite[finite != 0])
        tiny = float(nonzero.min()) if len(nonzero) else LARGEST
        sql = f"({functions.array(tuple(finite.tolist()))})[{at}]"
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
        norm = functions.unary(
            calculator, "sqrt", calculator.sum([calculator.square(term) for term in terms])
        )
    else:
        magnitudes = [functions.unary(calculator, "abs", term) for term in terms]
        norm = calculator.sum(magnitudes) if step.norm == "l1" else _greatest(magnitudes)
    norm = calculator.store(norm)
    divisor = replace(
        norm, sql=f"coalesce(nullif({norm.sql},'0'),'1')", low=SMALLEST, high=max(norm.high, 1.0)
    )
    if norm.nullable:  # a missing norm must stay missing
        divisor = replace(divisor, sql=f"(case when {norm.sql}='0' then '1' else {norm.sql} end)")
    divisor = calculator.store(divisor)
    return [replace(calculator.divide(terms[p], divisor), low=-1.0, high=1.0) for p in positions]


def _greatest(values: Sequence[Value]) -> Value:
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


@write_step.register
def _linear(step: models.Linear, calculator: Calculator, read: Read, positions: Sequence[int]) -> list[Value]:
    return [dot(calculator, read, step.slots, step.weights[p], step.intercepts[p]) for p in positions]


def dot(
    calculator: Calculator, read: Read, slots: Sequence[int], weights: Sequence[float], intercept: float
) -> Value:
    """Return the slots' weighted sum, in their order, and the intercept at the end."""
    terms = []
    for slot, weight in zip(slots, weights, strict=True):
        value = read(slot)
        if weight == 0.0 and not value.nullable and value.magnitude <= LARGEST:
            continue  # adds zero
        terms.append(calculator.multiply(value, constant(weight)))
    return calculator.sum([*terms, constant(intercept)])


@write_step.register
def _activation(
    step: models.Activation, calculator: Calculator, read: Read, positions: Sequence[int]
) -> list[Value]:
    values = [read(step.slots[p]) for p in positions]
    if step.function == "tanh":
        return [functions.unary(calculator, "tanh", value) for value in values]
    if step.function == "relu":
        return [_relu(calculator, value) for value in values]
    if step.function == "logistic":
        return [logistic(calculator, value, functions.ACTIVATION_LIMIT) for value in values]
    return [_silu(calculator, calculator.bind(value)) for value in values]


def _relu(calculator: Calculator, value: Value) -> Value:
    if not value.nullable:
        return replace(value, sql=f"greatest({value.sql},'0')", low=0.0)
    value = calculator.bind(value)
    return replace(value, sql=f"(case when {value.sql}<'0' then '0' else {value.sql} end)", low=0.0)


def _silu(calculator: Calculator, value: Value) -> Value:
    """Return x / (1 + e^-x); below -700 it is zero to within 1e-301."""
    factor = calculator.bind(logistic(calculator, value))
    product = calculator.multiply(value, factor)
    if value.magnitude <= LARGEST:
        return product
    sql = f"(case when {value.sql}<'-{ABOVE_HALF_RANGE:g}' then '0' else {product.sql} end)"
    return Value(sql, -0.3, value.high, SMALLEST, value.nullable)


def logistic(calculator: Calculator, value: Value, limit: float = ABOVE_HALF_RANGE) -> Value:
    """Return 1 / (exp(-x) + 1), in the value's own precision."""
    one = "'1'::real" if value.is_real else "'1'"
    limit = SINGLE_RANGE if value.is_real else limit
    opposite = f"-{value.sql}" if value.constant is None else f"-{value.sql}::{DOUBLE}"
    if value.magnitude > limit:
        value = calculator.bind(value)
        opposite = f"-{value.sql}"
        opposite = f"least(greatest({opposite},'-{limit:g}'),'{limit:g}')"
    exponential = f"pg_catalog.exp({_widened(opposite, value)})"
    exponential += "::real" if value.is_real else ""
    sql = f"({one}/({exponential}+'1'))"
    if value.magnitude > limit and value.nullable:  # least() and greatest() ignore NULL
        sql = f"(case when {value.sql} is not null then {sql} end)"
    tiny = float(np.exp(-min(limit, value.magnitude))) / 2
    return Value(sql, 0.0, 1.0, tiny, value.nullable, value.is_real)


def _widened(sql: str, value: Value) -> str:
    return f"({sql})::{DOUBLE}" if value.is_real else sql


@write_step.register
def _distances(
    step: models.Distances, calculator: Calculator, read: Read, positions: Sequence[int]
) -> list[Value]:
    values = [calculator.bind(read(slot)) for slot in step.slots]
    results = []
    for p in positions:
        squares = [
            calculator.square(calculator.subtract(value, constant(c)))
            for value, c in zip(values, step.centers[p], strict=True)
        ]
        total = calculator.sum(squares)
        results.append(functions.unary(calculator, "sqrt", replace(total, low=0.0)))
    return results


@write_step.register
def _link(step: models.Link, calculator: Calculator, read: Read, positions: Sequence[int]) -> list[Value]:
    is_real = step.dtype == "float32"
    if step.function in ("logistic", "exp"):
        values = [_in_dtype(calculator, read(step.slots[p]), is_real) for p in positions]
        if step.function == "logistic":
            return [logistic(calculator, value) for value in values]
        return [_exp(calculator, value) for value in values]
    values = [calculator.bind(_in_dtype(calculator, read(slot), is_real)) for slot in step.slots]
    if step.function == "softmax":
        terms = _softmax_terms(calculator, values)
        total = calculator.store(_total(calculator, terms))
        return [_share(terms[p], total) for p in positions]
    total = calculator.store(_total(calculator, values))
    each = f"'{1 / len(values)!r}'"
    divisor = replace(total, sql=f"(case when {total.sql}='0' then '1' else {total.sql} end)", low=SMALLEST)
    divisor = as_double(calculator.store(divisor))
    results = []
    for p in positions:
        # a quotient of two singles, rounded to double and then to single, is the quotient rounded once
        quotient = calculator.divide(as_double(values[p]), divisor)
        if is_real:
            quotient = _rounded(calculator, quotient)
        sql = f"(case when {total.sql}='0' then {each} else {quotient.sql} end)"
        results.append(Value(sql, -LARGEST, LARGEST, nullable=True, is_real=is_real))
    return results


def _in_dtype(calculator: Calculator, value: Value, is_real: bool) -> Value:
    if value.is_real or not is_real:
        return value if is_real else as_double(value)
    return _rounded(calculator, value)


def _rounded(calculator: Calculator, value: Value) -> Value:
    """Return a double rounded to single precision."""
    if value.magnitude <= LARGEST_SINGLE and value.tiny >= SMALLEST_SINGLE:
        return replace(value, sql=f"{value.sql}::real", is_real=True)
    value = calculator.bind(value)
    sql = (  # the cast raises where the result would be infinite or zero
        f"(case when pg_catalog.abs({value.sql})<='7.006492321624085e-46' then '0' "
        f"when {value.sql}>'3.4028235677973362e38' then 'Infinity' "
        f"when {value.sql}<'-3.4028235677973362e38' then '-Infinity' else {value.sql}::real end)"
    )
    return Value(sql, nullable=value.nullable, is_real=True)


def _exp(calculator: Calculator, value: Value) -> Value:
    if not value.is_real:
        return functions.exp(calculator, value)
    limit = SINGLE_RANGE
    if value.magnitude <= limit:
        high = float(np.exp(value.high))
        sql = f"pg_catalog.exp({value.sql}::{DOUBLE})::real"
        return Value(sql, 0.0, high * 1.001, float(np.exp(value.low)) / 2, value.nullable, True)
    value = calculator.bind(value)
    sql = (
        f"(case when {value.sql}>'88.72283' then 'Infinity' when {value.sql}<'-103' then '0' "
        f"else pg_catalog.exp({value.sql}::{DOUBLE})::real end)"
    )
    return Value(sql, 0.0, math.inf, 1e-45, value.nullable, True)


def _softmax_terms(calculator: Calculator, values: Sequence[Value]) -> list[Value]:
    """Return exp(x - max) of each value, cut off at e^-700 (e^-87 in single precision)."""
    greatest = calculator.store(_greatest(values))
    limit = SINGLE_RANGE if greatest.is_real else ABOVE_HALF_RANGE
    terms = []
    for value in values:
        if greatest.magnitude <= LARGEST_SINGLE / 4:
            below = f"greatest({value.sql}-{greatest.sql},'-{limit:g}')"
        else:
            exact = calculator.subtract(as_double(value), as_double(greatest))
            difference = calculator.bind(_rounded(calculator, exact) if greatest.is_real else exact).sql
            below = f"case when {difference}<'-{limit:g}' then '-{limit:g}' else {difference} end"
        if greatest.nullable:
            below = f"case when {greatest.sql} is not null then {below} end"
        sql = f"pg_catalog.exp(({below}){f'::{DOUBLE}' if greatest.is_real else ''})"
        sql += "::real" if greatest.is_real else ""
        term = Value(sql, 0.0, 1.0, float(np.exp(-limit)) / 2, greatest.nullable, greatest.is_real)
        terms.append(calculator.store(term))
    return terms


def _total(calculator: Calculator, values: Sequence[Value]) -> Value:
    """Return the sum in double precision, rounded to the values' own at the end."""
    if not values[0].is_real:
        return calculator.sum(list(values))
    return _rounded(calculator, calculator.sum([as_double(value) for value in values]))


def _share(value: Value, total: Value) -> Value:
    """Return a softmax term divided by the sum, of which it is a part."""
    return Value(f"({value.sql}/{total.sql})", 0.0, 1.0, value.tiny * 1e-6, value.nullable, value.is_real)


@write_step.register
def _weighted_sum(
    step: models.WeightedSum, calculator: Calculator, read: Read, positions: Sequence[int]
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
