"""A training query that is nothing but columns of one table: Dask's workers read that table itself.

They read it under one snapshot, which a transaction of this module's own exports, and which is there as long
as that transaction is open. Whatever is not certain to be a plain table is copied (see `build.dask`).
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg2
from dbt.adapters.postgres_ml.catalog.search_path import TRUSTED

from postgres_ml.contract.column import Column
from postgres_ml.contract.config import Settings
from postgres_ml.contract.sql_names import identifier
from postgres_ml.snapshot.query import data_digest_query

LOCK_TIMEOUT = "5s"  # whoever holds the table that long is not waited for: the rows are copied
#: that values are read by; `search_path` keeps other people's functions out of the workers' casts
READ_BY = ("DateStyle", "TimeZone", "IntervalStyle", "extra_float_digits")
#: heap tables that hold all of their rows and show the reader each. A transaction that has written may have
#: changed them, which no exported snapshot shows.
TABLE = """
select pg_catalog.format('%%I.%%I', n.nspname, c.relname)
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_am m on m.oid = c.relam
where c.oid = %s and c.relkind = 'r' and c.relpersistence <> 't' and m.amname = 'heap'
    and not c.relrowsecurity and not exists (select from pg_catalog.pg_inherits where inhparent = c.oid)
    and pg_catalog.has_table_privilege(c.oid, 'select') and pg_catalog.txid_current_if_assigned() is null
"""
COLUMNS = "select attnum, attname from pg_catalog.pg_attribute where attrelid = %s and attnum = any(%s)"
EXPORT = """
select pg_catalog.pg_export_snapshot(), pg_catalog.pg_backend_pid(),
    pg_catalog.pg_relation_size(%s) / pg_catalog.current_setting('block_size')::bigint
"""


@dataclass(frozen=True)
class PlainTable:
    """What a query is that selects columns of a table.

    Parameters
    ----------
    name : schema and name, quoted
    columns : the query's names, and the table's
    settings : of the session that asked
    """

    name: str
    columns: Mapping[str, str]
    settings: Mapping[str, str]

    @property
    def select(self) -> str:
        """The query, which ends with the table's name."""
        selected = ", ".join(f"{identifier(own)} as {identifier(name)}" for name, own in self.columns.items())
        return f"select {selected} from {self.name}"


def plain_table(cursor: Any, sql: str) -> PlainTable | None:
    """Return the table that a query selects columns of; None where it does anything else, or might.

    Libpq tells the table and the column that each value comes from, and the plan that no row is left out,
    joined or made: it is one sequential scan without a filter.

    Parameters
    ----------
    cursor : psycopg2's, in the transaction that would run the query

    Raises
    ------
    psycopg2.Error
        The database refuses the query.
    """
    cursor.execute(f"select * from (\n{sql}\n) query limit 0")
    described = cursor.description
    oids = {column.table_oid for column in described}
    if len(oids) != 1 or None in oids or any((column.table_column or 0) < 1 for column in described):
        return None
    [oid] = oids
    cursor.execute(TABLE, (oid,))
    found = cursor.fetchall()
    if not found or not _is_one_scan(cursor, sql):
        return None
    cursor.execute(COLUMNS, (oid, [column.table_column for column in described]))
    names = dict(cursor.fetchall())
    cursor.execute("select " + ", ".join(f"pg_catalog.current_setting('{name}')" for name in READ_BY))
    settings = {**dict(zip(READ_BY, cursor.fetchall()[0], strict=True)), "search_path": TRUSTED}
    columns = {column.name: names[column.table_column] for column in described}
    return PlainTable(found[0][0], columns, settings)


def _is_one_scan(cursor: Any, sql: str) -> bool:
    cursor.execute(f"explain (verbose, costs off, format json) select * from (\n{sql}\n) query")
    [(explained,)] = cursor.fetchall()
    plan = (json.loads(explained) if isinstance(explained, str) else explained)[0]["Plan"]
    return plan["Node Type"] == "Seq Scan" and not plan.keys() & {"Filter", "Plans"}


@dataclass
class HeldSnapshot:
    """A snapshot that others may read by, and the transaction that holds it.

    Parameters
    ----------
    name : of `set transaction snapshot`
    pid : of the transaction's server process
    n_pages : of the table
    n_rows, n_labelled, digest : of its rows, as `SnapshotSummary` has them
    since : time.monotonic()
    """

    connection: Any
    name: str
    pid: int
    n_pages: int
    n_rows: int
    n_labelled: int
    digest: int
    since: float

    def source(self, table: PlainTable, around: tuple[str, str]) -> dict[str, Any]:
        """Return fields of `worker_read.Source`.

        Parameters
        ----------
        around : as `snapshot.query.around_rows` returns it
        """
        return {
            "table": table.name, "n_pages": self.n_pages, "head": f"{around[0]}{table.select} where",
            "tail": around[1], "snapshot": self.name, "settings": dict(table.settings),
        }  # fmt: skip

    def close(self) -> float:
        """End the transaction; return how many seconds it was open."""
        with contextlib.suppress(psycopg2.Error):  # the server has ended it
            self.connection.close()
        return time.monotonic() - self.since


def hold_snapshot(
    dsn: str,
    role: str,
    table: PlainTable,
    columns: Sequence[Column],
    target: Column | None,
    settings: Settings,
) -> HeldSnapshot | None:
    """Open a transaction whose snapshot workers read the table by; None if somebody else locks the table.

    Parameters
    ----------
    columns : the query's, of which the digest is made
    target : rows that have one are counted

    Raises
    ------
    psycopg2.Error
        The database refuses it.
    """
    connection = psycopg2.connect(dsn)
    try:
        held = _held(connection, role, table, columns, target, settings)
    except psycopg2.errors.LockNotAvailable:
        connection.close()
        return None
    except BaseException:
        connection.close()
        raise
    return held


def _held(
    connection: Any, role: str, table: PlainTable, columns: Sequence[Column], target: Column | None,
    settings: Settings,
) -> HeldSnapshot:  # fmt: skip
    cursor = connection.cursor()
    if role:
        cursor.execute(f"set role {identifier(role)}")
        connection.commit()
    connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
    since = time.monotonic()
    # a role's patience with idle transactions would end this one while the workers start
    own = {"idle_in_transaction_session_timeout": "0", "lock_timeout": LOCK_TIMEOUT}
    if connection.server_version >= 170000:
        own["transaction_timeout"] = "0"
    for name, value in own.items():
        cursor.execute(f"set local {name} = '{value}'")
    cursor.execute(f"lock table only {table.name} in access share mode")  # it is neither dropped nor emptied
    for name, value in table.settings.items():
        cursor.execute("select pg_catalog.set_config(%s, %s, true)", (name, value))
    query = data_digest_query(table.select, columns, settings, connection.server_version, target)
    cursor.execute(query)
    [(digest, n_rows, n_labelled)] = cursor.fetchall()
    cursor.execute(EXPORT, (table.name,))
    [(name, pid, n_pages)] = cursor.fetchall()
    return HeldSnapshot(connection, name, pid, n_pages, int(n_rows), int(n_labelled), int(digest), since)
