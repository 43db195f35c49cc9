"""The reference interpreter against the library's own predictions: every case, drawn by hypothesis."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from equivalence.cases import CASES, Case
from equivalence.draw import HypothesisDraw
from equivalence.oracle import Columns, Expected, check_predictions, expected_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from postgres_ml.lower import parse_pipeline
from postgres_ml.program.adversarial import adversarial_rows
from postgres_ml.program.interpret import predict, predict_probabilities, slots
from postgres_ml.program.program import Program
from postgres_ml.program.scorers import TreeEnsemble
from postgres_ml.program.serialize import program_from_json, program_to_json

N_ADVERSARIAL = 180


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@settings(
    max_examples=3, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
@given(data=st.data())
def test_interpreter_predicts_what_the_library_predicts(case: Case, data: st.DataObject) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # estimators that have not converged, unknown categories
        fitted = case.fit(HypothesisDraw(data))
        program = parse_pipeline(fitted.pipeline, fitted.inputs, fitted.return_type)
    stored = program_from_json(program_to_json(program))
    assert program_to_json(stored) == program_to_json(program)
    for columns in (fitted.training_columns, adversarial_rows(program, 1, N_ADVERSARIAL)):
        predictions = predict(program, columns)
        expected = expected_of(fitted, columns, case.scores, [p is None for p in predictions])
        probabilities = predict_probabilities(program, columns)
        check_predictions(program, columns, expected, predictions, probabilities, case.tolerance)
        if case.scores is not None and program.n_nodes:
            _check_bits(program, columns, expected)


def _check_bits(program: Program, columns: Columns, expected: Expected) -> None:
    """Assert that the last tree ensemble's slots are the library's raw scores, bit by bit."""
    number = max(i for i, step in enumerate(program.steps) if isinstance(step, TreeEnsemble))
    start = program.offsets[number]
    ours = slots(program, columns)[:, start : start + program.steps[number].width]
    assert expected.scores is not None
    accepted = ~expected.refused
    assert np.array_equal(ours[accepted], expected.scores[accepted])


def test_case_names_are_distinct() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))
