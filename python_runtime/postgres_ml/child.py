"""The child's side of `process.parent`: trains when told, has MLflow told of it, ends with its parent."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import os
import queue
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from postgres_ml.contract import json_file
from postgres_ml.contract.exceptions import PostgresMLError, StorageError, TrackingError, TrainingProcessError
from postgres_ml.contract.job import RESULT, TrainingJob
from postgres_ml.contract.model import RunReference, TrainedModel
from postgres_ml.process.lines import FAILURES, read_lines, told
from postgres_ml.process.remote_run import ANSWER_S, RemoteRun, TrackingDiedError, silence
from postgres_ml.snapshot.leftovers import PATIENCE_S, remove_left_rows
from postgres_ml.tracking_child import open_run, read_job

if TYPE_CHECKING:
    from filelock import FileLock

    from postgres_ml.track.run import TrackedRun

    Run = TrackedRun | RemoteRun

KEPT = "What was trained is kept: the next build publishes it without training."
MARKING_S = 2.0  # to mark the MLflow run, when the parent is gone


def main(job_path: Path, descriptor: int | None = None) -> int:
    """Train what the job says; return the exit code.

    Parameters
    ----------
    job_path : a `TrainingJob` as JSON
    descriptor : of the socket to the process that keeps the MLflow run; None keeps it in this process
    """
    parent = Parent(job_path.parent)
    job = read_job(job_path)
    warnings.showwarning = parent.warn
    try:
        return _train(job, parent, _run_of(job, parent, descriptor))
    except FAILURES as error:
        parent.relay("debug", traceback.format_exc())
        failure = told(error, job.directory)
        if failure is None:
            raise
        parent.fail(*failure)
    finally:
        parent.end_run("FAILED", "the training process crashed")  # does nothing after an orderly end
    return 1


def _run_of(job: TrainingJob, parent: Parent, descriptor: int | None) -> Run:
    """Return the job's MLflow run, which another process opens meanwhile if there is one."""
    if descriptor is None:
        run: Run = _open_here(job, parent)
        parent.run = run
        parent.send({"event": "ready"})
    else:
        run = RemoteRun(
            job, descriptor, parent.relay, lambda _: parent.send({"event": "ready"}), parent.lose_tracking
        )
        parent.run = run
    return run


def _open_here(job: TrainingJob, parent: Parent) -> TrackedRun:
    """Open the run in this process, which ends if the store doesn't answer: nothing is trained yet."""
    importlib.import_module("postgres_ml.track.run")  # what that takes says nothing of the store
    timer = _after(ANSWER_S, parent.lose_tracking, silence(job.tracking_uri, ANSWER_S))
    try:
        return open_run(job)
    finally:
        timer.cancel()


def _train(job: TrainingJob, parent: Parent, run: Run) -> int:
    directory = Path(job.directory)
    file = directory / RESULT
    trained = json_file.read(TrainedModel, file) if job.resumes else None
    if trained is None:
        trained = _make(job, run, parent, parent.wait_for("train").get("source"))
        trained = dataclasses.replace(trained, trained_at=datetime.now(timezone.utc).isoformat())
        _keep(trained, file)  # before MLflow, which may be out of reach by now
    if trained.run is None or not trained.run.is_tracked:
        _keep(_track(run, trained, directory, parent), file)
        parent.send({"event": "trained", "file": str(file)})
    _draw(run, directory, parent)  # while dbt publishes
    command = parent.wait_for("published", "refused")
    if command["command"] == "published":
        run.publish(command["version"], command["details"])
    else:
        run.refuse(command["reason"])
    parent.run = None
    parent.send({"event": "done"})
    return 0


def _draw(run: Run, directory: Path, parent: Parent) -> None:
    if isinstance(run, RemoteRun):
        run.draw(directory)
    else:
        from postgres_ml.track.run import draw

        draw(run, directory, parent.relay)


def _make(job: TrainingJob, run: Run, parent: Parent, source: dict[str, Any] | None) -> TrainedModel:
    def run_id() -> str:
        try:
            return run.run_id
        except PostgresMLError:
            return ""  # what is trained is kept first; then `_track` meets the failure again

    if source is not None:
        from postgres_ml.cluster_training import train as train_on_cluster

        return train_on_cluster(job, run_id, parent.relay, source, parent.leaving)
    if job.spec.is_forecast:
        from postgres_ml.forecast.pipeline import train as make
    elif job.spec.source is None:
        from postgres_ml.pipeline import train as make
    else:
        from postgres_ml.external.pipeline import publish_external as make

    return make(job, run_id, parent.relay)


def _track(run: Run, trained: TrainedModel, directory: Path, parent: Parent) -> TrainedModel:
    from postgres_ml.process.report import Report

    report = Report(parent.relay)
    try:
        with report.phase("track"):
            uri = run.log(trained, directory)
    except (TrackingError, StorageError, TrainingProcessError) as error:
        raise type(error)(f"{error}\n{KEPT}") from error
    reference = RunReference(run.run_id, uri, is_tracked=True)
    return dataclasses.replace(trained, run=reference, seconds=trained.seconds | report.seconds)


def _keep(trained: TrainedModel, file: Path) -> None:
    """Write the result: it is there whole or not at all, whatever ends this process or the machine."""
    unfinished = file.with_suffix(".part")
    with unfinished.open("w", encoding="utf-8") as stream:
        stream.write(json_file.to_json(trained))
        stream.flush()
        os.fsync(stream.fileno())
    unfinished.replace(file)


class Parent:
    """The process at the other end of stdin and stdout.

    Parameters
    ----------
    directory : the job's

    Attributes
    ----------
    run : the MLflow run to mark when everything ends before its time; None before and after it
    leaving : what else there is to do then, in the second that is left
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.run: Run | None = None
        self.leaving: list[Callable[[], None]] = []
        self._commands: queue.Queue[dict[str, Any]] = queue.Queue()
        self._lock, self._marking = threading.Lock(), threading.RLock()
        self._seen: set[str] = set()
        self._folder: FileLock | None = None  # the lock of the job's, when dbt is gone
        # what libraries print goes to stderr, so that stdout carries nothing but events
        self._out = os.fdopen(os.dup(1), "wb", buffering=0)
        sys.stdout.flush()
        os.dup2(2, 1)
        threading.Thread(target=self._listen, daemon=True).start()

    def send(self, event: dict[str, Any]) -> None:
        """Send an event; a parent that is gone gets nothing."""
        with self._lock, contextlib.suppress(BrokenPipeError):
            self._out.write(json.dumps(event).encode() + b"\n")

    def relay(self, level: str, text: str, fields: dict[str, Any] | None = None) -> None:
        """Send a message for the user, and what it says as fields."""
        self.send({"event": "message", "level": level, "text": text, "fields": fields})

    def warn(self, message: Any, category: type[Warning], *_: Any, **__: Any) -> None:
        """Relay a Python warning, each text once: a loop over folds repeats it."""
        text = f"{category.__name__}: {message}"
        if text not in self._seen:
            self._seen.add(text)
            self.relay("library", text)

    def fail(self, kind: str, text: str) -> None:
        """End the MLflow run as FAILED, and report the error."""
        self.end_run("FAILED", text)
        self.send({"event": "error", "type": kind, "text": text})

    def lose_tracking(self, failure: PostgresMLError) -> None:
        """End this process, of which MLflow can't be told: the store doesn't open, or its process died."""
        if isinstance(failure, TrackingDiedError):
            sys.stderr.write(f"{failure}\n")  # what else there is to say, that process has written there
            sys.stderr.flush()
        else:
            self.fail(type(failure).__name__, str(failure))
        _after(MARKING_S, _kill_own_group)  # Dask's workers may not answer
        for leave in self.leaving:
            leave()
        os._exit(1)

    def end_run(self, status: str, reason: str) -> None:
        """End the MLflow run if it is still open; return when it is marked, whichever thread does that.

        A training that `_leave` takes the snapshot away from fails at once, and must not end this process
        while the other thread is telling MLflow.
        """
        with self._marking:
            run, self.run = self.run, None
            if run is not None:
                with contextlib.suppress(PostgresMLError):  # the store may be what failed
                    run.end(status, reason)

    def wait_for(self, *names: str) -> dict[str, Any]:
        """Return the first of these commands that comes."""
        while True:
            command = self._commands.get()
            if command["command"] in names:
                return command

    def _listen(self) -> None:
        for line in read_lines(0):
            command = json.loads(line)
            if command["command"] == "abandon":
                self._leave("FAILED", command["reason"], 0.0)  # dbt, which lives, holds the folder's lock
            self._commands.put(command)
            if command["command"] in ("published", "refused"):
                return  # a parent that leaves now has had all it wanted
        self._leave("KILLED", "dbt's process ended", PATIENCE_S)

    def _leave(self, status: str, reason: str, patience_s: float) -> None:
        """End this process and its children now; the MLflow run gets two seconds to be marked.

        Parameters
        ----------
        patience_s : for the folder's lock, under which rows that dbt left are removed
        """
        _after(MARKING_S, _kill_own_group)
        with self._marking:
            # a dbt that was killed can't; the lock is held until the end, since this process still trains
            self._folder = remove_left_rows(self.directory, patience_s)
            self.end_run(status, reason)
            for leave in self.leaving:
                leave()
        _kill_own_group()


def _after(seconds: float, do: Callable[..., None], *arguments: Any) -> threading.Timer:
    """Start a timer that keeps no process alive."""
    timer = threading.Timer(seconds, do, arguments)
    timer.daemon = True
    timer.start()
    return timer


def _kill_own_group() -> None:
    if sys.platform != "win32" and os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
