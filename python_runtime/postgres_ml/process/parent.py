"""The parent's handle on the training child: start it, talk with it, end it.

Stdlib only: it runs in dbt's process. Both directions of the talk are JSON lines: commands into the child's
stdin, events out of its stdout. An end of stdin means that the parent has died, and ends the child.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from postgres_ml.contract import json_file
from postgres_ml.contract.exceptions import (
    PostgresMLError,
    StorageError,
    TrainingCancelledError,
    TrainingProcessError,
)
from postgres_ml.contract.job import TrainingJob
from postgres_ml.contract.model import TrainedModel
from postgres_ml.contract.redact import without_secrets
from postgres_ml.process import fork_server
from postgres_ml.process.environment import absolute_uri
from postgres_ml.process.lines import as_told, unstarted_text
from postgres_ml.process.memory import SHORTAGE, peak_bytes, use_text
from postgres_ml.process.processes import ForkedProcess, OwnProcess
from postgres_ml.process.remote_run import TrackingDiedError

POLL_S = 0.1
PATIENCE_S = 3.0  # for a child that was told to end, which marks its MLflow run first
FINISH_S = 60.0  # for MLflow after the publication, which takes under a second where it answers
LAST_LINES = 12
MEMORY_CURE = (
    "If most of the memory was the training's, train on less (settings: max_cells, fewer columns); if not, "
    "run fewer threads at once, end what else takes it, or give the machine more"
)

OnMessage = Callable[[str, str, dict[str, Any] | None], None]


class TrainingProcess:
    """A training in a process of its own, in its own process group.

    Methods are called from one thread; so is `on_message`, whichever way a message came.

    Parameters
    ----------
    job : written to `job.json` in its directory
    on_message : takes (level, text, fields or None); the levels are those of `report`
    is_cancelled : polled every 0.1 s while waiting
    """

    def __init__(self, job: TrainingJob, on_message: OnMessage, is_cancelled: Callable[[], bool]) -> None:
        self.job = dataclasses.replace(job, tracking_uri=absolute_uri(job.tracking_uri))
        self.on_message, self.is_cancelled = on_message, is_cancelled
        self._process: ForkedProcess | OwnProcess | None = None
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        self._last_lines: list[str] = []
        self._readers: list[threading.Thread] = []
        self._stderr_level = "library"
        self._peak: int | None = None

    def start(self) -> None:
        """Start the child, which imports its libraries and opens MLflow while the parent copies rows.

        Raises
        ------
        StorageError
            The job can't be written.
        TrainingProcessError
            The child can't be started.
        """
        path = Path(self.job.directory) / "job.json"
        try:
            # the file may stay behind and be archived by a CI: the store's password goes by the environment
            shown = dataclasses.replace(self.job, tracking_uri=without_secrets(self.job.tracking_uri))
            path.write_text(json_file.to_json(shown), encoding="utf-8")
        except OSError as error:
            raise StorageError(f"the training job can't be written to {path}: {error.strerror}") from error
        try:
            self._process = fork_server.take(path, self.job.tracking_uri)
        except OSError as error:
            raise TrainingProcessError(unstarted_text(error)) from error
        assert self._process.stdout is not None and self._process.stderr is not None
        self._readers = [
            threading.Thread(target=self._read_events, args=(self._process.stdout,), daemon=True),
            threading.Thread(target=self._read_errors, args=(self._process.stderr,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    @property
    def is_running(self) -> bool:
        """Whether the child was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def wait_ready(self) -> None:
        """Return when the child has opened MLflow.

        Raises
        ------
        TrackingError
            The tracking store can't be reached or written.
        TrainingCancelledError, TrainingProcessError
        """
        self._wait_for("ready")

    def train(self, source: dict[str, Any] | None = None) -> TrainedModel:
        """Let the child train on the snapshot, which is complete now, and return its result.

        Parameters
        ----------
        source : where Dask's workers read the rows, with what they connect by; it is in no file

        Raises
        ------
        TrainingDataError, SpecError, UnsupportedModelError, TrackingError, StorageError
            As the child reports it.
        TrainingCancelledError
            `is_cancelled` became true; the child's process group has been ended.
        TrainingProcessError
            The child died.
        """
        self._send({"command": "train", "source": source})
        event = self._wait_for("trained")
        return json_file.read(TrainedModel, Path(event["file"]))

    def published(self, version: int, details: dict[str, str]) -> None:
        """Let the child mark its run as published under this version, and wait for its end.

        Raises
        ------
        TrackingError
            MLflow can't be written any more; the published function isn't touched by that.
        TrainingProcessError
            The child died.
        """
        self._conclude({"command": "published", "version": version, "details": details})

    def refuse(self, reason: str) -> None:
        """Let the child mark its run as refused, with the reason, and wait for its end.

        Raises
        ------
        TrackingError, TrainingProcessError
            As `published`.
        """
        self._conclude({"command": "refused", "reason": reason})

    def _conclude(self, command: dict[str, Any]) -> None:
        self._stderr_level = "debug"  # the outcome is told in one line, and MLflow's tracebacks aren't that
        self._send(command)
        try:
            self._wait_for("done", time.monotonic() + FINISH_S)
        finally:
            self._end(patience=0.0)  # nothing is left to do but a second of Python's own clearing up

    def abandon(self, reason: str) -> None:
        """End the child; its MLflow run ends as FAILED, with the reason. Does nothing if it has ended."""
        if self._process is None or self._process.poll() is not None:
            self._end()
            return
        with contextlib.suppress(PostgresMLError):  # it ended in the meantime
            self._send({"command": "abandon", "reason": reason})
        self._end()

    def _send(self, command: dict[str, Any]) -> None:
        assert self._process is not None and self._process.stdin is not None, "start comes first"
        try:
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError) as error:  # ValueError: closed before
            raise self._death() from error

    def _wait_for(self, name: str, deadline: float | None = None) -> dict[str, Any]:
        """Relay messages until the event comes."""
        while True:
            if self.is_cancelled():
                self.abandon("cancelled")
                raise TrainingCancelledError("cancelled: the training was stopped")
            if deadline is not None and time.monotonic() > deadline:
                raise TrainingProcessError(f"the training process didn't answer within {FINISH_S:.0f} s")
            self._watch_memory()
            try:
                event = self._events.get(timeout=POLL_S)
            except queue.Empty:
                continue
            kind = event["event"]
            if kind == "message":
                self.on_message(event["level"], event["text"], event.get("fields"))
            elif kind in ("error", "end"):
                raise self._death(event)
            elif kind == name:
                return event

    def _watch_memory(self) -> None:
        """Note how much memory the child has used: when it has been killed, nobody knows any more."""
        assert self._process is not None
        if self._process.pid is not None:
            self._peak = peak_bytes(self._process.pid) or self._peak

    def _death(self, event: dict[str, Any] | None = None) -> PostgresMLError:
        """Return what the child reported last, or how it died; relay what it said meanwhile."""
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE_S)
        self._end()
        errors = [event] if event is not None and event["event"] == "error" else []
        while not self._events.empty():
            event = self._events.get()
            if event["event"] == "message":
                self.on_message(event["level"], event["text"], event.get("fields"))
            elif event["event"] == "error":
                errors.append(event)
        if errors:
            return as_told(errors[0]["type"], self._explained(errors[0]))
        if self._process.returncode is None:  # it was to be forked, and nobody can tell how that ended
            return TrainingProcessError(f"the training process didn't start{_below(self._last_lines)}")
        return TrainingProcessError(death_text(self._process.returncode, self._last_lines, self._peak))

    def _explained(self, error: dict[str, Any]) -> str:
        """Return the text of a reported error; where the process that tells MLflow died, with its last lines.

        The training can't see them: they come here, as its own do.
        """
        text: str = error["text"]
        lines = _below(self._last_lines)
        if error["type"] != TrackingDiedError.__name__ or not SHORTAGE.search(lines):
            return text
        return f"{text}\nIt had not enough memory. {MEMORY_CURE}{lines}"

    def _end(self, patience: float = PATIENCE_S) -> None:
        """Close the child's stdin, which ends it; after `patience` seconds kill its whole group."""
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # the child is gone, with it what was left to write
                process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
        process.kill_group()
        process.wait()
        for reader, stream in zip(self._readers, (process.stdout, process.stderr), strict=False):
            reader.join(PATIENCE_S)
            if stream is not None and not reader.is_alive():
                stream.close()

    def _read_events(self, stream: IO[bytes]) -> None:
        with contextlib.suppress(ValueError):  # the line that a child was killed in, which is its last
            for line in stream:
                event = json.loads(line)
                if "text" in event:  # MLflow's errors quote URLs
                    event["text"] = without_secrets(event["text"])
                self._events.put(event)
        self._events.put({"event": "end"})

    def _read_errors(self, stream: IO[bytes]) -> None:
        for line in stream:
            text = without_secrets(line.decode("utf-8", "replace").rstrip())
            if text:
                self._last_lines = [*self._last_lines, text][-LAST_LINES:]
                self._events.put({"event": "message", "level": self._stderr_level, "text": text})


def death_text(code: int, last_lines: list[str], peak: int | None = None) -> str:
    """Return how the child died, and what to do about it.

    Parameters
    ----------
    code : exit code; negative is the signal's number
    peak : bytes of memory it had at most when it was last looked at; None where that isn't known
    """
    lines = _below(last_lines)
    if code in (-signal.SIGKILL, 137):
        return (
            f"the training process was killed (SIGKILL){use_text(peak)}: most likely the machine or its "
            f"container ran out of memory. {MEMORY_CURE}"
        )
    if code != 0 and SHORTAGE.search(lines):
        return f"the training process had not enough memory{use_text(peak)}. {MEMORY_CURE}{lines}"
    if code < 0:
        cause = f"was ended by {signal.Signals(-code).name}"
    else:
        cause = f"ended without a result (exit code {code})"
    return f"the training process {cause}{lines}"


def _below(last_lines: list[str]) -> str:
    """Return what the child wrote last, to stand below a sentence."""
    return "".join(f"\n{line}" for line in last_lines)
