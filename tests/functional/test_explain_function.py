"""`<function>_explain` in the database gives the same SHAP values as the Python it is generated from."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost
from postgres_ml.components.additive import AdditiveClassifier
from postgres_ml.components.estimators import LabelEncodedClassifier
from postgres_ml.contract.exceptions import ParityError, UnsupportedModelError
from postgres_ml.explain import explain, row_values
from postgres_ml.explain.row_function import row_function
from postgres_ml.features.feature_columns import FeatureColumns
from postgres_ml.features.preprocess import linear_columns, tree_columns
from postgres_ml.generate import create_statement
from postgres_ml.lower import parse_pipeline
from postgres_ml.program import interpret
from postgres_ml.program.program import Input
from postgres_ml.verify.parity import check_parity, predictor
from sklearn.compose import make_column_transformer
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor, HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder
from support.training import Training

N = 300
NAN = math.nan
LARGEST = 1.7976931348623157e308


def make_rows(n_numbers: int) -> pd.DataFrame:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({f'x "{k}"': random.normal(size=N).round(2) for k in range(n_numbers)})
    frame.loc[random.random(N) < 0.1, 'x "0"'] = NAN
    words = np.array(["a", "b", "c'", "d", None], dtype=object)[random.integers(0, 5, N)]
    frame["word"] = pd.Series(words, dtype=object)
    return frame


def target_of(frame: pd.DataFrame) -> Any:
    noise = np.random.default_rng(1).normal(size=N) * 0.2
    return np.asarray(
        2 * frame['x "0"'].fillna(1) + 2 * frame.word.isin(["a", "c'"]) + frame['x "1"'] + noise
    )


def encoded(frame: pd.DataFrame, estimator: Any, kind: str) -> Pipeline:
    columns = FeatureColumns(tuple(name for name in frame if name != "word"), ("word",))
    if kind == "categories":
        ordinal = OrdinalEncoder(
            handle_unknown="use_encoded_value", unknown_value=NAN, encoded_missing_value=NAN
        )
        return make_pipeline(make_column_transformer((ordinal, ["word"]), remainder="passthrough"), estimator)
    return make_pipeline((linear_columns if kind == "linear" else tree_columns)(columns), estimator)


CASES = {
    "xgboost": (LabelEncodedClassifier(xgboost.XGBClassifier(n_estimators=15, max_depth=4)), "trees", 2, 3),
    "forest": (ExtraTreesClassifier(8, min_samples_leaf=4, random_state=0), "trees", 3, 3),
    "categories": (HistGradientBoostingRegressor(max_iter=10, categorical_features=[0]), "categories", 0, 3),
    "additive": (LabelEncodedClassifier(AdditiveClassifier(categorical=(0,))), "categories", 3, 3),
    "logistic": (LabelEncodedClassifier(LogisticRegression()), "linear", 3, 3),
    "wide": (Ridge(), "linear", 0, 110),
}


@pytest.mark.parametrize("case", CASES)
def test_values_in_the_database_are_those_of_python(case: str, connection: Any, schema: str) -> None:
    estimator, kind, n_classes, n_numbers = CASES[case]
    frame = make_rows(n_numbers)
    target = target_of(frame)
    labels = ("high", "low", "mid")[:n_classes]
    if n_classes:
        edges = np.quantile(target, np.arange(1, n_classes) / n_classes)
        target = np.array(labels, dtype=object)[np.digitize(target, edges)]
    pipeline = encoded(frame, estimator, kind).fit(frame, target)
    inputs = tuple(
        Input(n, *(("text", "text") if n == "word" else ("double precision", "number"))) for n in frame
    )
    program = parse_pipeline(pipeline, inputs, "text" if labels else "double precision")
    found = explain(program, labels, frame, pipeline.predict)
    asked = pd.concat([frame.head(12), unusual(frame)], ignore_index=True)
    assert found.exact is not None
    wanted = found.exact.values(interpret.slots(program, {name: asked[name].to_numpy() for name in asked}))

    functions = row_function(found, schema, "predict_it")
    for position, row in enumerate(in_database(connection, schema, functions, asked)):
        for number in range(len(found.labels)):
            values = row["explanations"][f"label{number}"]
            assert values["expected_value"] == pytest.approx(float(found.expected[number]))
            assert list(values["shap_values"]) and set(values["shap_values"]) == set(frame)
            listed = [values["shap_values"][name] for name in frame]
            assert listed == pytest.approx(wanted[number, position].tolist(), abs=1e-9)
        assert (row["method"], row["unit"]) == (found.method, found.unit)


def unusual(frame: pd.DataFrame) -> pd.DataFrame:
    """Values at the ends of the doubles, missing ones, and a word that was never seen."""
    numbers = [NAN, 1e30, -1e30, 1e-40]
    rows = pd.DataFrame({name: numbers for name in frame if name != "word"})
    rows["word"] = pd.Series([None, "never seen", "", "a"], dtype=object)
    return rows[list(frame)]


def test_features_are_named_as_the_columns_of_the_query(connection: Any, schema: str) -> None:
    names = [
        "leaf",
        "slot",
        "source",
        "low",
        "high",
        "inside",
        "outside",
        "missing",
        "share",
        "known",
        "part",
        "i",
        "l0",
        "v0",
        "p0",
        "label0",
        "x",
        "s",
        "t",
        "c",
        "e",
        "l",
        "v",
        "p",
        "q",
        "u",
    ]
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(N, len(names))).round(2), columns=names)
    target = frame.to_numpy() @ np.arange(len(names)) + random.normal(size=N)
    pipeline = make_pipeline(ExtraTreesRegressor(6, max_depth=6, random_state=0)).fit(frame, target)
    program = parse_pipeline(
        pipeline, tuple(Input(n, "double precision", "number") for n in names), "double precision"
    )
    found = explain(program, (), frame, pipeline.predict)
    assert found.exact is not None
    asked = frame.head(5)
    wanted = found.exact.values(interpret.slots(program, {name: asked[name].to_numpy() for name in names}))
    answers = in_database(connection, schema, row_function(found, schema, "u"), asked)
    for position, answer in enumerate(answers):
        values = answer["explanations"]["label0"]["shap_values"]
        assert [values[name] for name in names] == pytest.approx(wanted[0, position].tolist(), abs=1e-9)


def test_no_number_makes_it_raise(connection: Any, schema: str) -> None:
    """Terms that overflow are infinite, and those that vanish are zero, as the prediction's are."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"a": random.normal(size=N), "b": np.tile([-1.0, 1.0], N // 2)})
    model = LinearRegression().fit(frame, 3 * frame.a + 1e-3 * frame.b)
    inputs = tuple(Input(name, "double precision", "number") for name in frame)
    program = parse_pipeline(model, inputs, "double precision")
    found = explain(program, (), frame, model.predict)
    assert found.exact is not None
    extremes = [1e308, -1e308, LARGEST, -LARGEST, 5e-324, -5e-324, 1e-310, 0.0, 1e154]
    asked = pd.DataFrame([(a, b) for a in extremes for b in extremes], columns=["a", "b"])
    with np.errstate(all="ignore"):
        slots = interpret.slots(program, {name: asked[name].to_numpy() for name in asked})
        wanted = found.exact.values(slots)[0]
    answers = in_database(connection, schema, row_function(found, schema, "predict_it"), asked)
    assert np.isinf(wanted).any() and (wanted[:, 1] == 0).sum() > len(extremes)  # some vanish
    for answer, expected in zip(answers, wanted, strict=True):
        values = answer["explanations"]["label0"]["shap_values"]
        assert [float(values[name]) for name in ("a", "b")] == pytest.approx(expected.tolist(), abs=1e-9)


def in_database(connection: Any, schema: str, functions: Any, rows: pd.DataFrame) -> list[dict[str, Any]]:
    cursor = connection.cursor()
    for body in functions:
        if body.composite:
            cursor.execute(f"drop type if exists {body.arguments[0][1]} cascade")
    for number, body in enumerate(functions):
        statement = create_statement(body, schema)
        if body.composite and any(earlier.composite for earlier in functions[:number]):
            statement = statement[statement.index("create or replace") :]  # the type is there
        cursor.execute(statement)
    answers = []
    for row in rows.itertuples(index=False):
        values = [None if value is None or value != value else value for value in row]
        marks = ",".join(["%s"] * len(values))
        if functions[-1].composite:
            marks = f"row({marks})::{functions[-1].arguments[0][1]}"
        cursor.execute(f"select {schema}.{functions[-1].name}({marks})".replace('"%', '"%%'), values)
        answers.append(cursor.fetchone()[0])
    return answers


def test_what_is_sampled_has_no_function() -> None:
    frame = make_rows(2)
    pipeline = encoded(frame, Ridge(), "linear").fit(frame, target_of(frame))
    found = explain(None, (), frame, pipeline.predict)
    with pytest.raises(UnsupportedModelError, match="sampled"):
        row_function(found, "ml", "predict_it")


@pytest.mark.parametrize("model_type", ["xgboost", "linear_learner"])
def test_the_check_before_a_publication_compares_values(
    model_type: str, connection: Any, schema: str, tmp_path: Path
) -> None:
    sql = """select i % 17 + i % 3 / 7.0 as number, (array['a', 'b', null])[1 + i % 3] as word,
        (i % 17 > 8) <> (i % 3 = 0) as target from generate_series(1, 400) i"""
    options = {"hyperparameters": {"num_round": 10}} if model_type == "xgboost" else {}
    training = Training(
        connection, sql, tmp_path / "job", schema=schema,
        auto=False, model_types=(model_type,), explain=True, **options,
    )  # fmt: skip
    trained = training.train()
    training.process.abandon("the test is over")
    summary = training.publish(trained)
    assert summary.n_explained == row_values.MAX_ROWS
    assert f"so do the SHAP values of {row_values.MAX_ROWS}" in summary.message

    explain = next(body for body in trained.deployed.functions if body.role == "explain")
    wrong = explain.body.replace("'number',", "'number',1e-5+")  # an error of that size in each value
    assert wrong != explain.body
    connection.autocommit = False
    training.cursor.execute(create_statement(dataclasses.replace(explain, body=wrong), schema))
    with pytest.raises(ParityError, match=r"SHAP values of predict_churn_explain differ .* in 20 of 20 rows"):
        check_parity(
            training.cursor, training.spec.schema, predictor(trained), Path(trained.deployed.parity_file)
        )
    connection.rollback()
