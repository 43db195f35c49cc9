"""The handle on a run that another process keeps: answers, failures and ends come to whom they concern."""

from __future__ import annotations

import json
import queue
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from postgres_ml.contract import json_file
from postgres_ml.contract.exceptions import PostgresMLError, TrackingError, TrainingProcessError
from postgres_ml.contract.job import TrainingJob
from postgres_ml.process import remote_run
from postgres_ml.process.remote_run import RemoteRun, TrackingDiedError
from support.training import column, make_job

PATIENCE_S = 10.0


class Other:
    """The process at the other end, played by the test."""

    def __init__(self) -> None:
        ours, self.socket = socket.socketpair()
        self.lines = self.socket.makefile("rb")
        self.said: list[tuple[Any, ...]] = []
        self.opened: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.failures: queue.SimpleQueue[PostgresMLError] = queue.SimpleQueue()
        job = make_job(Path("/nowhere"), (column("x"),), column("y"))
        self.run = RemoteRun(
            job, ours.detach(), lambda *line: self.said.append(line), self.opened.put, self.failures.put
        )

        opens = self.asked()
        assert opens["call"] == "open"
        assert json_file.from_json(TrainingJob, opens["job"]) == job

    def tell(self, **line: Any) -> None:
        self.socket.sendall(json.dumps(line).encode() + b"\n")

    def asked(self) -> dict[str, Any]:
        return json.loads(self.lines.readline())

    def close(self) -> None:
        self.lines.close()
        self.socket.close()


@pytest.fixture
def other() -> Iterator[Other]:
    made = Other()
    yield made
    made.close()


def in_thread(call: Any) -> queue.SimpleQueue[Any]:
    outcome: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def run() -> None:
        try:
            outcome.put(call())
        except PostgresMLError as error:
            outcome.put(error)

    threading.Thread(target=run, daemon=True).start()
    return outcome


def test_the_id_is_waited_for(other: Other) -> None:
    found = in_thread(lambda: other.run.run_id)
    assert found.empty()
    other.tell(message=["library", "slow", None])
    other.tell(run_id="r1")
    assert found.get(timeout=PATIENCE_S) == other.opened.get(timeout=PATIENCE_S) == "r1"
    assert other.said == [("library", "slow", None)]


def test_answers_go_to_who_asked(other: Other) -> None:
    other.tell(run_id="r1")
    logs = in_thread(lambda: other.run.log(None, Path()))  # type: ignore[arg-type]  # the file has it
    first = other.asked()
    ends = in_thread(lambda: other.run.end("FAILED", "why"))
    second = other.asked()
    assert (first["call"], second["call"]) == ("log", "end")
    assert second["arguments"] == {"status": "FAILED", "reason": "why"}
    other.tell(number=second["number"], result=None)
    assert ends.get(timeout=PATIENCE_S) is None and logs.empty()
    other.tell(number=first["number"], result="models:/m-1")
    assert logs.get(timeout=PATIENCE_S) == "models:/m-1"


def test_an_error_is_raised_in_its_class(other: Other) -> None:
    found = in_thread(lambda: other.run.publish(3, {}))
    other.tell(number=other.asked()["number"], error="TrackingError", text="the store is gone")
    error = found.get(timeout=PATIENCE_S)
    assert type(error) is TrackingError and str(error) == "the store is gone"
    assert other.failures.empty()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_run, "ANSWER_S", 0.1)
    monkeypatch.setattr(remote_run, "LOG_S", 0.1)


@pytest.mark.usefixtures("impatient")
def test_a_store_that_never_opens_is_an_error_of_who_has_trained(other: Other) -> None:
    found = in_thread(lambda: other.run.run_id)
    with pytest.raises(queue.Empty):
        found.get(timeout=1.0)  # MLflow is being imported, however long that takes
    other.tell(opens="shop")
    error = found.get(timeout=PATIENCE_S)
    assert type(error) is TrackingError
    assert "MLflow at sqlite:////nowhere/mlflow.db can't be used: no answer within" in str(error)
    with pytest.raises(TrackingError, match="no answer"):
        other.run.log(None, Path())  # type: ignore[arg-type]
    other.run.end("FAILED", "nothing is open, so nothing is asked")
    assert other.failures.empty()  # the training is not ended for it: its result has to be kept


def test_a_store_that_fails_when_it_is_needed_is_an_error_of_who_has_trained(other: Other) -> None:
    found = in_thread(lambda: other.run.run_id)
    while not other.run._is_through:
        time.sleep(0.01)
    other.tell(error="TrackingError", text="timeout expired")
    assert type(found.get(timeout=PATIENCE_S)) is TrackingError
    assert other.failures.empty()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("call", ["log", "publish", "refuse", "end"])
def test_a_store_that_stops_answering_is_an_error_of_who_asks(other: Other, call: str) -> None:
    arguments = {"log": (None, Path()), "publish": (3, {}), "refuse": ("gates",), "end": ("FAILED", "why")}
    other.tell(run_id="r1")
    assert other.opened.get(timeout=PATIENCE_S) == "r1"
    found = in_thread(lambda: getattr(other.run, call)(*arguments[call]))
    assert type(found.get(timeout=PATIENCE_S)) is TrackingError


def test_drawing_is_not_waited_for(other: Other) -> None:
    other.run.draw(Path())
    assert other.asked() == {"call": "draw"}


def test_a_store_that_does_not_open_is_told_though_nobody_asks(other: Other) -> None:
    other.tell(error="TrackingError", text="no such host")
    assert type(other.failures.get(timeout=PATIENCE_S)) is TrackingError
    with pytest.raises(TrackingError, match="no such host"):
        _ = other.run.run_id
    other.run.end("FAILED", "nothing is open, so nothing is asked")


def test_the_others_end_is_an_error_of_who_asks(other: Other) -> None:
    found = in_thread(lambda: other.run.refuse("gates"))
    other.asked()
    other.close()
    assert isinstance(found.get(timeout=PATIENCE_S), TrainingProcessError)
    assert isinstance(in_thread(lambda: other.run.refuse("again")).get(timeout=PATIENCE_S), PostgresMLError)
    assert other.failures.empty()


def test_the_others_end_is_told_though_nobody_asks(other: Other) -> None:
    other.close()
    assert isinstance(other.failures.get(timeout=PATIENCE_S), TrackingDiedError)


def test_the_others_end_ends_no_training_whose_run_is_open(other: Other) -> None:
    other.tell(run_id="r1")
    assert other.opened.get(timeout=PATIENCE_S) == "r1"
    other.close()
    deadline = time.monotonic() + PATIENCE_S
    while not other.said and time.monotonic() < deadline:
        time.sleep(0.01)
    [(level, text, _)] = other.said
    assert level == "warning" and "ended unexpectedly; the training goes on" in text
    with pytest.raises(TrainingProcessError, match="ended unexpectedly"):
        other.run.log(None, Path())  # type: ignore[arg-type]
    assert other.failures.empty()
