"""One job from its claim to its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import time
from pathlib import Path
from typing import Any

import procrastinate.exceptions
from dbt.adapters.postgres_ml.worker.catalog import Catalog
from dbt.adapters.postgres_ml.worker.children import Child, Spare
from dbt.adapters.postgres_ml.worker.outcome import Outcome, judge
from dbt.adapters.postgres_ml.worker.place import Place
from dbt.adapters.postgres_ml.worker.project import make_project, remove_projects, variables

logger = logging.getLogger("postgres_ml.worker")
EVERY_S = 0.5  # between two lines of progress that callers see
#: fields of a search's progress, and what the view jobs calls them
FIELDS = {
    "trials": "candidates",
    "best": "best",
    "metric": "metric",
    "score": "score",
    "seconds_left": "seconds_left",
}


class Jobs:
    """Runs jobs, each in a child of its own.

    Parameters
    ----------
    worker : a name for logs and the view jobs
    n_threads : jobs at once, which share the cores
    """

    def __init__(self, place: Place, catalog: Catalog, worker: str, n_threads: int) -> None:
        self.place, self.catalog, self.worker, self.n_threads = place, catalog, worker, n_threads
        self.spare = Spare(place.profile()["mlflow_tracking_uri"])
        self.running: dict[int, Child] = {}
        self.called_off: set[int] = set()
        self.is_stopping = False

    async def run(self, number: int) -> None:
        """Claim a job and see it to its end.

        Raises
        ------
        procrastinate.exceptions.ConnectorException
            The server is lost for good; the job is found again by its row.
        """
        task = await self.catalog.claim(number, self.worker)
        if task is None:
            return
        model = f"{task['schema']}.{task['model']}"
        extra = {"job": number, "model": model, "attempt": task["attempt"]}
        logger.info("%s of %s begins", task["kind"], model, extra=extra)
        started = time.monotonic()
        try:
            outcome = await self._build(task)
        except (OSError, ValueError) as error:  # the worker's own folder or processes
            outcome = Outcome("FAILED", f"the worker can't build it: {error}")
        except asyncio.CancelledError:
            await self.catalog.note_stop(task)
            raise
        await self._conclude(task, outcome)
        if task["kind"] == "drop" and outcome.verdict == "READY":
            await asyncio.to_thread(remove_projects, self.place, task)
        seconds = round(time.monotonic() - started, 2)
        logger.info(
            "%s of %s: %s: %s", task["kind"], model, outcome.verdict, outcome.message.split("\n")[0],
            extra={**extra, "outcome": outcome.verdict, "seconds": seconds},
        )  # fmt: skip

    async def _conclude(self, task: dict[str, Any], outcome: Outcome) -> None:
        number = task["job"]
        if number in self.called_off and outcome.verdict != "READY":
            self.called_off.discard(number)
            await self.catalog.end(task, "CANCELLED", "cancelled")
        elif outcome.verdict == "again":
            await self.catalog.give_back(task, outcome.message)
        else:
            await self.catalog.end(task, outcome.verdict, outcome.message)
        with contextlib.suppress(procrastinate.exceptions.ConnectorException):
            await self.catalog.clear()

    async def _build(self, task: dict[str, Any]) -> Outcome:
        number = task["job"]
        child = await self.spare.take()
        self.running[number] = child
        if self.is_stopping:
            await child.end()
            raise asyncio.CancelledError
        done: dict[str, Any] | None = None
        try:
            folder = await asyncio.to_thread(make_project, self.place, task, self.n_threads)
            said = 0.0
            async for event in child.run(_arguments(task, folder), variables(self.place, task)):
                if event["event"] == "done":
                    done = event
                elif event["event"] == "progress" and time.monotonic() - said >= EVERY_S:
                    said = time.monotonic()
                    await self._tell(task, child, event)
        finally:
            self.running.pop(number, None)
            await child.end()
            if not self.is_stopping:
                self.spare.prepare()  # not before: its imports would take the training's cores
        if self.is_stopping and not (done and done["success"]):
            raise asyncio.CancelledError
        return judge(done, child.death, task["attempt"])

    async def _tell(self, task: dict[str, Any], child: Child, event: dict[str, Any]) -> None:
        fields = event["fields"]
        found = {name: fields[key] for key, name in FIELDS.items() if key in fields}
        phase = {"phase": fields.get("phase", "training")}
        try:
            goes_on = await self.catalog.note_progress(task, {**found, **phase, "message": event["text"]})
        except procrastinate.exceptions.ConnectorException as error:
            logger.warning("progress of job %s is lost: %s", task["job"], error.__cause__)
            return
        if not goes_on:
            self.called_off.add(task["job"])
            await child.end()

    async def call_off(self, numbers: set[int]) -> None:
        """End the children of jobs that their callers cancelled, all at once."""
        children = {number: self.running[number] for number in numbers & self.running.keys()}
        self.called_off |= children.keys()  # a job may end by itself, and leave `running`, while others do
        await asyncio.gather(*(child.end() for child in children.values()))

    async def stop(self) -> None:
        """End all children; their jobs go back into the queue."""
        self.is_stopping = True
        await asyncio.gather(*(child.end() for child in list(self.running.values())))


def _arguments(task: dict[str, Any], folder: Path) -> list[str]:
    where = ["--project-dir", str(folder), "--profiles-dir", str(folder), "--quiet", "--no-use-colors"]
    if task["kind"] == "create":
        return ["run", "--select", task["model"], *where]
    model = f'"{task["schema"]}"."{task["model"]}"'
    arguments: dict[str, Any] = {"model": model}
    if task["kind"] == "rollback":
        arguments["version"] = task["version"]
    return ["run-operation", f"{task['kind']}_model", "--args", json.dumps(arguments), *where]


def worker_name() -> str:
    """Return what tells workers apart in logs and in the view jobs."""
    return f"{os.uname().nodename}:{os.getpid()}"
