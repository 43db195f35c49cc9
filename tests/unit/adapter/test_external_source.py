"""How MLflow is asked which version a source means: the process, its arguments, its end."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from dbt.adapters.postgres_ml.build import external
from postgres_ml.contract.exceptions import ArtifactError, TrackingError

SOURCE = "models:/churn@champion"


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


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
