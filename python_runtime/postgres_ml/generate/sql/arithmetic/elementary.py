"""Functions of one number and activations, in SQL that never raises: NaN results are NULL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from postgres_ml.generate import literals
from postgres_ml.generate.literals import DOUBLE
from postgres_ml.generate.sql.arithmetic.interval import SMALLEST, Calculator, Value, constant
from postgres_ml.generate.sql.fold import monotone_threshold
from postgres_ml.program import encoders

Writer = Callable[[Calculator, Value], Value]
EXP_HIGH, EXP_LOW = 709.782712893384, -745.133219101941  # exp() is finite and not zero between them


def apply(calculator: Calculator, step: monotone_threshold.Operation, value: Value) -> Value:
    """Return the step's value."""
    if isinstance(step, encoders.Arithmetic):
        operation = {
            "+": calculator.add, "-": calculator.subtract, "*": calculator.multiply, "/": calculator.divide
        }[step.operator]  # fmt: skip
        return operation(value, constant(step.constant))
    if isinstance(step, encoders.Clip):
        return clip(calculator, value, step.low, step.high)
    if isinstance(step, encoders.Bucket):
        edges = array(step.edges)
        sql = f"pg_catalog.width_bucket({value.sql},{edges})::{DOUBLE}" if step.edges else f"{value.sql}*'0'"
        return Value(f"({sql})", 0.0, float(len(step.edges)), 1.0, value.nullable)
    return unary(calculator, step.function, value)


def array(values: tuple[float, ...]) -> str:
    """Return an array of doubles as a constant; NaN is NULL."""
    elements = ["NULL" if value != value else literals.double(value)[1:-1] for value in values]
    return f"'{{{','.join(elements)}}}'::{DOUBLE}[]"


def clip(calculator: Calculator, value: Value, low: float, high: float) -> Value:
    """Return the value limited to [low, high]."""
    if value.low >= low and value.high <= high:
        return value
    # a value between the limits keeps its magnitude; the limits themselves may be smaller
    tiny = min([value.tiny, *(abs(limit) for limit in (low, high) if limit)])
    result = Value("", max(low, min(value.low, high)), min(high, max(value.high, low)), tiny, value.nullable)
    first, last = literals.double(low), literals.double(high)
    if not value.nullable:
        return replace(result, sql=f"least(greatest({value.sql},{first}),{last})")
    value = calculator.bind(value)  # least() and greatest() ignore NULL
    x = value.sql
    return replace(
        result, sql=f"(case when {x}<{first} then {first} when {x}>{last} then {last} else {x} end)"
    )


def unary(calculator: Calculator, name: str, value: Value) -> Value:
    """Return a function of one number, one of `encoders.UnaryName`."""
    if value.constant is not None:
        value = replace(value, sql=f"{value.sql}::{DOUBLE}", constant=None)
    if name in _SIMPLE:
        function, low, high = _SIMPLE[name]
        tiny = 1.0 if name == "sign" else value.tiny * 0.5 if name in ("abs", "tanh") else value.tiny
        if name == "abs":
            high = value.magnitude
        if name == "cbrt":
            low, high = np.cbrt(value.low), np.cbrt(value.high)
        return Value(f"pg_catalog.{function}({value.sql})", low, high, max(tiny, SMALLEST), value.nullable)
    if name == "negative":
        return replace(value, sql=f"(-{value.sql})", low=-value.high, high=-value.low)
    if name == "square":
        return calculator.square(value)
    return _WRITERS[name](calculator, value)


# Never raise: name in Postgres, bounds of the result.
_SIMPLE = {
    "abs": ("abs", 0.0, np.inf),
    "cbrt": ("cbrt", -np.inf, np.inf),
    "sign": ("sign", -1.0, 1.0),
    "tanh": ("tanh", -1.0, 1.0),
}


def exp(calculator: Calculator, value: Value) -> Value:
    """Return e^x; 0 and infinity where that is out of range."""
    with np.errstate(all="ignore"):
        low, high = float(np.exp(value.low)), float(np.exp(value.high))
    if value.low >= EXP_LOW and value.high <= EXP_HIGH:
        return Value(f"pg_catalog.exp({value.sql})", low, high, max(low, SMALLEST), value.nullable)
    value = calculator.bind(value)
    sql = (
        f"(case when {value.sql}>{literals.double(EXP_HIGH)} then 'Infinity' "
        f"when {value.sql}<{literals.double(EXP_LOW)} then '0' else pg_catalog.exp({value.sql}) end)"
    )
    return Value(sql, low, high, SMALLEST, value.nullable)


def _expm1(calculator: Calculator, value: Value) -> Value:
    x = calculator.bind(value).sql
    half = f"({x}*'.5')"
    return Value(
        f"(case when pg_catalog.abs({x})<'1e-300' then {x} when {x}<'-40' then '-1' "
        f"when {x}>{literals.double(EXP_HIGH)} then 'Infinity' "
        f"else '2'*pg_catalog.exp{half}*pg_catalog.sinh{half} end)",
        -1.0,
        float(np.expm1(min(value.high, EXP_HIGH))) * 1.001 if value.high <= EXP_HIGH else np.inf,
        max(value.tiny * 0.5, SMALLEST),
        value.nullable,
    )


def _log1p(calculator: Calculator, value: Value) -> Value:
    x = calculator.bind(value).sql
    return Value(
        f"(case when {x}>='1e300' then pg_catalog.ln({x}) when pg_catalog.abs({x})<'1e-300' then {x} "
        f"when pg_catalog.abs({x})<'.5' then '2'*pg_catalog.atanh({x}/('2'+{x})) "
        f"when {x}>'-1' then pg_catalog.ln('1'+{x}) when {x}='-1' then '-Infinity' end)",
        -np.inf if value.low <= -1 else -1e4,
        np.inf if value.high == np.inf else 1e4,
        max(value.tiny * 0.1, SMALLEST),
        value.low <= -1 or value.nullable,
    )


def _logarithm(function: str, divisor: str = "") -> Writer:
    def write(calculator: Calculator, value: Value) -> Value:
        x = calculator.bind(value).sql
        call = f"pg_catalog.{function}({x}){divisor}"
        if value.low > 0:
            return Value(f"({call})", tiny=1e-17, low=-1e4, high=1e4, nullable=value.nullable)
        return Value(f"(case when {x}>'0' then {call} when {x}='0' then '-Infinity' end)", tiny=1e-17)

    return write


def _sqrt(calculator: Calculator, value: Value) -> Value:
    high = float(np.sqrt(max(value.high, 0.0)))
    tiny = float(np.sqrt(value.tiny))
    if value.low >= 0:
        return Value(f"pg_catalog.sqrt({value.sql})", 0.0, high, tiny, value.nullable)
    x = calculator.bind(value).sql
    return Value(f"(case when {x}>='0' then pg_catalog.sqrt({x}) end)", 0.0, high, tiny)


def _circular(function: str) -> Writer:
    def write(calculator: Calculator, value: Value) -> Value:
        call = f"pg_catalog.{function}({value.sql})"
        if value.magnitude < np.inf:
            return Value(call, -1.0, 1.0, SMALLEST, value.nullable)
        x = calculator.bind(value).sql
        return Value(
            f"(case when pg_catalog.abs({x})<'Infinity' then pg_catalog.{function}({x}) end)", -1.0, 1.0
        )

    return write


def _smooth_clip(calculator: Calculator, value: Value) -> Value:
    x = calculator.bind(value).sql
    return Value(
        f"(case when pg_catalog.abs({x})>'1e100' then pg_catalog.sign({x})*'3' "
        f"when pg_catalog.abs({x})<'1e-100' then {x} "
        f"else {x}/pg_catalog.sqrt('1'+({x}/'3')*({x}/'3')) end)",
        -3.0001,
        3.0001,
        max(value.tiny * 0.5, SMALLEST),
        value.nullable,
    )


_WRITERS: dict[str, Writer] = {
    "exp": exp,
    "expm1": _expm1,
    "log1p": _log1p,
    "log": _logarithm("ln"),
    "log2": _logarithm("ln", "/'.6931471805599453'"),
    "log10": _logarithm("log"),
    "sqrt": _sqrt,
    "sin": _circular("sin"),
    "cos": _circular("cos"),
    "smooth_clip": _smooth_clip,
}
