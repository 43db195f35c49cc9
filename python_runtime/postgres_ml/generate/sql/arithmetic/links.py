"""Activations and links: numbers to probabilities, cut off where exp() would overflow or vanish.

Exactness: in double precision within an ulp of NumPy's exp(); in single precision, xgboost's own arithmetic,
each operation rounded. Zero below e^-700 (single precision e^-87), far below the tolerance of probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from postgres_ml.generate.literals import DOUBLE
from postgres_ml.generate.sql.arithmetic import elementary
from postgres_ml.generate.sql.arithmetic.interval import (
    LARGEST,
    SMALLEST,
    Calculator,
    Value,
    as_double,
    typed,
)
from postgres_ml.generate.sql.steps import Read, greatest_of, write_step
from postgres_ml.program import scorers

DOUBLE_LIMIT = 700.0  # exp() of a number up to this, and sums of a thousand of them, are finite
SINGLE_LIMIT = 88.7228  # exp() of a number up to this is a finite single-precision number
SINGLE_RANGE = 87.0  # and of its opposite one that isn't subnormal
# An activation's exponential is cut here: there a logistic is 0 or 1 to within 1e-100, and no product of it
# with a weight vanishes.
ACTIVATION_LIMIT = 230.0
__all__ = ["logistic", "write_step"]

LARGEST_SINGLE, SMALLEST_SINGLE = 3.4028234663852886e38, 1.1754943508222875e-38


@write_step.register
def _activation(
    step: scorers.Activation, calculator: Calculator, read: Read, positions: Sequence[int]
) -> list[Value]:
    values = [read(step.slots[p]) for p in positions]
    if step.function == "tanh":
        return [elementary.unary(calculator, "tanh", value) for value in values]
    if step.function == "relu":
        return [_relu(calculator, value) for value in values]
    if step.function == "logistic":
        return [logistic(calculator, value, ACTIVATION_LIMIT) for value in values]
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
    sql = f"(case when {value.sql}<'-{DOUBLE_LIMIT:g}' then '0' else {product.sql} end)"
    return Value(sql, -0.3, value.high, SMALLEST, value.nullable)


def logistic(calculator: Calculator, value: Value, limit: float = DOUBLE_LIMIT) -> Value:
    """Return 1 / (exp(-x) + 1), in the value's own precision; zero where -x is beyond `limit`.

    Without variables it is e^-limit there.
    """
    limit, one = (SINGLE_LIMIT, "'1'::real") if value.is_real else (limit, "'1'")
    if value.constant is not None:
        value = replace(value, sql=typed(value), constant=None)
    cast = "::real" if value.is_real else ""
    tiny = float(np.exp(-min(limit, value.magnitude))) / 2
    result = Value("", 0.0, 1.0, tiny, value.nullable, value.is_real)
    if value.magnitude <= limit:
        exponential = f"pg_catalog.exp({_widened(f'-{value.sql}', value)}){cast}"
        return replace(result, sql=f"({one}/({exponential}+'1'))")
    x = calculator.bind(value).sql
    opposite = f"greatest(-{x},'-{limit:g}')"
    if not calculator.has_variables or value.nullable or limit == ACTIVATION_LIMIT:
        opposite = f"least({opposite},'{limit:g}')"
    sql = f"({one}/(pg_catalog.exp({_widened(opposite, value)}){cast}+'1'))"
    if value.nullable:  # least() and greatest() ignore NULL
        sql = f"(case when {x} is not null then {sql} end)"
    if calculator.has_variables and limit != ACTIVATION_LIMIT:
        sql = f"(case when {x}<'-{limit:g}' then '0' else {sql} end)"
    return replace(result, sql=sql)


def _widened(sql: str, value: Value) -> str:
    return f"({sql})::{DOUBLE}" if value.is_real else sql


@write_step.register
def _link(step: scorers.Link, calculator: Calculator, read: Read, positions: Sequence[int]) -> list[Value]:
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
        return elementary.exp(calculator, value)
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
    """Return exp(x - max) of each value, zero below e^-700 (e^-87 in single precision)."""
    greatest = calculator.store(greatest_of(values))
    limit = SINGLE_RANGE if greatest.is_real else DOUBLE_LIMIT
    terms = []
    for value in values:
        if greatest.magnitude <= LARGEST_SINGLE / 4:
            difference = calculator.store(replace(greatest, sql=f"{value.sql}-{greatest.sql}")).sql
        else:
            exact = calculator.subtract(as_double(value), as_double(greatest))
            difference = calculator.bind(_rounded(calculator, exact) if greatest.is_real else exact).sql
        exponential = f"pg_catalog.exp({_widened(difference, greatest)})"
        exponential += "::real" if greatest.is_real else ""
        sql = f"case when {difference}<'-{limit:g}' then '0' else {exponential} end"
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
