"""The scorecard: bins in words, points that add up to the score, and which models have one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from postgres_ml.components.additive import AdditiveClassifier, AdditiveRegressor
from postgres_ml.components.estimators import LabelEncodedClassifier, LogTargetRegressor
from postgres_ml.features.feature_columns import FeatureColumns
from postgres_ml.features.preprocess import additive_columns, category_places
from postgres_ml.lower import parse_pipeline
from postgres_ml.program.program import Input
from postgres_ml.publish.scorecard import INTERCEPT, scorecard, scorecard_function
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline

INPUTS = (
    Input("age", "double precision", "number"),
    Input("owner", "boolean", "boolean"),
    Input("state", "text", "text"),
)
KINDS = {"age": "number", "owner": "boolean", "state": "text"}
COLUMNS = FeatureColumns(("age", "owner"), ("state",), None, KINDS)


def frame_of(n: int = 400) -> pd.DataFrame:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"age": random.integers(18, 60, n).astype(float), "owner": random.integers(0, 2, n) * 1.0}
    )
    frame["state"] = pd.Series(
        random.choice(np.array(["CA", "O'B", "NY", None], dtype=object), n), dtype=object
    )
    frame.loc[::19, "age"] = np.nan
    return frame


def signal(frame: pd.DataFrame) -> Any:
    return np.asarray(frame.age.fillna(30) / 20 + frame.owner * (frame.state == "CA") + (frame.state == "NY"))


def fitted(estimator: Any, frame: pd.DataFrame, target: Any) -> Pipeline:
    return Pipeline([("columns", additive_columns(COLUMNS)), ("estimator", estimator)]).fit(frame, target)


def small(library: type, **more: Any) -> Any:
    parameters = {
        "max_bins": 6,
        "max_interaction_bins": 4,
        "max_rounds": 40,
        "outer_bags": 1,
        "interactions": 2,
    }
    return library(categorical=category_places(COLUMNS), **{**parameters, **more})


def is_in(shown: str, value: Any) -> bool:
    """Whether a reader of the scorecard would put the value into the bin."""
    if value is None or value != value:
        return "missing" in shown.split(", ")
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'" in shown.split(", ")
    if shown == "any":
        return True
    if shown.startswith("< "):
        return value < float(shown[2:])
    if shown.startswith(">= "):
        return value >= float(shown[3:])
    if " to < " in shown:
        low, high = shown.split(" to < ")
        return float(low) <= value < float(high)
    return shown == str(bool(value)).lower()


@pytest.mark.parametrize("kind", ["regression", "binary", "multiclass"])
def test_who_adds_up_the_scorecard_gets_the_score(kind: str) -> None:
    frame = frame_of()
    target = signal(frame)
    labels: tuple[str, ...] = ()
    if kind == "regression":
        pipeline = fitted(small(AdditiveRegressor), frame, target)
    else:
        n = 2 if kind == "binary" else 3
        labels = ("high", "low", "mid")[:n]
        classes = np.array(labels, dtype=object)[
            np.digitize(target, np.quantile(target, np.arange(1, n) / n))
        ]
        pipeline = fitted(LabelEncodedClassifier(small(AdditiveClassifier)), frame, classes)
    program = parse_pipeline(pipeline, INPUTS, "text" if labels else "double precision")
    card = scorecard(program, labels, frame)
    assert card is not None
    assert card.labels == {"regression": ("",), "binary": ("low",), "multiclass": labels}[kind]
    assert [len(term.axes) for term in card.terms] == sorted(len(term.axes) for term in card.terms)
    estimator = getattr(pipeline[-1], "estimator_", pipeline[-1])
    expected = estimator.scores(pipeline[:-1].transform(frame))
    for number, row in enumerate(frame.head(60).itertuples()):
        total = np.array(card.intercepts)
        for term in card.terms:
            columns = [axis.column for axis in term.axes]
            hits = [
                place
                for shown, place in term.bins()
                if all(
                    is_in(part, getattr(row, column))
                    for part, column in zip(shown.split(" & "), columns, strict=True)
                )
            ]
            assert len(hits) == 1, (term.name, row)
            total = total + term.points[(slice(None), *hits[0])]
        np.testing.assert_allclose(total, expected[number], atol=1e-9)


def test_every_bin_is_listed_once_and_shares_are_of_the_rows() -> None:
    frame = frame_of()
    card = scorecard(
        parse_pipeline(
            fitted(small(AdditiveRegressor, interactions=0), frame, signal(frame)), INPUTS, "real"
        ),
        (),
        frame,
    )
    assert card is not None
    bins = {term.name: [shown for shown, _ in term.bins()] for term in card.terms}
    assert sorted(", ".join(bins["state"]).split(", ")) == ["'CA'", "'NY'", "'O''B'", "missing", "unseen"]
    assert bins["owner"] == ["false", "true", "missing"]
    assert bins["age"][0].startswith("< ") and bins["age"][-1] == "missing" and " to < " in bins["age"][1]
    assert all(term.shares.sum() == pytest.approx(1) for term in card.terms)
    body = scorecard_function(card, "predict_x")
    assert (body.name, body.arguments, body.language) == ("predict_x_scorecard", (), "sql")
    assert f'["{INTERCEPT}",null,null,' in body.body


def test_points_of_a_logarithm_are_in_its_unit() -> None:
    frame = frame_of()
    target = np.exp(signal(frame))
    pipeline = fitted(LogTargetRegressor(small(AdditiveRegressor, interactions=0)), frame, target)
    card = scorecard(parse_pipeline(pipeline, INPUTS, "double precision"), (), frame)
    assert card is not None and card.unit == "logarithm of the target"
    assert card.intercepts[0] == pytest.approx(np.log(target).mean(), abs=0.05)


def test_other_models_have_none() -> None:
    frame = frame_of().fillna({"age": 30})
    inputs = INPUTS[:1]
    program = parse_pipeline(Ridge().fit(frame[["age"]], signal(frame)), inputs, "double precision")
    assert scorecard(program, (), frame[["age"]]) is None
    assert scorecard(None, (), frame) is None
