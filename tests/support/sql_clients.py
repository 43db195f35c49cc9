"""A database whose SQL clients create models: an analyst, somebody else, and a worker with a role of its own."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extensions
from dbt.adapters.postgres_ml.worker.place import Place
from dbt.adapters.postgres_ml.worker.setup import create_catalog
from postgres_ml.embedded import ServerAddress

QUICK = '{"target": "y", "auto": false, "model_type": "linear_learner", "problem_type": "regression"}'
START_S = 120.0


class SqlClients:
    """Made by `make`, removed by `drop`; roles are `analyst`, `other` and `worker`, each with the database's name."""

    def __init__(self, server: ServerAddress, folder: Path, name: str = "sqlc") -> None:
        self.server, self.folder = server, folder
        self.name = f"{name}_{uuid.uuid4().hex[:8]}"
        self.analyst, self.other, self.worker = (
            f"{self.name}_{who}" for who in ("analyst", "other", "worker")
        )
        self.workers: list[subprocess.Popen[str]] = []

    def connect(self, role: str | None = None, database: str | None = None) -> psycopg2.extensions.connection:
        connection = psycopg2.connect(
            host=self.server.host,
            port=self.server.port,
            user=role or self.server.user,
            dbname=database or self.name,
        )
        connection.autocommit = True
        return connection

    def ask(self, query: str, role: str | None = None, database: str | None = None) -> list[tuple[Any, ...]]:
        with closing(self.connect(role, database)) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall() if cursor.description else []

    def value(self, query: str, role: str | None = None) -> Any:
        return self.ask(query, role)[0][0]

    def place(self, user: str | None = None) -> Place:
        server = {"host": self.server.host, "port": str(self.server.port), "dbname": self.name}
        return Place({**server, "user": user or self.server.user, "password": ""}, self.folder)

    def make_roles(self) -> tuple[str, str, str]:
        """Create the database and the roles, and return these."""
        self.ask(f"create database {self.name}", database=self.server.dbname)
        roles = (self.analyst, self.other, self.worker)
        self.ask("; ".join(f"create role {role} login" for role in roles))
        return roles

    def make(self) -> None:
        """Create the database, the roles, a schema ml in which both may create, and the catalog."""
        roles = self.make_roles()
        self.ask("create schema ml; revoke create on schema public from public")
        create_catalog(self.place(), self.worker)
        for role in roles:
            self.ask(f"grant usage, create on schema ml to {role}")
        for role in roles[:2]:
            self.ask(f"grant execute on function postgres_ml.create_model to {role}")
        self.ask(
            "create table ml.measurements as select i as a, 2.0 * i + i % 3 as y from generate_series(1, 600) as i;"
            f"grant select on ml.measurements to {self.analyst}, {self.other}"
        )

    def drop(self) -> None:
        """End the workers; remove database and roles."""
        for process in self.workers:
            self.end(process)
        self.ask(f"drop database {self.name} with (force)", database=self.server.dbname)
        for role in (self.analyst, self.other, self.worker):
            self.ask(f"drop role {role}", database=self.server.dbname)

    def worker_command(self, user: str, folder: Path, *arguments: str) -> list[str]:
        """The command line of `postgres-ml worker` on the database, as a role."""
        dsn = f"host={self.server.host} port={self.server.port} user={user} dbname={self.name}"
        worker = [sys.executable, "-m", "postgres_ml", "worker", *arguments]
        return [*worker, "--dsn", dsn, "--folder", str(folder)]

    def start_worker(self, *arguments: str, folder: Path | None = None) -> subprocess.Popen[str]:
        """Start a worker and wait until it works."""
        command = self.worker_command(self.worker, folder or self.folder)
        process = subprocess.Popen(
            [*command, "--heartbeat", "1", "--stalled", "4", *arguments], stderr=subprocess.PIPE, text=True,
            start_new_session=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        self.workers.append(process)
        self.wait_for_line(process, "working on")
        return process

    @staticmethod
    def wait_for_line(process: subprocess.Popen[str], words: str) -> str:
        """Return the first line of a worker's log with these words."""
        assert process.stderr is not None
        deadline = time.monotonic() + START_S
        seen = []
        while time.monotonic() < deadline:
            if not select.select([process.stderr], [], [], 1.0)[0]:
                continue
            line = process.stderr.readline()
            seen.append(line)
            if words in line:
                return line
            if not line and process.poll() is not None:
                break
        raise AssertionError(f"no {words!r} in the worker's log: {''.join(seen)}")

    @staticmethod
    def end(process: subprocess.Popen[str], with_signal: int = signal.SIGTERM) -> None:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, with_signal)
            process.wait(60)
        if process.stderr is not None:
            process.stderr.close()

    def create(self, model: str, query: str, config: str = QUICK, role: str | None = None) -> int:
        with closing(self.connect(role or self.analyst)) as connection, connection.cursor() as cursor:
            cursor.execute("select postgres_ml.create_model(%s, %s, %s::jsonb)", (model, query, config))
            return int(cursor.fetchall()[0][0])

    def wait(self, job: int, role: str | None = None, seconds: int = 120) -> str:
        return str(self.value(f"select postgres_ml.wait({job}, {seconds})", role or self.analyst))

    def states(self) -> dict[int, tuple[str, str | None]]:
        rows = self.ask("select job, state, message from postgres_ml.job order by job")
        return {job: (state, message) for job, state, message in rows}


@contextlib.contextmanager
def sql_clients(server: ServerAddress, folder: Path) -> Iterator[SqlClients]:
    """Yield a world that is gone afterwards."""
    made = SqlClients(server, folder)
    made.make()
    try:
        yield made
    finally:
        made.drop()
