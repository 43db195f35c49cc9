"""The encoders of a pipeline as Python code for one row: what runtime python runs instead of a data frame.

Input: the steps of a scoring program before its estimator. Output: source of `encode(values)`, which returns
the matrix of one row that the estimator gets, or None where the pipeline refuses the row; it calls `instant`
and `calendar_part`, which the scorer has. A ColumnTransformer takes a frame and 1 to 6 ms for a row; this
takes microseconds.

Exactness: bit-exact, as the steps are defined. Refused: steps whose result depends on how NumPy adds
(projections, norms).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from postgres_ml.contract.exceptions import UnsupportedModelError
from postgres_ml.program import encoders
from postgres_ml.program.program import Input, Refusal, Step

Inputs = Sequence[Input]
HEADER = """\
from bisect import bisect_right
from math import copysign, inf, nan, sqrt

import numpy
from numpy import array, interp
"""


@dataclass(frozen=True)
class Encoded:
    """What the estimator gets.

    Parameters
    ----------
    inputs, steps, refusals : as in a program
    slots : the matrix's columns
    sparse : whether it is a SciPy sparse matrix
    single : whether its dtype is float32
    """

    inputs: tuple[Input, ...]
    steps: tuple[Step, ...]
    refusals: tuple[Refusal, ...]
    slots: tuple[int, ...]
    sparse: bool
    single: bool


def generate_encoder(encoded: Encoded) -> str:
    """Return the source of a module with the function `encode`.

    Raises
    ------
    UnsupportedModelError
        A step that isn't computed one row at a time.
    """
    tables: list[str] = []
    dates = {step.input for step in encoded.steps if isinstance(step, encoders.DatePart)}
    lines = [f"d{number} = array([instant(values[{number}])])" for number in sorted(dates)]
    slot = 0
    for step in encoded.steps:
        lines += write_lines(step, slot, encoded.inputs, tables)
        slot += step.width
    for refusal in encoded.refusals:
        x = f"s{refusal.slot}"
        conditions = [f"{x} != {x}"] if refusal.missing else []
        conditions += [f"abs({x}) > {refusal.above!r}"] if refusal.above is not None else []
        lines += [f"if {' or '.join(conditions)}:", "    return None"]
    items = ", ".join(f"s{slot}" for slot in encoded.slots)
    matrix = f'array([[{items}]], dtype="{"float32" if encoded.single else "float64"}")'
    lines.append(f"return csr_matrix({matrix})" if encoded.sparse else f"return {matrix}")
    header = HEADER + ("from scipy.sparse import csr_matrix\n" if encoded.sparse else "")
    body = "".join(f"    {line}\n" for line in lines)
    return header + "".join(f"{table}\n" for table in tables) + f"\n\ndef encode(values):\n{body}"


@functools.singledispatch
def write_lines(step: Any, slot: int, inputs: Inputs, tables: list[str]) -> list[str]:
    """Return the statements that assign the step's slots; constants go into `tables`.

    Parameters
    ----------
    slot : the step's first slot
    tables : statements of the module, which the function reads

    Raises
    ------
    UnsupportedModelError
        The step isn't computed one row at a time.
    """
    raise UnsupportedModelError(type(step).__name__, "one row at a time", "the whole pipeline is asked")


@write_lines.register
def _number(step: encoders.Number, slot: int, inputs: Inputs, tables: list[str]) -> list[str]:
    if inputs[step.input].kind not in ("number", "boolean"):
        raise UnsupportedModelError("Number", "a date", "the whole pipeline is asked")
    value = f"values[{step.input}]"
    return [f"s{slot} = nan if {value} is None else float({value})"]


@write_lines.register
def _category(step: encoders.Category, slot: int, inputs: Inputs, tables: list[str]) -> list[str]:
    item, x = inputs[step.input], f"x{slot}"
    tables.append(f"T{slot} = {dict(zip(step.values, step.outputs, strict=True))!r}")
    lines = [f"{x} = values[{step.input}]"]
    if item.kind != "text":
        lines.append(f"{x} = None if {x} is None or {x} != {x} else float({x})")
    elif item.sql_type == "character":  # blanks at the end mean nothing in it
        lines.append(f'{x} = None if {x} is None else {x}.rstrip(" ")')
    lines.append(f"s{slot} = {step.missing!r} if {x} is None else T{slot}.get({x}, {step.unseen!r})")
    if step.missing is None or step.unseen is None:
        lines += [f"if s{slot} is None:", "    return None"]
    return lines


@write_lines.register
def _one_hot(step: encoders.OneHot, slot: int, inputs: Inputs, tables: list[str]) -> list[str]:
    return [f"s{slot + k} = 1.0 if s{step.slot} == {code!r} else 0.0" for k, code in enumerate(step.codes)]


@write_lines.register
def _impute(step: encoders.Impute, slot: int, inputs: Inputs, tables: list[str]) -> list[str]:
    return [f"s{slot} = {step.value!r} if s{step.slot} != s{step.slot} else s{step.slot}"]


@write_lines.register
def _null_if(step: encoders.NullIf, slot: int, inputs: Inputs, tables: list[str]) -> list[str]:
    return [f"s{slot} = nan if s{step.slot} == {step.value!r} else s{step.slot}"]


@write_lines.register
def _is_missing(step: encoders.IsMissing, slot: int, inputs: Inputs, tables: list[str]) -> list[str]:
    return [f"s{slot} = 1.0 if s{step.slot} != s{step.slot} else 0.0"]


@write_lines.register
def _arithmetic(step: encoders.Arithmetic, slot: int, inputs: Inputs, tables: list[str]) -> list[str]:
    if step.operator == "/" and step.constant == 0:  # Python raises, NumPy gives an infinity
        raise UnsupportedModelError("Arithmetic", "a division by zero", "the whole pipeline is asked")
    return [f"s{slot} = s{step.slot} {step.operator} ({step.constant!r})"]


@write_lines.register
def _clip(step: encoders.Clip, slot: int, inputs: Inputs, tables: list[str]) -> list[str]:
    # NaN compares false with both
    x = f"s{step.slot}"
    return [
        f"s{slot} = {step.low!r} if {x} < {step.low!r} else {step.high!r} if {x} > {step.high!r} else {x}"
    ]


@write_lines.register
def _bucket(step: encoders.Bucket, slot: int, inputs: Inputs, tables: list[str]) -> list[str]:
    tables.append(f"T{slot} = {step.edges!r}")
    x = f"s{step.slot}"
    return [f"s{slot} = nan if {x} != {x} else float(bisect_right(T{slot}, {x}))"]


@write_lines.register
def _date_part(step: encoders.DatePart, slot: int, inputs: Inputs, tables: list[str]) -> list[str]:
    return [f"s{slot} = float(calendar_part(d{step.input}, {step.part!r})[0])"]


@write_lines.register
def _unary(step: encoders.Unary, slot: int, inputs: Inputs, tables: list[str]) -> list[str]:
    x = f"s{step.slot}"
    if step.function == "smooth_clip":
        bent = f"{x} / sqrt(1.0 + ({x} / 3.0) * ({x} / 3.0))"
        return [f"s{slot} = copysign(3.0, {x}) if abs({x}) > 1e100 else {bent}"]
    return [f"s{slot} = float(numpy.{step.function}({x}))"]


@write_lines.register
def _piecewise_linear(
    step: encoders.PiecewiseLinear, slot: int, inputs: Inputs, tables: list[str]
) -> list[str]:
    tables.append(f"T{slot} = array({step.x!r}), array({step.y!r})")
    return [f"s{slot} = nan if s{step.slot} != s{step.slot} else float(interp(s{step.slot}, *T{slot}))"]


@write_lines.register
def _product(step: encoders.Product, slot: int, inputs: Inputs, tables: list[str]) -> list[str]:
    return [f"s{slot} = {' * '.join(f's{factor}' for factor in step.slots)}"]
