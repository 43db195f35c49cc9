"""Every case on the system's own PostgreSQL too (Debian's, say), in SQL and native: another version, compiler and
C library than the embedded server's. Skipped where the system has none, or where POSTGRES_ML_TEST_DSN names the server.
"""

from __future__ import annotations

import os
import warnings
import zlib
from pathlib import Path

import psycopg2.extensions
import pytest
from equivalence.cases import CASES, Case
from equivalence.draw import SeededDraw
from equivalence.oracle import check_predictions, expected_of
from equivalence.postgres import SqlRuntime
from postgres_ml import embedded
from postgres_ml.embedded import ServerAddress
from postgres_ml.generate import generate_native, generate_sql
from postgres_ml.lower import parse_pipeline
from postgres_ml.program.adversarial import adversarial_rows
from support.native_server import native, plmodel

__all__ = ["native", "plmodel"]  # fixtures

N_ADVERSARIAL = 120


def system_binaries() -> Path | None:
    """The programs of the newest PostgreSQL that Debian's packages installed."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    return max(found, key=lambda path: int(path.parent.name), default=None)


@pytest.fixture(scope="session")
def server(system_directory: Path) -> ServerAddress:
    """A throw-away server of the system's programs, in place of the embedded one; all xdist workers share it."""
    if os.environ.get("POSTGRES_ML_TEST_DSN"):
        pytest.skip("POSTGRES_ML_TEST_DSN names the server to test")
    bindir = system_binaries()
    if bindir is None:
        pytest.skip("no PostgreSQL under /usr/lib/postgresql")
    return embedded.ensure(system_directory, bindir=bindir, linger=5.0, durability="off")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_both_runtimes_predict_what_the_library_predicts(
    case: Case, native: psycopg2.extensions.cursor, schema: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # estimators that have not converged, unknown categories
        fitted = case.fit(SeededDraw(zlib.crc32(b"system " + case.name.encode())))
        program = parse_pipeline(fitted.pipeline, fitted.inputs, fitted.return_type)
    columns = adversarial_rows(program, 4, N_ADVERSARIAL)
    expected = None
    for generate in (generate_native, generate_sql):
        runtime = SqlRuntime(native, schema, generate)
        predictions, probabilities = runtime.predictions(program, columns)
        if expected is None:
            expected = expected_of(fitted, columns, case.scores, [p is None for p in predictions])
        check_predictions(program, columns, expected, predictions, probabilities, case.tolerance)
