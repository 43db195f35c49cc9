"""Words of text in SQL and C against the definition: every class of characters, sparse sums, trees, parts."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import psycopg2.extensions
import pytest
from equivalence.postgres import SqlRuntime
from native.programs import SENTENCES
from postgres_ml.generate import generate_native, generate_sql
from postgres_ml.generate.sql import body, generate
from postgres_ml.program import interpret
from postgres_ml.program.adversarial import adversarial_rows
from postgres_ml.program.encoders import Arithmetic, Number, Words
from postgres_ml.program.program import Input, MulticlassLabel, Program, Refusal, Value
from postgres_ml.program.scorers import Linear, Tree, TreeEnsemble
from postgres_ml.program.words import lower_case, separators, split_words
from support.native_server import native, plmodel, server

__all__ = ["native", "plmodel", "server"]  # fixtures

INPUTS = (
    Input("x", "double precision", "number"),
    Input("t", "text", "text"),
    Input("c", "character", "text"),
)
TERMS = ("a", "a b", "b", "wa", "wa wa", "日本", "ä", "e\u0301", "o brien", "🦉", "σίσυφοσ", "d")
WEIGHTS = tuple(1 + math.log(n + 1.7) for n in range(len(TERMS)))


@pytest.fixture(params=["sql", "native"])
def runtime(request: pytest.FixtureRequest, native: psycopg2.extensions.cursor, schema: str) -> SqlRuntime:
    return SqlRuntime(native, schema, generate_sql if request.param == "sql" else generate_native)


def program_of(*steps: Any, output: Any = None, refusals: tuple[Refusal, ...] = ()) -> Program:
    """A program of words of `t`, of `c`, and x, and of these steps; the last slot is its prediction."""
    first = (Words(1, TERMS, WEIGHTS, "l2"), Number(0), Words(2, ("a", "d d"), (1.0, 2.5), "none"))
    n_slots = sum(step.width for step in (*first, *steps))
    return Program(
        INPUTS, (*first, *steps), refusals, output or Value(n_slots - 1),
        "double precision" if output is None else "text",
    )  # fmt: skip


N_FIRST = len(TERMS) + 3
ALL = tuple(range(N_FIRST))


def check(runtime: SqlRuntime, program: Program, n_rows: int = 300) -> None:
    """The function gives what the interpreter gives, to the last bit."""
    columns = adversarial_rows(program, 5, n_rows)
    source = random.Random(4)
    columns["t"] = [source.choice([text, *SENTENCES]) for text in columns["t"]]
    columns["c"] = [None if text is None else text[:6] for text in columns["c"]]
    runtime.load(program, columns)
    runtime.create(program)
    found, expected = runtime.call(program), interpret.predict(program, columns)
    assert len(set(map(str, expected))) > 2
    if isinstance(program.output, Value):
        np.testing.assert_array_equal(np.array(found, float), np.array(expected, float))
    else:
        assert found == expected


def drawn(n: int, seed: int = 0) -> tuple[float, ...]:
    return tuple(np.random.default_rng(seed).normal(size=n).tolist())


def test_linear_maps_add_up_the_terms_of_the_text_alone(runtime: SqlRuntime) -> None:
    finite, weights = (Refusal(len(TERMS), True, 1e30),), (drawn(N_FIRST),)
    check(runtime, program_of(Linear(ALL, weights, (0.5,)), refusals=finite))
    check(runtime, program_of(Linear(ALL[::-1], weights, (0.5,)), refusals=finite))
    check(
        runtime, program_of(Linear((len(TERMS), *ALL[: len(TERMS)]), (drawn(13),), (0.5,)), refusals=finite)
    )


def test_each_class_has_a_sum_of_its_own(runtime: SqlRuntime) -> None:
    finite = (Refusal(len(TERMS), True, 1e30),)
    weights = (drawn(N_FIRST), drawn(N_FIRST, 1), drawn(N_FIRST, 2))
    classes = MulticlassLabel(("u", "v", "w"), (N_FIRST, N_FIRST + 1, N_FIRST + 2), ())
    check(runtime, program_of(Linear(ALL, weights, (0.0, 0.1, 0.2)), output=classes, refusals=finite))


def test_weights_near_the_ends_of_the_doubles_do_no_harm(runtime: SqlRuntime) -> None:
    extreme = (5e-324, 1e-310, -1e308, 1e308, *drawn(N_FIRST - 4))
    check(runtime, program_of(Linear(ALL, (extreme,), (0.5,))))


def test_single_slots_and_sums_may_be_read_side_by_side(runtime: SqlRuntime) -> None:
    scaled = Arithmetic(1, "*", 3.0)
    both = Linear((*ALL, N_FIRST), (drawn(N_FIRST + 1),), (0.25,))
    check(runtime, program_of(scaled, both))


def stumps(n: int) -> tuple[Tree, ...]:
    """Trees of a split on each slot in turn."""
    source = random.Random(1)
    return tuple(
        Tree((k % N_FIRST, -1, -1), (source.choice([0.0, 0.3, 0.5, 1.0]), math.nan, math.nan), (1, -1, -1),
             (2, -1, -1), (True, False, False), ((), (source.gauss(0, 1),), (source.gauss(0, 1),)))
        for k in range(n)
    )  # fmt: skip


@pytest.mark.parametrize("chained", [False, True])
def test_trees_split_on_terms(runtime: SqlRuntime, chained: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if chained:
        monkeypatch.setattr(generate, "EXPRESSION_NODES", 0)
        monkeypatch.setattr(generate, "INLINE_NODES", 0)
        monkeypatch.setattr(generate, "PART_NODES", 40)
    assert body.PART_NODES > 40
    check(runtime, program_of(TreeEnsemble(ALL, stumps(60), "<", "float32", "float32", (0.5,))))


def test_every_separator_separates_and_no_other_character(runtime: SqlRuntime) -> None:
    edges = {code + d for pair in separators() for code in pair for d in (-1, 0, 1)}
    source = random.Random(2)
    codes = sorted(edges | {source.randrange(1, 0x110000) for _ in range(3000)})
    codes = [code for code in codes if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000]
    program = Program(INPUTS[1:2], (Words(0, ("a", "a b", "b"), (1.0, 10.0, 100.0), "none"),
                      Linear((0, 1, 2), ((1.0, 1.0, 1.0),), (0.0,))), (), Value(3), "double precision")  # fmt: skip
    columns = {"t": [f"A{chr(code)}b" for code in codes]}
    runtime.load(program, columns)
    runtime.create(program)
    found = runtime.call(program)
    assert found == interpret.predict(program, columns)
    assert {codes[k] for k, value in enumerate(found) if value == 111.0} == {
        code for code in codes if split_words(f"a{chr(code)}b") == ["a", "b"]
    }


def test_every_letter_has_its_lower_case(runtime: SqlRuntime) -> None:
    letters = sorted(lower_case())
    terms = tuple(sorted({chr(small) for small in lower_case().values()}))
    weights = tuple(float(n) for n in range(1, len(terms) + 1))
    slots = tuple(range(len(terms)))
    program = Program(INPUTS[1:2], (Words(0, terms, weights, "none"),
                      Linear(slots, ((1.0,) * len(terms),), (0.0,))), (), Value(len(terms)), "double precision")  # fmt: skip
    columns = {"t": [f"1,{chr(code)}" for code in letters]}
    runtime.load(program, columns)
    runtime.create(program)
    expected = [weights[terms.index(chr(lower_case()[code]))] for code in letters]
    assert runtime.call(program) == expected == interpret.predict(program, columns)


def test_long_texts_and_none_at_all(runtime: SqlRuntime) -> None:
    program = program_of(Linear(ALL[: len(TERMS)], (drawn(len(TERMS)),), (0.5,)))
    texts = [
        "a b " * 100_000,
        "ä" * 300_000,
        "x" * 1_000_000 + " a",
        None,
        "",
        " " * 50_000,
        "日本、" * 50_000,
    ]
    columns = {"x": [1.0] * len(texts), "t": texts, "c": [None] * len(texts)}
    runtime.load(program, columns)
    runtime.create(program)
    assert runtime.call(program) == interpret.predict(program, columns)
