"""A whole body: header, inputs, steps, refusals, output (docs/plmodel-format.md)."""

from __future__ import annotations

import math
import struct
import typing
import zlib

from postgres_ml.contract.exceptions import UnsupportedModelError
from postgres_ml.generate.literals import is_text
from postgres_ml.generate.native.buffer import Buffer
from postgres_ml.generate.native.role import ROLES, Role, program_for
from postgres_ml.generate.native.steps import OPCODES, write_step
from postgres_ml.program.program import (
    BinaryLabel,
    ClusterLabel,
    InputKind,
    Label,
    MulticlassLabel,
    Output,
    Program,
    Value,
)

MAGIC = b"PLMB"
FORMAT_VERSION = 1
INPUT_KINDS: tuple[str, ...] = typing.get_args(InputKind)
OUTPUT_KINDS: tuple[type, ...] = (Value, BinaryLabel, MulticlassLabel, ClusterLabel)
LABEL_TYPES: tuple[type, ...] = (str, float, bool)


def write_body(program: Program, role: Role) -> bytes:
    """Return the program as a plmodel body that plays one role; steps that it doesn't need are left out.

    Raises
    ------
    UnsupportedModelError
        A name or label that no Postgres text can hold, or a body over 4 GB.
    """
    program = program_for(program, role)
    content = Buffer()
    content.u32(len(program.inputs))
    for item in program.inputs:
        content.u8(INPUT_KINDS.index(item.kind))
        content.string(_checked("input", item.name))
    content.u32(sum(step.width for step in program.steps))
    content.u32(len(program.steps))
    for step in program.steps:
        content.u8(OPCODES[type(step)])
        content.section(write_step(step, program.inputs))
    content.u32(len(program.refusals))
    for refusal in program.refusals:
        content.u32(refusal.slot)
        content.u8(refusal.missing)
        content.f64(math.inf if refusal.above is None else refusal.above)
    _write_output(content, program.output, role)
    tail = bytes(content)
    length = len(tail) + 16
    if length >= 1 << 32:
        raise UnsupportedModelError("program", f"{length} bytes", "use fewer or shallower trees")
    head = struct.pack("<4sHBBII", MAGIC, FORMAT_VERSION, ROLES.index(role), 0, length, zlib.crc32(tail))
    return head + tail


def _write_output(content: Buffer, output: Output, role: Role) -> None:
    probabilities = output.probabilities if role == "probabilities" else ()
    content.u8(OUTPUT_KINDS.index(type(output)))
    content.u8(isinstance(output, BinaryLabel) and output.operator == ">=")
    content.f64(output.threshold if isinstance(output, BinaryLabel) else 0.0)
    content.u32(len(output.labels))
    for label in output.labels:
        content.u8(LABEL_TYPES.index(float if type(label) is int else type(label)))
        content.string(_label_text(label))
    content.slots(output.prediction_reads)
    content.u8(bool(probabilities))
    content.u32s(probabilities)


def _label_text(label: Label) -> str:
    if isinstance(label, bool):
        return "true" if label else "false"
    if isinstance(label, float):
        return str(int(label)) if label.is_integer() else repr(label)
    return _checked("label", str(label))


def _checked(what: str, text: str) -> str:
    if not is_text(text):
        raise UnsupportedModelError(what, f"{text!r} holds a character that text can't", "rename it")
    return text
