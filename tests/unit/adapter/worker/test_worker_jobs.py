"""A job from its claim to its end, with a catalog and a child that only pretend."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from dbt.adapters.postgres_ml.worker import children
from dbt.adapters.postgres_ml.worker.children import Child, Spare
from dbt.adapters.postgres_ml.worker.jobs import Jobs
from dbt.adapters.postgres_ml.worker.place import of_dsn

TASK = {
    "kind": "create", "job": 7, "attempt": 1, "schema": "ml", "model": "churn", "requested_by": "a", "version": None,
    "config": {"target": "y"},
}  # fmt: skip
#: what a child does with its task, and says
READY = """say(event='done', success=True, response={'_message': 'CREATE MODEL v1'})"""
PROGRESS = """say(event='progress', text='search', fields={'phase': 'search', 'trials': 3, 'best': 'x', 'score': 0.5})
say(event='done', success=True, response={'_message': 'unchanged, kept v1'})"""
FAILED = """say(event='done', success=False, message='  min_rows is 500')"""
KILLED = """import os, signal; os.kill(os.getpid(), signal.SIGKILL)"""
CRASHED = """sys.stderr.write('out of luck'); sys.exit(3)"""
SLOW = """say(event='progress', text='going on', fields={}); sys.stdin.read(); say(event='done', success=False, message='')"""
DEAF = """import time; say(event='progress', text='going on', fields={}); time.sleep(60)"""
CODE = """
import json, sys
def say(**event): print(json.dumps(event), flush=True)
say(event='warm')
assert json.loads(sys.stdin.readline())['arguments'][0] in ('run', 'run-operation')
{}
"""


class Catalog:
    """Remembers what it is told."""

    def __init__(self, task: dict[str, Any] | None = TASK, *, goes_on: bool = True) -> None:
        self.task, self.goes_on = task, goes_on
        self.said: list[tuple[Any, ...]] = []
        self.progress: list[dict[str, Any]] = []

    async def claim(self, job: int, worker: str) -> dict[str, Any] | None:
        return self.task

    async def note_progress(self, task: dict[str, Any], found: dict[str, Any]) -> bool:
        self.progress.append(found)
        return self.goes_on

    async def end(self, task: dict[str, Any], state: str, why: str) -> bool:
        self.said.append((state, why))
        return True

    async def give_back(self, task: dict[str, Any], why: str) -> None:
        self.said.append(("again", why))

    async def note_stop(self, task: dict[str, Any]) -> None:
        self.said.append(("given back",))

    async def clear(self) -> None:
        pass


def run(
    folder: Path, code: str, catalog: Catalog, monkeypatch: pytest.MonkeyPatch, during: str = ""
) -> list[tuple[Any, ...]]:
    """Run the job with a child of this code; call it off or stop the worker once it runs, if asked for."""
    monkeypatch.setattr(children, "COMMAND", (sys.executable, "-c", CODE.format(code)))
    monkeypatch.setattr(children, "KILL_S", 0.3)

    async def whole() -> None:
        jobs = Jobs(of_dsn("host=h user=u dbname=d", folder), catalog, "w", 1)  # type: ignore[arg-type]  # pretends
        task = asyncio.create_task(jobs.run(7))
        while during and not catalog.progress:
            await asyncio.sleep(0.02)
        if during == "cancel":
            await jobs.call_off({7, 8})
        elif during == "stop":
            await jobs.stop()
        try:
            await task
        except asyncio.CancelledError:
            catalog.said.append(("stopped",))
        await jobs.spare.end()
        assert jobs.running == {}

    asyncio.run(whole())
    return catalog.said


@pytest.mark.parametrize(
    ("code", "ending"),
    [
        (READY, ("READY", "CREATE MODEL v1")),
        (FAILED, ("FAILED", "min_rows is 500")),
        (KILLED, ("again", "the process that trained was killed by signal 9, by the system for its use of memory or by somebody")),
        (CRASHED, ("again", "the process that trained ended with code 3: out of luck")),
    ],
)  # fmt: skip
def test_a_child_that_ends_ends_its_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, ending: tuple[str, str]
) -> None:
    assert run(tmp_path, code, Catalog(), monkeypatch) == [ending]


def test_progress_has_the_names_of_the_view(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = Catalog()
    assert run(tmp_path, PROGRESS, catalog, monkeypatch) == [("READY", "unchanged, kept v1")]
    assert catalog.progress == [
        {"candidates": 3, "best": "x", "score": 0.5, "phase": "search", "message": "search"}
    ]


@pytest.mark.parametrize("code", [SLOW, DEAF])
def test_a_job_that_is_called_off_ends_within_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    assert run(tmp_path, code, Catalog(), monkeypatch, "cancel") == [("CANCELLED", "cancelled")]


def test_a_job_that_another_attempt_has_ends_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(tmp_path, SLOW, Catalog(goes_on=False), monkeypatch) == [("CANCELLED", "cancelled")]


def test_a_worker_that_stops_gives_its_job_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(tmp_path, SLOW, Catalog(), monkeypatch, "stop") == [
        ("given back",),
        ("stopped",),
    ]


def test_without_anything_to_do_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(tmp_path, READY, Catalog(None), monkeypatch) == []


def test_a_folder_that_can_not_be_written_is_the_jobs_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "projects").write_text("in the way")
    [(state, why)] = run(tmp_path, READY, Catalog(), monkeypatch)
    assert state == "FAILED" and why.startswith("the worker can't build it: ")


def test_an_operation_is_one_of_dbts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = {**TASK, "kind": "rollback", "version": 2}
    assert run(tmp_path, READY, Catalog(task), monkeypatch) == [("READY", "CREATE MODEL v1")]


def test_a_spare_child_that_has_died_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "COMMAND", (sys.executable, "-c", "pass"))

    async def whole() -> None:
        spare = Spare("")
        spare.prepare()
        assert spare._starting is not None
        first = await spare._starting
        await first.process.wait()
        second = await spare.take()
        assert isinstance(second, Child) and second is not first
        await second.end()
        await spare.end()

    asyncio.run(whole())


def test_a_spare_child_that_could_not_be_started_is_started_when_it_is_needed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What was short while nothing was to be done, such as processes, must not fail the next job."""

    async def whole() -> None:
        for is_needed in (True, False):
            monkeypatch.setattr(children, "COMMAND", (str(tmp_path / "nowhere"),))
            spare = Spare("")
            spare.prepare()
            assert spare._starting is not None
            await asyncio.wait([spare._starting])
            monkeypatch.setattr(children, "COMMAND", (sys.executable, "-c", "pass"))
            if is_needed:
                await (await spare.take()).end()
            await spare.end()

    asyncio.run(whole())
