"""A create_model node whose rows Dask's workers read: dbt makes a table of them, and copies nothing.

The table is unlogged, has the snapshot's columns, and is there from the snapshot's transaction until the
workers have read it. So no transaction stays open while they start, and all of them read the same rows.
"""

from __future__ import annotations

import contextlib
import importlib.util
import time
import urllib.parse
from typing import Any

import psycopg2
import psycopg2.extensions
from dbt.adapters.postgres_ml.build.node import NodeBuild, TrainingQuery
from dbt.adapters.postgres_ml.log import logger

from postgres_ml.contract.exceptions import TrainingDataError
from postgres_ml.contract.json_file import to_json
from postgres_ml.contract.sql_names import identifier
from postgres_ml.snapshot.copy import SnapshotSummary
from postgres_ml.snapshot.query import snapshot_query

PREFIX = "postgres_ml_rows_"
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
LIBPQ = ("sslmode", "sslcert", "sslkey", "sslrootcert")
#: tables of sessions that are gone, whose dbt and workers were killed
LEFT_BEHIND = f"""
select c.oid::regclass::text from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = %s and c.relkind = 'r' and c.relname ~ '^{PREFIX}[0-9]+_[0-9]+$'
    and pg_catalog.pg_has_role(c.relowner, 'USAGE') and not exists (
        select from pg_catalog.pg_stat_activity a where c.relname = '{PREFIX}' || a.pid || '_'
            || (extract(epoch from a.backend_start) * 1000000)::bigint)
"""
OWN_NAME = f"""
select '{PREFIX}' || pid || '_' || (extract(epoch from backend_start) * 1000000)::bigint
from pg_catalog.pg_stat_activity where pid = pg_catalog.pg_backend_pid()
"""


class DaskBuild(NodeBuild):
    """The build of a node that is trained by Dask's workers."""

    _table = ""
    _n_pages = 0

    def lacking(self) -> list[str]:
        """Return that Dask is missing, if it is: known before anything is read."""
        if importlib.util.find_spec("distributed") is not None:
            return []
        return ["settings: 'compute: dask' needs Dask: pip install 'dbt-postgres-ml[dask]'"]

    def job_fields(self, cursor: Any, query: TrainingQuery) -> dict[str, Any]:
        """Return where the scheduler is."""
        return {"dask_scheduler": self.config.credentials.dask_scheduler or ""}

    def copy_rows(self, cursor: Any, query: TrainingQuery) -> SnapshotSummary | None:
        """Make a table of the rows; nothing leaves the database.

        Raises
        ------
        TrainingDataError
            There is no row to learn from.
        """
        started = time.monotonic()
        self._drop_left_behind(cursor)
        cursor.execute(OWN_NAME)
        [(name,)] = cursor.fetchall()
        self._table = f"{identifier(self.spec.schema)}.{identifier(name)}"
        select = snapshot_query(
            query.sql, query.features, query.target, self.spec.settings, self.spec.problem_type,
            cursor.connection.server_version, query.weight,
        )  # fmt: skip
        cursor.execute(f"drop table if exists {self._table}")
        cursor.execute(f"create unlogged table {self._table} as {select}")
        cursor.execute(
            "select pg_catalog.count(*) - 1, pg_catalog.max(totals), pg_catalog.pg_relation_size(%s) "
            f"/ pg_catalog.current_setting('block_size')::bigint from {self._table}",
            (self._table,),
        )
        [(n_rows, totals, self._n_pages)] = cursor.fetchall()
        n_query, n_labelled, digest = map(int, totals.split())
        summary = SnapshotSummary(
            n_query, n_rows, n_query - n_labelled, n_rows < n_labelled, digest, time.monotonic() - started
        )
        (self.directory / "snapshot.json").write_text(to_json(summary), encoding="utf-8")
        if n_query and not n_labelled and query.target:
            raise TrainingDataError(
                f'target "{query.target.name}" is NULL in all {n_query:,} rows of the query'
            )
        return summary

    def rows_source(self) -> dict[str, Any]:
        """Return the table, and what workers connect by."""
        credentials = self.config.credentials
        return {
            "dsn": self._dsn(with_password=is_private(credentials.dask_scheduler or "")),
            "role": credentials.role or "",
            "table": self._table,
            "n_pages": self._n_pages,
        }

    def end(self) -> None:
        """Drop the table, if no worker has: by a connection of its own, as the build may have failed."""
        if not self._table:
            return
        try:
            with contextlib.closing(psycopg2.connect(self._dsn(with_password=True))) as connection:
                connection.autocommit = True
                cursor = connection.cursor()
                if self.config.credentials.role:
                    cursor.execute(f"set role {identifier(self.config.credentials.role)}")
                cursor.execute("set lock_timeout = '5s'")
                cursor.execute(f"drop table if exists {self._table}")
        except psycopg2.Error as error:
            logger.debug(f"{self.spec.name}: {self._table} is left for the next build to drop: {error}")

    def _dsn(self, *, with_password: bool) -> str:
        given = self.config.credentials
        found = {
            "host": given.host, "port": int(given.port), "user": given.user, "dbname": given.database,
            "password": given.password if with_password else None, "connect_timeout": 10,
            **{name: getattr(given, name, None) for name in LIBPQ},
        }  # fmt: skip
        return str(psycopg2.extensions.make_dsn(**{k: v for k, v in found.items() if v not in (None, "")}))

    def _drop_left_behind(self, cursor: Any) -> None:
        cursor.execute(LEFT_BEHIND, (self.spec.schema,))
        for (table,) in cursor.fetchall():
            self.log("info", f"dropped {table}, which a build that was killed has left")
            cursor.execute(f"drop table if exists {table}")


def is_private(scheduler: str) -> bool:
    """Return whether what is told to a scheduler stays on this machine or is encrypted."""
    found = urllib.parse.urlsplit(scheduler)
    return not scheduler or found.scheme == "tls" or found.hostname in LOCAL_HOSTS
