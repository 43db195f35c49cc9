"""ONNX files as models: what skl2onnx writes predicts the same through our reader; the rest is refused clearly."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
import skl2onnx
from onnx import TensorProto, helper
from postgres_ml.contract.column import Column
from postgres_ml.contract.exceptions import ArtifactError, SpecError
from postgres_ml.external import load as sources
from postgres_ml.external import onnx_file, signature
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

N_ROWS = 120


def drawn() -> pd.DataFrame:
    random = np.random.default_rng(2)
    return pd.DataFrame(
        {
            "spend": random.normal(size=N_ROWS).astype(np.float32).astype(np.float64),
            "calls": random.integers(0, 9, N_ROWS).astype(float),
            "region": pd.Series(random.choice(["n", "s", "w"], N_ROWS), dtype=object),
        }
    )


NUMBERS = ["spend", "calls"]
BY_COLUMN = [
    ("spend", FloatTensorType([None, 1])),
    ("calls", Int64TensorType([None, 1])),
    ("region", StringTensorType([None, 1])),
]
MATRIX = [("X", FloatTensorType([None, 2]))]


def export(model: Any, inputs: Any, path: Path, **options: Any) -> Any:
    """Write the model and return what the reader makes of the file."""
    graph = skl2onnx.to_onnx(model, initial_types=inputs, options={id(model): options} if options else None)
    path.write_bytes(graph.SerializeToString())
    return sources.read_file(path, trust=False)


def labels(kind: str) -> np.ndarray:
    codes = (drawn()["spend"] + (drawn()["calls"] > 4) > 0.5).astype(int).to_numpy()
    names = {"text": np.array(["stays", "goes"]), "numbers": np.array([7, 3])}
    return names[kind][codes]


@pytest.mark.parametrize("zipmap", [True, False], ids=["ZipMap", "tensor"])
@pytest.mark.parametrize("kind", ["text", "numbers"])
@pytest.mark.parametrize("estimator", [LogisticRegression(), RandomForestClassifier(5, random_state=0)])
def test_classifiers_of_a_matrix(
    estimator: Any, kind: str, zipmap: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = drawn()[NUMBERS]
    estimator.fit(frame.to_numpy(), labels(kind))
    model = export(estimator, MATRIX, tmp_path / "m.onnx", zipmap=zipmap)
    assert model.classes_.tolist() == estimator.classes_.tolist()
    assert model.predict(frame).tolist() == estimator.predict(frame.to_numpy()).tolist()
    own = estimator.predict_proba(frame.to_numpy())
    assert np.allclose(model.predict_proba(frame), own, atol=1e-6)
    again = pickle.loads(pickle.dumps(model))
    assert again.predict_proba(frame.to_numpy().tolist()).tolist() == model.predict_proba(frame).tolist()


def test_a_pipeline_of_named_columns(tmp_path: Path) -> None:
    frame = drawn()
    columns = ColumnTransformer([("n", StandardScaler(), NUMBERS), ("t", OneHotEncoder(), ["region"])])
    pipeline = make_pipeline(columns, LogisticRegression()).fit(frame, labels("text"))
    model = export(pipeline, BY_COLUMN, tmp_path / "m.onnx")
    assert onnx_file.arguments_of(model) == (
        Column("spend", "double precision", "number"),
        Column("calls", "bigint", "number"),
        Column("region", "text", "text"),
    )
    assert signature.feature_names(model) == ("spend", "calls", "region")
    assert model.predict(frame).tolist() == pipeline.predict(frame).tolist()
    assert np.allclose(model.predict_proba(frame), pipeline.predict_proba(frame), atol=1e-6)
    for row in ([0.5, 3, None], [0.5, float("nan"), "n"], [0.5, float("inf"), "n"], [0.5, 3, "never seen"]):
        with pytest.raises(ValueError):
            model.predict([row])
    assert np.isnan(model.predict_proba([[float("nan"), 3, "n"]])).all()  # as onnxruntime says


def test_a_regression(tmp_path: Path) -> None:
    frame = drawn()[NUMBERS]
    forest = RandomForestRegressor(5, random_state=0).fit(frame.to_numpy(), frame["spend"] * 3)
    model = export(forest, MATRIX, tmp_path / "m.onnx")
    assert not hasattr(model, "classes_")
    assert np.allclose(model.predict(frame), forest.predict(frame.to_numpy()), rtol=1e-6)
    assert onnx_file.n_features(model) == 2


def graph_of(nodes: list[Any], inputs: list[Any], outputs: list[Any], path: Path) -> Path:
    graph = helper.make_graph(nodes, "g", inputs, outputs)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    path.write_bytes(made.SerializeToString())
    return path


class TestRefusals:
    def refused(self, path: Path) -> str:
        with pytest.raises(ArtifactError) as caught:
            sources.read_file(path, trust=False)
        return str(caught.value)

    def test_damaged(self, tmp_path: Path) -> None:
        path = tmp_path / "bad.onnx"
        path.write_bytes(b"no graph")
        assert "bad.onnx is not a model that onnxruntime can run" in self.refused(path)

    def test_an_operator_that_nobody_knows(self, tmp_path: Path) -> None:
        x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in "xy")
        path = graph_of([helper.make_node("NoSuchOperator", ["x"], ["y"])], [x], [y], tmp_path / "m.onnx")
        assert "NoSuchOperator" in self.refused(path)

    def test_an_image(self, tmp_path: Path) -> None:
        x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 3, 8, 8]) for name in "xy")
        path = graph_of([helper.make_node("Relu", ["x"], ["y"])], [x], [y], tmp_path / "m.onnx")
        assert "and not a table's column" in self.refused(path)

    def test_several_numbers_a_row(self, tmp_path: Path) -> None:
        x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 3]) for name in "xy")
        path = graph_of([helper.make_node("Relu", ["x"], ["y"])], [x], [y], tmp_path / "m.onnx")
        assert "has not one output of one value a row, but y tensor(float)" in self.refused(path)

    def test_labels_that_stand_nowhere(self, tmp_path: Path) -> None:
        x, p = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 3]) for name in "xp")
        label = helper.make_tensor_value_info("label", TensorProto.INT64, [None])
        nodes = [
            helper.make_node("Softmax", ["x"], ["p"]),
            helper.make_node("ArgMax", ["p"], ["label"], axis=1, keepdims=0),
        ]
        assert "has no list of them" in self.refused(graph_of(nodes, [x], [label, p], tmp_path / "m.onnx"))

    def test_the_package_is_missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "m.onnx"
        onnx.save(skl2onnx.to_onnx(SVC().fit([[0.0], [1.0]], [0, 1]), np.zeros((1, 1), np.float32)), path)
        monkeypatch.setitem(sys.modules, "onnxruntime.capi", None)
        assert "pip install 'dbt-postgres-ml[onnx]'" in self.refused(path)


def test_arguments_that_do_not_fit(tmp_path: Path) -> None:
    frame = drawn()[NUMBERS]
    model = export(LogisticRegression().fit(frame.to_numpy(), labels("text")), MATRIX, tmp_path / "m.onnx")
    loaded = sources.Loaded(model, "m.onnx")
    good, text = Column("a", "real", "number"), Column("b", "text", "text")
    signature.check_columns(loaded, (good, good), ())
    with pytest.raises(SpecError, match=r"3 arguments .* takes 2"):
        signature.check_columns(loaded, (good, good, good), ())
    onnx_file.check_types("m.onnx", model, (good, good))
    with pytest.raises(SpecError, match=r'"b" is text, and m\.onnx takes double precision'):
        onnx_file.check_types("m.onnx", model, (good, text))
