"""The functions of an anomaly detection: the score and the rule beside it, in both runtimes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import psycopg2.extensions
import pytest
from equivalence.postgres import SqlRuntime
from postgres_ml.components.anomaly import AnomalyDetector
from postgres_ml.generate import GeneratedFunctions, generate_native, generate_sql
from postgres_ml.lower import parse_anomaly_rule, parse_pipeline
from postgres_ml.program.program import Input
from sklearn.ensemble import IsolationForest


@pytest.mark.parametrize("generate", [generate_native, generate_sql])
@pytest.mark.parametrize(
    ("n_columns", "options"),
    [(2, {"n_estimators": 30}), (120, {"n_estimators": 4}), (3, {"n_estimators": 210, "max_samples": 800})],
    ids=["ordinary", "one composite argument", "parts"],
)
def test_both_functions_say_what_the_library_says(
    native: psycopg2.extensions.cursor,
    schema: str,
    generate: Callable[..., GeneratedFunctions],
    n_columns: int,
    options: dict[str, Any],
) -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(1_000, n_columns))).add_prefix("c")
    forest = IsolationForest(contamination=0.1, random_state=0, **options)
    fitted = AnomalyDetector(forest, has_rule=True).fit(frame)
    inputs = tuple(Input(name, "double precision", "number") for name in frame)
    program, rule = parse_pipeline(fitted, inputs, "double precision"), parse_anomaly_rule(fitted, inputs)
    runtime = SqlRuntime(native, schema, lambda *given: generate(*given, rule))
    few = frame.head(200)
    runtime.load(program, {name: few[name].tolist() for name in few})
    generated = runtime.create(program)
    parts = [body.name for body in generated.functions if body.role == "part"]
    assert parts or generate is generate_native or options["n_estimators"] < 200
    assert all(name.startswith("_predict_it__") for name in parts)
    others = [(body.role, body.name, body.returns) for body in generated.functions if body.role != "part"]
    assert others == [
        ("predict", "predict_it", "double precision"),
        ("is_anomaly", "predict_it_is_anomaly", "boolean"),
    ]
    assert np.allclose(runtime.call(program), fitted.predict(few), rtol=1e-15)
    assert runtime.call(program, "predict_it_is_anomaly") == fitted.is_anomaly(few).tolist()
