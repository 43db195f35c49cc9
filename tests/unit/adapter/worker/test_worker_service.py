"""What goes on beside the jobs, with a queue in memory and a catalog that only pretends."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any

import procrastinate
import pytest
from dbt.adapters.postgres_ml.worker import children, service
from dbt.adapters.postgres_ml.worker.jobs import Jobs
from dbt.adapters.postgres_ml.worker.place import Place, of_dsn
from dbt.adapters.postgres_ml.worker.service import Options, Service
from procrastinate.testing import InMemoryConnector

PATIENCE_S = 60.0
IDLE_CHILD = (sys.executable, "-c", "import sys; sys.stdin.read()")


class Catalog:
    """Has nothing to do; from its second look on it fails as told.

    Parameters
    ----------
    fault : that its rows raise in this package's own code
    """

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault, self.looks = fault, 0

    async def waiting(self) -> list[tuple[int, str]]:
        self.looks += 1
        if self.fault is not None and self.looks > 1:
            raise self.fault
        return []

    async def cancelled(self) -> set[int]:
        return {1, 2, 3}

    async def lost(self) -> list[tuple[int, str]]:
        return []

    async def clear(self) -> None:
        pass

    async def prune(self, keep_days: float) -> int:
        return 0


def place(folder: Path) -> Place:
    return of_dsn("host=h user=u dbname=d", folder, is_pooled=True)


def test_jobs_that_are_called_off_together_may_end_in_the_meantime(tmp_path: Path) -> None:
    ended: set[str] = set()

    class Child:
        """Takes a moment to end, in which the other one ends by itself."""

        def __init__(self, name: str) -> None:
            self.name = name

        async def end(self) -> None:
            jobs.running.clear()
            await asyncio.sleep(0)
            ended.add(self.name)

    async def whole() -> None:
        jobs.running = {1: Child("one"), 2: Child("two")}  # type: ignore[dict-item]  # they pretend
        await Service(jobs.place, Options())._look(None, None, jobs, sweeps=False)  # type: ignore[arg-type]  # unused

    jobs = Jobs(place(tmp_path), Catalog(), "w", 2)  # type: ignore[arg-type]  # pretends
    asyncio.run(whole())
    assert ended == {"one", "two"} and jobs.called_off == {1, 2}


def test_a_watch_that_fails_ends_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It alone queues jobs: without it a worker that lives would leave all callers waiting."""
    monkeypatch.setattr(children, "COMMAND", IDLE_CHILD)
    monkeypatch.setattr(procrastinate, "PsycopgConnector", lambda **_: InMemoryConnector())
    catalog: Any = Catalog(RuntimeError("a row that nobody thought of"))
    monkeypatch.setattr(service, "Catalog", lambda _: catalog)

    async def whole() -> None:
        made = Service(place(tmp_path), Options(grace_s=PATIENCE_S))
        await asyncio.wait_for(made._serve(), PATIENCE_S)

    with (
        caplog.at_level(logging.ERROR, "postgres_ml.worker"),
        pytest.raises(RuntimeError, match="thought of"),
    ):
        asyncio.run(whole())
    assert "the worker can't go on: RuntimeError('a row that nobody thought of')" in caplog.text


def test_a_worker_without_faults_ends_when_it_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "COMMAND", IDLE_CHILD)
    monkeypatch.setattr(procrastinate, "PsycopgConnector", lambda **_: InMemoryConnector())
    catalog: Any = Catalog()
    monkeypatch.setattr(service, "Catalog", lambda _: catalog)

    async def whole() -> None:
        made = Service(place(tmp_path), Options(grace_s=PATIENCE_S))
        serving = asyncio.create_task(made._serve())
        while catalog.looks < 3:
            await asyncio.sleep(0.05)
        made._stop.set()
        await asyncio.wait_for(serving, PATIENCE_S)

    asyncio.run(whole())
