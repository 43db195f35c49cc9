"""Memory of a backend: at most 16 bytes for each of a body and a little, whatever its shape; a bound for all models."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import psycopg2.extensions
import pytest
from native.test_kernels import ensemble_program, random_tree
from postgres_ml.contract.model import FunctionBody
from postgres_ml.generate import create_statement
from postgres_ml.generate.native import body as body_module
from postgres_ml.generate.native import generate_native
from postgres_ml.program import encoders, scorers
from postgres_ml.program.program import Input, MulticlassLabel, Output, Program, Value

# of docs/plmodel-format.md
GROWTH = 16
FIXED = 256 * 1024
INPUTS = (
    Input("x", "double precision", "number"),
    Input("t", "text", "text"),
    Input("d", "date", "date"),
)
READ = (encoders.Number(0), encoders.DatePart(2, "month"))


def memory(cursor: Any) -> int:
    cursor.execute(
        "select coalesce(sum(total_bytes), 0) from pg_backend_memory_contexts where name = 'plmodel model'"
    )
    return int(cursor.fetchone()[0])


@pytest.fixture
def cursor(native: psycopg2.extensions.cursor) -> psycopg2.extensions.cursor:
    if native.connection.server_version < 140000:
        pytest.skip("pg_backend_memory_contexts is of PostgreSQL 14")
    return native


def steps_of(make: Callable[[random.Random, int], Any], count: int) -> Callable[[random.Random], Program]:
    """Return a maker of programs of many steps, each made of a source and the number of slots before it."""

    def program(source: random.Random) -> Program:
        steps: list[Any] = list(READ)
        n_slots = 2
        for _ in range(count):
            step = make(source, n_slots)
            steps.append(step)
            n_slots += step.width
        return Program(INPUTS, tuple(steps), (), Value(n_slots - 1), "double precision")

    return program


def stump(source: random.Random, slot: int) -> scorers.Tree:
    leaves = ((), (source.random(),), (source.random(),))
    return scorers.Tree(
        (slot, -1, -1), (source.random(), 0.0, 0.0), (1, -1, -1), (2, -1, -1), (False,) * 3, leaves
    )


LEAF = scorers.Tree((-1,), (0.0,), (-1,), (-1,), (False,), ((1.5,),))


def ensemble(source: random.Random, trees: tuple[Any, ...], n_features: int = 1) -> scorers.TreeEnsemble:
    single = source.choice(["float32", "float64"])
    sums = source.choice(["float32", "float64"])
    return scorers.TreeEnsemble((0,) * n_features, trees, "<", single, sums, (0.0,), 1.0)  # type: ignore[arg-type]


def lopsided(source: random.Random, n_slots: int) -> scorers.TreeEnsemble:
    """One deep tree among many that are a single leaf."""
    depth = source.randint(2, 10)
    deep = random_tree(source, depth, 1, [source.gauss(0, 1) for _ in range(9)], (0,))
    others = (LEAF,) * source.randint(8, 70)
    return ensemble(source, (deep, *others))


def full(source: random.Random, n_slots: int) -> scorers.TreeEnsemble:
    n_features = source.choice([1, 3, 60, 200])
    thresholds = [source.gauss(0, 1) for _ in range(source.choice([1, 3, 40, 300]))]
    depth = source.randint(1, 9)
    trees = tuple(
        random_tree(source, depth, n_features, thresholds, (0,)) for _ in range(source.randint(1, 70))
    )
    return ensemble(source, trees, n_features)


def text(source: random.Random) -> str:
    return "".join(source.choice("abcdefghij") for _ in range(source.choice([1, 2, 3, 7, 8, 30, 65, 130])))


def category(source: random.Random, n_slots: int, n_values: int) -> encoders.Category:
    values: list[Any]
    if source.random() < 0.5:
        values = sorted({text(source) + str(i) for i in range(n_values)})
        return encoders.Category(1, tuple(values), (1.0,) * len(values), None, 0.0)
    values = [float(i) for i in range(n_values)]
    return encoders.Category(0, tuple(values), (1.0,) * n_values, 0.0, 0.0)


def slots(source: random.Random, n_slots: int) -> tuple[int, ...]:
    return tuple(source.randrange(n_slots) for _ in range(source.choice([1, 1, 2, 5])))


SHAPES: dict[str, Callable[[random.Random], Program]] = {
    "is_missing": steps_of(lambda s, n: encoders.IsMissing(0), 20_000),
    "impute": steps_of(lambda s, n: encoders.Impute(s.randrange(n), 1.0), 20_000),
    "clip": steps_of(lambda s, n: encoders.Clip(0, 0.0, 1.0), 20_000),
    "number": steps_of(lambda s, n: encoders.Number(0), 20_000),
    "date_part": steps_of(lambda s, n: encoders.DatePart(2, "day"), 20_000),
    "unary": steps_of(lambda s, n: encoders.Unary(0, "sqrt"), 20_000),
    "bucket": steps_of(lambda s, n: encoders.Bucket(0, tuple(map(float, range(s.randint(1, 3))))), 10_000),
    "one_hot": steps_of(lambda s, n: encoders.OneHot(0, tuple(map(float, range(s.randint(1, 9))))), 5_000),
    "product": steps_of(lambda s, n: encoders.Product(slots(s, n)), 10_000),
    "normalize": steps_of(lambda s, n: encoders.Normalize(slots(s, 2), "l2"), 10_000),
    "activation": steps_of(lambda s, n: scorers.Activation(slots(s, n), "relu"), 10_000),
    "link": steps_of(lambda s, n: scorers.Link(slots(s, n), "exp"), 10_000),
    "linear": steps_of(
        lambda s, n: (lambda m, k: scorers.Linear((0,) * k, ((1.0,) * k,) * m, (0.0,) * m))(
            s.choice([1, 2, 9, 33]), s.choice([0, 1, 4])
        ),
        3_000,
    ),
    "distances": steps_of(lambda s, n: scorers.Distances((0,), ((1.0,),) * s.choice([1, 2, 9, 33])), 3_000),
    "weighted_sum": steps_of(lambda s, n: scorers.WeightedSum(((0,), (1,)), (1.0, 2.0)), 10_000),
    "few categories": steps_of(lambda s, n: category(s, n, s.randint(1, 5)), 3_000),
    "many categories": steps_of(lambda s, n: category(s, n, s.choice([1_025, 20_000])), 4),
    "one leaf": steps_of(lambda s, n: ensemble(s, (LEAF,)), 3_000),
    "one split": steps_of(lambda s, n: ensemble(s, (stump(s, 0),)), 3_000),
    "stumps of one feature": steps_of(lambda s, n: ensemble(s, tuple(stump(s, 0) for _ in range(128))), 100),
    "stumps of many features": steps_of(
        lambda s, n: ensemble(s, tuple(stump(s, k) for k in range(128)), 128), 400
    ),
    "lopsided": steps_of(lopsided, 60),
    "full": steps_of(full, 6),
}


def check(cursor: Any, schema: str, statement: str, call: str, n_bytes: int) -> None:
    """Assert that a function, once it is called, takes no more memory than its body allows for."""
    cursor.execute(statement)
    before = memory(cursor)
    cursor.execute(call)
    taken = memory(cursor) - before
    assert 0 < taken <= GROWTH * n_bytes + FIXED, f"{taken} bytes for {n_bytes}, {taken / n_bytes:.1f} times"


def body_of(program: Program, schema: str, role: str = "predict") -> FunctionBody:
    """Return the function's body with all steps: a body that somebody wrote by hand may have needless ones."""
    with patch.object(body_module, "program_for", lambda program, role: program):
        return next(item for item in generate_native(program, schema, "f").functions if item.role == role)


@pytest.mark.parametrize("kernel", ["scalar", "avx2", "avx512"])
@pytest.mark.parametrize("shape", SHAPES)
def test_memory_is_a_small_multiple_of_the_body(
    cursor: psycopg2.extensions.cursor, schema: str, shape: str, kernel: str
) -> None:
    body = body_of(SHAPES[shape](random.Random(shape)), schema)
    cursor.execute(f"set plmodel.kernel = {kernel}")
    call = f"select {schema}.f(1, 'a', '2020-01-01')"
    n_bytes = len(base64.b64decode(body.body))
    check(cursor, schema, create_statement(body, schema), call, n_bytes)


@pytest.mark.parametrize(
    "return_type, role, label",
    [
        ("text", "predict", str),
        ("integer", "predict", int),
        ("numeric", "predict", int),
        ("numeric", "predict", lambda i: f"1e{i % 131_072}"),
        ("text", "probabilities", str),
        ("numeric", "probabilities", int),
        ("text", "probabilities", lambda i: "x" * (i % 70) + str(i)),
    ],
)
def test_memory_of_labels(
    cursor: psycopg2.extensions.cursor, schema: str, return_type: str, role: str, label: Callable[[int], Any]
) -> None:
    n_labels = 20_000
    labels = tuple(label(i) for i in range(n_labels))
    output: Output = MulticlassLabel(labels, (0,) * n_labels, (0,) * n_labels)
    body = body_of(Program(INPUTS, READ, (), output, return_type), schema, role)
    call = f"select {schema}.{body.name}(1, 'a', '2020-01-01')"
    check(cursor, schema, create_statement(body, schema), call, len(base64.b64decode(body.body)))


def test_altering_a_composite_type_again_and_again_takes_no_memory(
    cursor: psycopg2.extensions.cursor, schema: str
) -> None:
    inputs = tuple(Input(f"x{i}", "double precision", "number") for i in range(120))
    steps = tuple(encoders.Number(i) for i in range(120))
    (body,) = generate_native(Program(inputs, steps, (), Value(7), "double precision"), schema, "f").functions
    cursor.execute(create_statement(body, schema))
    row = f"row({','.join(map(str, range(120)))})::{schema}.f_features"
    sizes = set()
    for number in range(60):
        cursor.execute(f"alter type {schema}.f_features add attribute y{number} int")
        cursor.execute(f"alter type {schema}.f_features drop attribute y{number}")
        cursor.execute(f"select {schema}.f({row})")
        assert cursor.fetchone() == (7.0,)
        if number > 4:
            sizes.add(memory(cursor))
    assert max(sizes) - min(sizes) <= 64 * 1024


def many_models(cursor: Any, schema: str, count: int) -> list[str]:
    """Create functions of some hundred kilobytes each; return their calls."""
    shape = (60, 7, 8, 5_000, 1, True)
    calls = []
    for number in range(count):
        program = ensemble_program(number, shape, "float64", "float64", False)
        (body,) = generate_native(program, schema, f"f{number}").functions
        cursor.execute(create_statement(body, schema))
        calls.append(f"{schema}.f{number}({','.join(f'{0.1 * i}' for i in range(8))})")
    return calls


def test_a_session_keeps_no_more_models_than_the_setting_allows(
    cursor: psycopg2.extensions.cursor, schema: str
) -> None:
    calls = many_models(cursor, schema, 12)
    expected = []
    for call in calls:
        cursor.execute(f"select {call}")
        expected.append(cursor.fetchone()[0])
    all_models = memory(cursor)
    one = all_models / len(calls)
    limit = int(3.5 * one)
    cursor.execute(f"set plmodel.cache_size = {limit // 1024}")
    for _ in range(2):
        for call, value in zip(calls, expected, strict=True):
            cursor.execute(f"select {call}")
            assert cursor.fetchone()[0] == value
        assert memory(cursor) <= limit + one, "more models than the limit allows"
    # one query holds what it calls, and lets go of it at its end
    cursor.execute(f"select {', '.join(calls)} from generate_series(1, 3)")
    assert cursor.fetchall() == [tuple(expected)] * 3
    assert memory(cursor) <= limit + one
    cursor.execute("set plmodel.cache_size = 0")
    cursor.execute(f"select {calls[0]}")
    cursor.execute(f"select {calls[1]}")
    assert cursor.fetchone()[0] == expected[1] and memory(cursor) <= 2 * one


def test_a_model_that_left_the_memory_is_replaced_in_a_query_that_holds_it(
    cursor: psycopg2.extensions.cursor, schema: str
) -> None:
    calls = many_models(cursor, schema, 3)
    cursor.execute(f"select {calls[0]}, {calls[1]}")
    first, second = cursor.fetchone()
    cursor.execute(f"select prosrc from pg_proc where oid = '{schema}.f1'::regproc")
    source = cursor.fetchone()[0]
    cursor.execute(f"select pg_get_functiondef('{schema}.f0'::regproc)")
    replacement = cursor.fetchone()[0].partition("AS $")[0] + f"as '{source}'"
    cursor.execute("set plmodel.cache_size = 0; begin")
    try:
        # of a row's own values, or the planner would call it once
        arguments = ",".join(f"{0.1 * i} + 0.0 * n" for i in range(8))
        cursor.execute(
            f"declare held cursor for select {schema}.f0({arguments}) from generate_series(1, 9) n"
        )
        cursor.execute("fetch held")
        assert cursor.fetchone()[0] == first
        cursor.execute(f"select {calls[2]}")
        cursor.execute(replacement)
        cursor.execute("fetch held")
        assert cursor.fetchone()[0] == second != first
    finally:
        cursor.execute("rollback")
