"""How MLflow is asked which version a source means: the process, its arguments, its end."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dbt.adapters.postgres_ml.build import external
from postgres_ml.contract.exceptions import ArtifactError, TrackingError

SOURCE = "models:/churn@champion"


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_weights_beside_an_onnx_file_are_part_of_it(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    weights = onnx.numpy_helper.from_array(np.ones((4, 1), np.float32), "w")
    shapes = [onnx.helper.make_tensor_value_info(n, 1, [None, k]) for n, k in (("x", 4), ("y", 1))]
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], "g", shapes[:1], shapes[1:], initializer=[weights])
    )
    path = tmp_path / "m.onnx"
    onnx.save(model, str(path), save_as_external_data=True, location="m.onnx.data", size_threshold=0)
    content, before = path.read_bytes(), external.content_digest(path)
    (tmp_path / "m.onnx.data").write_bytes(np.full((4, 1), 5, np.float32).tobytes())
    assert path.read_bytes() == content and external.content_digest(path) != before
    assert external.weights_beside(path, content) == [tmp_path / "m.onnx.data"]


def test_the_stores_password_is_no_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def run(command: list[str], **options: Any) -> Any:
        asked.update(options, command=command)
        return subprocess.CompletedProcess(command, 0, "models:/churn/3\n", "")

    monkeypatch.setattr(subprocess, "run", run)
    assert external.resolve(SOURCE, "postgresql://ml:pa55word@host/mlflow") == "models:/churn/3"
    assert "pa55word" not in " ".join(asked["command"]) and SOURCE in asked["command"]
    assert "pa55word" in "".join(asked["env"].values()) and asked["timeout"] == external.PATIENCE_S


def test_a_store_that_refuses_is_told_at_once_and_without_its_password() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(TrackingError) as raised:
        external.resolve(SOURCE, f"postgresql://ml:pa55word@127.0.0.1:{port}/mlflow")
    assert "refused" in str(raised.value) and SOURCE in str(raised.value)
    assert "pa55word" not in str(raised.value) and "psycopg," not in str(raised.value)


def test_a_store_that_never_answers_is_given_up(silent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external, "PATIENCE_S", 8)
    with pytest.raises(TrackingError, match=rf"{SOURCE}: MLflow at .*:{silent}.* no answer in 8 s"):
        external.resolve(SOURCE, f"http://ml:pa55word@127.0.0.1:{silent}")


def test_a_store_that_is_not_there_has_no_model(tmp_path: Any) -> None:
    with pytest.raises((ArtifactError, TrackingError), match="gone"):
        external.resolve(SOURCE, f"sqlite:///{tmp_path}/mlflow.db")
    assert not (tmp_path / "mlflow.db").exists()
