"""Fires schedules: calls the functions that callers made of their queries, as a role without any rights.

A caller's query runs with the caller's rights, because his function says so. Whatever else it does in that
session, it finds a role that may do nothing; the worker's own sessions it never sees.
"""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import datetime, timezone

import psycopg
from croniter import CroniterBadDateError, croniter
from dbt.adapters.postgres_ml.worker.catalog import LOSSES, Catalog, Schedule
from psycopg import sql

from postgres_ml.contract.exceptions import SpecError

logger = logging.getLogger("postgres_ml.worker")
TIMEOUT_S = 3600  # for a query that a schedule runs
AT_ONCE = 4
EVERY_S = 60  # cron knows no seconds
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
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._running: set[str] = set()

    async def keep_time(self) -> None:
        """Look each minute for what is due, whatever still runs, which is given back when this is cancelled.

        A query takes none of the worker's trainings the place.
        """
        looks: set[asyncio.Task[None]] = set()
        try:
            while True:
                looks.add(asyncio.create_task(self._look()))
                await asyncio.sleep(EVERY_S - time.time() % EVERY_S)
                for look in [look for look in looks if look.done()]:
                    looks.discard(look)
                    await look  # raises what ended it
        finally:
            for look in looks:
                look.cancel()
            await asyncio.gather(*looks, return_exceptions=True)

    async def _look(self) -> None:
        try:
            await self.fire(datetime.now(timezone.utc))
        except LOSSES as error:
            logger.debug("the schedules lost the server: %s", error)

    async def fire(self, now: datetime) -> None:
        """Fire what has become due since it was fired last; of several workers one does.

        Raises
        ------
        procrastinate.exceptions.ConnectorException
            The server is lost.
        """
        fired = [self._fire_if_due(schedule, now) for schedule in await self._catalog.schedules()]
        for error in await asyncio.gather(*fired, return_exceptions=True):
            if isinstance(error, BaseException):
                raise error

    async def _fire_if_due(self, schedule: Schedule, now: datetime) -> None:
        due, model = last_due(schedule.cron, now), f"{schedule.schema}.{schedule.model}"
        if due is None:
            said = f"{schedule.cron!r} is no cron expression, or never due"
            await self._catalog.note_schedule(schedule, said)
        elif due > schedule.since and model not in self._running:
            self._running.add(model)
            try:
                async with self._at_once:
                    await self._fire(schedule, due)
            finally:
                self._running.discard(model)

    async def _fire(self, schedule: Schedule, due: datetime) -> None:
        if not await self._catalog.claim_schedule(schedule, due):
            return
        try:
            said = await self._call(schedule)
        except asyncio.CancelledError:
            why = "the worker was stopped; the next one that looks begins again"
            await self._catalog.give_back_schedule(schedule, due, why)
            raise
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
