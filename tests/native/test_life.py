"""A function's life: replaced, dropped, cancelled, dumped, shared by many connections, refused without noise."""

from __future__ import annotations

import os
import random
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.errors
import psycopg2.extensions
import pytest
from native.test_kernels import SHAPES, ensemble_program
from postgres_ml.embedded import ServerAddress
from postgres_ml.generate import create_statement
from postgres_ml.generate.native import generate_native
from postgres_ml.program import interpret
from postgres_ml.program.encoders import Number
from postgres_ml.program.program import Input, Program, Value
from postgres_ml.program.scorers import Linear
from postgres_ml.publish import native_extension

ARGUMENTS = ",".join(f"{0.1 * i}" for i in range(8))


def statement(seed: int, schema: str, function: str = "f") -> str:
    program = ensemble_program(seed, SHAPES[0], "float32", "float32", False)
    return create_statement(generate_native(program, schema, function).functions[0], schema)


def models_in_memory(cursor: Any) -> tuple[int, int]:
    """Models that this backend holds, and bytes of the language's memory."""
    cursor.execute(
        "select count(*) filter (where name = 'plmodel model'), sum(total_bytes) "
        "from pg_backend_memory_contexts where name like 'plmodel%'"
    )
    count, size = cursor.fetchone()
    return count, int(size)


@pytest.mark.parametrize("n_times", [300, pytest.param(10_000, marks=pytest.mark.exhaustive)])
def test_replacing_a_function_frees_what_it_was(
    native: psycopg2.extensions.cursor, schema: str, n_times: int
) -> None:
    if native.connection.server_version < 140000:
        pytest.skip("pg_backend_memory_contexts is of PostgreSQL 14")
    statements = [statement(seed, schema) for seed in (1, 2)]
    answers, sizes = [set(), set()], set()
    for number in range(n_times):
        native.execute(statements[number % 2])
        native.execute(f"select {schema}.f({ARGUMENTS})")
        answers[number % 2].add(native.fetchone()[0])
        if number >= 4:
            count, size = models_in_memory(native)
            assert count == 1
            sizes.add((number % 2, size))
    assert len(answers[0]) == len(answers[1]) == 1 and answers[0] != answers[1]
    assert len(sizes) == 2, "memory grows"


def test_a_dropped_function_is_freed_by_the_next_call_of_another(
    native: psycopg2.extensions.cursor, schema: str
) -> None:
    if native.connection.server_version < 140000:
        pytest.skip("pg_backend_memory_contexts is of PostgreSQL 14")
    for name in ("f", "g"):
        native.execute(statement(1, schema, name))
        native.execute(f"select {schema}.{name}({ARGUMENTS})")
    assert models_in_memory(native)[0] == 2
    types = ",".join(["float8"] * 8)
    native.execute(f"drop function {schema}.g({types})")
    native.execute(f"select {schema}.f({ARGUMENTS})")
    assert models_in_memory(native)[0] == 1


def test_a_function_replaced_by_another_connection_is_seen(
    native: psycopg2.extensions.cursor, server: ServerAddress, schema: str
) -> None:
    native.execute(statement(1, schema))
    native.execute(f"select {schema}.f({ARGUMENTS})")
    before = native.fetchone()
    with psycopg2.connect(
        host=server.host, port=server.port, user=server.user, dbname=server.dbname
    ) as other:
        other.cursor().execute(statement(2, schema))
        native.execute(f"select {schema}.f({ARGUMENTS})")
        assert native.fetchone() == before, "not committed yet"
    native.execute(f"select {schema}.f({ARGUMENTS})")
    assert native.fetchone() != before
    other.close()


def test_a_scan_is_cancelled_at_once(native: psycopg2.extensions.cursor, schema: str) -> None:
    native.execute(statement(1, schema))
    native.execute("set statement_timeout = '200ms'")
    arguments = ",".join(["i::float8"] * 8)
    started = time.monotonic()
    with pytest.raises(psycopg2.errors.QueryCanceled):
        native.execute(f"select sum({schema}.f({arguments})) from generate_series(1, 1000000000) i")
    # the rest is for a machine that does something else as well
    assert time.monotonic() - started < 0.2 + 0.1 + 1.0


def test_errors_do_not_write_the_body_to_the_log(
    native: psycopg2.extensions.cursor, server: ServerAddress, schema: str
) -> None:
    log = Path(server.host) / "server.log"
    if not log.exists():
        pytest.skip("the log of this server is not at hand")
    body = statement(1, schema).replace("$body$UExN", "$body$AAAA")
    marker = body[600:700]
    with pytest.raises(psycopg2.errors.InvalidFunctionDefinition) as caught:
        native.execute(body)
    assert "f" in caught.value.diag.context and marker not in str(caught.value)
    native.execute(f"set check_function_bodies = off; {body}")
    with pytest.raises(psycopg2.errors.InvalidFunctionDefinition):
        native.execute(f"select {schema}.f({ARGUMENTS})")
    written = log.read_text()
    assert "is not a scoring program" in written and marker not in written


def test_more_than_a_hundred_features_are_one_composite_argument(
    native: psycopg2.extensions.cursor, schema: str
) -> None:
    source = random.Random(1)
    names = [f"feature {i}" for i in range(150)]
    inputs = tuple(Input(name, "real", "number") for name in names)
    weights = tuple(source.gauss(0, 1) for _ in names)
    steps = (*(Number(i) for i in range(150)), Linear(tuple(range(150)), (weights,), (0.5,)))
    program = Program(inputs, steps, (), Value(150), "double precision")
    (body,) = generate_native(program, schema, "wide").functions
    native.execute(create_statement(body, schema))
    row = [float(source.randint(-9, 9)) for _ in names]
    native.execute(f"select {schema}.wide(row({','.join(map(str, row))})::{schema}.wide_features)")
    expected = interpret.predict(program, {name: [value] for name, value in zip(names, row, strict=True)})
    assert [native.fetchone()[0]] == expected


@pytest.fixture
def other_database(native: psycopg2.extensions.cursor, schema: str) -> Iterator[str]:
    native.execute(f"create database {schema}_copy")
    yield f"{schema}_copy"
    native.execute(f"drop database {schema}_copy")


def test_dump_and_restore_keep_the_predictions(
    native: psycopg2.extensions.cursor, server: ServerAddress, schema: str, other_database: str
) -> None:
    native.execute("select setting from pg_config() where name = 'BINDIR'")
    bindir = Path(native.fetchone()[0])
    if not (bindir / "pg_dump").exists():
        pytest.skip("no pg_dump here")
    native.execute(statement(1, schema))
    native.execute(f"select {schema}.f({ARGUMENTS})")
    before = native.fetchone()
    environment = os.environ | {"PGHOST": server.host, "PGPORT": str(server.port), "PGUSER": server.user}
    dump = subprocess.run(
        [bindir / "pg_dump", f"--schema={schema}", server.dbname],
        env=environment,
        capture_output=True,
        check=True,
    )
    target: dict[str, Any] = {
        "host": server.host,
        "port": server.port,
        "user": server.user,
        "dbname": other_database,
    }
    connection = psycopg2.connect(**target)
    connection.autocommit = True
    with connection.cursor() as cursor:
        install_again(cursor, native)
        subprocess.run(
            [bindir / "psql", "--set=ON_ERROR_STOP=1", other_database],
            env=environment, input=dump.stdout, capture_output=True, check=True,
        )  # fmt: skip
        cursor.execute(f"select {schema}.f({ARGUMENTS})")
        assert cursor.fetchone() == before
    connection.close()


def install_again(cursor: Any, native: Any) -> None:
    """Install the language in the cursor's database as it is in the other's: as an extension, or by its path."""
    native.execute(
        "select p.probin from pg_language l join pg_proc p on p.oid = l.lanplcallfoid where lanname = 'plmodel'"
    )
    path = native.fetchone()[0]
    if path.startswith("$libdir"):
        assert native_extension.provide(cursor) == ""
    else:
        native_extension.install_library(cursor, path)


def test_many_connections_predict_at_once(
    native: psycopg2.extensions.cursor, server: ServerAddress, schema: str
) -> None:
    native.execute(statement(1, schema))
    native.execute(f"select {schema}.f({ARGUMENTS})")
    expected = native.fetchone()[0]
    answers: list[float] = []

    def predict() -> None:
        connection = psycopg2.connect(
            host=server.host, port=server.port, user=server.user, dbname=server.dbname
        )
        with connection.cursor() as cursor:
            for _ in range(20):
                cursor.execute(f"select {schema}.f({ARGUMENTS}) from generate_series(1, 50)")
                answers.extend(row[0] for row in cursor.fetchall())
        connection.close()

    threads = [threading.Thread(target=predict) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [expected] * 32 * 20 * 50


def test_the_handler_called_by_hand_is_an_error(native: psycopg2.extensions.cursor, schema: str) -> None:
    native.execute(
        "select p.oid::regproc::text from pg_language l join pg_proc p on p.oid = lanplcallfoid where lanname = 'plmodel'"
    )
    handler = native.fetchone()[0]
    with pytest.raises(psycopg2.Error):
        native.execute(f"select {handler}()")
    native.execute("select 1")
    assert native.fetchone() == (1,)


def test_installing_twice_changes_nothing(native: psycopg2.extensions.cursor) -> None:
    native.execute("select xmin, * from pg_language where lanname = 'plmodel'")
    before = native.fetchall()
    install_again(native, native)
    native.execute("select xmin, * from pg_language where lanname = 'plmodel'")
    assert native.fetchall() == before and native_extension.is_available(native)


def test_a_body_of_the_wrong_role_is_refused(native: psycopg2.extensions.cursor, schema: str) -> None:
    program = ensemble_program(1, SHAPES[0], "float32", "float32", False)
    (body,) = generate_native(program, schema, "f").functions
    with pytest.raises(psycopg2.errors.FeatureNotSupported):
        native.execute(create_statement(replace(body, returns="text"), schema))
