"""The MLflow run of a training as the training sees it: another process keeps it (`tracking_child`).

So a training needs no MLflow: it begins while the other process still imports that and opens the store. Both
send lines of JSON over a socket, whose end is the other's end. Stdlib only.
"""

from __future__ import annotations

import itertools
import json
import queue
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from postgres_ml.contract import json_file
from postgres_ml.contract.exceptions import PostgresMLError, TrackingError, TrainingProcessError
from postgres_ml.contract.job import TrainingJob
from postgres_ml.contract.model import TrainedModel
from postgres_ml.contract.redact import without_secrets
from postgres_ml.process.lines import as_told, read_lines
from postgres_ml.process.report import Relay

ANSWER_S = 50.0  # for a store to answer: less than dbt's patience after the publication, to name the store
LOG_S = 900.0  # for the files: a large pipeline goes up for minutes
ENDED = "the process that tells MLflow of the training ended unexpectedly"


class TrackingDiedError(TrainingProcessError):
    """The other process ended, and said nothing of why."""


class RemoteRun:
    """A `TrackedRun` that another process opens and keeps. Methods may be called from any thread.

    Parameters
    ----------
    job : with the store's URI
    descriptor : of the socket to that process
    relay : takes what it says to the user
    on_open : called with the run's id when the store is open
    on_failure : called with a failure that nobody waits for: the store can't be opened, the process is gone
    """

    def __init__(
        self,
        job: TrainingJob,
        descriptor: int,
        relay: Relay,
        on_open: Callable[[str], None],
        on_failure: Callable[[PostgresMLError], None],
    ) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._relay, self._on_open, self._on_failure = relay, on_open, on_failure
        self._numbers, self._lock = itertools.count(), threading.Lock()
        self._answers: dict[int, queue.SimpleQueue[dict[str, Any]]] = {}
        self._begun, self._opened, self._run_id = threading.Event(), threading.Event(), ""
        self._is_through, self._uri = False, job.tracking_uri
        self._failure: PostgresMLError | None = None
        self._send({"call": "open", "job": json_file.to_json(job)})
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def run_id(self) -> str:
        """The run's id, waited for until the store is open.

        Who asks has trained: what goes wrong from now on no longer ends the training, but is raised.

        Raises
        ------
        PostgresMLError
            It can't be opened, or doesn't answer.
        """
        self._is_through = True
        self._begun.wait()  # what MLflow's import takes says nothing of the store
        if not self._opened.wait(ANSWER_S):
            self._lose(silence(self._uri, ANSWER_S))
        if self._failure is not None:
            raise self._failure
        return self._run_id

    def log(self, trained: TrainedModel, directory: Path) -> str:
        """Have everything about the training logged but what is drawn; return the model's URI.

        Parameters
        ----------
        trained : as the job's folder keeps it

        Raises
        ------
        TrackingError, StorageError, TrainingProcessError
        """
        _ = self.run_id  # an open store has been asked already whether it answers
        uri: str = self._ask("log", LOG_S)
        return uri

    def draw(self, directory: Path) -> None:
        """Have plots and card drawn and logged; doesn't wait for that, and no failure is raised."""
        self._send({"call": "draw"})

    def publish(self, version: int, details: dict[str, str]) -> None:
        """Have the pipeline registered as this version, and the run ended.

        Raises
        ------
        TrackingError, TrainingProcessError
        """
        self._ask("publish", ANSWER_S, version=version, details=details)

    def refuse(self, reason: str) -> None:
        """Have the run ended as FINISHED with the tag `refused`.

        Raises
        ------
        TrackingError, TrainingProcessError
        """
        self._ask("refuse", ANSWER_S, reason=reason)

    def end(self, status: str, reason: str) -> None:
        """Have the run ended as FAILED or KILLED; of a run that couldn't be opened nothing is told.

        Raises
        ------
        TrackingError, TrainingProcessError
        """
        self._begun.wait()
        if self._failure is None:
            self._ask("end", ANSWER_S, status=status, reason=reason)

    def _ask(self, call: str, patience_s: float, **arguments: Any) -> Any:
        answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        with self._lock:
            number = next(self._numbers)
            self._answers[number] = answers
        self._send({"call": call, "number": number, "arguments": arguments})
        try:
            answer = answers.get(timeout=patience_s)
        except queue.Empty:
            self._lose(silence(self._uri, patience_s))
            answer = answers.get()
        if "error" in answer:
            raise as_told(answer["error"], answer["text"])
        return answer["result"]

    def _send(self, request: dict[str, Any]) -> None:
        with self._lock:
            failure = self._failure
            if failure is None:
                try:
                    self._socket.sendall(json.dumps(request).encode() + b"\n")
                except (BrokenPipeError, ConnectionResetError):
                    failure = TrackingDiedError(ENDED)
        if failure is not None and "number" in request:
            self._answer(request["number"], _as_answer(failure))

    def _answer(self, number: int, answer: dict[str, Any]) -> None:
        with self._lock:
            waiting = self._answers.pop(number, None)
        if waiting is not None:
            waiting.put(answer)

    def _listen(self) -> None:
        for line in read_lines(self._socket.fileno()):
            told = json.loads(line)
            if "message" in told:
                self._relay(*told["message"])
            elif "number" in told:
                self._answer(told["number"], told)
            elif "error" in told:
                self._lose(as_told(told["error"], told["text"]))
            elif "opens" in told:
                self._begun.set()
            else:
                self._run_id = told["run_id"]
                self._begun.set()
                self._opened.set()
                self._on_open(self._run_id)
        self._lose(TrackingDiedError(ENDED))
        self._socket.close()

    def _lose(self, failure: PostgresMLError) -> None:
        """Fail for good: whoever waits for an answer is told; if nobody will, the training is ended.

        Of an open run somebody will, when the training is done and kept.
        """
        with self._lock:
            is_first = self._failure is None
            self._failure = self._failure or failure
            waiting = list(self._answers)
        self._begun.set()
        self._opened.set()
        for number in waiting:
            self._answer(number, _as_answer(failure))
        if not is_first or waiting or self._is_through:
            return
        if self._run_id:
            self._relay("warning", f"{failure}; the training goes on, and MLflow will not know of it", None)
        else:
            self._on_failure(failure)


def silence(tracking_uri: str, seconds: float) -> TrackingError:
    """Return the failure of a store that has not answered in this time."""
    return TrackingError(
        f"MLflow at {without_secrets(tracking_uri)} can't be used: no answer within {seconds:.0f} s\n"
        "Look whether it is overloaded or locked, or set another mlflow_tracking_uri in the profile."
    )


def _as_answer(failure: PostgresMLError) -> dict[str, Any]:
    return {"error": type(failure).__name__, "text": str(failure)}
