"""The payload of each kind of step."""

from __future__ import annotations

import functools
import typing
from typing import Any

from postgres_ml.contract.exceptions import UnsupportedModelError
from postgres_ml.generate.literals import is_text
from postgres_ml.generate.native.buffer import Buffer
from postgres_ml.generate.native.trees import write_ensemble
from postgres_ml.program import encoders, scorers
from postgres_ml.program.characters import NAMED
from postgres_ml.program.program import Input, Step

# Codes below 32 read inputs and slots, codes from 32 on score.
OPCODES: dict[type, int] = {
    encoders.Number: 1,
    encoders.Category: 2,
    encoders.DatePart: 3,
    encoders.OneHot: 4,
    encoders.Impute: 5,
    encoders.NullIf: 6,
    encoders.IsMissing: 7,
    encoders.Arithmetic: 8,
    encoders.Unary: 9,
    encoders.Clip: 10,
    encoders.PiecewiseLinear: 11,
    encoders.Bucket: 12,
    encoders.Product: 13,
    encoders.Normalize: 14,
    encoders.Words: 15,
    encoders.Characters: 16,
    scorers.TreeEnsemble: 32,
    scorers.Linear: 33,
    scorers.Activation: 34,
    scorers.Distances: 35,
    scorers.Link: 36,
    scorers.WeightedSum: 37,
    scorers.TableSum: 38,
}

# The orders are the format's, so they are written out and not taken from the type annotations.
OPERATORS = ("+", "-", "*", "/")
UNARY_FUNCTIONS = (
    "abs", "cbrt", "cos", "exp", "expm1", "log", "log1p", "log2", "log10", "negative", "sign", "sin", "sqrt",
    "square", "tanh", "smooth_clip",
)  # fmt: skip
DATE_PARTS = (
    "year",
    "quarter",
    "month",
    "day",
    "weekday",
    "day_of_year",
    "hour",
    "minute",
    "second",
    "epoch",
)
NORMS = ("l1", "l2", "max")
ACTIVATIONS = ("relu", "tanh", "logistic", "silu")
WORD_NORMS = ("none", "l2")
FIRST_NAMED = 128  # classes of characters below are the characters of ASCII themselves
LINKS = ("logistic", "softmax", "exp", "normalize")

Inputs = tuple[Input, ...]


def write_step(step: Step, inputs: Inputs) -> bytes:
    """Return the step's payload.

    Raises
    ------
    UnsupportedModelError
        The format has no such step.
    """
    buffer = Buffer()
    write_payload(step, buffer, inputs)
    return bytes(buffer)


@functools.singledispatch
def write_payload(step: Any, buffer: Buffer, inputs: Inputs) -> None:
    """Append the step's payload to the buffer.

    Raises
    ------
    UnsupportedModelError
        The format has no such step.
    """
    raise UnsupportedModelError(type(step).__name__, "this step", "use runtime: sql")


@write_payload.register
def _category(step: encoders.Category, buffer: Buffer, inputs: Inputs) -> None:
    source = inputs[step.input]
    is_text_input = source.kind == "text"
    outputs: dict[encoders.Scalar, float] = {}
    for value, output in zip(step.values, step.outputs, strict=True):
        if isinstance(value, str):
            if not is_text(value):
                continue  # no value of the column can be equal to it
            value = value.rstrip(" ") if source.sql_type == "character" else value
        outputs.setdefault(value, output)
    buffer.u32(step.input)
    buffer.u8(is_text_input)
    buffer.u8(step.missing is None)
    buffer.u8(step.unseen is None)
    buffer.f64(0.0 if step.missing is None else step.missing)
    buffer.f64(0.0 if step.unseen is None else step.unseen)
    buffer.u32(len(outputs))
    if is_text_input:
        for value in outputs:
            buffer.string(typing.cast(str, value))
    else:
        buffer.f64s([float(value) for value in outputs])
    buffer.f64s(list(outputs.values()))


@write_payload.register
def _number(step: encoders.Number, buffer: Buffer, inputs: Inputs) -> None:
    buffer.u32(step.input)


@write_payload.register
def _date_part(step: encoders.DatePart, buffer: Buffer, inputs: Inputs) -> None:
    buffer.u32(step.input)
    buffer.u8(DATE_PARTS.index(step.part))


@write_payload.register
def _words(step: encoders.Words, buffer: Buffer, inputs: Inputs) -> None:
    buffer.u32(step.input)
    buffer.u8(WORD_NORMS.index(step.norm))
    buffer.u32(len(step.terms))
    for term in step.terms:
        buffer.string(term)
    buffer.f64s(step.weights)


@write_payload.register
def _characters(step: encoders.Characters, buffer: Buffer, inputs: Inputs) -> None:
    buffer.u32(step.input)
    buffer.u32(len(step.classes))
    for name in step.classes:
        buffer.u8(ord(name) if len(name) == 1 else FIRST_NAMED + NAMED.index(name))


@write_payload.register
def _one_hot(step: encoders.OneHot, buffer: Buffer, inputs: Inputs) -> None:
    buffer.u32(step.slot)
    buffer.u32(len(step.codes))
    buffer.f64s(step.codes)


@write_payload.register(encoders.Impute)
@write_payload.register(encoders.NullIf)
def _with_value(step: encoders.Impute | encoders.NullIf, buffer: Buffer, inputs: Inputs) -> None:
    buffer.u32(step.slot)
    buffer.f64(step.value)


@write_payload.register
def _is_missing(step: encoders.IsMissing, buffer: Buffer, inputs: Inputs) -> None:
    buffer.u32(step.slot)


@write_payload.register
def _arithmetic(step: encoders.Arithmetic, buffer: Buffer, inputs: Inputs) -> None:
    buffer.u8(OPERATORS.index(step.operator))
    buffer.u32(step.slot)
    buffer.f64(step.constant)


@write_payload.register
def _unary(step: encoders.Unary, buffer: Buffer, inputs: Inputs) -> None:
    buffer.u8(UNARY_FUNCTIONS.index(step.function))
    buffer.u32(step.slot)


@write_payload.register
def _clip(step: encoders.Clip, buffer: Buffer, inputs: Inputs) -> None:
    buffer.u32(step.slot)
    buffer.f64(step.low)
    buffer.f64(step.high)


@write_payload.register
def _piecewise_linear(step: encoders.PiecewiseLinear, buffer: Buffer, inputs: Inputs) -> None:
    buffer.u32(step.slot)
    buffer.u32(len(step.x))
    buffer.f64s(step.x)
    buffer.f64s(step.y)


@write_payload.register
def _bucket(step: encoders.Bucket, buffer: Buffer, inputs: Inputs) -> None:
    buffer.u32(step.slot)
    buffer.u32(len(step.edges))
    buffer.f64s(step.edges)


@write_payload.register
def _product(step: encoders.Product, buffer: Buffer, inputs: Inputs) -> None:
    buffer.slots(step.slots)


@write_payload.register
def _normalize(step: encoders.Normalize, buffer: Buffer, inputs: Inputs) -> None:
    buffer.u8(NORMS.index(step.norm))
    buffer.slots(step.slots)


@write_payload.register
def _tree_ensemble(step: scorers.TreeEnsemble, buffer: Buffer, inputs: Inputs) -> None:
    write_ensemble(step, buffer)


@write_payload.register
def _linear(step: scorers.Linear, buffer: Buffer, inputs: Inputs) -> None:
    buffer.slots(step.slots)
    buffer.u32(len(step.intercepts))
    buffer.f64s(step.weights)
    buffer.f64s(step.intercepts)


@write_payload.register
def _activation(step: scorers.Activation, buffer: Buffer, inputs: Inputs) -> None:
    buffer.u8(ACTIVATIONS.index(step.function))
    buffer.slots(step.slots)


@write_payload.register
def _distances(step: scorers.Distances, buffer: Buffer, inputs: Inputs) -> None:
    buffer.slots(step.slots)
    buffer.u32(len(step.centers))
    buffer.f64s(step.centers)


@write_payload.register
def _link(step: scorers.Link, buffer: Buffer, inputs: Inputs) -> None:
    buffer.u8(LINKS.index(step.function) + (len(LINKS) if step.dtype == "float32" else 0))
    buffer.slots(step.slots)


@write_payload.register
def _weighted_sum(step: scorers.WeightedSum, buffer: Buffer, inputs: Inputs) -> None:
    buffer.u32(len(step.groups))
    buffer.u32(step.width)
    buffer.f64s(step.weights)
    for group in step.groups:
        buffer.u32s(group)


@write_payload.register
def _table_sum(step: scorers.TableSum, buffer: Buffer, inputs: Inputs) -> None:
    buffer.slots(step.slots)
    for edges in step.edges:
        buffer.u32(len(edges))
        buffer.f64s(edges)
    buffer.u32(len(step.intercepts))
    buffer.f64s(step.intercepts)
    buffer.u32(len(step.tables))
    for table in step.tables:
        buffer.slots(table.axes)
        buffer.f64s(table.points)
