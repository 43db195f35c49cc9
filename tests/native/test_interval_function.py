"""`<function>_interval`: bounds equal to the last bit to Python's own arithmetic, in the runtimes sql and native."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import psycopg2.extensions
import pytest
from equivalence.postgres import SqlRuntime
from postgres_ml.contract.column import Column
from postgres_ml.contract.job import TrainingJob
from postgres_ml.evaluate import intervals
from postgres_ml.features.feature_columns import choose_columns
from postgres_ml.features.problem import Problem
from postgres_ml.fit.task import Deadline, Task
from postgres_ml.generate import generate_native, generate_sql
from postgres_ml.generate.interval import interval_function
from postgres_ml.lower import parse_pipeline
from postgres_ml.program.adversarial import adversarial_rows
from postgres_ml.program.encoders import Number
from postgres_ml.program.program import Input, Program, Value
from postgres_ml.publish.deployment import inputs_of
from postgres_ml.publish.interval import interval_functions
from postgres_ml.publish.runtime import ChosenRuntime
from postgres_ml.snapshot.rows import TrainingRows
from postgres_ml.verify.rows import as_frame
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder
from support.training import column, make_job, make_spec
from xgboost import XGBRegressor

N = 600
GENERATORS = {"native": generate_native, "sql": generate_sql}


def drawn(n_columns: int) -> tuple[pd.DataFrame, np.ndarray, tuple[Column, ...]]:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(N, n_columns))).add_prefix("c")
    frame.loc[::9, "c0"] = np.nan
    frame["p"] = pd.Series(random.choice(np.array(["a", "b", None], dtype=object), N), dtype=object)
    target = 3 * frame["c1"] + random.normal(size=N) * np.where(frame["c1"] > 0.5, 5.0, 0.3)
    numbers = tuple(column(name) for name in frame if name != "p")
    return frame, target.to_numpy(), (*numbers, column("p", "text"))


def regressor(name: str, features: tuple[Column, ...]) -> Pipeline:
    numbers = [item.name for item in features if item.kind == "number"]
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    if name == "ridge":
        columns = ColumnTransformer([("numbers", "passthrough", numbers[1:]), ("texts", encoder, ["p"])])
        return Pipeline([("columns", columns), ("estimator", Ridge())])
    columns = ColumnTransformer([("numbers", "passthrough", numbers), ("texts", encoder, ["p"])])
    return Pipeline([("columns", columns), ("estimator", XGBRegressor(n_estimators=20, max_depth=3))])


def calibrated(
    name: str, n_columns: int, tmp_path: Any, schema: str
) -> tuple[Pipeline, intervals.Interval, TrainingJob]:
    frame, target, features = drawn(n_columns)
    spec = make_spec("target", name="it", schema=schema, auto=False, model_types=("xgboost",), interval=0.8)
    keys = np.arange(N, dtype=np.uint64)
    rows = TrainingRows(frame, target, keys, "0")
    problem = Problem("regression", "mse", "mse", target[:0])
    task = Task(spec, problem, choose_columns(features, rows, []), 1, Deadline(60))
    half = np.arange(N) % 2 == 0
    pipeline = regressor(name, features).fit(frame[half], target[half])
    choice: Any = type("NoFolds", (), {"out_of_fold": None})
    found = intervals.calibrate(task, choice, pipeline, rows.take(half), rows.take(~half))
    return pipeline, found, make_job(tmp_path, features, column("target"), spec=spec)


def bits(pair: Any) -> Any:
    return None if pair is None else tuple(np.array(pair, dtype=np.float64).view(np.int64).tolist())


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("n_columns", [3, 120], ids=["ordinary", "one composite argument"])
def test_bounds_are_equal_to_the_last_bit(
    native: psycopg2.extensions.cursor, schema: str, tmp_path: Any, name: str, n_columns: int
) -> None:
    pipeline, interval, job = calibrated("xgboost", n_columns, tmp_path, schema)
    assert interval.scale is not None and interval.least < interval.most
    inputs = inputs_of(job.arguments)
    program = parse_pipeline(pipeline, inputs, "double precision")

    def generate(*given: Any) -> Any:
        runtime = ChosenRuntime(name, "", GENERATORS[name](*given))
        return runtime.with_functions(interval_functions(interval, job, runtime)).generated

    runtime = SqlRuntime(native, schema, generate)
    rows = adversarial_rows(program, 1, 300)
    frame = as_frame(rows, job.arguments)
    runtime.load(program, rows)
    generated = runtime.create(program, job.spec.function)
    roles = [body.role for body in generated.functions if body.role != "part"]
    assert roles == ["predict", "interval"]
    found = runtime.call(program, "predict_it_interval")
    predicted = runtime.call(program, "predict_it")
    expected = [
        None if p is None else interval.bounds(p, float(s))
        for p, s in zip(predicted, interval.scale.predict(frame), strict=True)
    ]
    assert [bits(pair and (pair["lower"], pair["upper"])) for pair in found] == [bits(p) for p in expected]
    assert len({u - l for l, u in expected if u is not None}) > 3, "it is scaled"  # noqa: E741


@pytest.mark.parametrize("name", GENERATORS)
def test_rows_that_only_the_scale_refuses_get_the_widest(
    native: psycopg2.extensions.cursor, schema: str, tmp_path: Any, name: str
) -> None:
    """Infinity in a column that the prediction does not read; where the prediction is NULL the interval is."""
    pipeline, interval, job = calibrated("ridge", 3, tmp_path, schema)
    program = parse_pipeline(pipeline, inputs_of(job.arguments), "double precision")

    def generate(*given: Any) -> Any:
        runtime = ChosenRuntime(name, "", GENERATORS[name](*given))
        return runtime.with_functions(interval_functions(interval, job, runtime)).generated

    runtime = SqlRuntime(native, schema, generate)
    rows: Any = {"c0": [1.0, np.inf, 1.0], "c1": [0.5, 0.5, None], "c2": [0.0] * 3, "p": ["a"] * 3}
    runtime.load(program, rows)
    runtime.create(program, job.spec.function)
    first, second, third = runtime.call(program, "predict_it_interval")
    assert third is None and runtime.call(program, "predict_it")[2] is None
    assert interval.scale is not None and first["upper"] - first["lower"] > 0
    with np.errstate(all="ignore"):
        scale = float(interval.scale.predict(as_frame(rows, job.arguments).iloc[[1]])[0])
    predicted = runtime.call(program, "predict_it")[1]
    assert bits((second["lower"], second["upper"])) == bits(interval.bounds(predicted, scale))


@pytest.mark.parametrize("half", [1.0, 1e290, 1e300, 1.5e308])
def test_bounds_beyond_the_largest_double_are_infinite(
    native: psycopg2.extensions.cursor, schema: str, half: float
) -> None:
    program = Program(
        (Input("x", "double precision", "number"),), (Number(0),), (), Value(0), "double precision"
    )

    def generate(*given: Any) -> Any:
        made = generate_sql(*given)
        predict = next(body for body in made.functions if body.role == "predict")
        functions = (*made.functions, interval_function(predict, schema, half))
        return dataclasses.replace(made, functions=functions)

    runtime = SqlRuntime(native, schema, generate)
    runtime.create(program, "predict_it")
    sizes = [0.0, 5e-324, 1.0, 8e307, 1e308, 1.7e308, 1.797e308, 1.7976931348623157e308, np.inf]
    rows = {"x": [sign * size for size in sizes for sign in (1, -1)]}
    runtime.load(program, rows)
    found = runtime.call(program, "predict_it_interval")
    with np.errstate(over="ignore"):
        expected = [(np.float64(x) - half, np.float64(x) + half) for x in rows["x"]]
    # JSON has no infinity: jsonb has a text in its place
    pairs = [(float(pair["lower"]), float(pair["upper"])) for pair in found]
    assert [bits(pair) for pair in pairs] == [bits(pair) for pair in expected]
