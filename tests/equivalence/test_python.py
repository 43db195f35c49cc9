"""Functions in runtime python against the library's own predictions: every case, in one session of Debian's server.

Predictions of all rows go through the batch function, a few rows also through the functions that users call.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest
from equivalence.cases import CASES, Case
from equivalence.draw import SeededDraw
from equivalence.oracle import check_predictions, expected_of
from equivalence.postgres import SqlRuntime
from postgres_ml.contract.column import Column
from postgres_ml.embedded import ServerAddress
from postgres_ml.generate import GeneratedFunctions, generate_python
from postgres_ml.lower import parse_pipeline
from postgres_ml.program.adversarial import adversarial_rows
from postgres_ml.program.program import Program
from postgres_ml.serve.artifact import has_centers, pack
from support.debian_server import SITE_PACKAGES, debian

__all__ = ["debian"]  # a fixture
pytestmark = pytest.mark.xdist_group("debian")
N_ADVERSARIAL = 120
N_SINGLE = 4
UTC = "timestamp with time zone"


@pytest.fixture(scope="module")
def cursor(debian: ServerAddress) -> Iterator[Any]:
    """One session for all cases: each imports its libraries again."""
    made = psycopg2.connect(host=debian.host, port=debian.port, user=debian.user, dbname=debian.dbname)
    made.autocommit = True
    with made.cursor() as cursor:
        cursor.execute(
            "create schema if not exists equivalence; create schema if not exists postgres_ml; "
            "create table if not exists postgres_ml.artifact (sha256 text primary key, content bytea not null)"
        )
        yield cursor
        cursor.execute("drop schema equivalence cascade")
    made.close()


# what differs from case to case is the libraries' affair here: a sample is enough but for a thorough run
SAMPLED = [
    pytest.param(case, id=case.name, marks=[pytest.mark.exhaustive] if i % 6 else [])
    for i, case in enumerate(CASES)
]


@pytest.mark.parametrize("case", SAMPLED)
def test_python_predicts_what_the_library_predicts(case: Case, cursor: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # estimators that have not converged, unknown categories
        fitted = case.fit(SeededDraw(zlib.crc32(case.name.encode())))
        program = parse_pipeline(fitted.pipeline, fitted.inputs, fitted.return_type)
        columns = [Column(item.name, item.sql_type, item.kind) for item in fitted.inputs]
        has_probabilities = hasattr(fitted.pipeline, "predict_proba")
        labels = fitted.pipeline.classes_.tolist() if has_probabilities else None
        details = "probabilities" if labels else "distances" if has_centers(fitted.pipeline) else None
        artifact = pack(fitted.pipeline, columns, fitted.return_type, labels, fitted.frame)
    cursor.execute(
        "insert into postgres_ml.artifact values (%s, %s) on conflict do nothing",
        (artifact.sha256, psycopg2.Binary(artifact.content)),
    )

    def generate(program: Program, schema: str, function: str) -> GeneratedFunctions:
        return generate_python(
            columns, fitted.return_type, schema, function, sha256=artifact.sha256, python_path=SITE_PACKAGES,
            details=details, est_rows_per_s=1,
        )  # fmt: skip

    runtime = SqlRuntime(cursor, "equivalence", generate)
    cursor.execute("drop schema equivalence cascade; create schema equivalence")
    runtime.create(program)
    for rows in (fitted.training_columns, adversarial_rows(program, 4, N_ADVERSARIAL)):
        runtime.load(program, rows)
        predictions = batch(cursor, columns)
        expected = expected_of(fitted, rows, None, [p is None for p in predictions])
        check_predictions(program, rows, expected, predictions, None, max(case.tolerance, 1e-12))
        cursor.execute(f"delete from rows where row_number >= {N_SINGLE}")
        few = {name: values[:N_SINGLE] for name, values in rows.items()}
        generated = runtime.generate(program, "equivalence", "predict_it")
        runtime.check_by_name(program, generated)
        singles, probabilities = runtime.answers(program, generated)
        expected = expected_of(fitted, few, None, [p is None for p in singles])
        check_predictions(program, few, expected, singles, probabilities, max(case.tolerance, 1e-12))


def batch(cursor: Any, columns: list[Column]) -> list[Any]:
    """Return what the batch function gives for the rows of the table, called as predict_table calls it."""
    numbers, others = [], []
    for column in columns:
        name = '"' + column.name.replace('"', '""') + '"'
        if column.kind in ("number", "boolean"):
            cast = "::integer::float8" if column.kind == "boolean" else "::float8"
            numbers.append(f"float8send(coalesce({name}{cast}, 'NaN'))")
        elif column.kind == "text":
            others.append(f"array_agg({name}::text order by row_number)")
        else:
            value = f"{name} at time zone 'UTC'" if column.sql_type == UTC else name
            others.append(f"array_agg(to_json({value}) #>> '{{}}' order by row_number)")
    joined = " || ".join(numbers) or "''::bytea"
    arguments = ", ".join([f"string_agg({joined}, ''::bytea order by row_number)", *others])
    cursor.execute(f"select _predict_it__batch({arguments}) from rows")
    return cursor.fetchall()[0][0] or []
