"""A create_model node whose rows Dask's workers read: no row passes through dbt's process.

Where the query is a plain table they read that, under a snapshot which dbt holds by a transaction of its own
until they have. Of any other query dbt makes a copy: an unlogged table in the form of the snapshot, which is
there until they have read it, and needs no open transaction. Either way all of them read the same rows.
"""

from __future__ import annotations

import contextlib
import importlib.util
import time
import urllib.parse
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import psycopg2
import psycopg2.extensions
from dbt.adapters.postgres_ml.build.node import NodeBuild, TrainingQuery
from dbt.adapters.postgres_ml.build.plain_table import HeldSnapshot, PlainTable, hold_snapshot, plain_table
from dbt.adapters.postgres_ml.log import logger

from postgres_ml.contract.exceptions import TrainingDataError
from postgres_ml.contract.job import ROWS_READ
from postgres_ml.contract.json_file import to_json
from postgres_ml.contract.sql_names import identifier
from postgres_ml.snapshot.copy import SnapshotSummary
from postgres_ml.snapshot.query import around_rows, snapshot_query, stored_columns

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

    _copy = ""
    _held: HeldSnapshot | None = None
    _source: Mapping[str, Any] = MappingProxyType({})

    def lacking(self) -> list[str]:
        """Return that Dask is missing, if it is: known before anything is read."""
        if importlib.util.find_spec("distributed") is not None:
            return []
        return ["settings: 'compute: dask' needs Dask: pip install 'dbt-postgres-ml[dask]'"]

    def job_fields(self, cursor: Any, query: TrainingQuery) -> dict[str, Any]:
        """Return where the scheduler is."""
        return {"dask_scheduler": self.config.credentials.dask_scheduler or ""}

    def copy_rows(self, cursor: Any, query: TrainingQuery) -> SnapshotSummary | None:
        """Hold a snapshot of the table that the query reads, or make a copy; nothing leaves the database.

        Raises
        ------
        TrainingDataError
            There is no row to learn from.
        """
        started = time.monotonic()
        table = plain_table(cursor, query.sql)
        counts = None if table is None else self._hold(table, query)
        self._drop_left_behind(cursor)
        n_query, n_labelled, digest, n_rows = counts or self._make_copy(cursor, query)
        summary = SnapshotSummary(
            n_query, n_rows, n_query - n_labelled, n_rows < n_labelled, digest, time.monotonic() - started
        )
        (self.directory / "snapshot.json").write_text(to_json(summary), encoding="utf-8")
        if n_query and not n_labelled and query.target:
            raise TrainingDataError(
                f'target "{query.target.name}" is NULL in all {n_query:,} rows of the query'
            )
        return summary

    def _hold(self, table: PlainTable, query: TrainingQuery) -> tuple[int, int, int, int] | None:
        """Hold a snapshot of the table; None, and nothing, if its rows are to be sampled or it is locked.

        Returns
        -------
        tuple of rows, rows with a target, digest, rows to train on
        """
        credentials, settings = self.config.credentials, self.spec.settings
        dsn, role = self._dsn(with_password=True), credentials.role or ""
        held = hold_snapshot(dsn, role, table, query.columns, query.target, settings)
        if held is None:
            return None
        if held.n_labelled > settings.max_cells // (len(query.features) + 1):
            held.close()
            return None
        self._held = held
        around = around_rows(query.features, query.target, settings, self.spec.problem_type, query.weight)
        self._source = held.source(table, around)
        self.log(
            "info",
            f"Dask's workers will read {table.name} itself: a transaction (server process {held.pid}) holds "
            "its snapshot until they have",
        )
        return held.n_rows, held.n_labelled, held.digest, held.n_labelled

    def _make_copy(self, cursor: Any, query: TrainingQuery) -> tuple[int, int, int, int]:
        """Make a table of the rows; return what `_hold` does."""
        cursor.execute(OWN_NAME)
        [(name,)] = cursor.fetchall()
        self._copy = f"{identifier(self.spec.schema)}.{identifier(name)}"
        select = snapshot_query(
            query.sql, query.features, query.target, self.spec.settings, self.spec.problem_type,
            cursor.connection.server_version, query.weight,
        )  # fmt: skip
        cursor.execute(f"drop table if exists {self._copy}")
        cursor.execute(f"create unlogged table {self._copy} as {select}")
        cursor.execute(
            "select pg_catalog.count(*) - 1, pg_catalog.max(totals), pg_catalog.pg_relation_size(%s) "
            f"/ pg_catalog.current_setting('block_size')::bigint from {self._copy}",
            (self._copy,),
        )
        [(n_rows, totals, n_pages)] = cursor.fetchall()
        names = [column.name for column in stored_columns(query.features, query.target, weight=query.weight)]
        head = f"select null::text, {', '.join(names)} from {self._copy} where totals is null and"
        self._source = {
            "table": self._copy, "head": head, "tail": "", "n_pages": n_pages, "copy": self._copy
        }  # fmt: skip
        n_query, n_labelled, digest = map(int, totals.split())
        return n_query, n_labelled, digest, n_rows

    def rows_source(self) -> dict[str, Any]:
        """Return what is read, and what workers connect by."""
        credentials = self.config.credentials
        return {
            "dsn": self._dsn(with_password=is_private(credentials.dask_scheduler or "")),
            "role": credentials.role or "",
            **self._source,
        }

    def log(self, level: str, text: str, fields: dict[str, Any] | None = None) -> None:
        """Write a line to dbt's log; end the snapshot's transaction when the line says that all have read."""
        super().log(level, text, fields)
        if fields and fields.get(ROWS_READ):
            self._let_go()

    def _let_go(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            seconds = held.close()
            self.log("info", f"the transaction that held the snapshot has ended, after {seconds:.1f} s")

    def end(self) -> None:
        """End the snapshot's transaction, or drop the copy, if that is left to do.

        By a connection of its own, as the build may have failed.
        """
        self._let_go()
        if not self._copy:
            return
        try:
            with contextlib.closing(psycopg2.connect(self._dsn(with_password=True))) as connection:
                connection.autocommit = True
                cursor = connection.cursor()
                if self.config.credentials.role:
                    cursor.execute(f"set role {identifier(self.config.credentials.role)}")
                cursor.execute("set lock_timeout = '5s'")
                cursor.execute(f"drop table if exists {self._copy}")
        except psycopg2.Error as error:
            logger.debug(f"{self.spec.name}: {self._copy} is left for the next build to drop: {error}")

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
