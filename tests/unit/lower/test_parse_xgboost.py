"""xgboost's decision limits: labels at margins beside the one where single-precision sigmoid becomes 0.5."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
import xgboost
from postgres_ml.components.estimators import LabelEncodedClassifier
from postgres_ml.contract.exceptions import UnsupportedModelError
from postgres_ml.lower import parse_pipeline
from postgres_ml.lower.xgboost import margin_threshold
from postgres_ml.lower.xgboost_booster import BoosterParts, predictions_at, read_booster
from postgres_ml.program.interpret import predict
from postgres_ml.program.program import Input
from postgres_ml.program.serialize import program_to_json


@pytest.fixture(scope="module")
def parts() -> BoosterParts:
    source = np.random.default_rng(0)
    X = source.normal(size=(80, 2))
    fitted = xgboost.XGBClassifier(n_estimators=3, max_depth=2, n_jobs=1).fit(X, X[:, 0] > 0)
    return read_booster(fitted.get_booster(), None, in_place=True)


@pytest.mark.parametrize("operator", [">", ">="])
@pytest.mark.parametrize("threshold", [0.5, 0.3, 0.05, 0.9999, 1e-7, 1 - 1e-7])
def test_margin_threshold_is_where_the_librarys_own_answer_changes(
    parts: BoosterParts, operator: Literal[">", ">="], threshold: float
) -> None:
    limit = np.float32(margin_threshold(parts, operator, threshold))
    around = [limit]
    for _ in range(64):
        around.insert(0, np.nextafter(around[0], np.float32(-np.inf)))
        around.append(np.nextafter(around[-1], np.float32(np.inf)))
    probabilities = predictions_at(parts.stub, np.array(around), 2).astype(np.float64)
    above = probabilities > threshold if operator == ">" else probabilities >= threshold
    assert above.tolist() == [margin >= limit for margin in around]


def test_half_is_rounded_up_to(parts: BoosterParts) -> None:
    """Margins up to 1.19e-7 have a probability of exactly 0.5 in single precision: the first label."""
    assert 0 < margin_threshold(parts, ">", 0.5) < 2e-7
    assert margin_threshold(parts, ">=", 0.5) < 0


def test_a_booster_that_knows_column_names() -> None:
    """Trained on a data frame, it refuses matrices without names where names are checked."""
    source = np.random.default_rng(0)
    frame = pd.DataFrame(source.normal(size=(90, 2)), columns=["a", "b c"])
    inputs = tuple(Input(name, "double precision", "number") for name in frame)
    columns = {name: frame[name].tolist() for name in frame}
    for target in (frame["a"] > 0, np.digitize(frame["a"], [-0.5, 0.5])):
        fitted = LabelEncodedClassifier(xgboost.XGBClassifier(n_estimators=3, n_jobs=1)).fit(frame, target)
        program = parse_pipeline(fitted, inputs, "text")
        assert predict(program, columns) == fitted.predict(frame).tolist()
        booster = parse_pipeline(fitted.estimator_.get_booster(), inputs, "double precision")
        assert booster.n_nodes == program.n_nodes


def test_stub_has_the_boosters_base_scores() -> None:
    source = np.random.default_rng(0)
    X = source.normal(size=(90, 2))
    for target, options in (
        (X[:, 0] > 0, {}),
        (X[:, 0] > 0, {"base_score": 0.25}),
        (np.digitize(X[:, 0], [-0.5, 0.5]), {}),
    ):
        kwargs: dict[str, Any] = {
            "n_estimators": 2,
            "max_depth": 1,
            "n_jobs": 1,
            "learning_rate": 0.0,
            **options,
        }
        booster = xgboost.XGBClassifier(**kwargs).fit(X, target).get_booster()
        margins = booster.inplace_predict(X[:1], predict_type="margin")
        assert np.array_equal(
            np.ravel(margins), np.float32(read_booster(booster, None, in_place=True).base_scores)
        )


def stores(monkeypatch: pytest.MonkeyPatch, change: Callable[[dict[str, Any]], object]) -> None:
    """Let Boosters be stored as another release would; what they predict stays their own."""
    original = xgboost.Booster.save_raw

    def save_raw(booster: xgboost.Booster, raw_format: str) -> bytearray:
        content = json.loads(bytes(original(booster, raw_format)))
        change(content["learner"]["gradient_booster"])
        return bytearray(json.dumps(content).encode())

    monkeypatch.setattr(xgboost.Booster, "save_raw", save_raw)


def dart(**options: Any) -> xgboost.Booster:
    X = np.random.default_rng(0).normal(size=(80, 2))
    options = {
        "booster": "dart",
        "rate_drop": 0.5,
        "max_depth": 2,
        "base_score": 36.5,
        "nthread": 1,
        **options,
    }
    return xgboost.train(options, xgboost.DMatrix(X, 37 + X[:, 0]), 6)


def to_the_former_layout(boosting: dict[str, Any]) -> None:
    if boosting["name"] == "gbtree":
        weights = boosting["model"].pop("weight_drop")
        inner = {"name": "gbtree", "model": boosting.pop("model")}
        boosting |= {"name": "dart", "gbtree": inner, "weight_drop": weights}


def to_the_layout_of_3_3(boosting: dict[str, Any]) -> None:
    if boosting["name"] == "dart":
        model = boosting.pop("gbtree")["model"] | {"weight_drop": boosting.pop("weight_drop")}
        boosting |= {"name": "gbtree", "model": model}


def without_weights(boosting: dict[str, Any]) -> None:
    to_the_layout_of_3_3(boosting)
    del boosting["model"]["weight_drop"]


def test_both_layouts_of_dart_hold_the_same_weights() -> None:
    """Booster.predict multiplies leaves by weights in every version; where those stand has changed."""
    booster, found = dart(), []
    for change in (to_the_former_layout, to_the_layout_of_3_3, without_weights):
        with pytest.MonkeyPatch.context() as patch:
            stores(patch, change)
            found.append([t.leaf_value for t in read_booster(booster, None, in_place=False).trees])
    assert found[0] == found[1] != found[2]


def harmless(boosting: dict[str, Any]) -> None:
    boosting["model"]["notes"] = [1]


def moved(boosting: dict[str, Any]) -> None:
    boosting["model"]["forest"] = boosting["model"].pop("trees")


def scaled(boosting: dict[str, Any]) -> None:
    tree = boosting["model"]["trees"][0]
    tree["split_conditions"] = [value * 0.5 for value in tree["split_conditions"]]
    boosting["model"]["leaf_scale"] = 2.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (harmless, ""),
        (moved, r"the model as xgboost [\d.]+ stores it, where 'trees' is not found,"),
        (scaled, r"differs from the Booster's own .* stores gradient_booster\.model\.leaf_scale, which"),
    ],
)
def test_an_unknown_layout_is_refused_unless_its_margins_are_right(
    change: Callable[[dict[str, Any]], None], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    booster = dart(booster="gbtree", rate_drop=0.0)
    inputs = tuple(Input(name, "double precision", "number") for name in "ab")
    program = parse_pipeline(booster, inputs, "double precision")
    stores(monkeypatch, change)
    if not message:
        assert program_to_json(parse_pipeline(booster, inputs, "double precision")) == program_to_json(
            program
        )
        return
    with pytest.raises(UnsupportedModelError, match=f"{message}.* known are those of xgboost 2.1 to 3.4"):
        parse_pipeline(booster, inputs, "double precision")
