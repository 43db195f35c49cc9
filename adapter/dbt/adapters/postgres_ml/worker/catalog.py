"""What the worker asks of the catalog's functions, and of its queue's tables."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import procrastinate.exceptions
import psycopg
from procrastinate.connector import BaseAsyncConnector

PATIENCE_S = 120.0  # for a server that restarts, as a build has it
RETRY_S = 0.5
LOSSES = (
    procrastinate.exceptions.ConnectorException, psycopg.OperationalError, psycopg.InterfaceError, OSError
)  # fmt: skip
"""What says that the server is lost, perhaps for a while."""
Answer = TypeVar("Answer")
LOST = """
select u.job, u.model
from postgres_ml.unfinished_jobs() as u
where not exists (
    select from procrastinate_jobs as q
    where q.queueing_lock = 'job ' || u.job and q.status in ('todo', 'doing')
)
"""


@dataclass(frozen=True)
class Schedule:
    """A model that is trained again by the clock.

    Parameters
    ----------
    since : when it was fired last, or made
    """

    schema: str
    model: str
    cron: str
    since: datetime


class Catalog:
    """The functions of schema postgres_ml that are the worker's.

    Parameters
    ----------
    connector : whose pool runs them, each in a transaction of its own
    """

    def __init__(self, connector: BaseAsyncConnector) -> None:
        self._connector = connector

    async def waiting(self) -> list[tuple[int, str]]:
        """Return jobs that no queue has yet, the oldest first, with their models."""
        return [
            (row["job"], row["model"]) for row in await self._all("select * from postgres_ml.waiting_jobs()")
        ]

    async def lost(self) -> list[tuple[int, str]]:
        """Return jobs that have not ended and that the queue does not know any more."""
        return [(row["job"], row["model"]) for row in await self._all(LOST)]

    async def cancelled(self) -> set[int]:
        """Return jobs that were called off and have not ended."""
        rows = await self._all("select job from postgres_ml.unfinished_jobs() where is_cancelled")
        return {row["job"] for row in rows}

    async def note_queued(self, jobs: list[int]) -> None:
        """Note that the queue has them."""
        await self._all("select postgres_ml.note_queued(%(jobs)s::bigint[])", jobs=jobs)

    async def claim(self, job: int, worker: str) -> dict[str, Any] | None:
        """Return the job for a new attempt; None where there is nothing left to do for it."""
        query = "select postgres_ml.claim_job(%(job)s, %(worker)s) as task"
        [row] = await self._patiently(lambda: self._all(query, job=job, worker=worker))
        task: dict[str, Any] | None = row["task"]
        return task

    async def note_progress(self, task: dict[str, Any], found: dict[str, Any]) -> bool:
        """Tell callers how far it is; False where the job is not this attempt's any more."""
        query = "select postgres_ml.note_progress(%(job)s, %(attempt)s, %(found)s::jsonb) as goes_on"
        [row] = await self._all(query, job=task["job"], attempt=task["attempt"], found=json.dumps(found))
        return bool(row["goes_on"])

    async def end(self, task: dict[str, Any], state: str, why: str) -> bool:
        """End the job; False where it has ended already, by its publication or by another attempt."""
        query = "select postgres_ml.end_job(%(job)s, %(attempt)s, %(state)s, %(why)s) as has_ended"
        [row] = await self._patiently(
            lambda: self._all(query, job=task["job"], attempt=task["attempt"], state=state, why=why)
        )
        return bool(row["has_ended"])

    async def give_back(self, task: dict[str, Any], why: str) -> None:
        """Let another attempt do it."""
        query = "select postgres_ml.give_back_job(%(job)s, %(attempt)s, %(why)s)"
        await self._patiently(lambda: self._all(query, job=task["job"], attempt=task["attempt"], why=why))

    async def note_stop(self, task: dict[str, Any]) -> None:
        """Let another attempt do it, which counts as none: nothing was wrong."""
        query = "select postgres_ml.note_stop(%(job)s, %(attempt)s)"
        await self._patiently(lambda: self._all(query, job=task["job"], attempt=task["attempt"]))

    async def schedules(self) -> list[Schedule]:
        """Return all schedules."""
        rows = await self._all("select * from postgres_ml.all_schedules()")
        return [Schedule(row["model_schema"], row["model_name"], row["cron"], row["since"]) for row in rows]

    async def claim_schedule(self, schedule: Schedule, due: datetime) -> bool:
        """Return whether this worker is the one that fires it for that time."""
        query = "select postgres_ml.claim_schedule(%(schema)s, %(model)s, %(due)s) as is_mine"
        [row] = await self._all(query, schema=schedule.schema, model=schedule.model, due=due)
        return bool(row["is_mine"])

    async def give_back_schedule(self, schedule: Schedule, due: datetime, why: str) -> None:
        """Let whoever looks next fire it for that time."""
        query = "select postgres_ml.give_back_schedule(%(schema)s, %(model)s, %(due)s, %(since)s, %(why)s)"
        await self._all(
            query, schema=schedule.schema, model=schedule.model, due=due, since=schedule.since, why=why
        )

    async def note_schedule(self, schedule: Schedule, what: str) -> None:
        """Tell the schedule's owner what came of it."""
        query = "select postgres_ml.note_schedule(%(schema)s, %(model)s, %(what)s)"
        await self._all(query, schema=schedule.schema, model=schedule.model, what=what)

    async def clear(self) -> None:
        """Remove rows of jobs that have ended."""
        await self._all("select postgres_ml.clear_jobs()")

    async def prune(self, keep_days: float) -> int:
        """Forget jobs that ended so many days ago but everybody's last call of a model; return how many."""
        [row] = await self._all("select postgres_ml.prune_jobs(%(days)s) as n", days=keep_days)
        return int(row["n"])

    async def _all(self, query: str, **arguments: Any) -> list[dict[str, Any]]:
        return await self._connector.execute_query_all_async(query, **arguments)

    async def _patiently(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """Ask again while the server can't be reached, for two minutes."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with contextlib.suppress(procrastinate.exceptions.ConnectorException):
                return await ask()
            await asyncio.sleep(RETRY_S)
        return await ask()
