"""Models as MLflow keeps them: what travels with them, and that ours load without trust."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import lightgbm
import numpy as np
import pandas as pd
import pytest
import skops.io
import xgboost
from postgres_ml.components.estimators import BlendedClassifier, LabelEncodedClassifier, LogTargetRegressor
from postgres_ml.components.neural_network import NetworkClassifier
from postgres_ml.components.transformers import DateTimeVectorizer, PiecewiseLinear, RobustSmoothClip
from postgres_ml.contract.column import Column
from postgres_ml.contract.exceptions import ArtifactError
from postgres_ml.external.load import read_file
from postgres_ml.serve.audit import OWN_MODULES
from postgres_ml.track.pyfunc import PROBABILITIES, Predictor
from postgres_ml.track.registered_model import requirements, with_reader, write_code
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

COLUMNS = (
    Column("x", "double precision", "number"),
    Column("t", "text", "text"),
    Column("d", "date", "date"),
)
TRAVELLING = {"sklearn", "numpy", "pandas", "scipy", "postgres_ml", *sys.stdlib_module_names}
# imported only for a model of theirs, whose requirements name them
NEEDED_BY_MODELS = {"scorer": {"mlflow"}, "fast_estimators": {"xgboost"}}


def rows() -> tuple[pd.DataFrame, np.ndarray[Any, Any]]:
    i = np.arange(60)
    days = np.datetime64("2024-01-01", "us") + i.astype("timedelta64[D]")
    texts = pd.Series(np.array(["a", "b", "c"])[i % 3], dtype=object)
    frame = pd.DataFrame({"x": i / 7, "t": texts, "d": days})
    return frame, np.where(i % 3 == 0, "yes", "no").astype(object)


def fitted(estimator: Any, target: Any) -> Pipeline:
    encoders = [
        ("clip", RobustSmoothClip(), ["x"]),
        ("ladder", PiecewiseLinear(4), ["x"]),
        ("text", OneHotEncoder(sparse_output=False, handle_unknown="ignore"), ["t"]),
        ("day", Pipeline([("parts", DateTimeVectorizer()), ("scale", StandardScaler())]), ["d"]),
    ]
    frame, _ = rows()
    pipeline = Pipeline([("columns", ColumnTransformer(encoders)), ("estimate", estimator)])
    return with_reader(pipeline.fit(frame, target), COLUMNS)


def blend() -> BlendedClassifier:
    trees = LabelEncodedClassifier(xgboost.XGBClassifier(n_estimators=3))
    network = NetworkClassifier((4,), n_epochs=2, random_state=0)
    return BlendedClassifier([("trees", trees), ("network", network)], [1.0, 2.0])


@pytest.mark.parametrize(
    ("estimator", "target"),
    [
        (blend(), rows()[1]),
        (LogTargetRegressor(LinearRegression()), np.arange(1.0, 61.0)),
    ],
    ids=["blend of trees and a network", "logarithm of the target"],
)
def test_models_of_our_own_types_load_without_trust(estimator: Any, target: Any, tmp_path: Path) -> None:
    pipeline = fitted(estimator, target)
    (tmp_path / "model.pkl").write_bytes(cloudpickle.dumps(pipeline))
    again = read_file(tmp_path / "model.pkl", trust=False)
    frame, _ = rows()
    assert again.predict(frame).tolist() == pipeline.predict(frame).tolist()


def test_a_module_of_ours_that_is_no_models_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.pkl").write_bytes(b"cpostgres_ml.__main__\nmain\n.")
    with pytest.raises(ArtifactError, match=r"names postgres_ml\.__main__\.main"):
        read_file(tmp_path / "bad.pkl", trust=False)


class TestSkops:
    """The format that MLflow's sklearn flavor writes unless told otherwise."""

    def test_estimators_pass(self, tmp_path: Path) -> None:
        frame, target = rows()
        model = Pipeline([("scale", StandardScaler()), ("estimate", LogisticRegression())])
        skops.io.dump(model.fit(frame[["x"]], target), tmp_path / "model.skops")
        again = read_file(tmp_path / "model.skops", trust=False)
        assert again.predict(frame[["x"]]).tolist() == model.predict(frame[["x"]]).tolist()

    def test_code_does_not(self, tmp_path: Path) -> None:
        model = FunctionTransformer(ast.literal_eval).fit(rows()[0])
        skops.io.dump(model, tmp_path / "model.skops")
        with pytest.raises(ArtifactError, match=r"names ast\.literal_eval.*trust: true"):
            read_file(tmp_path / "model.skops", trust=False)
        assert read_file(tmp_path / "model.skops", trust=True).func is ast.literal_eval

    def test_damaged(self, tmp_path: Path) -> None:
        (tmp_path / "model.skops").write_bytes(b"no archive")
        with pytest.raises(ArtifactError, match="can't be loaded as a pickle, joblib or skops file"):
            read_file(tmp_path / "model.skops", trust=False)


def test_what_travels_imports_nothing_that_the_requirements_lack(tmp_path: Path) -> None:
    folder = write_code(set(), tmp_path)
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert {name.partition(".")[0] for name in names} <= TRAVELLING | NEEDED_BY_MODELS.get(
                path.stem, set()
            )
            for name in names:
                if name.startswith("postgres_ml."):
                    place = tmp_path.joinpath(*name.split("."))
                    assert place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()
    written = {".".join(path.relative_to(tmp_path).with_suffix("").parts) for path in folder.rglob("*.py")}
    assert written >= set(OWN_MODULES)


def test_requirements_name_the_distributions() -> None:
    found = requirements({"xgboost.sklearn", "lightgbm.basic", "collections"})
    names = [line.partition("==")[0] for line in found]
    assert set(names) - {"xgboost", "xgboost-cpu"} == {
        "cloudpickle", "lightgbm", "numpy", "pandas", "scikit-learn",
    }  # fmt: skip
    assert len(names) == 6


def test_rows_that_the_model_refuses_are_missing() -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0]})
    model = LogisticRegression().fit(frame, ["no", "no", "yes", "yes"])
    predictor = Predictor(with_reader(model, COLUMNS[:1]))
    asked = pd.DataFrame({"x": [None, 9, 0]})
    assert predictor.predict(asked) == [None, "yes", "no"]
    likely = predictor.predict(asked, {PROBABILITIES: True})
    assert list(likely) == ["no", "yes"]
    assert likely["yes"].isna().tolist() == [True, False, False]
    assert likely["yes"][1] == model.predict_proba(pd.DataFrame({"x": [9.0]}))[0, 1]


def test_a_booster_predicts_in_a_pipeline() -> None:
    frame = pd.DataFrame({"x": np.arange(50.0)})
    booster = lightgbm.train({"verbose": -1}, lightgbm.Dataset(frame, frame["x"]), 3)
    predicted = Predictor(with_reader(booster, COLUMNS[:1])).predict(frame)
    assert predicted.tolist() == booster.predict(frame).tolist()
