"""SQL functions against the library's own predictions: every case, on training rows and adversarial ones."""

from __future__ import annotations

import warnings
import zlib
from dataclasses import replace

import numpy as np
import psycopg2.extensions
import pytest
from equivalence.cases import CASES, Case
from equivalence.draw import SeededDraw
from equivalence.oracle import check_predictions, expected_of
from equivalence.postgres import SqlRuntime
from postgres_ml.lower import parse_pipeline
from postgres_ml.program.adversarial import adversarial_rows
from postgres_ml.program.program import Program, Value
from postgres_ml.program.scorers import TreeEnsemble

N_ADVERSARIAL = 180


@pytest.fixture
def runtime(connection: psycopg2.extensions.connection, schema: str) -> SqlRuntime:
    return SqlRuntime(connection.cursor(), schema)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_sql_predicts_what_the_library_predicts(case: Case, runtime: SqlRuntime) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # estimators that have not converged, unknown categories
        fitted = case.fit(SeededDraw(zlib.crc32(case.name.encode())))
        program = parse_pipeline(fitted.pipeline, fitted.inputs, fitted.return_type)
    for columns in (fitted.training_columns, adversarial_rows(program, 2, N_ADVERSARIAL)):
        predictions, probabilities = runtime.predictions(program, columns)
        expected = expected_of(fitted, columns, case.scores, [p is None for p in predictions])
        check_predictions(program, columns, expected, predictions, probabilities, case.tolerance)
        if expected.scores is not None and program.n_nodes:
            accepted = ~expected.refused
            ours = _raw_scores(runtime, program)
            assert np.array_equal(ours[accepted], expected.scores[accepted])


def _raw_scores(runtime: SqlRuntime, program: Program) -> np.ndarray:
    """Return the slots of the last tree ensemble, computed in SQL."""
    number = max(i for i, step in enumerate(program.steps) if isinstance(step, TreeEnsemble))
    start, width = program.offsets[number], program.steps[number].width
    columns = []
    for slot in range(start, start + width):
        scored = replace(program, output=Value(slot), return_type="double precision")
        runtime.create(scored, "score_it")
        columns.append([np.nan if v is None else v for v in runtime.call(scored, "score_it")])
    return np.array(columns, dtype=np.float64).T
