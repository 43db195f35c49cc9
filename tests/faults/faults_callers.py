"""Clients that call the model's function in a loop and note whatever is not a prediction of a version."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any

import psycopg2
import psycopg2.errors
from faults_project import SCHEMA, Server
from postgres_ml.contract.exceptions import EmbeddedServerError

# a server that is killed takes its connections with it: no fault of the function's
CONNECTION_LOST = (
    psycopg2.InterfaceError,
    psycopg2.errors.AdminShutdown,
    psycopg2.errors.CrashShutdown,
    psycopg2.errors.CannotConnectNow,
    EmbeddedServerError,
)


class Caller:
    """A thread that predicts without a pause; `errors` are answers that no version gives, and what it raised.

    Parameters
    ----------
    generation : of the version that serves; later ones may follow, never an earlier one
    """

    def __init__(self, server: Server, generation: int) -> None:
        self.server, self.generation = server, generation
        self.errors: list[str] = []
        self.n_calls = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Caller:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                connection = self.server.connect()
            except (*CONNECTION_LOST, psycopg2.OperationalError):
                continue
            try:
                with connection.cursor() as cursor:
                    self._call(cursor)
            except CONNECTION_LOST:
                pass
            except psycopg2.Error as error:
                # the server's errors have a SQLSTATE; a connection that breaks within a call has none, and
                # psycopg2 gives it one class or another
                if error.pgcode is not None:
                    self.errors.append(repr(error))
            finally:
                connection.close()

    def _call(self, cursor: Any) -> None:
        cursor.execute(f"prepare call as select {SCHEMA}.predict_m(5, 5)")
        while not self._stop.wait(0.02):
            cursor.execute("execute call")
            [(value,)] = cursor.fetchall()
            self.n_calls += 1
            generation, rest = divmod(round(value), 10000)
            if abs(rest - 5) > 1 or generation < self.generation:
                self.errors.append(f"predicted {value} after generation {self.generation}")
            self.generation = max(self.generation, generation)
