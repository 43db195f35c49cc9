"""Connections of dbt-postgres that start the embedded server on first use and tell of Ctrl-C."""

from __future__ import annotations

import threading
from multiprocessing.context import SpawnContext
from pathlib import Path
from typing import Any

from dbt.adapters.contracts.connection import Connection
from dbt.adapters.postgres import PostgresConnectionManager
from dbt.adapters.postgres_ml.credentials import PostgresMLCredentials
from dbt_common.exceptions import DbtDatabaseError

from postgres_ml import embedded
from postgres_ml.exceptions import EmbeddedServerError


def project_root(config: Any) -> Path:
    """Return the dbt project's folder; `dbt debug` connects with a profile that doesn't know it."""
    root = getattr(config, "project_root", None)
    if root is None:
        from dbt.flags import get_flags

        root = getattr(get_flags(), "PROJECT_DIR", None)
    return Path(root or Path.cwd()).resolve()


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

    def add_commit_query(self) -> tuple[Connection, None]:
        """Commit by the driver.

        dbt-postgres executes the text COMMIT. psycopg2 does not notice, believes itself inside the old
        transaction and never begins another: whatever a node does after its first commit would commit
        statement by statement, and a failing publication would leave half of it behind.
        """
        connection = self.get_thread_connection()
        with self.exception_handler("COMMIT"):
            connection.handle.commit()
        return connection, None

    @classmethod
    def open(cls, connection: Connection) -> Connection:
        """Open the connection; with an embedded profile, start or join its server first."""
        credentials = connection.credentials
        if (
            isinstance(credentials, PostgresMLCredentials)
            and credentials.embedded
            and connection.state != "open"
        ):
            try:
                address = embedded.ensure(
                    credentials.embedded, linger=credentials.linger, bindir=credentials.bindir
                )
            except EmbeddedServerError as error:
                raise DbtDatabaseError(f"embedded Postgres: {error}") from error
            credentials.host, credentials.port = address.host, address.port
            credentials.user = address.user
        opened: Connection = super().open(connection)
        return opened
