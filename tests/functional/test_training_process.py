"""The training child as a process: how it starts, reports, fails, and never outlives its parent."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mlflow
import pytest
from filelock import FileLock, Timeout
from mlflow.tracking import MlflowClient
from postgres_ml.contract import json_file
from postgres_ml.contract.config import Settings
from postgres_ml.contract.exceptions import (
    SpecError,
    StorageError,
    TrackingError,
    TrainingCancelledError,
    TrainingDataError,
    TrainingProcessError,
)
from postgres_ml.contract.job import RESULT, TrainingJob
from postgres_ml.contract.model import TrainedModel
from postgres_ml.process import fork_server
from postgres_ml.process.parent import TrainingProcess
from postgres_ml.snapshot.leftovers import lock_path, remove_left_rows
from postgres_ml.track import run_record
from support.training import (
    CHURN_COLUMNS,
    CHURN_TARGET,
    Recorder,
    churn_rows,
    make_job,
    make_spec,
    put_store,
    write_snapshot,
)

LINEAR: dict[str, Any] = {
    "auto": False,
    "model_types": ("linear_learner",),
    "settings": Settings(min_rows=50),
}
# far more boosting than any test waits for
ENDLESS: dict[str, Any] = {
    "auto": False,
    "model_types": ("xgboost",),
    "hyperparameters": {"num_round": 10**8, "max_depth": 2},
    "settings": Settings(min_rows=50),
}


@pytest.fixture(autouse=True)
def store(tmp_path: Path) -> None:
    put_store(tmp_path)


def job_in(directory: Path, rows: list | None = None, **changes: Any) -> TrainingJob:
    directory.mkdir(parents=True, exist_ok=True)
    write_snapshot(directory / "snapshot.bin", churn_rows(300) if rows is None else rows)
    job_changes = {k: changes.pop(k) for k in ("tracking_uri", "experiment") if k in changes}
    return make_job(
        directory, CHURN_COLUMNS, CHURN_TARGET, spec=make_spec(**{**LINEAR, **changes}), **job_changes
    )


def run(process: TrainingProcess) -> TrainedModel:
    process.start()
    try:
        process.wait_ready()
        return process.train()
    finally:
        process.abandon("the test is over")


def never() -> bool:
    return False


def until(condition: Callable[[], Any], what: str, patience_s: float = 60) -> None:
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, f"{what} didn't come true within {patience_s} s"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def the_run(job: TrainingJob) -> Any:
    client = MlflowClient(job.tracking_uri)
    experiment = client.get_experiment_by_name(job.experiment)
    (found,) = client.search_runs([experiment.experiment_id])
    return found


def child_pid(process: TrainingProcess) -> int:
    """The training's process id, when the libraries are imported and it is forked."""
    child = process._process
    assert child is not None
    until(lambda: child.pid is not None, "the fork")
    assert child.pid is not None
    return child.pid


def test_errors_come_back_in_their_class_and_end_the_run(tmp_path: Path) -> None:
    job = job_in(tmp_path, rows=churn_rows(20))
    with pytest.raises(TrainingDataError, match=r"20 rows with a target, fewer than 50.*min_rows: 20"):
        run(TrainingProcess(job, Recorder(), never))
    found = the_run(job)
    assert found.info.status == "FAILED"
    assert "fewer than 50" in found.data.tags["reason"]


def test_hyperparameters_that_the_library_refuses_are_the_configs_fault(tmp_path: Path) -> None:
    job = job_in(tmp_path, model_types=("xgboost",), hyperparameters={"subsample": 7})
    with pytest.raises(SpecError, match=r"hyperparameter 'subsample' must be above 0 and at most 1, got 7"):
        run(TrainingProcess(job, Recorder(), never))


def test_python_warnings_arrive_once_each(tmp_path: Path) -> None:
    messages = Recorder()
    run(TrainingProcess(job_in(tmp_path, hyperparameters={"max_iter": 1}), messages, never))
    warned = [text for level, text in messages.lines if level == "library" and "ConvergenceWarning" in text]
    assert len(warned) == 1


def test_a_training_says_nothing_that_the_user_need_not_know(tmp_path: Path) -> None:
    messages = Recorder()
    run(TrainingProcess(job_in(tmp_path), messages, never))
    assert [line for line in messages.lines if line[0] in ("warning", "library")] == []


def test_cancelling_ends_the_child_and_its_run(tmp_path: Path) -> None:
    cancelled: list[bool] = []
    job = job_in(tmp_path, **ENDLESS)
    process = TrainingProcess(job, lambda *event: cancelled.append(True), lambda: bool(cancelled))
    process.start()
    process.wait_ready()
    pid = child_pid(process)
    with pytest.raises(TrainingCancelledError):
        process.train()  # the first message says what the target is
    assert not is_alive(pid)
    assert the_run(job).info.status == "FAILED" and the_run(job).data.tags["reason"] == "cancelled"
    process.abandon("once more does nothing")


def test_abandoning_tells_why_and_can_be_done_twice(tmp_path: Path) -> None:
    job = job_in(tmp_path)
    process = TrainingProcess(job, Recorder(), never)
    process.abandon("before the start does nothing")
    process.start()
    process.wait_ready()
    process.train()
    assert the_run(job).info.status == "RUNNING"  # it isn't published yet
    process.abandon("gate f1 >= 0.9 not met")
    process.abandon("again")
    assert the_run(job).info.status == "FAILED"
    assert the_run(job).data.tags["reason"] == "gate f1 >= 0.9 not met"


def test_a_killed_child_is_told_with_the_likely_cause(tmp_path: Path) -> None:
    process = TrainingProcess(job_in(tmp_path, **ENDLESS), Recorder(), never)
    process.start()
    process.wait_ready()
    os.kill(child_pid(process), signal.SIGKILL)
    with pytest.raises(TrainingProcessError, match=r"after using \d+ MB of .*out of memory.*max_cells"):
        process.train()


def test_the_child_is_as_likely_to_be_killed_for_memory_as_any_process(tmp_path: Path) -> None:
    process = TrainingProcess(job_in(tmp_path), Recorder(), never)
    process.start()
    process.wait_ready()
    own, its = (Path(f"/proc/{pid}/oom_score_adj") for pid in ("self", child_pid(process)))
    assert its.read_text() == own.read_text()
    process.abandon("over")


def limit_memory(pid: int, room: int) -> None:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + room
    resource.prlimit(pid, resource.RLIMIT_AS, (limit, limit))


def test_a_limit_on_memory_is_told_with_its_cure(tmp_path: Path) -> None:
    process = TrainingProcess(job_in(tmp_path), Recorder(), never)
    process.start()
    process.wait_ready()
    limit_memory(child_pid(process), 0)
    with pytest.raises(TrainingProcessError, match=r"not enough memory after using (.|\n)*max_cells"):
        process.train()


@pytest.mark.parametrize("room", [20_000_000, 60_000_000, 200_000_000])
def test_a_limit_on_memory_that_the_imports_meet_is_told_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    monkeypatch.setattr(fork_server, "_servers", {})
    process = TrainingProcess(job_in(tmp_path), Recorder(), never)
    process.start()
    (server,) = fork_server._servers.values()
    limit_memory(server.pid, room)
    with pytest.raises(TrainingProcessError, match=r"not enough memory(.|\n)*max_cells"):
        process.wait_ready()
        process.train()
    server._end()


def test_a_crash_shows_the_childs_last_lines(tmp_path: Path) -> None:
    job = job_in(tmp_path)
    process = TrainingProcess(job, Recorder(), never)
    process.start()
    process.wait_ready()
    (tmp_path / "snapshot.bin").write_text("not,a,snapshot\n")
    with pytest.raises(TrainingProcessError, match=r"exit code 1\)(.|\n)*SnapshotFormatError"):
        process.train()
    assert the_run(job).info.status == "FAILED"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_the_child_dies_with_its_parent_and_marks_its_run(tmp_path: Path) -> None:
    job = job_in(tmp_path, **ENDLESS)
    (tmp_path / "given.json").write_text(json_file.to_json(job))
    code = f"""
        import sys
        from pathlib import Path
        from postgres_ml.track import run_record
        from postgres_ml.contract import json_file
        from postgres_ml.contract.job import TrainingJob
        from postgres_ml.process.parent import TrainingProcess
        job = json_file.read(TrainingJob, Path({str(tmp_path / "given.json")!r}))
        process = TrainingProcess(job, lambda level, text, *fields: print(text, flush=True), lambda: False)
        process.start()
        process.wait_ready()
        print(process._process.pid, flush=True)
        process.train()
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    try:
        pid = int(parent.stdout.readline())
        assert parent.stdout.readline()  # it trains
        assert is_alive(pid)
    finally:  # a training for ever takes all memory, sooner or later
        parent.kill()
    parent.communicate()
    until(lambda: not is_alive(pid), "the child's end")
    assert the_run(job).info.status == "KILLED"


def test_a_parent_that_dies_early_takes_the_child_along(tmp_path: Path) -> None:
    process = TrainingProcess(job_in(tmp_path), Recorder(), never)
    process.start()
    pid = child_pid(process)
    assert process._process is not None and process._process.stdin is not None
    process._process.stdin.close()  # what the kernel does for a killed parent
    until(lambda: not is_alive(pid) or process._process.poll() is not None, "the child's end")
    process.abandon("it is gone")


@pytest.mark.parametrize("can_fork", [True, False])
def test_rows_of_the_next_build_outlive_the_training_of_a_killed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_fork: bool
) -> None:
    monkeypatch.setattr(fork_server, "CAN_FORK", can_fork and fork_server.CAN_FORK)
    process = TrainingProcess(job_in(tmp_path / "node"), Recorder(), never)
    process.start()
    process.wait_ready()
    child = process._process
    assert child is not None and child.stdin is not None
    with FileLock(lock_path(tmp_path / "node")):  # the next build's, which has copied its rows
        child.stdin.close()  # what the kernel does for a killed parent
        until(lambda: child.poll() is not None, "the child's end")
        assert (tmp_path / "node" / "snapshot.bin").exists()
    process.abandon("it is gone")


def test_no_build_begins_in_a_folder_while_a_killed_ones_training_lives(tmp_path: Path) -> None:
    rows = tmp_path / "node" / "snapshot.bin"
    rows.parent.mkdir()
    rows.write_bytes(b"rows")
    lock_path(rows.parent).touch()
    held = remove_left_rows(rows.parent)
    assert held is not None and not rows.exists()
    with pytest.raises(Timeout):
        FileLock(lock_path(rows.parent)).acquire(timeout=0)
    held.release()


def test_a_store_that_can_not_be_written_stops_everything_before_the_training(tmp_path: Path) -> None:
    process = TrainingProcess(job_in(tmp_path, tracking_uri="http://127.0.0.1:9"), Recorder(), never)
    process.start()
    with pytest.raises(
        TrackingError, match=r"(?s)MLflow at http://127.0.0.1:9 can't be used.*mlflow_tracking_uri"
    ):
        process.wait_ready()
    assert not is_alive(child_pid(process))


def test_several_trainings_may_make_the_store_at_once(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/store/mlflow.db"
    jobs = [job_in(tmp_path / str(n), name=f"model_{n}", tracking_uri=uri) for n in range(3)]
    with ThreadPoolExecutor(3) as pool:
        trained = list(pool.map(lambda job: run(TrainingProcess(job, Recorder(), never)), jobs))
    client = MlflowClient(uri)
    (experiment,) = [e for e in client.search_experiments() if e.name == "shop"]
    assert experiment.artifact_location == (tmp_path / "store" / "mlartifacts").as_uri()
    found = client.search_runs([experiment.experiment_id])
    assert {r.info.run_id for r in found} == {t.run.run_id for t in trained}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0", "1", "2", "mlflow.db", "store"]


@pytest.mark.parametrize("file", ["artifacts/functions.sql", "trained.part"])
def test_a_full_disk_is_told_with_the_file(tmp_path: Path, file: str) -> None:
    job = job_in(tmp_path)
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).symlink_to("/dev/full")
    with pytest.raises(StorageError, match="No space left on device"):
        run(TrainingProcess(job, Recorder(), never))
    assert the_run(job).info.status == "FAILED"


def logged(job: TrainingJob, folder: str = "") -> set[str]:
    client = MlflowClient(job.tracking_uri)
    return {file.path for file in client.list_artifacts(the_run(job).info.run_id, folder)}


def trackers() -> set[int]:
    """The processes that tell MLflow of a training: forks of a fork server that lead no training."""
    servers = {server.pid for server in fork_server._servers.values()}
    found = set()
    for path in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if (
                path.name.isdigit()
                and int((path / "stat").read_text().rpartition(")")[2].split()[1]) in servers
            ):
                found.add(int(path.name))
    return {pid for pid in found if is_alive(pid)}


@pytest.mark.parametrize("can_fork", [True, False])
def test_plots_and_card_are_complete_when_it_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_fork: bool
) -> None:
    monkeypatch.setattr(fork_server, "CAN_FORK", can_fork and fork_server.CAN_FORK)
    job = job_in(tmp_path)
    process = TrainingProcess(job, Recorder(), never)
    process.start()
    process.train()
    process.published(1, {"function": "ml.predict_churn"})
    assert the_run(job).info.status == "FINISHED"
    assert {"plots", "model_card.html", "model_card.md", "functions.sql"} <= logged(job)
    assert {"plots/roc.png", "plots/feature_importance.png"} <= logged(job, "plots")
    assert not (tmp_path / "drawing.pickle").exists()


@pytest.mark.parametrize("can_fork", [True, False])
def test_what_cannot_be_drawn_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_fork: bool
) -> None:
    monkeypatch.setattr(fork_server, "CAN_FORK", can_fork and fork_server.CAN_FORK)
    job, lines = job_in(tmp_path), Recorder()
    (tmp_path / "artifacts" / "model_card.md").mkdir(parents=True)  # where the card is to be written
    process = TrainingProcess(job, lines, never)
    process.start()
    process.train()
    process.published(1, {"function": "ml.predict_churn"})
    assert the_run(job).info.status == "FINISHED"
    (warning,) = [text for level, text in lines.lines if level == "library"]
    assert "the MLflow run has no plots and no card" in warning and "Is a directory" in warning
    assert not {"plots", "model_card.html"} & logged(job)


@pytest.mark.skipif(not fork_server.CAN_FORK, reason="one process where none can be forked")
def test_no_process_that_tells_mlflow_outlives_its_training(tmp_path: Path) -> None:
    before = trackers()
    job = job_in(tmp_path, **ENDLESS)
    process = TrainingProcess(job, Recorder(), never)
    process.start()
    process.wait_ready()
    (tracker,) = trackers() - before - {child_pid(process)}
    os.kill(child_pid(process), signal.SIGKILL)
    until(lambda: not is_alive(tracker), "the end of what tells MLflow")
    assert (
        the_run(job).info.status == "FAILED"
        and the_run(job).data.tags["reason"] == "the training process died"
    )
    process.abandon("it was killed")


@pytest.mark.skipif(not fork_server.CAN_FORK, reason="one process where none can be forked")
def test_a_training_outlives_the_process_that_tells_mlflow(tmp_path: Path) -> None:
    before, said = trackers(), Recorder()
    process = TrainingProcess(job_in(tmp_path), said, never)
    process.start()
    process.wait_ready()
    pid = child_pid(process)
    (tracker,) = trackers() - before - {pid}
    os.kill(tracker, signal.SIGKILL)
    until(lambda: not is_alive(tracker), "the end of what tells MLflow")
    with pytest.raises(TrainingProcessError, match=r"ended unexpectedly(?s:.*)What was trained is kept"):
        process.train()
    assert not is_alive(pid)
    assert (Path(process.job.directory) / RESULT).exists()
    assert any("the training goes on, and MLflow will not know of it" in text for _, text in said.lines)


@pytest.mark.skipif(not fork_server.CAN_FORK or sys.platform != "linux", reason="/proc")
def test_what_tells_mlflow_may_have_died_for_want_of_memory(tmp_path: Path) -> None:
    before = trackers()
    process = TrainingProcess(job_in(tmp_path), Recorder(), never)
    process.start()
    process.wait_ready()
    (tracker,) = trackers() - before - {child_pid(process)}
    Path(f"/proc/{tracker}/fd/2").write_text("MemoryError\n")  # as an interpreter does that can't go on
    os.kill(tracker, signal.SIGKILL)
    until(lambda: not is_alive(tracker), "the end of what tells MLflow")
    told = r"ended unexpectedly(?s:.*)is kept(?s:.*)not enough memory(?s:.*)max_cells(?s:.*)MemoryError"
    with pytest.raises(TrainingProcessError, match=told):
        process.train()


def locked(job: TrainingJob) -> FileLock:
    """The lock of a job's store, which whoever opens that waits for: a store that never answers."""
    return FileLock(job.tracking_uri.removeprefix("sqlite:///") + ".lock")


@pytest.mark.skipif(not fork_server.CAN_FORK, reason="one process where none can be forked")
def test_what_is_trained_outlives_a_store_that_never_answers(tmp_path: Path) -> None:
    before, job = trackers(), job_in(tmp_path)
    process = TrainingProcess(job, Recorder(), never)
    process.start()
    with (
        locked(job),
        pytest.raises(
            TrackingError, match=r"(?s)mlflow.db can't be used: no answer .*the next build publishes"
        ),
    ):
        process.train()
    until(lambda: not trackers() - before, "the end of what tells MLflow")
    assert json_file.read(TrainedModel, tmp_path / "trained.json").run.run_id == ""
    lines = Recorder()
    trained = run(TrainingProcess(dataclasses.replace(job, resumes=True), lines, never))
    assert [text for _, text in lines.lines if text.startswith(("load: ", "search: "))] == []
    assert trained.run.is_tracked and the_run(job).info.run_id == trained.run.run_id


@pytest.mark.parametrize(
    ("scheme", "can_fork"),
    [
        ("postgresql", True),
        *(  # they wait for half a minute
            pytest.param(scheme, can_fork, marks=pytest.mark.exhaustive)
            for scheme, can_fork in (("postgresql", False), ("http", True), ("http", False))
        ),
    ],
)
def test_a_store_that_accepts_and_says_nothing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_fork: bool, scheme: str
) -> None:
    monkeypatch.setattr(fork_server, "CAN_FORK", can_fork and fork_server.CAN_FORK)
    before = trackers()
    with socket.create_server(("127.0.0.1", 0), backlog=50) as silent:
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        process = TrainingProcess(
            job_in(tmp_path, tracking_uri=f"{scheme}://{place}/ml", **ENDLESS), Recorder(), never
        )
        process.start()
        with pytest.raises(TrackingError, match=rf"MLflow at {scheme}://{place}/ml can't be used"):
            process.train()
    assert not process.is_running
    until(lambda: not trackers() - before, "the end of what tells MLflow")


@pytest.mark.skipif(not fork_server.CAN_FORK, reason="one process where none can be forked")
def test_nothing_waits_for_a_store_when_dbt_is_gone(tmp_path: Path) -> None:
    before, job = trackers(), job_in(tmp_path, **ENDLESS)
    process = TrainingProcess(job, Recorder(), never)
    with locked(job):
        process.start()
        until(lambda: trackers() - before - {child_pid(process)}, "the fork that opens the store")
        process.abandon("cancelled")
        until(lambda: not trackers() - before, "the end of both")


def test_a_store_that_can_not_be_opened_ends_a_training_that_has_begun(tmp_path: Path) -> None:
    job = job_in(tmp_path, tracking_uri="http://127.0.0.1:9", **ENDLESS)
    process = TrainingProcess(job, Recorder(), never)
    process.start()
    with pytest.raises(TrackingError, match=r"(?s)MLflow at http://127.0.0.1:9 can't be used"):
        process.train()
    assert not is_alive(child_pid(process))


def trained_without_mlflow(directory: Path, **changes: Any) -> TrainingJob:
    """Train while MLflow goes away at the last phase before it is told: the job of the next build."""
    job = job_in(directory, tracking_uri=f"sqlite:///{directory}/store/mlflow.db", **changes)
    put_store(directory / "store")

    def lose_the_store(level: str, text: str, fields: dict[str, Any] | None = None) -> None:
        if text.startswith("load: "):
            (directory / "store").rename(directory / "away")

    with pytest.raises((TrackingError, StorageError), match="the next build publishes it without training"):
        run(TrainingProcess(job, lose_the_store, never))
    (directory / "away").rename(directory / "store")
    assert not json_file.read(TrainedModel, directory / "trained.json").run.is_tracked
    return dataclasses.replace(job, resumes=True)


def test_what_is_trained_outlives_an_mlflow_that_goes_away_meanwhile(tmp_path: Path) -> None:
    job = trained_without_mlflow(tmp_path)
    lines = Recorder()
    trained = run(TrainingProcess(job, lines, never))
    assert [text for _, text in lines.lines if text.startswith(("load: ", "search: "))] == []
    assert trained.run.is_tracked
    assert trained == json_file.read(TrainedModel, tmp_path / "trained.json")
    found = the_run(job)
    assert found.info.run_id == trained.run.run_id
    assert found.data.metrics["train_f1"] == trained.evaluation.train_metrics["f1"]
    assert found.data.params["n_rows"] == "300"
    mlflow.set_tracking_uri(job.tracking_uri)
    predicted = mlflow.pyfunc.load_model(trained.run.model_uri).predict(run_record.read_model(tmp_path)[1])
    assert len(predicted) == 3


def test_a_run_that_is_gone_is_begun_anew(tmp_path: Path) -> None:
    job = trained_without_mlflow(tmp_path)
    lost = json_file.read(TrainedModel, tmp_path / "trained.json").run.run_id
    shutil.rmtree(tmp_path / "store")
    put_store(tmp_path / "store")
    trained = run(TrainingProcess(job, Recorder(), never))
    assert trained.run.run_id != lost
    assert the_run(job).info.run_id == trained.run.run_id


def test_telling_mlflow_twice_is_telling_it_once(tmp_path: Path) -> None:
    job = job_in(tmp_path)
    first = run(TrainingProcess(job, Recorder(), never))
    (tmp_path / "trained.json").write_text(
        json_file.to_json(dataclasses.replace(first, run=dataclasses.replace(first.run, is_tracked=False)))
    )
    second = run(TrainingProcess(dataclasses.replace(job, resumes=True), Recorder(), never))
    assert second.run.run_id == first.run.run_id
    client = MlflowClient(job.tracking_uri)
    for name in ("f1", "train_f1"):
        assert len(client.get_metric_history(first.run.run_id, name)) == 1
    (used,) = client.get_run(first.run.run_id).inputs.dataset_inputs
    assert used.dataset.name == job.spec.name
