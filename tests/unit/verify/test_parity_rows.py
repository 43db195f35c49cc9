from __future__ import annotations

import json
from datetime import datetime, time, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pytest
from postgres_ml.components.estimators import LabelEncodedClassifier
from postgres_ml.verify.rows import as_frame, expected, row_by_row, to_text
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline
from support.training import column


@pytest.mark.parametrize(
    ("value", "sql_type", "text"),
    [
        (None, "text", None),
        ("", "text", ""),
        ("NaN", "text", "NaN"),
        (5.0, "integer", "5"),
        (float("nan"), "bigint", None),
        (2.0**63, "bigint", str(2**63 - 1)),
        (-(2.0**63), "bigint", str(-(2**63))),
        (1.0, "boolean", "true"),
        (False, "boolean", "false"),
        (float("nan"), "boolean", None),
        (0.1 + 0.2, "numeric", "0.30000000000000004"),
        (float("nan"), "double precision", "NaN"),
        (float("-inf"), "real", "-Infinity"),
        (5e-324, "double precision", "5e-324"),
        (np.datetime64("NaT", "us"), "date", None),
        (np.datetime64("2024-02-29", "us"), "date", "2024-02-29"),
        (np.datetime64("-0043-03-15", "us"), "date", "0044-03-15 BC"),
        (
            np.datetime64("12345-06-07T00:00:00.000001", "us"),
            "timestamp without time zone",
            "12345-06-07 00:00:00.000001",
        ),
        (
            datetime(2024, 1, 1, 1, tzinfo=timezone(timedelta(hours=2))),
            "timestamp with time zone",
            "2023-12-31 23:00:00.000000+00",
        ),
        (time(23, 59, 59, 999999), "time without time zone", "23:59:59.999999"),
        (np.datetime64("1970-01-02", "us"), "time without time zone", "24:00:00.000000"),
        (np.datetime64("1970-01-02T04:30:00", "us"), "time with time zone", "23:30:00.000000-05"),
        (np.datetime64("1969-12-31T14:40:00.5", "us"), "time with time zone", "00:40:00.500000+10"),
        (np.datetime64("1970-01-01T12:00:00", "us"), "time with time zone", "12:00:00.000000+00"),
    ],
)
def test_text_casts_back_to_the_value(value: object, sql_type: str, text: str | None) -> None:
    assert to_text(value, sql_type) == text


def test_raw_values_become_the_frame_of_the_training() -> None:
    features = (column("i", "integer"), column("r", "real"), column("b", "boolean"), column("t", "text"))
    frame = as_frame({"i": [1, None], "r": [0.1, None], "b": [True, None], "t": ["x", None]}, features)
    assert frame["i"].tolist()[0] == 1.0 and np.isnan(frame["i"][1])
    assert frame["r"][0] == float(np.float32(0.1))
    assert frame["b"][0] == 1.0 and np.isnan(frame["b"][1])
    assert frame["t"].tolist() == ["x", None] and frame["t"].dtype == object


def test_a_refused_row_is_found_among_others_and_only_it_is_null() -> None:
    asked: list[int] = []

    def predict(frame: pd.DataFrame) -> np.ndarray:
        asked.append(len(frame))
        if (frame["x"] < 0).any():
            raise ValueError("negative")
        return frame["x"].to_numpy() * 2

    values = [float(i) for i in range(200)]
    values[77] = -1.0
    values[78] = float("inf")
    results = row_by_row(predict, pd.DataFrame({"x": values}))
    assert results[77] is None and results[78] == float("inf")
    assert results[:77] + results[79:] == [2 * v for v in values[:77] + values[79:]]
    assert len(asked) < 30


def test_an_error_that_is_no_refusal_is_not_swallowed() -> None:
    def predict(frame: pd.DataFrame) -> np.ndarray:
        raise TypeError("a bug")

    with pytest.raises(TypeError):
        row_by_row(predict, pd.DataFrame({"x": [1.0]}))


def test_expected_values_are_the_pipelines_own() -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0]})
    regression = Pipeline([("estimator", LinearRegression().fit(frame, [2.0, 4.0, 6.0, 9.0]))])
    labels, probabilities = expected(regression, frame, None)
    assert [float(v) for v in labels] == regression.predict(frame).tolist()
    assert probabilities == [None] * 4


def test_probabilities_are_keyed_by_the_label_as_postgres_prints_it() -> None:

    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0]})
    classifier = LabelEncodedClassifier(LogisticRegression()).fit(frame, [False, False, True, True])
    labels, probabilities = expected(Pipeline([("estimator", classifier)]), frame, "probabilities")
    assert labels == ["false", "false", "true", "true"]
    p = classifier.predict_proba(frame)[0].tolist()
    assert probabilities[0] == f'{{"false": {p[0]!r}, "true": {p[1]!r}}}'


def test_probabilities_that_overflow_are_null() -> None:
    class Overflows:
        classes_ = np.array(["a", "b"])

        def predict(self, frame: Any) -> Any:
            return np.array(["a"] * len(frame))

        def predict_proba(self, frame: Any) -> Any:
            return np.array([[np.nan, 1.0]] * len(frame))

    [_, [text]] = expected(Overflows(), pd.DataFrame({"x": [1e308]}), "probabilities")
    assert json.loads(text or "") == {"a": None, "b": 1.0}
