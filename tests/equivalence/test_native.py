"""Functions in language plmodel against the library's own predictions: every case, by every kernel."""

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
from postgres_ml.generate.native import generate_native
from postgres_ml.lower import parse_pipeline
from postgres_ml.program.adversarial import adversarial_rows
from postgres_ml.program.program import Program, Value
from postgres_ml.program.scorers import TreeEnsemble
from support.native_server import native, plmodel, server

__all__ = ["native", "plmodel", "server"]  # fixtures

N_ADVERSARIAL = 250


@pytest.fixture
def runtime(native: psycopg2.extensions.cursor, schema: str) -> SqlRuntime:
    return SqlRuntime(native, schema, generate_native)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_native_predicts_what_the_library_predicts(case: Case, runtime: SqlRuntime) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # estimators that have not converged, unknown categories
        fitted = case.fit(SeededDraw(zlib.crc32(case.name.encode())))
        program = parse_pipeline(fitted.pipeline, fitted.inputs, fitted.return_type)
    kernels = ("scalar", "avx2", "avx512") if program.n_nodes else ("auto",)
    for columns in (fitted.training_columns, adversarial_rows(program, 3, N_ADVERSARIAL)):
        runtime.load(program, columns)
        generated = runtime.create(program)
        runtime.check_by_name(program, generated)
        scores = _create_scores(runtime, program)
        for kernel in kernels:
            runtime.cursor.execute(f"set plmodel.kernel = {kernel}")
            predictions, probabilities = runtime.answers(program, generated)
            if kernel == kernels[0]:
                expected = expected_of(fitted, columns, case.scores, [p is None for p in predictions])
            check_predictions(program, columns, expected, predictions, probabilities, case.tolerance)
            if expected.scores is not None and scores:
                accepted = ~expected.refused
                ours = np.array([runtime.call(program, name) for name in scores], dtype=np.float64).T
                assert np.array_equal(ours[accepted], expected.scores[accepted])


def _create_scores(runtime: SqlRuntime, program: Program) -> list[str]:
    """Create functions that give the slots of the last tree ensemble; return their names."""
    ensembles = [i for i, step in enumerate(program.steps) if isinstance(step, TreeEnsemble)]
    names = []
    if ensembles:
        start, width = program.offsets[ensembles[-1]], program.steps[ensembles[-1]].width
        for slot in range(start, start + width):
            names.append(f"score_{slot - start}")
            scored = replace(program, output=Value(slot), return_type="double precision")
            runtime.create(scored, names[-1])
    return names
