"""The last line of a function: the label or number, and the probabilities as jsonb,
or the distances as an array.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from postgres_ml.contract import sql_names
from postgres_ml.generate import literals
from postgres_ml.generate.literals import DOUBLE
from postgres_ml.generate.sql.arithmetic.interval import Value
from postgres_ml.program.program import BinaryLabel, ClusterLabel, Label, MulticlassLabel, Program
from postgres_ml.program.program import Value as ValueOutput

Read = Callable[[int], Value]
WHOLE_NUMBERS = {"smallint": 2.0**15, "integer": 2.0**31, "bigint": 2.0**63}
#: half an ulp above the greatest single, and half the least one
TOO_GREAT, TOO_SMALL = 3.4028235677973366e38, 2.0**-150


def prediction(program: Program, read: Read) -> str:
    """Return the prediction as an expression of the program's return type."""
    return write_prediction(program.output, program.return_type, read)


@functools.singledispatch
def write_prediction(output: Any, return_type: str, read: Read) -> str:
    """Return the prediction as an expression of type `return_type`."""
    raise NotImplementedError(f"no SQL for {type(output).__name__}")


@write_prediction.register
def _value(output: ValueOutput, return_type: str, read: Read) -> str:
    slot = read(output.slot)
    value = _operand(slot)
    if return_type in WHOLE_NUMBERS:
        return f"{_in_range(value, WHOLE_NUMBERS[return_type])}::{return_type}"
    if return_type == "numeric":
        value = f"nullif(nullif({value},'Infinity'),'-Infinity')"
    elif return_type == "real" and not slot.is_real:
        return _as_single(value)
    return value if return_type == DOUBLE and not slot.is_real else f"{value}::{return_type}"


def _in_range(value: str, limit: float) -> str:
    """Return the rounded number; NULL where it is out of the range, in which the cast would raise.

    The expression stands in it once: it may be long. greatest() and least() leave NULL and NaN out of range.
    """
    low = -limit - 1 if limit < 2.0**53 else math.nextafter(-limit, -math.inf)
    outer = f"least(greatest(pg_catalog.round({value}),{literals.double(low)}),{literals.double(limit)})"
    return f"nullif(nullif({outer},{literals.double(low)}),{literals.double(limit)})"


def _as_single(value: str) -> str:
    """Return the number in single precision, infinite or zero where the cast would raise."""
    size, great, small = "pg_catalog.abs(v)", literals.double(TOO_GREAT), literals.double(TOO_SMALL)
    return (
        f"(select case when {size}>={great} then case when v>'0' then 'Infinity' else '-Infinity' end::real "
        f"when {size}<={small} then '0'::real else v::real end from (values ({value})) as r(v))"
    )


@write_prediction.register
def _binary_label(output: BinaryLabel, return_type: str, read: Read) -> str:
    score = read(output.score)
    no, yes = (literals.label(label, return_type) for label in output.labels)
    compared = f"{_operand(score)}{output.operator}{_threshold(score, output.threshold)}"
    return f"case when {compared} then {yes} else {no} end"


@write_prediction.register
def _multiclass_label(output: MulticlassLabel, return_type: str, read: Read) -> str:
    return _first_best([read(slot) for slot in output.scores], output.labels, "greatest", return_type)


@write_prediction.register
def _cluster_label(output: ClusterLabel, return_type: str, read: Read) -> str:
    values = [read(slot) for slot in output.prediction_reads]
    # NULL (NaN) is less than nothing, as least() has it; nothing is less than one that comes first
    values = [values[0], *(replace(value, nullable=False) for value in values[1:])]
    return _first_best(values, output.labels, "least", return_type)


def _operand(value: Value) -> str:
    return value.sql if value.constant is None else f"{value.sql}::{DOUBLE}"


def _threshold(score: Value, threshold: float) -> str:
    """Return the threshold for a comparison in double precision."""
    if not score.is_real:
        return literals.double(threshold)
    with np.errstate(all="ignore"):
        is_exact = float(np.float32(threshold)) == threshold
    return literals.single(threshold) if is_exact else f"{literals.double(threshold)}::{DOUBLE}"


def _first_best(values: Sequence[Value], labels: Sequence[Label], best: str, return_type: str) -> str:
    """Return the label of the greatest (least) value: the first of equal ones, the first NULL before all."""
    if len(values) == 1:
        return literals.label(labels[0], return_type)
    names = [literals.label(label, return_type) for label in labels]
    nulls = [
        f"when {value.sql} is null then {name}"
        for value, name in zip(values, names, strict=True)
        if value.nullable
    ]
    operands = [_operand(value) for value in values]
    whens = [f"when {operand} then {name}" for operand, name in zip(operands[:-1], names, strict=False)]
    chosen = f"case {best}({','.join(operands)}) {' '.join(whens)} else {names[-1]} end"
    return f"case {' '.join(nulls)} else {chosen} end" if nulls else chosen


def probabilities(labels: Sequence[Label], values: Sequence[Value]) -> str:
    """Return labels and probabilities as jsonb, most likely first; among equals the first label.

    With two classes each order is written out; with more they are sorted by a query, which costs some 20
    microseconds a row.
    """
    values = [value if not value.is_real else _double(value) for value in values]
    if len(labels) == 2:
        first, second = (_operand(value) for value in values)
        return (
            f"case when {second}>{first} then {_pair(labels[::-1], second, first)} "
            f"else {_pair(labels, first, second)} end"
        )
    listed = ",".join(_operand(value) for value in values)
    names = sql_names.text(_json(labels))
    return (
        "(select pg_catalog.jsonb_build_object('labels',pg_catalog.jsonb_agg(l.value order by p.p desc,p.n),"
        "'probabilities',pg_catalog.jsonb_agg(p.p order by p.p desc,p.n)) "
        f"from rows from (pg_catalog.unnest(array[{listed}]::{DOUBLE}[])) with ordinality as p(p,n) "
        f"join pg_catalog.jsonb_array_elements({names}::pg_catalog.jsonb) with ordinality as l(value,n) "
        "on l.n=p.n)"
    )


def distances(values: Sequence[Value]) -> str:
    """Return the distances as an array, that of cluster 0 first; NULL where one is NaN."""
    return f"array[{','.join(_operand(value) for value in values)}]::{DOUBLE}[]"


def _json(labels: Sequence[Label]) -> str:
    whole = [int(v) if isinstance(v, float) and v.is_integer() else v for v in labels]
    return json.dumps(whole, ensure_ascii=False)


def _double(value: Value) -> Value:
    return Value(f"{value.sql}::{DOUBLE}", value.low, value.high, value.tiny, value.nullable)


def _pair(labels: Sequence[Label], first: str, second: str) -> str:
    names = sql_names.text(_json(labels))
    return (
        f"pg_catalog.jsonb_build_object('labels',{names}::pg_catalog.jsonb,"
        f"'probabilities',pg_catalog.jsonb_build_array({first},{second}))"
    )
