from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from postgres_ml.contract.exceptions import TrainingDataError
from postgres_ml.features.feature_columns import FeatureColumns, choose_columns
from postgres_ml.features.preprocess import encoded_columns, feature_types, linear_columns, tree_columns
from postgres_ml.features.problem import Problem
from postgres_ml.lower import parse_pipeline
from postgres_ml.program.interpret import predict
from postgres_ml.program.program import Input
from postgres_ml.snapshot.rows import TrainingRows
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeRegressor
from support.training import column


def rows_of(frame: pd.DataFrame) -> TrainingRows:
    n = len(frame)
    return TrainingRows(frame, np.zeros(n), np.arange(n, dtype=np.uint64), "")


def choose(sql_type: str, values: list) -> tuple[FeatureColumns, list[str]]:
    kind = object if sql_type == "text" else float
    frame = pd.DataFrame({"x": pd.Series(values, dtype=kind), "useful": np.arange(len(values)) % 3 * 1.0})
    messages: list[str] = []
    columns = choose_columns((column("x", sql_type), column("useful")), rows_of(frame), messages)
    return columns, messages


@pytest.mark.parametrize(
    ("sql_type", "values", "reason"),
    [
        ("double precision", [np.nan] * 60, "NULL in every row"),
        ("double precision", [7.0] * 60, "7.0 in every row"),
        ("text", [None] * 60, "NULL in every row"),
        ("text", ["same"] * 60, "same in every row"),
        ("text", [f"id-{i}" for i in range(60)], "60 different texts in 60 rows"),
        ("text", [None] * 100 + [f"id-{i}" for i in range(60)], "60 different texts in 60 rows"),
    ],
)
def test_columns_that_teach_nothing_are_left_out_and_named(sql_type: str, values: list, reason: str) -> None:
    columns, messages = choose(sql_type, values)
    assert columns == FeatureColumns(("useful",), ())
    assert messages == [f'columns that the model does not use: "x" ({reason})']


@pytest.mark.parametrize(
    ("sql_type", "values"),
    [
        ("double precision", [7.0] * 59 + [np.nan]),  # whether it is missing may tell something
        ("text", [f"id-{i}" for i in range(20)]),  # few rows may all differ by chance
        ("text", [f"city {i % 30}" for i in range(60)]),
    ],
)
def test_columns_that_may_tell_something_stay(sql_type: str, values: list) -> None:
    columns, messages = choose(sql_type, values)
    assert "x" in columns.numbers + columns.texts and messages == []


def test_a_whole_number_that_differs_in_every_row_is_used_with_a_warning() -> None:
    columns, messages = choose("integer", [float(i) for i in range(60)])
    assert "x" in columns.numbers
    assert 'column "x" has a different whole number in every row' in messages[0]


def test_infinite_values_are_refused_with_column_and_count() -> None:
    with pytest.raises(TrainingDataError, match=r'column "x" is infinite .* in 3 rows.*nullif'):
        choose("double precision", [np.inf, -np.inf, 1e300, *range(57)])


def test_nothing_left_to_predict_from_is_an_error() -> None:
    frame = pd.DataFrame({"x": [1.0] * 5})
    with pytest.raises(
        TrainingDataError, match=r'no column can be used to predict the target.*"x" \(1.0 in every row\)'
    ):
        choose_columns((column("x"),), rows_of(frame), [])


def test_trees_get_nan_and_dense_one_hot_columns_with_null_as_a_category() -> None:
    words = pd.Series(["a", "b", None] * 5, dtype=object)
    frame = pd.DataFrame({"x": [1.0, np.nan, 2.0] * 5, "word": words})
    matrix = tree_columns(FeatureColumns(("x",), ("word",))).fit_transform(frame)
    assert isinstance(matrix, np.ndarray) and matrix.shape == (15, 4)
    assert np.isnan(matrix[1, 0])
    assert matrix[:3, 1:].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_rare_and_unseen_categories_share_a_column() -> None:
    words = pd.Series(["often"] * 10 + ["rare", "seldom"], dtype=object)
    transformer = tree_columns(FeatureColumns((), ("word",))).fit(pd.DataFrame({"word": words}))
    asked = pd.DataFrame({"word": pd.Series(["often", "rare", "unseen", None], dtype=object)})
    assert transformer.transform(asked).tolist() == [[1, 0], [0, 1], [0, 1], [0, 1]]


def test_linear_estimators_get_imputed_scaled_numbers_and_an_indicator() -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0, np.nan], "y": [1.0, 2.0, 3.0, 4.0]})
    matrix = linear_columns(FeatureColumns(("x", "y"), ())).fit_transform(frame)
    assert matrix.shape == (4, 3) and np.isfinite(matrix).all()
    assert np.allclose(matrix.mean(axis=0), 0) and matrix[3, 2] > 0 > matrix[0, 2]


@pytest.mark.parametrize("encoding", ["codes", "scaled", "smooth", "quantile", "ladder"])
def test_every_encoding_takes_dates_and_times(encoding: str) -> None:
    """And what it makes of them can be compiled to a function."""
    kinds = {"x": "number", "day": "date", "at": "timestamptz", "opens": "time"}
    columns = FeatureColumns(tuple(kinds), (), kinds=kinds)
    start = np.datetime64("2024-02-27T13:30:00", "us")
    hours = np.arange(90).astype("timedelta64[h]")
    frame = pd.DataFrame(
        {
            "x": np.arange(90.0) % 7,
            "day": (start + hours * 24).astype("datetime64[D]").astype("datetime64[us]"),
            "at": start + hours * 7,
            "opens": np.datetime64("1970-01-01", "us") + hours % np.timedelta64(24, "h"),
        }
    )
    frame.loc[5, ["x", "day", "at", "opens"]] = None
    problem = Problem("regression", "mse", "mse", np.array([]))
    transformer = encoded_columns(encoding, columns, problem)
    target = frame["day"].dt.dayofweek.fillna(0) + frame["opens"].dt.hour.fillna(0)
    pipeline = Pipeline([("columns", transformer), ("estimator", DecisionTreeRegressor(max_depth=3))])
    if encoding == "ladder":  # a tree takes missing values, its own columns have none
        assert not np.isnan(transformer.fit_transform(frame)).any()
    pipeline.fit(frame, target)
    types = {
        "number": "double precision",
        "date": "date",
        "timestamptz": "timestamp with time zone",
        "time": "time without time zone",
    }
    inputs = tuple(Input(name, types[kind], kind) for name, kind in kinds.items())
    program = parse_pipeline(pipeline, inputs, "double precision")
    values = {name: list(frame[name].to_numpy()) for name in kinds}
    assert predict(program, values) == pytest.approx(pipeline.predict(frame).tolist())
    if encoding == "codes":
        assert len(feature_types(columns, problem)) == transformer.transform(frame).shape[1]
