"""A store that is moved, copied or reached by another name keeps its runs and their files."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient
from postgres_ml.contract.exceptions import TrackingError
from postgres_ml.track import store
from support.training import put_store


@pytest.fixture(autouse=True)
def no_tracking_uri_is_left() -> Iterator[None]:
    yield
    mlflow.set_tracking_uri(None)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    made = tmp_path / "a project, 1%"
    put_store(made)
    return made


def uri_of(project: Path) -> str:
    return f"sqlite:///{project / 'mlflow.db'}"


def train(project: Path, name: str = "shop") -> str:
    """Log a run with a file, a logged model and its registered version; return the run's id."""
    client, experiment = store.open_experiment(uri_of(project), name)
    run_id: str = client.create_run(experiment).info.run_id
    client.log_text(run_id, "card", "model_card.md")
    model = client.create_logged_model(experiment, "pipeline", source_run_id=run_id)
    Path(store.local_path(model.artifact_location) or "").mkdir(parents=True)
    client.log_model_artifacts(model.model_id, str(_a_folder(project)))
    client.finalize_logged_model(model.model_id, "READY")
    client.create_registered_model(f"r{run_id}")
    client.create_model_version(f"r{run_id}", model.model_uri, run_id)
    client.set_terminated(run_id)
    return run_id


def _card(client: MlflowClient, run_id: str) -> str:
    return Path(client.download_artifacts(run_id, "model_card.md")).read_text()


def _a_folder(project: Path) -> Path:
    folder = project / "to_log"
    folder.mkdir(exist_ok=True)
    (folder / "MLmodel").write_text("flavors: {}\n")
    return folder


def check(project: Path, run_id: str) -> None:
    """Check that everything of a run is read from the project."""
    client = MlflowClient(uri_of(project))
    run = client.get_run(run_id)
    assert _card(client, run_id) == "card"
    (version,) = client.search_model_versions(f"run_id = '{run_id}'")
    where = client.get_model_version_download_uri(version.name, version.version)
    (model,) = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run_id}'")
    for uri in (run.info.artifact_uri, where, model.artifact_location):
        path = store.local_path(uri)
        assert path is not None and path.is_dir() and path.is_relative_to(project)


def test_a_moved_store_takes_its_runs_along(project: Path, tmp_path: Path) -> None:
    old = train(project)
    moved = tmp_path / "elsewhere" / "b"
    moved.parent.mkdir()
    project.rename(moved)
    new = train(moved)
    for run_id in (old, new):
        check(moved, run_id)
    assert not project.exists()


def test_a_moved_store_is_followed_by_what_only_connects(project: Path, tmp_path: Path) -> None:
    old = train(project)
    moved = project.rename(tmp_path / "b")
    store.connect(uri_of(moved))
    check(moved, old)


def test_a_copy_and_its_original_go_on_by_themselves(project: Path, tmp_path: Path) -> None:
    first = train(project)
    copy = shutil.copytree(project, tmp_path / "copy")
    in_copy, in_original = train(copy), train(project)
    for where, run_ids in ((copy, (first, in_copy)), (project, (first, in_original))):
        for run_id in run_ids:
            check(where, run_id)
    assert not (project / "mlartifacts" / in_copy).exists()
    assert not (copy / "mlartifacts" / in_original).exists()


def test_a_copy_without_artifacts_reads_the_old_ones_and_keeps_its_own(project: Path, tmp_path: Path) -> None:
    first = train(project)
    (tmp_path / "copy").mkdir()
    copy = Path(shutil.copy(project / "mlflow.db", tmp_path / "copy")).parent
    check(copy, train(copy))
    assert _card(MlflowClient(uri_of(copy)), first) == "card"


def test_a_link_to_the_project_changes_nothing(project: Path, tmp_path: Path) -> None:
    train(project)
    before = MlflowClient(uri_of(project)).get_experiment_by_name("shop").artifact_location
    link = tmp_path / "link"
    link.symlink_to(project)
    train(link)
    assert MlflowClient(uri_of(link)).get_experiment_by_name("shop").artifact_location == before


def test_other_locations_stay(project: Path, tmp_path: Path) -> None:
    client = MlflowClient(uri_of(project))
    locations = ["s3://bucket/mlartifacts", "mlflow-artifacts:/1", (tmp_path / "other").as_uri()]
    for number, location in enumerate(locations):
        client.create_experiment(f"e{number}", artifact_location=location)
    store.open_experiment(uri_of(project), "shop")
    for number, location in enumerate(locations):
        assert client.get_experiment_by_name(f"e{number}").artifact_location == location


def test_a_location_that_is_gone_is_named(project: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    client = MlflowClient(uri_of(project))
    client.create_experiment("mine", artifact_location=place.as_uri())
    store.open_experiment(uri_of(project), "mine")  # nothing is in it yet: MLflow makes it
    train(project, "mine")
    shutil.rmtree(place)
    with pytest.raises(
        TrackingError, match=rf"'mine' keeps its artifacts in {place}, which no longer exists"
    ):
        store.open_experiment(uri_of(project), "mine")


MAKE = "import sys; from postgres_ml.track import store; store.make_tables(sys.argv[1])"


@pytest.mark.parametrize("pause", [0.0, 0.1, 0.2])
def test_a_store_whose_maker_was_killed_is_made_anew(tmp_path: Path, pause: float) -> None:
    """MLflow can't open a store that has some of its tables, and is killed here between them."""
    maker = subprocess.Popen(
        [sys.executable, "-c", MAKE, uri_of(tmp_path)], stderr=subprocess.PIPE, text=True
    )
    assert maker.stderr is not None
    assert any("Updating database tables" in line for line in maker.stderr)
    time.sleep(pause)
    assert maker.poll() is None and (tmp_path / "mlflow.db").stat().st_size == 0
    maker.kill()
    maker.communicate()
    assert train(tmp_path)
    assert sorted(path.name for path in tmp_path.glob("mlflow*")) == ["mlflow.db", "mlflow.db.lock"]


def test_a_store_that_was_left_half_made_says_so(tmp_path: Path) -> None:
    """By an earlier release: its tables are there, and not the note that they are."""
    store.make_tables(uri_of(tmp_path))
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        connection.execute("delete from alembic_version")
        connection.execute("drop table inputs")
    connection.close()
    maker = subprocess.run(
        [sys.executable, "-c", MAKE, uri_of(tmp_path)], capture_output=True, text=True, check=False
    )
    assert "has some of its tables only: a process was killed while it made or migrated them" in maker.stderr
