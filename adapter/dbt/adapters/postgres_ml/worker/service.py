"""The worker's life: procrastinate's worker beside the watch that feeds it, until it is stopped.

procrastinate keeps the queue: locks (one training a model), heartbeats, stalled jobs, graceful stop. The
table postgres_ml.job is what callers write and read; the watch carries new jobs over into the queue, notices
those that were called off, and takes up those whose worker died.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import procrastinate
import psycopg
from dbt.adapters.postgres_ml.worker.catalog import LOSSES, Catalog
from dbt.adapters.postgres_ml.worker.children import Child
from dbt.adapters.postgres_ml.worker.jobs import Jobs, worker_name
from dbt.adapters.postgres_ml.worker.place import Place
from dbt.adapters.postgres_ml.worker.project import variables, write_project
from dbt.adapters.postgres_ml.worker.schedules import Schedules
from procrastinate import exceptions as queue_errors
from procrastinate import jobs as queue_jobs
from procrastinate.tasks import Task

logger = logging.getLogger("postgres_ml.worker")
POLL_S = 1.0  # between two looks at the catalog where no notification comes
LEAST_S = 0.05  # between two looks, whoever wakes it
SWEEP_S = 5.0  # between two looks for what was lost
PRUNE_S = 3600.0  # between two looks for what ended long ago
RETRY_S = 1.0
QUEUE = "models"
RunJob = Task[Any, Any, Any]


@dataclass(frozen=True)
class Options:
    """How a worker works.

    Parameters
    ----------
    concurrency : trainings at once
    grace_s : seconds that trainings may go on after SIGTERM, before they go back into the queue
    heartbeat_s, stalled_s : seconds between two heartbeats, and without one, after which a worker is dead
    until_idle : whether to end when there is nothing left to do
    keep_days : after which jobs that have ended are forgotten
    """

    concurrency: int = 1
    grace_s: float = 30.0
    heartbeat_s: float = 5.0
    stalled_s: float = 20.0
    until_idle: bool = False
    keep_days: float = 30.0


class Service:
    """A worker on one database."""

    def __init__(self, place: Place, options: Options) -> None:
        self.place, self.options = place, options
        self._stop = asyncio.Event()
        self._wake = asyncio.Event()
        self._pruned: float | None = None

    async def run(self) -> None:
        """Work until stopped; a server that is lost is waited for.

        Any other error of what goes on beside the jobs ends the worker, after the grace that a stop gives: a
        supervisor starts it again, while a worker that only seems alive would leave every caller waiting.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        await self._warm_template()
        while not self._stop.is_set():
            try:
                await self._serve()
            except LOSSES as error:
                logger.warning(
                    "the server is lost, trying again: %s", " ".join(str(error.__cause__ or error).split())
                )
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), RETRY_S)
            if self.options.until_idle:
                return

    async def _warm_template(self) -> None:
        """Let dbt parse its macros once; each model's project begins with the result."""
        folder = self.place.folder / "template"
        write_project(folder, self.place, self.options.concurrency)
        child = await Child.start()
        arguments = ["parse", "--project-dir", str(folder), "--profiles-dir", str(folder), "--quiet"]
        async for event in child.run(arguments, variables(self.place)):
            if event["event"] == "done" and not event["success"]:
                logger.warning("dbt does not parse: %s", event["message"])
        await child.end()

    async def _serve(self) -> None:
        kwargs = {"prepare_threshold": None} if self.place.is_pooled else {}
        connector = procrastinate.PsycopgConnector(
            conninfo=self.place.conninfo(), kwargs=kwargs, min_size=1, max_size=self.options.concurrency + 4,
            timeout=10.0, reconnect_timeout=5.0,
        )  # fmt: skip
        app = procrastinate.App(connector=connector)
        jobs = Jobs(self.place, Catalog(connector), worker_name(), self.options.concurrency)

        @app.task(queue=QUEUE, name="run_job", retry=False)
        async def run_job(job: int) -> None:
            await jobs.run(job)

        async with app.open_async():
            jobs.spare.prepare()
            await self._look(app, run_job, jobs, sweeps=True)
            logger.info("working on %s as %s", self.place.name, jobs.worker)
            side = [asyncio.create_task(self._watch(app, run_job, jobs))]
            if not self.place.is_pooled:  # behind a pooler there are no notifications
                side.append(asyncio.create_task(self._listen()))
            scheduler = self.place.scheduler_conninfo()
            if scheduler and not self.options.until_idle:
                side.append(asyncio.create_task(Schedules(jobs.catalog, scheduler).keep_time()))
            await self._work_beside(side, asyncio.create_task(self._worker(app)), jobs)

    async def _work_beside(
        self, side: list[asyncio.Task[None]], worker: asyncio.Task[None], jobs: Jobs
    ) -> None:
        """Wait for the worker's end; what ended a task beside it, which has no end of its own, is raised."""
        ender = asyncio.create_task(self._end_on_stop(side, worker, jobs))
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await worker
        finally:
            for task in (ender, *side):
                task.cancel()
            ends = await asyncio.gather(ender, *side, return_exceptions=True)
            await jobs.stop()
            await jobs.spare.end()
            for error in ends:
                if isinstance(error, Exception):
                    raise error

    async def _worker(self, app: procrastinate.App) -> None:
        await app.run_worker_async(
            queues=[QUEUE],
            concurrency=self.options.concurrency,
            name="postgres-ml",
            wait=not self.options.until_idle,
            listen_notify=not self.place.is_pooled,
            fetch_job_polling_interval=POLL_S,
            install_signal_handlers=False,
            update_heartbeat_interval=self.options.heartbeat_s,
            stalled_worker_timeout=self.options.stalled_s,
            delete_jobs="always",
        )

    async def _end_on_stop(
        self, side: list[asyncio.Task[None]], worker: asyncio.Task[None], jobs: Jobs
    ) -> None:
        """On SIGTERM take no more jobs, let those that run end for a while, then give them back.

        The same where a task beside the worker has ended: nothing is queued without the watch.
        """
        stop = asyncio.create_task(self._stop.wait())
        try:
            ended, _ = await asyncio.wait([stop, *side], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
        for task in ended - {stop}:
            logger.error("the worker can't go on: %r", task.exception())
        logger.info("stopping: %d trainings may go on for %g s", len(jobs.running), self.options.grace_s)
        worker.cancel()
        await asyncio.wait([worker], timeout=self.options.grace_s)
        await jobs.stop()

    async def _listen(self) -> None:
        """Wake the watch at each notification."""
        while True:
            with contextlib.suppress(psycopg.Error, OSError):
                connected = await psycopg.AsyncConnection.connect(self.place.conninfo(), autocommit=True)
                async with connected as connection:
                    await connection.execute("listen postgres_ml")
                    async for _ in connection.notifies():
                        self._wake.set()
            await asyncio.sleep(RETRY_S)

    async def _watch(self, app: procrastinate.App, run_job: RunJob, jobs: Jobs) -> None:
        swept = 0.0
        while True:
            is_time = time.monotonic() - swept > SWEEP_S
            swept = time.monotonic() if is_time else swept
            await self._look(app, run_job, jobs, sweeps=is_time)
            self._wake.clear()
            await asyncio.sleep(LEAST_S)  # anybody may notify
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._wake.wait(), POLL_S)

    async def _look(self, app: procrastinate.App, run_job: RunJob, jobs: Jobs, *, sweeps: bool) -> None:
        try:
            await self._queue(run_job, jobs.catalog, await jobs.catalog.waiting())
            if jobs.running:
                await jobs.call_off(await jobs.catalog.cancelled())
            if sweeps:
                await self._sweep(app, run_job, jobs)
        except LOSSES as error:
            logger.debug("the watch lost the server: %s", error)

    async def _queue(
        self,
        run_job: RunJob,
        catalog: Catalog,
        waiting: list[tuple[int, str]],
    ) -> None:
        for job, model in waiting:
            with contextlib.suppress(queue_errors.AlreadyEnqueued):
                await run_job.configure(lock=model, queueing_lock=f"job {job}").defer_async(job=job)
        if waiting:
            await catalog.note_queued([job for job, _ in waiting])

    async def _sweep(self, app: procrastinate.App, run_job: RunJob, jobs: Jobs) -> None:
        """Take up what workers that died have left."""
        stalled = await app.job_manager.get_stalled_jobs(
            queue=QUEUE, seconds_since_heartbeat=self.options.stalled_s
        )
        for found in stalled:
            if found.task_kwargs.get("job") not in jobs.running:
                await app.job_manager.finish_job(found, queue_jobs.Status.FAILED, delete_job=True)
        await self._queue(run_job, jobs.catalog, await jobs.catalog.lost())
        await jobs.catalog.clear()
        if self._pruned is None or time.monotonic() - self._pruned > PRUNE_S:
            self._pruned = time.monotonic()
            days = self.options.keep_days
            if n := await jobs.catalog.prune(days):
                logger.info("forgot %d jobs that ended more than %g days ago", n, days)


def serve(place: Place, options: Options, check: Callable[[], None]) -> None:
    """Run a worker until it is stopped.

    Parameters
    ----------
    check : called first; raises where the database is not ready
    """
    check()
    asyncio.run(Service(place, options).run())
