"""Trees whose thresholds are NaN, as some releases of scikit-learn fit them where values are missing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import psycopg2.extensions
import pytest
from equivalence.oracle import Fitted, check_predictions, expected_of
from equivalence.postgres import SqlRuntime
from postgres_ml.generate import generate_native, generate_sql
from postgres_ml.lower import parse_pipeline
from postgres_ml.program import interpret
from postgres_ml.program.adversarial import adversarial_rows
from postgres_ml.program.program import Input
from sklearn.tree import DecisionTreeRegressor
from support.native_server import native, plmodel, server

__all__ = ["native", "plmodel", "server"]  # fixtures

INPUTS = tuple(Input(name, "double precision", "number") for name in ("a", "b", "c"))


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    """Every third split of a tree gets NaN for a threshold."""
    source = np.random.default_rng(3)
    values = source.integers(0, 9, size=(300, 3)).astype(np.float64)
    values[source.random(values.shape) < 0.2] = np.nan
    frame = pd.DataFrame(values, columns=["a", "b", "c"])
    model = DecisionTreeRegressor(max_depth=7, random_state=0).fit(frame, np.nansum(values, axis=1))
    state = model.tree_.__getstate__()
    nodes = state["nodes"].copy()
    splits = np.flatnonzero(nodes["left_child"] >= 0)
    nodes["threshold"][splits[::3]] = np.nan
    model.tree_.__setstate__({**state, "nodes": nodes})
    assert np.isnan(model.tree_.threshold[splits]).sum() > 10
    return Fitted(model, INPUTS, frame, "double precision")


def test_the_program_goes_where_the_library_goes(fitted: Fitted) -> None:
    program = parse_pipeline(fitted.pipeline, fitted.inputs, fitted.return_type)
    columns = adversarial_rows(program, 5, 500)
    predictions = interpret.predict(program, columns)
    expected = expected_of(fitted, columns, None, [value is None for value in predictions])
    check_predictions(program, columns, expected, predictions, None, 0.0)


@pytest.mark.parametrize("generate", [generate_sql, generate_native], ids=["sql", "native"])
def test_functions_go_where_the_library_goes(
    fitted: Fitted, generate: object, native: psycopg2.extensions.cursor, schema: str
) -> None:
    program = parse_pipeline(fitted.pipeline, fitted.inputs, fitted.return_type)
    columns = adversarial_rows(program, 5, 500)
    predictions, probabilities = SqlRuntime(native, schema, generate).predictions(program, columns)
    expected = expected_of(fitted, columns, None, [value is None for value in predictions])
    check_predictions(program, columns, expected, predictions, probabilities, 0.0)
