"""Mutated bodies in a server: each is refused with a message of ours or runs on hostile rows; no backend dies."""

from __future__ import annotations

import base64
import collections
import random
import struct
import zlib
from collections.abc import Callable
from typing import Any

import psycopg2
import psycopg2.errors
import psycopg2.extensions
import pytest
from native.programs import INPUTS, random_program
from native.test_kernels import SHAPES, ensemble_program
from postgres_ml.contract.model import FunctionBody
from postgres_ml.generate.native import generate_native
from postgres_ml.program.program import BinaryLabel, ClusterLabel, MulticlassLabel, Output, Program
from postgres_ml.program.program import Value as ValueOutput

HEADER = 16
# of mutations: those that change bytes in place leave more bodies alive than those that move what follows
KINDS = (0, 0, 0, 0, 1, 1, 1, 2, 3, 3, 3, 4, 5, 6)
EXTREMES = (0, 1, 2, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
# refused by us, or a label that the return type's own input function refuses
EXPECTED = (
    psycopg2.errors.InvalidFunctionDefinition,
    psycopg2.errors.FeatureNotSupported,
    psycopg2.errors.InvalidTextRepresentation,
    psycopg2.errors.NumericValueOutOfRange,
)
TYPES = {"character": "character(4)"}
ROW = {
    "number": ("1.5", "-300", "null"),
    "float": ("'NaN'", "1e30", "'-Infinity'"),
    "boolean": ("true", "null", "false"),
    "text": ("'a'", "null", "''"),
    "date": ("'2020-02-29'", "'infinity'", "null"),
    "time": ("'12:34:56'", "null", "'00:00'"),
    "timestamp": ("'2020-02-29 12:34'", "'-infinity'", "null"),
    "timestamptz": ("'2020-02-29 12:34+01'", "'infinity'", "null"),
}


def outputs(program: Program) -> list[tuple[Output, str]]:
    last = program.output.slot  # type: ignore[union-attr]
    three = (last, last - 1, last - 2)
    return [
        (program.output, "double precision"),
        (ValueOutput(last), "integer"),
        (BinaryLabel(("no", "yes"), last, ">=", 0.5, (last, last - 1)), "text"),
        (MulticlassLabel((1, 2, 3), three, three), "numeric"),
        (MulticlassLabel((False, True), three[:2], three[:2]), "boolean"),
        (ClusterLabel((0, 1), (last, last - 1)), "integer"),
    ]


def seeds() -> list[tuple[FunctionBody, tuple[str, ...]]]:
    """Bodies of every kind of step, output and role, with the kinds of their arguments."""
    made = []
    for seed in range(60):
        program = random_program(seed, exact=seed % 2 == 0, n_steps=4)
        output, return_type = outputs(program)[seed % 6]
        program = Program(program.inputs, program.steps, program.refusals, output, return_type)
        kinds = tuple(item.kind for item in INPUTS)
        made += [(body, kinds) for body in generate_native(program, "s", "f").functions]
    for seed, shape in enumerate((SHAPES[4], SHAPES[6], (12, 3, 4, 9, 2, True), (9, 8, 2, 30, 1, True))):
        program = ensemble_program(seed, shape, "float32", "float32", seed == 2)
        made += [(body, ("number",) * 8) for body in generate_native(program, "s", "f").functions]
    return made


def mutated(source: random.Random, content: bytes, other: bytes) -> bytes:
    """Return the content changed in one to three places, length and checksum made right."""
    bytes_ = bytearray(content[HEADER:])
    for _ in range(source.choice((1, 1, 1, 2, 3))):
        at = source.randrange(len(bytes_) + 1)
        match source.choice(KINDS):
            case 0 if at < len(bytes_):
                bytes_[at] ^= 1 << source.randrange(8)
            case 1 if at < len(bytes_):
                bytes_[at] = source.randrange(256)
            case 2:
                bytes_[at : at + 4] = struct.pack("<I", source.choice(EXTREMES))
            case 3:
                bytes_[at : at + 8] = struct.pack(
                    "<d", source.choice([0.0, -1.0, 1e308, float("nan"), float("inf")])
                )
            case 4:
                del bytes_[at : at + source.randint(1, 40)]
            case 5:
                start = source.randrange(len(other))
                bytes_[at:at] = other[start : start + source.randint(1, 60)]
            case 6:
                step = source.choice([1, 4, 8])
                bytes_[at : at + step] = bytes_[at : at + step] * source.randint(2, 5)
    role = content[6] if source.random() < 0.9 else source.randrange(4)
    tail = bytes(bytes_)
    return struct.pack("<4sHBBII", b"PLMB", 1, role, 0, len(tail) + HEADER, zlib.crc32(tail)) + tail


def call(schema: str, types: list[str], kinds: tuple[str, ...], pick: int) -> str:
    rows = ["float" if name == "double precision" else kind for kind, name in zip(kinds, types, strict=True)]
    values = [f"{ROW[kind][(pick + i) % 3]}::{types[i]}" for i, kind in enumerate(rows)]
    return f"select {schema}.f({', '.join(values)})"


def run(cursor: Any, schema: str, seed: int, count: int) -> collections.Counter[str]:
    """Create and call that many mutated bodies; return how many ended how."""
    source = random.Random(seed)
    bodies = seeds()
    ends: collections.Counter[str] = collections.Counter()
    for _ in range(count):
        body, kinds = source.choice(bodies)
        content = mutated(
            source, base64.b64decode(body.body), base64.b64decode(source.choice(bodies)[0].body)
        )
        types = [TYPES.get(name, name) for _, name in body.arguments]
        names = [f'"{name}" {kind}' for (name, _), kind in zip(body.arguments, types, strict=True)]
        cursor.execute(f"set plmodel.kernel = {source.choice(['scalar', 'avx2', 'avx512'])}")
        try:
            # begun and undone: another body may have another return type
            cursor.execute(
                f"begin; create function {schema}.f({', '.join(names)}) returns {body.returns} language plmodel "
                f"immutable as '{base64.b64encode(content).decode()}'"
            )
            for pick in range(2):
                cursor.execute(call(schema, types, kinds, pick))
                cursor.fetchall()
            ends["ran"] += 1
        except EXPECTED as error:
            ends[type(error).__name__] += 1
        cursor.execute("rollback")
    return ends


@pytest.mark.parametrize("count", [1_500, pytest.param(100_000, marks=pytest.mark.exhaustive)])
def test_mutated_bodies_are_refused_or_run(
    native: psycopg2.extensions.cursor,
    schema: str,
    count: int,
    record_property: Callable[[str, object], None],
) -> None:
    native.execute("set statement_timeout = '2s'")
    ends = run(native, schema, count, count)
    record_property("ends", dict(ends))
    assert (
        sum(ends.values()) == count
        and ends["ran"] > count / 50
        and ends["InvalidFunctionDefinition"] > count / 4
    )
