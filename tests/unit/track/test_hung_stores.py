"""Stores that accept a connection and never answer: what opens them fails in time, or ends when told to."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy
from filelock import FileLock
from postgres_ml.contract import json_file
from postgres_ml.track import store
from support.training import column, make_job

PATIENCE_S = 120.0


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield server.getsockname()[1]


def test_a_silent_postgres_is_told(silent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "ANSWER_S", 2)
    with pytest.raises(sqlalchemy.exc.OperationalError, match="timeout expired"):
        store.open_experiment(f"postgresql://u:p@127.0.0.1:{silent}/ml", "shop")


def test_a_users_own_patience_wins(silent: int) -> None:
    with pytest.raises(sqlalchemy.exc.OperationalError, match="timeout expired"):
        store.open_experiment(f"postgresql://u:p@127.0.0.1:{silent}/ml?connect_timeout=2", "shop")


@pytest.mark.parametrize(
    ("uri", "names"),
    [
        ("mysql+pymysql://h/ml", {"connect_timeout", "read_timeout", "write_timeout"}),
        ("mysql://h/ml", {"connect_timeout", "read_timeout", "write_timeout"}),
        ("mysql+mysqlconnector://h/ml", {"connection_timeout"}),
        ("mssql+pyodbc://h/ml", {"timeout"}),
        ("mssql+pymssql://h/ml?timeout=3", {"login_timeout"}),
        ("postgresql+pg8000://h/ml", {"timeout"}),
    ],
)
def test_each_driver_is_told_in_its_own_words(
    monkeypatch: pytest.MonkeyPatch, uri: str, names: set[str]
) -> None:
    told: dict[str, int] = {}

    class Engine:
        def connect(self) -> Engine:
            return self

        def close(self) -> None:
            pass

    def create_engine(url: object, connect_args: dict[str, int]) -> Engine:
        told.update(connect_args)
        return Engine()

    monkeypatch.setattr(sqlalchemy, "create_engine", create_engine)
    store._check_database(uri)
    assert told == dict.fromkeys(names, store.ANSWER_S)


def test_tables_are_not_waited_for_before_there_is_a_run(tmp_path: Path) -> None:
    with FileLock(tmp_path / "mlflow.db.lock"):  # another process makes them
        store.make_tables(f"sqlite:///{tmp_path}/mlflow.db")


@pytest.mark.parametrize("is_ended_before", [False, True])
def test_what_opens_a_store_ends_with_the_training(tmp_path: Path, is_ended_before: bool) -> None:
    code = """
        import sys, time
        from postgres_ml import tracking_child
        tracking_child.open_run = lambda job: time.sleep(10000)
        tracking_child.main(int(sys.argv[1]))
    """
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            env={**os.environ},
        )
    with ours, ours.makefile("rb") as lines:
        job = make_job(tmp_path, (column("x"),), column("y"))
        ours.sendall(json.dumps({"call": "open", "job": json_file.to_json(job)}).encode() + b"\n")
        assert json.loads(lines.readline()) == {"opens": job.experiment}
        if is_ended_before:
            arguments = {"status": "FAILED", "reason": "no rows"}
            ours.sendall(json.dumps({"call": "end", "number": 0, "arguments": arguments}).encode() + b"\n")
    try:
        assert process.wait(PATIENCE_S) == 1
    finally:
        process.kill()
