"""The process that tells MLflow of one training: opens the store while that trains, logs, draws, registers.

`process.remote_run` is the training's side. Requests are done one after the other, except that the run is
ended at once: by a request, or because the training has died, which ends this process as well.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import os
import queue
import socket
import sys
import threading
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from postgres_ml.contract import json_file
from postgres_ml.contract.exceptions import PostgresMLError, TrainingProcessError
from postgres_ml.contract.job import RESULT, TRACKING_URI, TrainingJob
from postgres_ml.contract.model import TrainedModel
from postgres_ml.process.lines import FAILURES, LATER, read_lines, told

if TYPE_CHECKING:
    from postgres_ml.track.run import TrackedRun

MARKING_S = 2.0  # to mark the MLflow run, when the training is gone
DIED = "the training process died"


def read_job(path: Path) -> TrainingJob:
    """Return a job with the tracking store's URI, whose password is in no file."""
    job = json_file.read(TrainingJob, path)
    return dataclasses.replace(job, tracking_uri=os.environ.get(TRACKING_URI, job.tracking_uri))


def open_run(job: TrainingJob) -> TrackedRun:
    """Return the MLflow run of a job, begun or taken up.

    Raises
    ------
    TrackingError
        The tracking store can't be reached or written.
    """
    from postgres_ml.track.run import TrackedRun  # heavy: MLflow comes in with it

    earlier = json_file.read(TrainedModel, Path(job.directory) / RESULT).run if job.resumes else None
    return TrackedRun.open(job) if earlier is None else TrackedRun.resume(job, earlier)


def main(descriptor: int) -> int:
    """Keep the run of a job until the training is done with it; return the exit code.

    Parameters
    ----------
    descriptor : of the socket to the training, which says what the job is
    """
    training = Training(descriptor)
    warnings.showwarning = training.warn
    return training.serve()


class Training:
    """The training at the other end of the socket, and its run.

    Parameters
    ----------
    descriptor : of the socket
    """

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._directory = Path()  # the job's
        self._requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._lock, self._marking, self._opened = threading.Lock(), threading.Lock(), threading.Event()
        self._run: TrackedRun | None = None
        threading.Thread(target=self._listen, daemon=True).start()

    def warn(self, message: Any, category: type[Warning], *_: Any, **__: Any) -> None:
        """Relay a Python warning."""
        self._relay("library", f"{category.__name__}: {message}")

    def serve(self) -> int:
        """Open the run, then do what is asked; `_listen` ends the process."""
        try:
            job = json_file.from_json(TrainingJob, self._requests.get()["job"])  # the first opens the run
            self._directory = Path(job.directory)
            self._send({"opens": job.experiment})
            run = self._run = open_run(job)
        except FAILURES as error:
            self._send(self._described(error))
            return 1
        finally:
            self._opened.set()
        self._send({"run_id": run.run_id})
        _import_the_rest()
        while True:
            request = self._requests.get()
            if request["call"] == "draw":
                self._draw(run)
                continue
            try:
                result = self._do(run, request["call"], request["arguments"])
                self._send({"number": request["number"], "result": result})
            except FAILURES as error:
                self._send({"number": request["number"], **self._described(error)})

    def _do(self, run: TrackedRun, call: str, arguments: dict[str, Any]) -> str | None:
        directory = self._directory
        if call == "log":
            return run.log(json_file.read(TrainedModel, directory / RESULT), directory)
        with self._marking:  # a training that dies meanwhile doesn't make it a failed run
            if call == "publish":
                run.publish(**arguments)
            else:
                run.refuse(**arguments)
            self._run = None
        return None

    def _draw(self, run: TrackedRun) -> None:
        from postgres_ml.track.run import draw

        draw(run, self._directory, self._relay)

    def _relay(self, level: str, text: str, fields: dict[str, Any] | None = None) -> None:
        self._send({"message": [level, text, fields]})

    def _send(self, answer: dict[str, Any]) -> None:
        with self._lock, contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it is gone
            self._socket.sendall(json.dumps(answer).encode() + b"\n")

    def _described(self, error: BaseException) -> dict[str, Any]:
        self._relay("debug", traceback.format_exc())
        unknown = (TrainingProcessError.__name__, f"telling MLflow failed: {type(error).__name__}: {error}")
        kind, text = told(error, str(self._directory)) or unknown
        return {"error": kind, "text": text}

    def _listen(self) -> None:
        for line in read_lines(self._socket.fileno()):
            request = json.loads(line)
            if request["call"] != "end":
                self._requests.put(request)
                continue
            # by another thread: this one has to see the socket's end while a store doesn't answer
            threading.Thread(target=self._end_asked, args=(request,), daemon=True).start()
        timer = threading.Timer(MARKING_S, os._exit, (1,))
        timer.daemon = True
        timer.start()
        self._end("FAILED", DIED)
        sys.stderr.flush()
        os._exit(0)

    def _end_asked(self, request: dict[str, Any]) -> None:
        self._end(**request["arguments"])
        self._send({"number": request["number"], "result": None})

    def _end(self, status: str, reason: str) -> None:
        """Mark the run if it is still open, when it is opened."""
        self._opened.wait()
        with self._marking:
            run, self._run = self._run, None
            if run is not None:
                with contextlib.suppress(PostgresMLError):  # the store may be what failed
                    run.end(status, reason)


def _import_the_rest() -> None:
    with contextlib.suppress(*FAILURES):  # whoever needs it meets the error again, and reports it
        for module in LATER:
            importlib.import_module(module)
