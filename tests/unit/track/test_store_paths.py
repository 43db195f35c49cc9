"""Stores in folders whose names mean something in a URI: CI names workspaces after branches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
import sqlalchemy
from mlflow.store.db import utils
from postgres_ml.contract.exceptions import TrackingError
from postgres_ml.contract.job import TRACKING_URI
from postgres_ml.external import mlflow_registry
from postgres_ml.track import store
from support.training import put_store


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(utils, "MAX_RETRY_COUNT", 1)  # or what can't be opened is tried for an hour
    yield
    mlflow.set_tracking_uri(None)


@pytest.mark.parametrize("name", ["50%20off", "feature%2Fx", "q?x", "ä%C3%A4", "%252F", "100%", "a#b&c=d;e"])
def test_a_path_is_taken_as_it_is(tmp_path: Path, name: str) -> None:
    project = tmp_path / "projects" / name
    put_store(project)
    given = f"sqlite:///{project}/mlflow.db"
    client, experiment = store.open_experiment(given, "shop")
    run = client.create_run(experiment).info.run_id
    client.log_text(run, "card", "card.md")
    assert store.connect(given).get_run(run).info.artifact_uri.startswith((project / "mlartifacts").as_uri())
    assert (project / "mlartifacts" / run / "artifacts" / "card.md").read_text() == "card"
    model = client.create_logged_model(experiment, "pipeline", source_run_id=run)
    client.create_registered_model("ml.churn")
    client.create_model_version("ml.churn", model.model_uri, run)
    found, _ = mlflow_registry.resolve(
        "models:/ml.churn/latest", mlflow.MlflowClient(store.mlflow_uri(given))
    )
    assert found == "models:/ml.churn/1"
    assert [path.name for path in (tmp_path / "projects").iterdir()] == [name]
    assert [path.name for path in tmp_path.iterdir()] == ["projects"]


def test_a_new_store_is_made_where_it_belongs(tmp_path: Path) -> None:
    database = tmp_path / "50%20off" / "mlflow.db"
    store.make_tables(f"sqlite:///{database}")
    assert database.stat().st_size > 0
    assert [path.name for path in tmp_path.iterdir()] == ["50%20off"]


@pytest.mark.parametrize("path", ["/p/a b/mlflow.db", "/p/100%/mlflow.db", "mlflow.db", "/p/ä/mlflow.db"])
def test_most_paths_stay_as_they_are(path: str) -> None:
    assert store.mlflow_uri(f"sqlite:///{path}") == f"sqlite:///{path}"


def test_a_source_is_looked_up_by_the_driver_that_is_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    class Client:
        def __init__(self, uri: str) -> None:
            asked.append(uri)

        def search_experiments(self, max_results: int) -> None:
            assert max_results == 1

    monkeypatch.setattr(store, "MlflowClient", Client)
    monkeypatch.setattr(store, "_check_database", asked.append)
    monkeypatch.setattr(mlflow_registry.logging, "disable", lambda level: None)  # of the whole process
    monkeypatch.setenv(TRACKING_URI, "postgresql://h/ml")
    assert mlflow_registry.main("runs:/r/model") == 0
    assert asked == ["postgresql+psycopg2://h/ml"] * 2 and capsys.readouterr().out == "runs:/r/model\n"


def test_a_path_that_sqlalchemy_can_not_be_told_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Url:
        database = "/p/q"

    monkeypatch.setattr(sqlalchemy, "make_url", lambda uri: Url())
    with pytest.raises(TrackingError, match=r"store at /p/q\?x/mlflow.db.*Rename the folder"):
        store.mlflow_uri("sqlite:////p/q?x/mlflow.db")
