"""A bare Booster gives what Booster.predict gives; labels where they are asked for. BoosterRegressor and
BoosterClassifier are lightgbm's as estimators."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import joblib
import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from postgres_ml.contract.column import Column
from postgres_ml.contract.exceptions import SpecError
from postgres_ml.external.boosters import as_estimator
from postgres_ml.external.load import Loaded, load
from postgres_ml.external.signature import arguments
from postgres_ml.lower import parse_pipeline
from postgres_ml.program import interpret
from postgres_ml.publish.deployment import inputs_of
from postgres_ml.serve import unpack
from postgres_ml.serve.artifact import pack
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from support.training import make_spec

ROW = np.arange(400)
FRAME = pd.DataFrame({"spend": (ROW % 97) / 10.0, "calls": (ROW % 13).astype(float)})
COLUMNS = [Column(name, "double precision", "number") for name in FRAME]
TWO = ((ROW % 97 > 40) | (ROW % 3 == 0)).astype(int)
THREE = ROW % 3 + (ROW % 97 > 60) * (ROW % 3 == 0)
TARGETS = {
    "reg:squarederror": FRAME["spend"] * 2,
    "reg:logistic": TWO,
    "reg:gamma": 1 + FRAME["spend"],
    "count:poisson": ROW % 13,
    "survival:cox": 1 + FRAME["spend"],
    "binary:logistic": TWO,
    "binary:logitraw": TWO,
    "binary:hinge": TWO,
}
LIGHT = {"regression": FRAME["spend"] * 2, "binary": TWO, "cross_entropy": TWO, "poisson": ROW % 13}


def boosted(objective: str, target: Any, **more: Any) -> Any:
    rounds, stop = more.pop("rounds", 8), more.pop("stop", None)
    data = xgboost.DMatrix(FRAME, target)
    watched = (
        {"evals": [(data, "train")], "early_stopping_rounds": stop, "verbose_eval": False} if stop else {}
    )
    parameters = {"objective": objective, "max_depth": 3, **more}
    return xgboost.train(parameters, data, num_boost_round=rounds, **watched)


def light(objective: str, target: Any, **more: Any) -> Any:
    parameters = {"objective": objective, "verbose": -1, "min_data_in_leaf": 5, **more}
    return lightgbm.train(parameters, lightgbm.Dataset(FRAME, target), 8)


def saved(booster: Any, form: str, directory: Path) -> Any:
    """Return the model after a file of the form has been written and read."""
    path = directory / f"model.{form}"
    if form == "joblib":
        joblib.dump(booster, path)
    elif form == "pkl":
        path.write_bytes(pickle.dumps(booster))
    else:
        booster.save_model(path)
    return load(str(path), trust=False, tracking_uri="", directory=directory).model


def everywhere(model: Any) -> list[list[float]]:
    """Return the first rows' predictions by the estimator, its program, and runtime python."""
    rows = FRAME.head(60)
    program = parse_pipeline(model, inputs_of(COLUMNS), "double precision")
    packed = pack(model, COLUMNS, "double precision", None, rows)
    scorer = unpack.load(zipfile.ZipFile(io.BytesIO(packed.content)))
    cells = {name: rows[name].tolist() for name in rows}
    return [
        np.asarray(model.predict(rows), float).tolist(),
        [float(value) for value in interpret.predict(program, cells)],
        [scorer.predict(row) for row in rows.to_numpy().tolist()],
    ]


def check(model: Any, expected: Any) -> None:
    for found in everywhere(model):
        np.testing.assert_allclose(found, np.asarray(expected, float)[:60], rtol=2e-6, atol=1e-9)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", ["json", "ubj", "joblib", "pkl"])
@pytest.mark.parametrize("objective", TARGETS)
def test_an_xgboost_booster_gives_its_number(objective: str, form: str, tmp_path: Path) -> None:
    booster = boosted(objective, TARGETS[objective], base_score=0.4)
    model = as_estimator(saved(booster, form, tmp_path), "model", "double precision", labelled=False)
    check(model, booster.predict(xgboost.DMatrix(FRAME)))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", ["txt", "joblib", "pkl"])
@pytest.mark.parametrize("objective", LIGHT)
def test_a_lightgbm_booster_gives_its_number(objective: str, form: str, tmp_path: Path) -> None:
    booster = light(objective, LIGHT[objective])
    model = as_estimator(saved(booster, form, tmp_path), "model", None, labelled=False)
    assert type(model).__name__ == "BoosterRegressor"
    check(model, booster.predict(FRAME))


@pytest.mark.parametrize(
    ("returns", "labelled"), [("integer", False), ("text", False), ("boolean", False), (None, True)]
)
def test_labels_are_given_where_they_are_asked_for(returns: str | None, labelled: bool) -> None:
    booster = boosted("binary:logistic", TWO)
    model = as_estimator(booster, "model", returns, labelled=labelled)
    check(model, booster.predict(xgboost.DMatrix(FRAME)) > 0.5)
    booster = light("binary", TWO)
    model = as_estimator(booster, "model", returns, labelled=labelled)
    check(model, booster.predict(FRAME) > 0.5)
    assert model.classes_.tolist() == [0, 1]


def test_whole_numbers_of_a_regression_are_no_labels() -> None:
    booster = boosted("count:poisson", ROW % 13)
    check(as_estimator(booster, "model", "integer", labelled=True), booster.predict(xgboost.DMatrix(FRAME)))


@pytest.mark.parametrize("returns", [None, "integer", "text"])
def test_several_classes_give_the_most_likely_one(returns: str | None) -> None:
    for objective in ("multi:softprob", "multi:softmax"):
        booster = boosted(objective, THREE, num_class=3)
        likely = booster.predict(xgboost.DMatrix(FRAME))
        expected = likely.argmax(axis=1) if likely.ndim > 1 else likely
        check(as_estimator(booster, "model", returns, labelled=False), expected)
    booster = light("multiclass", THREE, num_class=3)
    model = as_estimator(booster, "model", returns, labelled=False)
    check(model, booster.predict(FRAME).argmax(axis=1))
    np.testing.assert_allclose(model.predict_proba(FRAME), booster.predict(FRAME))


def test_a_probability_for_each_class_is_no_single_number() -> None:
    check(as_estimator(boosted("multi:softmax", THREE, num_class=3), "m", "real", labelled=False),
          boosted("multi:softmax", THREE, num_class=3).predict(xgboost.DMatrix(FRAME)))  # fmt: skip
    for booster in (boosted("multi:softprob", THREE, num_class=3), light("multiclass", THREE, num_class=3)):
        with pytest.raises(
            SpecError, match=r"churn.json has the objective .*returns='integer' gives the class"
        ):
            as_estimator(booster, "churn.json", "double precision", labelled=False)


def test_all_rounds_count_after_early_stopping(tmp_path: Path) -> None:
    data, other = xgboost.DMatrix(FRAME, TWO), xgboost.DMatrix(FRAME, 1 - TWO)
    booster = xgboost.train(
        {"objective": "binary:logistic"}, data, 30, evals=[(other, "other")], early_stopping_rounds=8, verbose_eval=False
    )  # fmt: skip
    assert booster.best_iteration < booster.num_boosted_rounds() - 1
    model = as_estimator(saved(booster, "json", tmp_path), "model", None, labelled=False)
    check(model, booster.predict(data))


def test_a_file_of_an_estimator_stays_that_estimator(tmp_path: Path) -> None:
    classifier = xgboost.XGBClassifier(n_estimators=4).fit(FRAME, TWO)
    model = as_estimator(saved(classifier, "json", tmp_path), "model", "double precision", labelled=False)
    check(model, classifier.predict(FRAME))
    regressor = xgboost.XGBRegressor(n_estimators=4, objective="reg:logistic").fit(FRAME, TWO)
    model = as_estimator(saved(regressor, "ubj", tmp_path), "model", "integer", labelled=True)
    check(model, regressor.predict(FRAME))
    ranker = xgboost.XGBRanker(n_estimators=4).fit(FRAME, ROW % 3, qid=ROW // 40)
    model = as_estimator(saved(ranker, "json", tmp_path), "model", None, labelled=False)
    check(model, ranker.predict(FRAME))


def renamed(kind: str, names: list[str]) -> Any:
    """Return a model of a library that was fitted on columns of these names."""
    frame = pd.DataFrame(FRAME.to_numpy(), columns=names)
    if kind == "xgboost":
        return xgboost.train({}, xgboost.DMatrix(frame, TWO), 2)
    if kind == "xgboost estimator":
        return xgboost.XGBRegressor(n_estimators=2).fit(frame, TWO)
    if kind == "lightgbm":
        return lightgbm.train({"verbose": -1}, lightgbm.Dataset(frame, TWO), 2)
    if kind == "lightgbm estimator":
        return lightgbm.LGBMRegressor(n_estimators=2, verbose=-1).fit(frame, TWO)
    return make_pipeline(StandardScaler(), Ridge()).fit(frame, TWO)


LIBRARIES = ["xgboost", "xgboost estimator", "lightgbm", "lightgbm estimator", "sklearn"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", LIBRARIES)
@pytest.mark.parametrize(
    "names",
    [
        ["f_2", "f_1"],
        ["f1", "f0"],
        ["Column_1", "Column_0"],
        ["x1", "x0"],
        ["b", "a"],
        ["1", "0"],
        ["f0", "f1"],
    ],
)
def test_names_decide_which_argument_is_which(kind: str, names: list[str]) -> None:
    model = as_estimator(renamed(kind, names), "model", "double precision", labelled=False)
    spec = make_spec(arguments=tuple(Column(name, "double precision", "number") for name in names))
    columns = arguments(spec, Loaded(model, "model"), ())
    cells = {name: FRAME[own].head(20).tolist() for name, own in zip(names, FRAME, strict=True)}
    program = parse_pipeline(model, inputs_of(columns), "double precision")
    rows = pd.DataFrame(cells)
    np.testing.assert_allclose(interpret.predict(program, cells), model.predict(rows), rtol=1e-6)
    for wrong in (names[::-1], [names[0], "other"]):
        spec = make_spec(arguments=tuple(Column(name, "double precision", "number") for name in wrong))
        with pytest.raises(SpecError, match="was fitted on"):
            arguments(spec, Loaded(model, "model"), ())


@pytest.mark.filterwarnings("ignore")
def test_models_of_matrices_have_no_names() -> None:
    matrix = FRAME.to_numpy()
    models = [
        xgboost.train({}, xgboost.DMatrix(matrix, TWO), 2),
        xgboost.train({"booster": "gblinear"}, xgboost.DMatrix(matrix, TWO), 2),
        lightgbm.train({"verbose": -1}, lightgbm.Dataset(matrix, TWO), 2),
        Ridge().fit(matrix, TWO),
    ]
    for found in models:
        model = as_estimator(found, "model", "double precision", labelled=False)
        spec = make_spec(arguments=tuple(COLUMNS))
        assert arguments(spec, Loaded(model, "model"), ()) == tuple(COLUMNS)
        assert np.isfinite(model.predict(FRAME.head())).all()
