"""The text of generated functions: `pytest tests/golden --update-golden` rewrites it, a review reads the difference.

`generator_versions.json` has the digest of the text of each generator version. A version that is there is
never rewritten: other text needs another `GENERATOR_VERSION`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import psycopg2.extensions
import pytest
from golden.programs import PROGRAMS
from postgres_ml.contract.column import Column
from postgres_ml.generate import create_statement, generate_python, generate_sql
from postgres_ml.generate.version import GENERATOR_VERSION
from postgres_ml.program.serialize import program_from_json, program_to_json
from psycopg2 import sql

HERE = Path(__file__).parent
VERSIONS = HERE / "generator_versions.json"


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


def digest_of_all_text() -> str:
    """The digest of what both generators that write text write, apart from the version's own number."""
    texts = [written(program_to_json(make())) for make in PROGRAMS.values()]
    columns = [Column("x", "real", "number"), Column("t", "text", "text")]
    made = generate_python(
        columns, "text", "ml", "predict_it", sha256="0" * 64, python_path="/opt/python",
        details="probabilities", est_rows_per_s=1000,
    )  # fmt: skip
    texts += [create_statement(body, "ml") for body in made.functions]
    text = "\n".join(texts)
    for mark in ("generator ", "dbt-postgres-ml "):
        assert f"{mark}{GENERATOR_VERSION}, " in text
        text = text.replace(f"{mark}{GENERATOR_VERSION}, ", f"{mark}N, ")
    return hashlib.sha256(text.encode()).hexdigest()


def test_other_text_has_another_generator_version(pytestconfig: pytest.Config) -> None:
    versions = json.loads(VERSIONS.read_text(encoding="utf-8"))
    if pytestconfig.getoption("--update-golden") and str(GENERATOR_VERSION) not in versions:
        versions[str(GENERATOR_VERSION)] = digest_of_all_text()
        VERSIONS.write_text(json.dumps(versions, indent=2) + "\n", encoding="utf-8")
    assert list(versions) == [str(number) for number in range(1, GENERATOR_VERSION + 1)]
    assert versions[str(GENERATOR_VERSION)] == digest_of_all_text(), (
        "the generated text has changed: raise GENERATOR_VERSION in postgres_ml/generate/version.py"
    )


@pytest.mark.parametrize("name", PROGRAMS)
def test_postgres_takes_the_text(name: str, connection: psycopg2.extensions.connection, schema: str) -> None:
    program = program_from_json((HERE / name / "program.json").read_text(encoding="utf-8"))
    cursor: Any = connection.cursor()
    cursor.execute("set check_function_bodies = on")
    cursor.execute(written((HERE / name / "program.json").read_text(encoding="utf-8"), schema))
    nulls = sql.SQL(", ").join([sql.SQL("null")] * len(program.inputs))
    cursor.execute(sql.SQL("select {}({})").format(sql.Identifier(schema, "predict_it"), nulls))
    assert len(cursor.fetchall()) == 1
