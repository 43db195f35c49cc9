"""Every form of MLflow's names for a model, on a store of files: what it means now, and what it loads."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from mlflow.tracking import MlflowClient
from postgres_ml.contract.exceptions import ArtifactError, TrackingError
from postgres_ml.external.load import Loaded, load
from postgres_ml.external.mlflow_registry import resolve
from sklearn.linear_model import LinearRegression

FRAME = pd.DataFrame({"a": [1.0, 2.0, 3.0]})


@dataclass
class Store:
    uri: str
    client: MlflowClient
    run: str
    models: list[str]  # URIs as log_model returns them, version 1 first
    root: Path

    def load(self, source: str, directory: Path) -> Loaded:
        return load(source, trust=False, tracking_uri=self.uri, directory=directory)


def log(slope: float, name: str) -> tuple[str, str]:
    model = LinearRegression().fit(FRAME, slope * FRAME["a"])
    with mlflow.start_run() as run:
        made = mlflow.sklearn.log_model(
            model, name="model", signature=infer_signature(FRAME, np.ones(3)), registered_model_name=name
        )
    return made.model_uri, run.info.run_id


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    root = tmp_path_factory.mktemp("mlflow")
    uri, before = f"sqlite:///{root}/mlflow.db", mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    client = MlflowClient(uri)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        experiment = client.create_experiment("sources", artifact_location=(root / "artifacts").as_uri())
        mlflow.set_experiment(experiment_id=experiment)
        logged = [log(slope, "churn") for slope in (1.0, 2.0, 3.0)]
        client.set_registered_model_alias("churn", "champion", "2")
        client.transition_model_version_stage("churn", "1", "Production")
        client.create_registered_model("empty")
    yield Store(uri, client, logged[1][1], [model for model, _ in logged], root)
    mlflow.set_tracking_uri(before)


@pytest.mark.parametrize(
    ("source", "version"),
    [
        ("models:/churn/1", 1),
        ("models:/churn/latest", 3),
        ("models:/churn/Latest", 3),
        ("models:/churn@champion", 2),
        ("models:/churn/Production", 1),
        ("models:/churn/production", 1),
    ],
)
def test_a_name_means_a_version(store: Store, tmp_path: Path, source: str, version: int) -> None:
    uri, words = resolve(source, store.client)
    assert uri == f"models:/churn/{version}" and words.startswith(f"churn version {version}")
    loaded = store.load(source, tmp_path)
    assert loaded.uri == uri
    assert loaded.model.predict(FRAME).tolist() == pytest.approx([version, 2 * version, 3 * version])


def test_latest_moves(store: Store) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        log(1.0, "moving")
        first = resolve("models:/moving/latest", store.client)[0]
        log(2.0, "moving")
    assert (first, resolve("models:/moving/latest", store.client)[0]) == (
        "models:/moving/1",
        "models:/moving/2",
    )


def test_what_log_model_returns(store: Store, tmp_path: Path) -> None:
    assert store.models[2].startswith("models:/m-")
    loaded = store.load(store.models[2], tmp_path)
    assert loaded.model.predict(FRAME).tolist() == pytest.approx([3, 6, 9])
    assert loaded.uri == store.models[2] and loaded.origin.startswith("model m-")


def test_a_run_a_folder_and_a_file_uri(store: Store, tmp_path: Path) -> None:
    folder = store.client.get_logged_model(store.models[1].removeprefix("models:/")).artifact_location
    copy = tmp_path / "saved"
    shutil.copytree(mlflow.artifacts.download_artifacts(folder), copy)
    for source in (f"runs:/{store.run}/model", folder, str(copy)):
        loaded = store.load(source, tmp_path / "target")
        assert loaded.model.predict(FRAME).tolist() == pytest.approx([2, 4, 6]), source
        assert [column.name for column in loaded.columns] == ["a"]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("models:/churn/99", "churn"),
        ("models:/churn@nobody", "nobody"),
        ("models:/nobody/latest", "nobody"),
        ("models:/empty/latest", "the model empty has no version"),
        ("models:/churn/Staging", "has no version in the stage Staging"),
        ("models:/churn/nonsense", "stage"),
        ("models:/m-0123456789abcdef0123456789abcdef", "not found"),
        ("runs:/0123456789abcdef0123456789abcdef/model", "not found"),
        ("mlflow-artifacts:/0/model", "mlflow-artifacts"),
        ("ml/nowhere", "there is no such file or folder"),
    ],
)
def test_what_is_not_there(store: Store, tmp_path: Path, source: str, text: str) -> None:
    error = TrackingError if source.startswith("mlflow-artifacts") else ArtifactError  # no server to ask
    with pytest.raises(error, match=text) as caught:
        store.load(source, tmp_path)
    assert source in str(caught.value)
