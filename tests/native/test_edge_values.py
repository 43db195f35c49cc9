"""Values at the edges of types, the same in C and in plain SQL; and what a session keeps of a setting."""

from __future__ import annotations

from typing import Any

import psycopg2
import psycopg2.extensions
import pytest
from native.test_life import ARGUMENTS, statement
from postgres_ml.generate import create_statement, generate_native, generate_sql
from postgres_ml.program.characters import CLASSES
from postgres_ml.program.encoders import Characters, DatePart, Number
from postgres_ml.program.program import BinaryLabel, Input, Program, Value
from postgres_ml.program.scorers import Linear

NUMBERS = (Input("a", "double precision", "number"), Input("b", "double precision", "number"))
DATE = Input("d", "date", "date")
ZONED = Input("t", "time with time zone", "time")


def both(native: Any, schema: str, program: Program, call: str, role: str = "predict") -> list[Any]:
    """Return what the call gives in C and in SQL."""
    found = []
    for generate in (generate_native, generate_sql):
        for body in generate(program, schema, "f").functions:
            native.execute(create_statement(body, schema))
        name = {"predict": "f", "probabilities": "f_probabilities"}[role]
        native.execute(f"select {schema}.{name}({call})")
        found.append(native.fetchone()[0])
        native.execute(
            f"select pg_catalog.string_agg('drop function ' || oid::regprocedure, ';' order by oid desc) "
            f"from pg_proc where pronamespace = '{schema}'::regnamespace"
        )
        native.execute(native.fetchone()[0])
    return found


@pytest.mark.parametrize("returned", ["double precision", "real", "numeric", "integer"])
def test_a_prediction_that_is_no_number_is_null(
    native: psycopg2.extensions.cursor, schema: str, returned: str
) -> None:
    steps = (Number(0), Number(1), Linear((0, 1), ((2.0, -2.0),), (0.0,)))
    program = Program(NUMBERS, steps, (), Value(2), returned)
    assert both(native, schema, program, "1e308, 1e308") == [None, None]
    assert [float(value) for value in both(native, schema, program, "3, 1")] == [4.0, 4.0]


def test_dates_after_the_last_timestamp_are_missing(native: psycopg2.extensions.cursor, schema: str) -> None:
    program = Program((DATE,), (DatePart(0, "month"),), (), Value(0), "double precision")
    assert both(native, schema, program, "'300000-01-01'") == [None, None]
    assert both(native, schema, program, "'294276-12-31'") == [12.0, 12.0]


@pytest.mark.parametrize(
    ("time", "seconds"), [("12:00:00.1+12", 0.1), ("00:00:00.3-05:30", 19800.3), ("24:00+00", 86400.0)]
)
def test_a_time_with_a_zone_is_rounded_once(
    native: psycopg2.extensions.cursor, schema: str, time: str, seconds: float
) -> None:
    program = Program((ZONED,), (DatePart(0, "epoch"),), (), Value(0), "double precision")
    assert both(native, schema, program, f"'{time}'") == [seconds, seconds]


def test_two_classes_without_probabilities_stay_in_their_order(
    native: psycopg2.extensions.cursor, schema: str
) -> None:
    output = BinaryLabel(("no", "yes"), 0, ">", 0.5, (0, 1))
    program = Program(NUMBERS, (Number(0), Number(1)), (), output, "text")
    found = both(native, schema, program, "null, null", "probabilities")
    assert found == [{"labels": ["no", "yes"], "probabilities": [None, None]}] * 2
    for call, labels in (
        ("0.5, 0.5", ["no", "yes"]),
        ("0.4, 0.6", ["yes", "no"]),
        ("0.6, 0.4", ["no", "yes"]),
    ):
        assert [one["labels"] for one in both(native, schema, program, call, "probabilities")] == [labels] * 2


def test_a_body_may_be_little_more_than_characters(native: psycopg2.extensions.cursor, schema: str) -> None:
    program = Program(
        (Input("t", "text", "text"),), (Characters(0, CLASSES),), (), Value(0), "double precision"
    )
    assert both(native, schema, program, "'four'") == [4.0, 4.0]


def test_names_are_cut_between_characters(native: psycopg2.extensions.cursor, schema: str) -> None:
    program = Program(
        (Input("a" * 99 + "éé", "text", "text"),), (Characters(0, CLASSES),), (), Value(0), "double precision"
    )
    (body,) = generate_native(program, schema, "f").functions
    with pytest.raises(psycopg2.Error, match=r'argument "a{99}" has type integer'):
        native.execute(
            f"create function {schema}.f(integer) returns float8 language plmodel as $${body.body}$$"
        )


def test_a_function_with_a_setting_of_its_own_is_read_once(
    native: psycopg2.extensions.cursor, schema: str
) -> None:
    native.execute(statement(1, schema))
    native.execute(f"select {schema}.f({ARGUMENTS})")
    expected = native.fetchone()[0]
    native.execute(f"alter function {schema}.f set plmodel.kernel = 'scalar'")
    native.execute("set client_min_messages = debug1")
    del native.connection.notices[:]
    native.execute(
        f"select count(*), count(distinct {schema}.f({ARGUMENTS})), min({schema}.f({ARGUMENTS})) from generate_series(1, 50)"
    )
    assert native.fetchone() == (50, 1, expected)
    read = [notice for notice in native.connection.notices if "tree nodes, kernel scalar" in notice]
    native.execute("reset client_min_messages")
    assert len(read) == 1
