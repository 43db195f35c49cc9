"""What the worker asks the database, and what it says where something is missing, with connections that pretend."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import procrastinate.exceptions
import pytest
from dbt.adapters.postgres_ml.worker import catalog as catalogs
from dbt.adapters.postgres_ml.worker import schedules as clock
from dbt.adapters.postgres_ml.worker import setup, status
from dbt.adapters.postgres_ml.worker.catalog import Catalog, Schedule
from dbt.adapters.postgres_ml.worker.place import Place, of_dsn
from dbt.adapters.postgres_ml.worker.schedules import Schedules
from postgres_ml.contract.exceptions import SpecError

NOW = datetime(2026, 1, 5, 12, 4, tzinfo=timezone.utc)
STATE = {
    "role": "w", "database": "d", "has_catalog": True, "release": setup.RELEASE, "may_make_catalog": False, "may_work": True,
    "has_queue": True, "may_make_queue": False, "may_create_schema": False, "search_path": '"$user", public',
}  # fmt: skip


class Connector:
    """Answers by the first word of a query that it knows; fails as often as it is told to."""

    def __init__(self, answers: dict[str, list[dict[str, Any]]], failures: int = 0) -> None:
        self.answers, self.failures = answers, failures
        self.asked: list[tuple[str, dict[str, Any]]] = []

    async def execute_query_all_async(self, query: str, **arguments: Any) -> list[dict[str, Any]]:
        self.asked.append((query, arguments))
        if self.failures:
            self.failures -= 1
            raise procrastinate.exceptions.ConnectorException("gone")
        return next((rows for words, rows in self.answers.items() if words in query), [])


class Connection:
    """A psycopg connection whose every query has one answer."""

    def __init__(self, **rows: list[dict[str, Any]]) -> None:
        self.rows, self.asked = rows, []  # type: ignore[var-annotated]  # texts

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @contextmanager
    def transaction(self) -> Any:
        yield

    def execute(self, query: Any, arguments: Any = None) -> Connection:
        self.asked.append(str(query))
        self.last = next((rows for words, rows in self.rows.items() if words in str(query)), [])
        return self

    def fetchone(self) -> dict[str, Any] | None:
        return self.last[0] if self.last else None

    def fetchall(self) -> list[dict[str, Any]]:
        return self.last


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return of_dsn("host=h user=w dbname=d", tmp_path)


def test_answers_are_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogs, "RETRY_S", 0.0)
    job = [{"job": 3, "model": "ml.x"}]
    connector = Connector({
        "waiting_jobs": job, "not exists": job, "is_cancelled": job, "claim_job": [{"task": {"job": 3}}],
        "note_progress": [{"goes_on": True}], "end_job": [{"has_ended": False}], "claim_schedule": [{"is_mine": True}],
        "all_schedules": [{"model_schema": "ml", "model_name": "x", "cron": "* * * * *", "since": NOW}],
    }, failures=1)  # fmt: skip
    catalog = Catalog(connector)  # type: ignore[arg-type]  # pretends
    task = {"job": 3, "attempt": 1}

    async def whole() -> None:
        assert await catalog.claim(3, "w") == {"job": 3}  # the second time: the first found no server
        assert await catalog.waiting() == await catalog.lost() == [(3, "ml.x")]
        assert await catalog.cancelled() == {3}
        assert await catalog.note_progress(task, {"phase": "x"}) is True
        assert await catalog.end(task, "READY", "x") is False
        [schedule] = await catalog.schedules()
        assert schedule == Schedule("ml", "x", "* * * * *", NOW)
        assert await catalog.claim_schedule(schedule, NOW) is True
        await catalog.note_queued([3])
        await catalog.give_back(task, "why")
        await catalog.note_stop(task)
        await catalog.note_schedule(schedule, "job 4")
        await catalog.give_back_schedule(schedule, NOW, "why")
        await catalog.clear()

    asyncio.run(whole())
    assert len(connector.asked) == 15


def test_a_server_that_stays_away_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogs, "PATIENCE_S", 0.05)
    monkeypatch.setattr(catalogs, "RETRY_S", 0.01)
    with pytest.raises(procrastinate.exceptions.ConnectorException):
        asyncio.run(Catalog(Connector({}, failures=10**6)).claim(3, "w"))  # type: ignore[arg-type]  # pretends


def test_schedules_are_fired_once_and_say_what_came_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"model_schema": "ml", "model_name": name, "cron": cron, "since": NOW - timedelta(hours=hours)}
        for name, cron, hours in (
            ("never", "0 0 30 2 *", 2),
            ("wrong", "61 * * * *", 2),
            ("young", "0 3 * * *", 1),
            ("due", "0 * * * *", 2),
        )
    ]
    connector = Connector({"all_schedules": rows, "claim_schedule": [{"is_mine": True}]})
    schedules = Schedules(Catalog(connector), "host=/nowhere connect_timeout=1")  # type: ignore[arg-type]  # pretends
    asyncio.run(schedules.fire(NOW))
    notes = {said["model"]: said["what"] for query, said in connector.asked if "note_schedule" in query}
    assert notes.keys() == {"due", "wrong", "never"}
    assert "connection" in notes["due"], "whatever the others are"
    assert notes["wrong"] == "'61 * * * *' is no cron expression, or never due"
    assert notes["never"] == "'0 0 30 2 *' is no cron expression, or never due"


def test_a_schedule_that_runs_is_fired_once_and_given_back_when_the_worker_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its query may take an hour: other schedules go on, and a stop does not wait for it."""
    monkeypatch.setattr(clock, "EVERY_S", 0.01)
    since = NOW - timedelta(hours=2)
    rows = [
        {"model_schema": "ml", "model_name": name, "cron": "* * * * *", "since": since}
        for name in ("long", "short")
    ]
    connector = Connector({"all_schedules": rows, "claim_schedule": [{"is_mine": True}]})
    calls: list[str] = []

    async def call(schedule: Schedule) -> str:
        calls.append(schedule.model)
        if schedule.model == "long":
            await asyncio.sleep(60)
        return f"job {len(calls)}"

    async def whole() -> None:
        schedules = Schedules(Catalog(connector), "")  # type: ignore[arg-type]  # pretends
        monkeypatch.setattr(schedules, "_call", call)
        keeping = asyncio.create_task(schedules.keep_time())
        while calls.count("short") < 3:
            await asyncio.sleep(0.01)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    asyncio.run(whole())
    assert calls.count("long") == 1
    [given_back] = [said for query, said in connector.asked if "give_back_schedule" in query]
    assert (given_back["model"], given_back["since"]) == ("long", since)
    assert given_back["due"] > NOW and "the worker was stopped" in given_back["why"]


def test_a_clock_survives_the_loss_of_the_server_and_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "EVERY_S", 0.01)
    connector = Connector({}, failures=2)

    async def fault(now: datetime) -> None:
        await Catalog(connector).schedules()  # type: ignore[arg-type]  # pretends
        raise RuntimeError("a row that nobody thought of")

    async def whole() -> None:
        schedules = Schedules(Catalog(connector), "")  # type: ignore[arg-type]  # pretends
        monkeypatch.setattr(schedules, "fire", fault)
        await asyncio.wait_for(schedules.keep_time(), 30)

    with pytest.raises(RuntimeError, match="thought of"):
        asyncio.run(whole())
    assert len(connector.asked) >= 3


@pytest.mark.parametrize(
    ("lacks", "is_pooled", "said"),
    [
        ({"release": 0, "has_catalog": False}, False, r"SQL clients of database d are not there: .*create_catalog --args '\{worker: w\}'"),
        ({"release": 0}, False, "are of an older release: let an administrator run"),
        ({"may_work": False}, False, r"role w may not work for others: .*create_catalog"),
        ({"has_queue": False}, False, "there is no schema postgres_ml_queue, and the role may not create it"),
        ({}, True, "alter role w in database d set search_path = pg_catalog, postgres_ml_queue"),
    ],
)  # fmt: skip
def test_what_a_worker_lacks_is_said_with_its_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacks: dict[str, Any], is_pooled: bool, said: str
) -> None:
    place = of_dsn("host=h user=w dbname=d", tmp_path, is_pooled=is_pooled)
    monkeypatch.setattr(setup, "connect", lambda place: Connection(current_user=[{**STATE, **lacks}]))
    with pytest.raises(SpecError, match=said):
        setup.prepare(place)


def test_the_queues_tables_are_made_where_they_may_be(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = Connection(
        current_user=[{**STATE, "has_queue": False, "may_create_schema": True}], to_regclass=[{"found": None}]
    )
    monkeypatch.setattr(setup, "connect", lambda place: connection)
    setup.prepare(place)
    assert "create schema" in "".join(connection.asked) and "procrastinate_jobs" in connection.asked[-1]


def test_a_server_that_refuses_is_not_waited_for(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "_try", lambda conninfo: (None, 'role "w" does not exist'))
    with pytest.raises(SpecError, match='h:5432/d: role "w" does not exist'):
        setup.connect(place)


def test_status_counts_who_lives(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [{"job": 1, "model": "ml.a", "attempt": 0}, {"job": 2, "model": "ml.b", "attempt": 2}]
    for ages, code in (([1.0, 90.0], 0), ([90.0], 3)):
        workers = [{"id": i, "age": age} for i, age in enumerate(ages)]
        found = Connection(current_user=[STATE], procrastinate_workers=workers, unfinished_jobs=jobs)
        monkeypatch.setattr(status, "connect", lambda place, found=found: found)
        assert status.status(place, 20.0) == code
    said = capsys.readouterr().out
    assert "worker 0: alive, heartbeat 1 s ago\nworker 1: dead, heartbeat 90 s ago\n" in said
    assert (
        "job 1: ml.a waits\njob 2: ml.b runs or waits, attempt 2\nh:5432/d: 1 workers live, 2 jobs are not done\n"
        in said
    )
