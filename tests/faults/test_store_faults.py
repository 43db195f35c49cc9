"""Full disks, an MLflow that is away, two builds of one model at once."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults_attempts import attempt, publish_what_was_trained
from faults_build import Build
from faults_callers import Caller
from faults_project import Project, repair

#: size of the disk that the training's folder is on, and the step that fills it: 600 rows are 30 kB
DISKS = {"snapshot": "16k", "artifacts": "64k"}


#: a training that is not through when MLflow's store is open
LONG = {"model_type": "xgboost", "hyperparameters": {"num_round": 3000, "max_depth": 2}}


def training_with_run(project: Project) -> Build:
    """Start a build, and return it when it trains and has a run in MLflow."""
    n_runs = project.n_runs()
    build = project.build(project.state()["generation"] + 1, **LONG)
    build.wait_for(lambda: project.n_runs() > n_runs, "the run in MLflow")
    return build


def on_a_disk_of(size: str) -> tuple[str, ...]:
    """A prefix of a command that sees target/postgres_ml on a disk of its own; the mount goes with its processes."""
    mount = (
        f'mkdir -p target/postgres_ml && mount -t tmpfs -o size={size} tmpfs target/postgres_ml && exec "$@"'
    )
    return ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh")


def may_mount() -> bool:
    probe = ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return shutil.which("unshare") is not None and subprocess.run(probe, check=False).returncode == 0


@pytest.mark.faults
@pytest.mark.parametrize("step", DISKS)
def test_the_disk_of_the_training_is_full(project: Project, record_property, step: str) -> None:
    if not may_mount():
        pytest.skip("this account may not mount a small disk")
    generation = project.state()["generation"] + 1
    arguments = ("build", "--select", "m")
    build = Build(project, *arguments, prefix=on_a_disk_of(DISKS[step]), generation=generation)
    attempt(project, record_property, "disk of the training full", step, build, "No space left on device")


@pytest.fixture
def small_tablespace(project: Project, tmp_path: Path) -> Iterator[Path]:
    """The catalog's table moved to a disk of its own, which is filled up."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("this account may not mount a small disk")
    (disk / "space").mkdir()
    ask = project.server.ask
    table = "alter table postgres_ml.model_version set tablespace"
    try:
        ask(f"create tablespace small location '{disk}/space'")
        ask("vacuum full postgres_ml.model_version")  # so that no room of versions that are gone is left
        ask(f"{table} small")
        with (disk / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space"):
            while True:
                filler.write(b"0" * 4096)
        yield disk
    finally:
        (disk / "filler").unlink(missing_ok=True)
        ask(f"{table} pg_default")
        ask("drop tablespace if exists small")
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.faults
def test_the_disk_of_the_database_is_full(project: Project, small_tablespace: Path, record_property) -> None:
    # more functions than a page of the table has room for
    model = {"model_type": "xgboost", "hyperparameters": {"num_round": 200, "max_depth": 5}}
    build = project.build(project.state()["generation"] + 1, **model)
    attempt(project, record_property, "disk of the database full", "record", build, "No space left on device")


@pytest.mark.faults
def test_mlflow_is_away_before_the_training(project: Project, record_property) -> None:
    profile = project.profile
    project.write_profile({**profile, "mlflow_tracking_uri": "http://me:hunter2@127.0.0.1:9"})
    try:
        build = project.build(project.state()["generation"] + 1)
        attempt(
            project, record_property, "MLflow away", "snapshot", build, "mlflow_tracking_uri in the profile"
        )
    finally:
        project.write_profile(profile)
    assert not build.said("hunter2")
    assert "hunter2" not in (project.directory / "logs" / "dbt.log").read_text()
    left = [path for path in (project.directory / "target").rglob("*") if path.is_file()]
    assert [path for path in left if b"hunter2" in path.read_bytes()] == []


def test_mlflow_goes_away_between_training_and_tracking(project: Project, record_property) -> None:
    """The node fails, and the next build publishes what was trained."""
    generation = project.state()["generation"] + 1
    store, away = project.directory / "mlflow.db", project.directory / "away.db"
    n_runs = project.n_runs()
    build = project.build(
        generation, model_type="xgboost", hyperparameters={"num_round": 3000, "max_depth": 2}
    )
    build.wait_for(lambda: project.n_runs() > n_runs, "the run in MLflow")
    store.rename(away)
    store.mkdir()
    try:
        attempt(project, record_property, "MLflow away", "track", build, "the next build publishes it")
        assert build.said("can't be written: Is a directory"), build.output
    finally:
        store.rmdir()
        away.rename(store)
    trained = project.result()
    assert trained is not None and trained["run"]["is_tracked"] is False
    again = project.build(
        generation, model_type="xgboost", hyperparameters={"num_round": 3000, "max_depth": 2}
    )
    assert again.wait() == 0, again.output
    assert not again.said("snapshot of"), again.output
    assert project.state()["generation"] == generation
    assert project.champion() == project.newest()
    project.wait_until_clean()


@pytest.mark.faults
def test_mlflows_database_is_locked_by_another_process(project: Project, record_property) -> None:
    """As long as it takes: MLflow gives up, the result is kept."""
    build = training_with_run(project)
    with contextlib.closing(sqlite3.connect(project.directory / "mlflow.db", timeout=60)) as store:
        store.isolation_level = None
        store.execute("begin exclusive")
        attempt(project, record_property, "MLflow's database locked", "track", build, "database is locked")
    publish_what_was_trained(project, is_trained=True, **LONG)


@pytest.mark.faults
def test_mlflow_goes_away_after_the_training(project: Project, record_property) -> None:
    """The function is published; that MLflow does not know of it is one line, and the next build tells it."""
    before = project.state()
    store, away = project.directory / "mlflow.db", project.directory / "away.db"
    build = project.build(before["generation"] + 1)
    with project.server.closed_gate("publish"):
        build.wait_for(lambda: project.server.waits_at("publish"), "the publication")
        store.rename(away)
        store.mkdir()
    code = build.wait()
    kept = project.build(before["generation"] + 1)  # MLflow is still away
    assert kept.wait() == 0, kept.output
    store.rmdir()
    away.rename(store)
    assert code == 0, build.output
    [warning] = [
        line for line in build.lines if "is published and serves, but its MLflow run could not" in line
    ]
    assert "can't be written: Is a directory" in warning and "the next build" in warning
    others = [line for line in build.lines if "WARNING" in line and line is not warning]
    told = (
        "if it is an identifier",
        "has no plots and no card",
    )  # about the rows; about what is logged meanwhile
    assert [line for line in others if not any(text in line for text in told)] == []
    assert kept.said("serves, and MLflow's champion stays until a build moves it"), kept.output
    assert project.state()["generation"] == before["generation"] + 1
    assert project.champion() == before["version"] and not project.is_known_as_champion()
    repair(project)
    project.wait_until_clean()
    record_property("fault", {"fault": "MLflow away", "step": "register", "serves": "new"})


@pytest.mark.faults
def test_mlflow_is_not_asked_by_a_build_that_changes_nothing(project: Project, record_property) -> None:
    before = project.state()
    assert project.is_known_as_champion()
    store, away = project.directory / "mlflow.db", project.directory / "away.db"
    store.rename(away)
    try:
        build = project.build(before["generation"])
        assert build.wait() == 0, build.output
        assert not store.exists()
    finally:
        away.rename(store)
    assert project.state() == before
    assert [line for line in build.lines if "MLflow" in line and "WARN" in line.upper()] == []
    record_property("fault", {"fault": "MLflow away", "step": "unchanged", "serves": "old"})


@pytest.mark.faults
@pytest.mark.parametrize("place", ["one checkout", "two checkouts"])
def test_two_builds_race(project: Project, tmp_path: Path, record_property, place: str) -> None:
    """One publishes; the other waits and finds nothing to do, or stops with a clear error."""
    before = project.state()
    other = project if place == "one checkout" else Project(tmp_path / "other", project.server)
    with Caller(project.server, before["generation"]) as caller:
        builds = [each.build(before["generation"] + 1) for each in (project, other)]
        codes = [build.wait() for build in builds]
    after = project.state()
    assert 0 in codes, builds[0].output + builds[1].output
    for code, build in zip(codes, builds, strict=True):
        assert code == 0 or build.said("another build published"), build.output
    assert after["generation"] == before["generation"] + 1
    assert before["version"] < after["version"] <= before["version"] + 2
    project.wait_until_clean()
    assert caller.errors == []
    record_property(
        "fault",
        {
            "fault": f"two builds of one model, {place}",
            "step": "all",
            "serves": "new",
            "calls": caller.n_calls,
        },
    )
