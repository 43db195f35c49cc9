"""The search_path under which this package's own queries run: nothing but Postgres's own names.

A user who may create functions in a schema of the caller's search_path, such as `public` before PostgreSQL
15, could otherwise have his `cardinality(text[])` run with the rights of whoever builds. The user's own SQL
(training query, hooks) runs under the session's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2.extensions

from postgres_ml.snapshot.copy import Cursor

TRUSTED = "pg_catalog, pg_temp"
SET_PATH = """
with was as materialized (select pg_catalog.current_setting('search_path') as path)
select path, pg_catalog.set_config('search_path', %s, true) from was
"""


def set_search_path(cursor: Cursor, path: str = TRUSTED) -> str:
    """Set the search_path until the transaction ends, and return what it was.

    Parameters
    ----------
    cursor : psycopg2's, in a transaction
    """
    cursor.execute(SET_PATH, (path,))
    was: str = cursor.fetchall()[0][0]
    return was


@contextmanager
def trusted_path(cursor: Cursor) -> Iterator[None]:
    """Run what follows under Postgres's own names; where it fails, the rollback restores the search_path."""
    was = set_search_path(cursor)
    yield
    if cursor.connection.info.transaction_status != psycopg2.extensions.TRANSACTION_STATUS_INERROR:
        set_search_path(cursor, was)
