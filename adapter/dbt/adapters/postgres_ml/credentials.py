"""Profile keys of `type: postgres_ml`: those of dbt-postgres, an embedded server, and MLflow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbt.adapters.postgres import PostgresCredentials
from dbt_common.exceptions import DbtRuntimeError

from postgres_ml.contract.redact import without_secrets

EMBEDDED_HOST = "embedded"
SERVER_KEYS = ("host", "port", "user", "password", "pass")


@dataclass
class PostgresMLCredentials(PostgresCredentials):
    """Where to connect, and where MLflow is.

    Parameters
    ----------
    embedded : directory of a private Postgres that is started on the first connection; excludes host,
        port, user and password
    bindir : folder of the embedded server's binaries (`postgres`, `initdb`); None finds them
    linger : seconds the embedded server stays up after its last client
    mlflow_tracking_uri : None is an sqlite file `mlflow.db` in the dbt project
    mlflow_experiment : None is the dbt project's name
    server_python_path : folder on the server whose libraries runtime python imports, a virtual environment's
        site-packages; None is what the server's Python finds by itself
    dask_scheduler : address of the scheduler for `compute: dask`; None starts workers on this machine
    """

    embedded: str | None = None
    bindir: str | None = None
    linger: float = 10.0
    mlflow_tracking_uri: str | None = None
    mlflow_experiment: str | None = None
    server_python_path: str | None = None
    dask_scheduler: str | None = None

    @property
    def type(self) -> str:
        """Adapter type, as a profile names it."""
        return "postgres_ml"

    def _connection_keys(self) -> tuple[str, ...]:
        mlflow = ("mlflow_tracking_uri", "mlflow_experiment", "server_python_path", "dask_scheduler")
        if self.embedded:
            return ("embedded", "bindir", "linger", "database", "schema", "role", "search_path", *mlflow)
        return (*super()._connection_keys(), *mlflow)

    def connection_info(self, *, with_aliases: bool = False) -> Iterator[tuple[str, Any]]:
        """Return what `dbt debug` shows: keys and values, without the password of the tracking URI."""
        for key, value in super().connection_info(with_aliases=with_aliases):
            yield key, without_secrets(value) if key == "mlflow_tracking_uri" and value else value

    @classmethod
    def translate_aliases(cls, kwargs: dict[str, Any], recurse: bool = False) -> dict[str, Any]:
        """Fill in the server keys of an embedded profile.

        dbt calls this before it validates the profile, and again on the result: it has to be idempotent.

        Raises
        ------
        DbtRuntimeError
            `embedded` stands beside keys of a server.
        """
        data: dict[str, Any] = super().translate_aliases(kwargs, recurse)
        if not data.get("embedded"):
            return data
        clash = [key for key in SERVER_KEYS if data.get(key)]
        if clash and data.get("host") != EMBEDDED_HOST:
            raise DbtRuntimeError(
                f"profile of type postgres_ml: 'embedded: {data['embedded']}' starts a server of its own and "
                f"excludes {', '.join(clash)}; keep the one or the other"
            )
        return {
            **data,
            "host": EMBEDDED_HOST,
            "port": 5432,
            "user": "postgres",
            "password": "",
            "database": data.get("database") or "postgres",
        }

    def resolve_embedded(self, project_root: Path) -> None:
        """Make `embedded` absolute: a relative path starts at the dbt project, wherever dbt was called."""
        if self.embedded:
            self.embedded = str((project_root / Path(self.embedded).expanduser()).resolve())
