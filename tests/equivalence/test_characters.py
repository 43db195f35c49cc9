"""Characters of text in SQL and C against the definition: every class, linear maps, trees, long texts."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import psycopg2.extensions
import pytest
from equivalence.postgres import SqlRuntime
from postgres_ml.generate import generate_native, generate_sql
from postgres_ml.generate.sql import generate
from postgres_ml.program import interpret
from postgres_ml.program.adversarial import adversarial_rows
from postgres_ml.program.characters import CLASSES, capitals
from postgres_ml.program.encoders import Characters, Words
from postgres_ml.program.program import Input, Program, Value
from postgres_ml.program.scorers import Linear, Tree, TreeEnsemble
from support.native_server import native, plmodel, server

__all__ = ["native", "plmodel", "server"]  # fixtures

INPUTS = (Input("t", "text", "text"), Input("c", "character", "text"))
N = len(CLASSES)
FIRST = (
    Characters(0, CLASSES),
    Words(0, ("a", "z 9"), (1.0, 2.0), "l2"),
    Characters(1, ("characters", " ", "\x7f", "a")),
)
N_FIRST = N + 6


@pytest.fixture(params=["sql", "native"])
def runtime(request: pytest.FixtureRequest, native: psycopg2.extensions.cursor, schema: str) -> SqlRuntime:
    return SqlRuntime(native, schema, generate_sql if request.param == "sql" else generate_native)


def same(runtime: SqlRuntime, program: Program, columns: dict[str, list[Any]]) -> list[Any]:
    """The function gives what the interpreter gives, to the last bit."""
    runtime.load(program, columns)
    runtime.create(program)
    found = runtime.call(program)
    assert found == interpret.predict(program, columns)
    return found


def sum_of(weights: tuple[float, ...]) -> Program:
    """A program of all classes of `t`, times these weights; whole numbers tell the classes apart."""
    steps = (Characters(0, CLASSES), Linear(tuple(range(N)), (weights,), (0.0,)))
    return Program(INPUTS[:1], steps, (), Value(N), "double precision")


def test_each_class_of_each_text(runtime: SqlRuntime) -> None:
    for first in range(0, N, 4):
        weights = [0.0] * N
        weights[first : first + 4] = [1.0, 1e3, 1e6, 1e9][: N - first]
        program = sum_of(tuple(weights))
        assert len(set(same(runtime, program, adversarial_rows(program, first, 400)))) > 8


def test_linear_maps_of_characters_beside_words(runtime: SqlRuntime) -> None:
    weights = tuple(np.random.default_rng(0).normal(size=N_FIRST).tolist())
    program = Program(
        INPUTS, (*FIRST, Linear(tuple(range(N_FIRST)), (weights,), (0.5,))), (), Value(N_FIRST),
        "double precision",
    )  # fmt: skip
    rows = adversarial_rows(program, 5, 400)
    rows["c"] = [None if text is None else text[:6] for text in rows["c"]]
    same(runtime, program, rows)


@pytest.mark.parametrize("chained", [False, True])
def test_trees_split_on_counts(runtime: SqlRuntime, chained: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if chained:
        for name, most in (("EXPRESSION_NODES", 0), ("INLINE_NODES", 0), ("PART_NODES", 40)):
            monkeypatch.setattr(generate, name, most)
    source = random.Random(1)
    stumps = tuple(
        Tree((k % N_FIRST, -1, -1), (source.choice([0.5, 1.0, 2.5, 20.0]), math.nan, math.nan), (1, -1, -1),
             (2, -1, -1), (True, False, False), ((), (source.gauss(0, 1),), (source.gauss(0, 1),)))
        for k in range(80)
    )  # fmt: skip
    ensemble = TreeEnsemble(tuple(range(N_FIRST)), stumps, "<", "float32", "float32", (0.5,))
    program = Program(INPUTS, (*FIRST, ensemble), (), Value(N_FIRST), "double precision")
    rows = adversarial_rows(program, 6, 400)
    rows["c"] = [None if text is None else text[:6] for text in rows["c"]]
    assert len(set(same(runtime, program, rows))) > 20


def test_every_capital_is_one_and_its_neighbours_are_not(runtime: SqlRuntime) -> None:
    edges = {code + d for pair in capitals() for code in pair for d in (-1, 0, 1)}
    codes = sorted(edges | {random.Random(2).randrange(1, 0x110000) for _ in range(2000)})
    codes = [code for code in codes if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000]
    program = sum_of((0.0, 1.0, 0.0, 100.0, *[0.0] * (N - 4)))
    same(runtime, program, {"t": [f"a{chr(code)}1" for code in codes]})


def test_long_texts_and_none_at_all(runtime: SqlRuntime) -> None:
    texts = ["A b! " * 100_000, "Ä" * 300_000, "'" * 500_000, "日本\n" * 50_000, None, "", "\\", "\U0010ffff"]
    found = same(runtime, sum_of(tuple(float(n + 1) for n in range(N))), {"t": texts})
    assert found[4] == found[5] == 0.0
