"""Fires schedules: calls the functions that callers made of their queries, as a role without any rights.

A caller's query runs with the caller's rights, because his function says so. Whatever else it does in that
session, it finds a role that may do nothing; the worker's own sessions it never sees.
"""

from __future__ import annotations

import logging
from datetime import datetime, timezone

import psycopg
from croniter import CroniterBadDateError, croniter
from dbt.adapters.postgres_ml.worker.catalog import Catalog, Schedule
from psycopg import sql

from postgres_ml.contract.exceptions import SpecError

logger = logging.getLogger("postgres_ml.worker")
TIMEOUT_S = 3600  # for a query that a schedule runs
HARMLESS = """
select
    r.rolsuper or r.rolbypassrls or r.rolcreaterole or r.rolcreatedb or r.rolreplication as is_mighty,
    exists (select from pg_auth_members as m where m.member = r.oid) as is_member,
    exists (
        select from pg_shdepend as d
        where d.refclassid = 'pg_authid'::regclass and d.refobjid = r.oid and d.deptype = 'o'
    ) as is_owner
from pg_roles as r
where r.rolname = session_user
"""


class Schedules:
    """The schedules of a database.

    Parameters
    ----------
    conninfo : of the role without rights
    """

    def __init__(self, catalog: Catalog, conninfo: str) -> None:
        self._catalog, self._conninfo = catalog, conninfo

    async def fire(self, now: datetime) -> None:
        """Fire what has become due since it was fired last; of several workers one does."""
        for schedule in await self._catalog.schedules():
            due = last_due(schedule.cron, now)
            if due is None:
                await self._catalog.note_schedule(
                    schedule, f"{schedule.cron!r} is no cron expression, or never due"
                )
            elif due > schedule.since and await self._catalog.claim_schedule(schedule, due):
                said = await self._call(schedule)
                logger.info("schedule of %s.%s: %s", schedule.schema, schedule.model, said)
                await self._catalog.note_schedule(schedule, said)

    async def _call(self, schedule: Schedule) -> str:
        """Call the function in a session of its own, and return what came of it."""
        function = sql.SQL("select {}()").format(
            sql.Identifier(schedule.schema, f"{schedule.model}__retrain")
        )
        try:
            async with await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
                await check_harmless(connection)
                # what a query before has set for the role does not last
                await connection.execute(
                    "set search_path = pg_catalog; set default_transaction_read_only = off"
                )
                await connection.execute(f"set statement_timeout = '{TIMEOUT_S}s'")
                row = await (await connection.execute(function)).fetchone()
        except (psycopg.Error, SpecError) as error:
            return " ".join(str(error).split())
        return f"job {row[0] if row else None}"


async def check_harmless(connection: psycopg.AsyncConnection) -> None:
    """Check that the role has nothing that a query could take.

    Raises
    ------
    SpecError
        It has.
    """
    cursor = await connection.execute(HARMLESS)
    row = await cursor.fetchone()
    if row is None or any(row):
        raise SpecError(
            "the role that fires schedules has rights of its own, which queries could use: take one that is "
            "no superuser, owns nothing and is a member of nothing"
        )


def last_due(cron: str, now: datetime) -> datetime | None:
    """Return the last time, in UTC, at which the expression was due before now.

    None of a wrong one, and of one that is never due, such as on the 30th of February.
    """
    if not croniter.is_valid(cron) or len(cron.split()) != 5:
        return None
    try:
        found: datetime = croniter(cron, now.astimezone(timezone.utc)).get_prev(datetime)
    except CroniterBadDateError:
        return None
    return found
