"""kill -9 of the worker, its child, the training and the server: no model is lost, none is published twice.

Each job is of other rows, so each that is READY is a version of its own; a reader predicts all the while.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from postgres_ml import embedded
from postgres_ml.embedded import ServerAddress
from support.embedded_servers import scratch
from support.killing import kill, kill_children
from support.sql_clients import QUICK, SqlClients

CONFIG = json.dumps({**json.loads(QUICK), "settings": {"keep_versions": 1000}})
VICTIMS = ("worker", "child", "training", "server")
SHORT, LONG = 4, int(os.environ.get("POSTGRES_ML_KILLS", "50"))
DONE_S = 120.0  # and for each kill 60: the jobs are of one model, so they run one after the other


class Reader(threading.Thread):
    """Predicts all the time; a server that is down is no error of a reader's."""

    def __init__(self, clients: SqlClients) -> None:
        super().__init__(daemon=True)
        self.clients, self.over, self.n = clients, threading.Event(), 0
        self.errors: list[BaseException] = []

    def run(self) -> None:
        while not self.over.is_set():
            with contextlib.suppress(psycopg2.OperationalError, psycopg2.InterfaceError):
                self.predict()
            self.over.wait(0.2)

    def predict(self) -> None:
        with closing(self.clients.connect(self.clients.analyst)) as connection, connection.cursor() as cursor:
            while not self.over.wait(0.05):
                try:
                    cursor.execute("select ml.predict_killed(3)")
                    assert cursor.fetchall()[0][0] is not None
                except (psycopg2.ProgrammingError, psycopg2.InternalError, AssertionError) as error:
                    self.errors.append(error)
                self.n += 1


class Killed:
    """A server of its own, two workers, and jobs."""

    def __init__(self, directory: Path, folder: Path) -> None:
        self.directory, self.folder = directory, folder
        self.clients = SqlClients(self.serve(), folder / "w0", "kill")
        self.names = itertools.count(1)
        self.random = random.Random(15)

    def serve(self) -> ServerAddress:
        return embedded.keep(self.directory)

    def start(self) -> None:
        self.clients.make()
        for _ in range(2):
            self.start_worker()
        first = self.clients.create("ml.killed", "select a, y from ml.measurements", CONFIG)
        assert self.clients.wait(first, seconds=300) == "READY"

    def start_worker(self) -> None:
        process = self.clients.start_worker(folder=self.folder / f"w{next(self.names)}")
        threading.Thread(target=process.stderr.read, daemon=True).start()  # type: ignore[union-attr]  # a pipe

    @property
    def living(self) -> list[subprocess.Popen[str]]:
        return [process for process in self.clients.workers if process.poll() is None]

    def strike(self, victim: str) -> None:
        if victim == "server":
            found = embedded.describe(self.directory)
            assert found.pid is not None
            kill(found.pid)
            time.sleep(0.5)
            self.serve()
            return
        for process in self.living:
            if victim == "worker":
                kill(process.pid)
                process.wait(30)
                self.start_worker()
                return
            kill_children(process.pid, deep=victim == "training")

    def states(self) -> dict[int, tuple[str, str | None]]:
        try:
            return self.clients.states()
        except psycopg2.Error:
            return {0: ("TRAINING", None)}

    def wait_for_all(self) -> dict[int, tuple[str, str | None]]:
        deadline = time.monotonic() + DONE_S + 60.0 * len(self.states())
        while any(state == "TRAINING" for state, _ in self.states().values()):
            assert time.monotonic() < deadline, self.states()
            time.sleep(0.5)
        return self.states()


@pytest.fixture
def killed(tmp_path: Path) -> Iterator[Killed]:
    directory = scratch()
    made = Killed(directory, tmp_path)
    try:
        made.start()
        yield made
    finally:
        for process in made.living:
            SqlClients.end(process, signal.SIGKILL)
        embedded.stop(directory)
        shutil.rmtree(directory)


@pytest.mark.parametrize("moments", [SHORT, pytest.param(LONG, marks=pytest.mark.faults)])
def test_kills_lose_nothing_and_publish_nothing_twice(
    killed: Killed, moments: int, record_property: Callable[[str, object], None]
) -> None:
    reader = Reader(killed.clients)
    reader.start()
    jobs = []
    for moment, victim in zip(range(1, moments + 1), itertools.cycle(VICTIMS), strict=False):
        jobs.append(
            killed.clients.create("ml.killed", f"select a, y from ml.measurements where a > {moment}", CONFIG)
        )
        time.sleep(killed.random.uniform(0.0, 12.0))
        killed.strike(victim)
    states = killed.wait_for_all()
    reader.over.set()
    reader.join(10)
    assert reader.errors == [] and reader.n > 0
    for job in jobs:
        state, message = states[job]
        assert state in ("READY", "FAILED") and message, (job, state, message)
    trained = [job for job in states if (states[job][1] or "").startswith("CREATE MODEL")]
    versions = killed.clients.ask(
        "select version, digest ->> 'n_rows', mlflow_run_id from postgres_ml.model_version order by 1"
    )
    assert [version for version, _, _ in versions] == list(range(1, len(trained) + 1))
    assert len({rows for _, rows, _ in versions}) == len({run for _, _, run in versions}) == len(versions)
    record_property(
        "fault",
        {
            "fault": "kill -9 of worker, child, training, server",
            "step": f"{moments} moments",
            "serves": "the new version",
            "calls": reader.n,
        },
    )
    failed = [states[job][1] or "" for job in jobs if states[job][0] == "FAILED"]
    assert all("SIGKILL" in reason for reason in failed), failed  # a training that was struck twice
    assert len(failed) < max(2, moments / 10), failed
