"""The text of generated functions: `pytest tests/golden --update-golden` rewrites it, a review reads the difference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg2.extensions
import pytest
from golden.programs import PROGRAMS
from postgres_ml.generate import create_statement, generate_sql
from postgres_ml.program.serialize import program_from_json, program_to_json
from psycopg2 import sql

HERE = Path(__file__).parent


def written(text: str, schema: str = "ml") -> str:
    """Return the statements that make the functions of a program."""
    generated = generate_sql(program_from_json(text), schema, "predict_it")
    statements = [create_statement(body, schema) for body in generated.functions]
    return "".join(f"{statement};\n" for statement in statements) + f"-- {generated.style}\n"


@pytest.mark.parametrize("name", PROGRAMS)
def test_text_is_as_reviewed(name: str, pytestconfig: pytest.Config) -> None:
    program, function = HERE / name / "program.json", HERE / name / "function.sql"
    if pytestconfig.getoption("--update-golden"):
        program.parent.mkdir(exist_ok=True)
        program.write_text(program_to_json(PROGRAMS[name]()) + "\n", encoding="utf-8")
        function.write_text(written(program.read_text(encoding="utf-8")), encoding="utf-8")
    assert program.read_text(encoding="utf-8") == program_to_json(PROGRAMS[name]()) + "\n"
    assert function.read_text(encoding="utf-8") == written(program.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", PROGRAMS)
def test_postgres_takes_the_text(name: str, connection: psycopg2.extensions.connection, schema: str) -> None:
    program = program_from_json((HERE / name / "program.json").read_text(encoding="utf-8"))
    cursor: Any = connection.cursor()
    cursor.execute("set check_function_bodies = on")
    cursor.execute(written((HERE / name / "program.json").read_text(encoding="utf-8"), schema))
    nulls = sql.SQL(", ").join([sql.SQL("null")] * len(program.inputs))
    cursor.execute(sql.SQL("select {}({})").format(sql.Identifier(schema, "predict_it"), nulls))
    assert len(cursor.fetchall()) == 1
