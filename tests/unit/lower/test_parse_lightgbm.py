"""LightGBM models against LightGBM's own predictions, frozen: lightgbm need not be installed (lightgbm/make.py)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from postgres_ml.contract.exceptions import UnsupportedModelError
from postgres_ml.lower import parse_pipeline
from postgres_ml.program.interpret import predict, predict_probabilities, slots
from postgres_ml.program.program import Input
from postgres_ml.program.scorers import TreeEnsemble

HERE = Path(__file__).parent / "lightgbm"
INPUTS = (
    Input("code", "boolean", "boolean"),
    Input("x", "double precision", "number"),
    Input("z", "real", "number"),
)
CLASSIFIERS = ("binary", "categorical", "multiclass")
REGRESSORS = ("regression", "no_missing", "poisson", "forest")


class Booster:
    """A Booster that knows its text form only."""

    __module__ = "lightgbm.basic"

    def __init__(self, text: str) -> None:
        self._text = text

    def model_to_string(self, num_iteration: int | None = None) -> str:
        assert num_iteration in (None, -1)
        return self._text


class LGBMRegressor:
    __module__ = "lightgbm.sklearn"
    best_iteration_ = 0

    def __init__(self, text: str) -> None:
        self.booster_ = Booster(text)


class LGBMClassifier(LGBMRegressor):
    __module__ = "lightgbm.sklearn"

    def __init__(self, text: str, classes: list[str]) -> None:
        super().__init__(text)
        self.classes_ = np.array(classes)


def _frozen(name: str) -> tuple[str, dict[str, Any]]:
    record = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
    record["columns"] = {
        key: [float(v) if isinstance(v, str) else v for v in values]
        for key, values in record["columns"].items()
    }
    return (HERE / f"{name}.txt").read_text(encoding="utf-8"), record


def _raw_scores(program: Any, columns: Any) -> np.ndarray:
    number = next(i for i, step in enumerate(program.steps) if isinstance(step, TreeEnsemble))
    start = program.offsets[number]
    return slots(program, columns)[:, start : start + program.steps[number].width]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifier(name: str) -> None:
    text, record = _frozen(name)
    program = parse_pipeline(LGBMClassifier(text, record["classes"]), INPUTS, "text")
    assert predict(program, record["columns"]) == record["predictions"]
    probabilities = predict_probabilities(program, record["columns"])
    assert np.allclose(probabilities, record["probabilities"], rtol=0, atol=1e-15)
    raw = np.array(record["raw_scores"]).reshape(len(record["predictions"]), -1)
    assert np.array_equal(_raw_scores(program, record["columns"]), raw)


@pytest.mark.parametrize("name", REGRESSORS)
def test_regressor(name: str) -> None:
    text, record = _frozen(name)
    program = parse_pipeline(LGBMRegressor(text), INPUTS, "double precision")
    assert np.allclose(predict(program, record["columns"]), record["predictions"], rtol=1e-15, atol=0)
    # a forest's raw score is the sum of its trees, of which predict takes the mean
    scores = np.array(record["raw_scores"]) / (4.0 if name == "forest" else 1.0)
    assert _raw_scores(program, record["columns"]).ravel().tolist() == scores.tolist()


def test_booster() -> None:
    text, record = _frozen("poisson")
    alone = parse_pipeline(Booster(text), INPUTS, "double precision")
    assert alone == parse_pipeline(LGBMRegressor(text), INPUTS, "double precision")
    text, record = _frozen("multiclass")
    program = parse_pipeline(Booster(text), INPUTS, "integer")
    classes = [record["classes"][number] for number in predict(program, record["columns"])]
    assert classes == record["predictions"]


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("objective=regression", "objective=regression sqrt", "sqrt"),
        ("objective=regression", "objective=custom", "custom"),
        ("is_linear=0", "is_linear=1", "linear_tree"),
        ("decision_type=8", "decision_type=4", "zero_as_missing"),
    ],
)
def test_what_is_not_known_is_refused(old: str, new: str, named: str) -> None:
    text, _ = _frozen("regression")
    assert old in text
    with pytest.raises(UnsupportedModelError, match=named):
        parse_pipeline(LGBMRegressor(text.replace(old, new)), INPUTS, "double precision")
