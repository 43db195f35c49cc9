"""Connections of dbt-postgres that start the embedded server on first use and tell of Ctrl-C."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnContext
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extensions
from dbt.adapters.contracts.connection import Connection
from dbt.adapters.postgres import PostgresConnectionManager
from dbt.adapters.postgres_ml import limits
from dbt.adapters.postgres_ml.credentials import PostgresMLCredentials
from dbt.adapters.postgres_ml.gitignore import keep_out_of_git
from dbt.adapters.postgres_ml.log import logger
from dbt_common.exceptions import DbtDatabaseError
from dbt_common.helper_types import Port

from postgres_ml import embedded
from postgres_ml.contract.exceptions import EmbeddedServerError
from postgres_ml.embedded.libpq import libpq_defaults

RECONNECT_S = 120.0  # for a server that restarts while a model trains: longer than most crash recoveries
RETRY_S = 0.5


def project_root(config: Any) -> Path:
    """Return the dbt project's folder; `dbt debug` connects with a profile that doesn't know it."""
    root = getattr(config, "project_root", None)
    if root is None:
        from dbt.flags import get_flags

        root = getattr(get_flags(), "PROJECT_DIR", None)
    return Path(root or Path.cwd()).resolve()


def tracking_uri(config: Any) -> str:
    """Return where runs are tracked: the profile's store, or `mlflow.db` in the project."""
    given: str | None = config.credentials.mlflow_tracking_uri
    return given or f"sqlite:///{project_root(config) / 'mlflow.db'}"


class PostgresMLConnectionManager(PostgresConnectionManager):
    """dbt-postgres' connection manager.

    Attributes
    ----------
    cancelled : set on Ctrl-C and --fail-fast; trainings watch it
    """

    TYPE = "postgres_ml"

    def __init__(self, config: Any, mp_context: SpawnContext) -> None:
        super().__init__(config, mp_context)
        self.cancelled = threading.Event()
        config.credentials.resolve_embedded(project_root(config))

    def cancel_open(self) -> list[str]:
        """Cancel running queries and trainings; return the names of the connections cancelled."""
        self.cancelled.set()
        names: list[str] = super().cancel_open()
        return names

    def begin_again(self) -> None:
        """Begin a transaction after a commit.

        dbt-postgres leaves beginning to psycopg2 and commits by the text COMMIT. psycopg2 does not notice
        that, believes itself inside the old transaction and begins no other: what a node does after its first
        commit commits statement by statement. dbt relies on it (after the commit the old relation is dropped
        and VACUUM hooks run), so commits stay as they are, and who needs a second transaction says so.

        A connection that was lost since the commit is opened anew: an hour's training outlives the patience
        of firewalls and of `idle_session_timeout`, and servers restart.

        Raises
        ------
        DbtDatabaseError
            The server doesn't answer for two minutes.
        """
        self.reconnect_if_lost()
        self.begin()
        handle = self.get_thread_connection().handle
        is_idle = handle.info.transaction_status == psycopg2.extensions.TRANSACTION_STATUS_IDLE
        if is_idle:
            self.add_query("BEGIN", auto_begin=False)

    def cursor(self) -> Any:
        """Return a cursor in this thread's transaction, which begins here if none is open."""
        connection = self.get_thread_connection()
        if not connection.transaction_open:
            self.begin()
        return connection.handle.cursor()

    def begin_if_idle(self) -> None:
        """Begin a transaction unless the server is in one.

        dbt commits before it runs an operation, too, after which its statements would commit one by one: see
        `begin_again`.
        """
        connection = self.get_thread_connection()
        if not connection.transaction_open:
            self.begin()
        if connection.handle.info.transaction_status == psycopg2.extensions.TRANSACTION_STATUS_IDLE:
            self.add_query("BEGIN", auto_begin=False)

    def reconnect_if_lost(self) -> None:
        """Open the connection anew if the server has ended it since the commit; raises as `begin_again`.

        Afterwards the session is as it is after a commit of dbt's: statements commit one by one.
        """
        connection = self.get_thread_connection()
        if _answers(connection.handle):
            return
        logger.info(f"{connection.name}: the connection was lost; connecting again")
        deadline = time.monotonic() + RECONNECT_S
        while True:
            self.close(connection)
            try:
                self.open(connection)
                _check_writable(connection.handle)
            except DbtDatabaseError as error:
                if self.cancelled.is_set() or time.monotonic() > deadline:
                    raise DbtDatabaseError(
                        f"the connection was lost, and for {RECONNECT_S:.0f} s there was no other: {error}\n"
                        "What was trained is kept: the next build publishes it"
                    ) from error
                self.cancelled.wait(RETRY_S)
            else:
                return

    @contextmanager
    def exception_handler(self, sql: str) -> Iterator[None]:
        """Turn errors into dbt's, as dbt-postgres does; one of a limit says which, and how to raise it."""
        try:
            with super().exception_handler(sql):
                yield
        except DbtDatabaseError as error:
            if isinstance(error.__cause__, psycopg2.Error) and limits.cure(error.__cause__):
                raise DbtDatabaseError(limits.explained(error.__cause__)) from error.__cause__
            raise

    @classmethod
    def open(cls, connection: Connection) -> Connection:
        """Open the connection; with an embedded profile, start or join its server first."""
        credentials = connection.credentials
        is_embedded = isinstance(credentials, PostgresMLCredentials) and credentials.embedded
        opened: Connection
        if not is_embedded or connection.state == "open":
            opened = super().open(connection)
            return opened
        directory = Path(credentials.embedded)
        is_new = not directory.exists()
        try:
            address = embedded.ensure(
                credentials.embedded, linger=credentials.linger, bindir=credentials.bindir
            )
        except EmbeddedServerError as error:
            raise DbtDatabaseError(f"embedded Postgres: {error}") from error
        if is_new:
            keep_out_of_git(directory.parent, directory)
        credentials.host, credentials.user = address.host, address.user
        credentials.port = Port(address.port)
        with libpq_defaults():
            opened = super().open(connection)
        return opened  # typed: dbt's own returns Any

    @classmethod
    def retry_connection(cls, connection: Connection, connect: Any, *args: Any, **kwargs: Any) -> Connection:
        """Connect as dbt does, and speak UTF-8, whatever the client's or the database's encoding is.

        psycopg2 takes the encoding from PGCLIENTENCODING or the database, and text that it lacks, or that
        the server writes in another, would be an error or another text.
        """

        def connect_in_utf8() -> Any:
            with libpq_defaults("PGCLIENTENCODING"):  # the server may not have its conversion
                handle = connect()
            if isinstance(handle, psycopg2.extensions.connection) and handle.encoding != "UTF8":
                handle.commit()  # `set role`: psycopg2 rolls back before it sets the encoding
                handle.set_client_encoding("UTF8")
            return handle

        opened: Connection = super().retry_connection(connection, connect_in_utf8, *args, **kwargs)
        return opened


def _answers(handle: Any) -> bool:
    """Return whether the server at the other end of a connection is still there."""
    try:
        handle.cursor().execute("select 1")
    except psycopg2.Error:
        return False
    return True


def _check_writable(handle: Any) -> None:
    """Check that a new connection's server is no standby, which it is for a moment after a failover.

    Leaves the handle as dbt's commits do: psycopg2 believes that a transaction is open, the server has none.

    Raises
    ------
    DbtDatabaseError
        It is one, or is gone already.
    """
    try:
        cursor = handle.cursor()
        cursor.execute("select pg_catalog.pg_is_in_recovery()")
        [(is_standby,)] = cursor.fetchall()
        cursor.execute("commit")
    except psycopg2.Error as error:
        raise DbtDatabaseError(str(error).strip()) from error
    if is_standby:
        raise DbtDatabaseError("the server is a standby, which can't be written")
