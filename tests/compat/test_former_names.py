"""What release 0.1.0 pickled loads under the names that the classes have now, and predicts the same."""

from __future__ import annotations

import importlib
import pickle
import warnings
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from postgres_ml.external.load import read_file
from postgres_ml.serve.audit import FORMER_MODULES, OWN_MODULES, globals_of

FOLDER = Path(__file__).parent / "v0_1_0"


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return pd.read_csv(FOLDER / "predictions.csv")


def load(name: str) -> Any:
    with warnings.catch_warnings():  # a newer scikit-learn says that the file is older
        warnings.simplefilter("ignore")
        return joblib.load(FOLDER / name)


def test_a_classifier_of_our_own_parts_predicts_the_same(rows: pd.DataFrame) -> None:
    model = load("classifier.joblib")
    assert model.predict(rows[["x", "z"]]).tolist() == rows["label"].tolist()
    np.testing.assert_allclose(model.predict_proba(rows[["x", "z"]])[:, 1], rows["yes"], atol=1e-6)


def test_class_multipliers_that_had_another_name_decide_as_before(rows: pd.DataFrame) -> None:
    model = load("multiclass.joblib")
    assert model.predict(rows[["x", "z"]]).tolist() == rows["grade"].tolist()
    assert model[-1].class_multipliers == (1.0, 0.5, 2.0) and "factors" not in vars(model[-1])
    model[-1].class_multipliers = None
    assert model.predict(rows[["x", "z"]]).tolist() != rows["grade"].tolist(), "they matter on these rows"


@pytest.mark.parametrize(("name", "column"), [("regressor.joblib", "amount"), ("network.joblib", "network")])
def test_regressions_predict_the_same(rows: pd.DataFrame, name: str, column: str) -> None:
    np.testing.assert_allclose(load(name).predict(rows[["x", "z"]]), rows[column], rtol=1e-6)


def test_a_registered_model_reads_frames_as_before(rows: pd.DataFrame) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = pickle.loads((FOLDER / "registered.pkl").read_bytes())
    shuffled = rows[["z", "label", "x"]].astype({"x": object})
    np.testing.assert_allclose(model.predict(shuffled), rows["amount"], rtol=1e-6)


def test_the_file_is_a_source_without_trust(rows: pd.DataFrame) -> None:
    model = read_file(FOLDER / "network.joblib", False)
    np.testing.assert_allclose(model.predict(rows[["x", "z"]]), rows["network"], rtol=1e-6)


def test_the_pickle_does_use_former_names() -> None:
    names = {name.partition(":")[0] for name in globals_of((FOLDER / "registered.pkl").read_bytes())}
    assert names & set(FORMER_MODULES) and not names & set(OWN_MODULES)


@pytest.mark.parametrize("name", FORMER_MODULES)
def test_a_former_module_offers_the_classes_of_its_successor(name: str) -> None:
    former = importlib.import_module(name)
    for exported in former.__all__:
        found = getattr(former, exported)
        assert found.__module__ in OWN_MODULES
        assert getattr(importlib.import_module(found.__module__), exported) is found


def test_the_loader_that_mlflow_stored_is_there() -> None:
    assert callable(importlib.import_module("postgres_ml.serving.registered_pyfunc")._load_pyfunc)
