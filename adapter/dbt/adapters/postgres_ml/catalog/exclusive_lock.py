"""Statements that need a relation for themselves: they don't wait for ever, and say for whom they waited.

A session that has read a card and idles in its transaction holds a lock on it until it ends. Functions know
no such locks: they are replaced while they are called.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg2.errors
from dbt_common.exceptions import DbtRuntimeError

PATIENCE_MS = 10_000  # whoever reads the relation now waits behind this statement, so not for long
# of the relations, and of all views on them, which go with them
HOLDERS = """
with recursive locked (relation) as (
    select to_regclass(name)::oid from unnest(%s::text[]) as name
    union
    select r.ev_class
    from locked
    join pg_depend as d on d.refclassid = 'pg_class'::regclass and d.refobjid = locked.relation
    join pg_rewrite as r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
)
select l.relation::regclass::text, a.pid, concat_ws(', ', a.usename, nullif(a.application_name, ''), a.state)
    || ' since ' || to_char(coalesce(a.state_change, a.backend_start), 'HH24:MI:SS')
from pg_locks as l
inner join pg_stat_activity as a on a.pid = l.pid
where l.relation in (select relation from locked)
    and l.database = (select oid from pg_database where datname = current_database())
    and l.granted and l.pid <> pg_backend_pid()
order by 1, 2
"""


def execute_exclusively(cursor: Any, sql: str, relations: Sequence[str]) -> None:
    """Run statements that lock relations exclusively, in the open transaction.

    Parameters
    ----------
    cursor : psycopg2's
    relations : quoted names of what is locked, of which some may not exist yet

    Raises
    ------
    DbtRuntimeError
        Another session held one of them for ten seconds, or as long as the role's own `lock_timeout` is; the
        transaction is rolled back.
    """
    cursor.execute("select setting::integer from pg_settings where name = 'lock_timeout'")
    own = cursor.fetchall()[0][0]
    cursor.execute(f"set local lock_timeout = {min(own or PATIENCE_MS, PATIENCE_MS)}")
    try:
        cursor.execute(sql)
    except psycopg2.errors.LockNotAvailable as error:
        cursor.connection.rollback()
        raise DbtRuntimeError(_explanation(cursor, relations)) from error
    cursor.execute(f"set local lock_timeout = {own}")


def _explanation(cursor: Any, relations: Sequence[str]) -> str:
    cursor.execute(HOLDERS, (list(relations),))
    holders = cursor.fetchall()
    used = "; ".join(f"{relation} by process {pid} ({who})" for relation, pid, who in holders)
    first = f"pg_terminate_backend({holders[0][1]})" if holders else "pg_terminate_backend(pid)"
    return (
        f"what has to be changed is in use: {used or ', '.join(relations)}. Nothing was changed. Let these "
        f"transactions end, or end them (select {first}), and run it again: what was trained is kept"
    )
