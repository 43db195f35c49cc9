"""postgres_ml.create_model from a SQL client: the call, the job, the worker, the model."""

from __future__ import annotations

import json
import select
import time
from collections.abc import Iterator
from contextlib import closing

import psycopg2
import psycopg2.errors
import pytest
from postgres_ml.embedded import ServerAddress
from support.sql_clients import QUICK, SqlClients, sql_clients

TYPES = """
select a::bigint + 9007199254740993 as big, (a / 3.0)::numeric(38, 18) as exact, 'x' || a % 4 as note,
    timestamptz '2024-01-01 00:00+00' + a * interval '1 hour' as at, case when a % 2 = 0 then 'low' else 'high' end::ml.mood as mood,
    a % 2 = 0 as flag, y
from ml.measurements
"""


@pytest.fixture(scope="module")
def clients(server: ServerAddress, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlClients]:
    with sql_clients(server, tmp_path_factory.mktemp("sql_client")) as made:
        made.ask("create type ml.mood as enum ('low', 'high'); create sequence ml.runs")
        made.ask(f"grant usage on sequence ml.runs to {made.analyst}")
        made.start_worker("--log-format", "json")
        yield made


@pytest.fixture(scope="module")
def model(clients: SqlClients) -> int:
    """The job that trained ml.mixed of all kinds of columns; its query counts how often it runs."""
    query = TYPES.replace("select a::bigint", "select a::bigint + 0 * nextval('ml.runs')", 1)
    job = clients.create("ml.mixed", f"{query}  -- a comment without an end;", QUICK)
    assert clients.wait(job) == "READY"
    return job


def test_a_call_trains_and_publishes_a_function(clients: SqlClients, model: int) -> None:
    [(state, message, n_rows, requested_by)] = clients.ask(
        f"select state, message, n_rows, requested_by from postgres_ml.jobs where job = {model}",
        clients.analyst,
    )
    assert (state, n_rows, requested_by) == ("READY", 600, clients.analyst)
    assert message.startswith("CREATE MODEL v1 mse=")
    predict = "select ml.predict_mixed(1, 2, 'x1', now(), 'low', true)"
    assert clients.value(predict, clients.analyst) is not None
    assert clients.ask("select state, n_rows from ml.mixed", clients.analyst) == [("READY", 600)]


def test_the_query_runs_once_and_is_shown(clients: SqlClients, model: int) -> None:
    assert clients.value("select last_value from ml.runs") == 600
    signature = clients.value("select signature from ml.mixed", clients.analyst)
    assert signature.startswith(
        "(big double precision, exact double precision, note text, at timestamp with time zone, mood ml.mood,"
    )
    shown = dict(clients.ask("select * from postgres_ml.show_model('ml.mixed')", clients.worker))
    assert "from ml.measurements" in shown["Query"]


def test_the_rows_are_gone_and_nobody_else_could_read_them(clients: SqlClients, model: int) -> None:
    deadline = time.monotonic() + 20
    left = "select relname from pg_class where relname ~ '^(rows|sample)_' and relnamespace = 'postgres_ml'::regnamespace"
    while clients.ask(left) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert clients.ask(left) == []


def test_the_same_rows_again_change_nothing_and_a_changed_row_trains(clients: SqlClients, model: int) -> None:
    again = clients.create("ml.mixed", TYPES)
    assert clients.wait(again) == "READY"
    assert clients.states()[again] == ("READY", "unchanged, kept v1")
    changed = clients.create("ml.mixed", TYPES + " where a > 20")
    assert clients.wait(changed) == "READY"
    versions = clients.ask(
        "select version, is_serving from postgres_ml.list_versions('ml.mixed')", clients.analyst
    )
    assert versions == [(2, True), (1, False)]
    assert (
        clients.wait(clients.value("select postgres_ml.rollback_model('ml.mixed')", clients.analyst))
        == "READY"
    )
    assert clients.value("select version from ml.mixed", clients.analyst) == 1
    with pytest.raises(psycopg2.errors.UndefinedObject, match="there is no version 7 to serve"):
        clients.ask("select postgres_ml.rollback_model('ml.mixed', 7)", clients.analyst)


def test_a_failure_says_why_and_publishes_nothing(clients: SqlClients, model: int) -> None:
    few = clients.create("ml.few", "select * from ml.measurements limit 20")
    with pytest.raises(psycopg2.Error, match=r"create of ml\.few: FAILED: .*min_rows"):
        clients.wait(few)
    gate = json.dumps({**json.loads(QUICK), "gates": {"r2": ">= 2"}})
    gated = clients.create("ml.mixed", TYPES + " where a > 30", gate)
    with pytest.raises(psycopg2.Error, match="r2"):
        clients.wait(gated)
    assert clients.states()[gated][0] == "FAILED"
    assert clients.value("select version from ml.mixed", clients.analyst) == 1


def test_a_training_is_cancelled_within_seconds(clients: SqlClients, model: int) -> None:
    job = clients.create(
        "ml.long", "select * from ml.measurements", '{"target": "y", "settings": {"max_runtime": 600}}'
    )
    while clients.value(f"select phase from postgres_ml.job where job = {job}") in ("queued", "starting"):
        time.sleep(0.2)
    with closing(clients.connect(clients.analyst)) as connection, connection.cursor() as cursor:
        cursor.execute("listen postgres_ml")
        started = time.monotonic()
        cursor.execute(f"select postgres_ml.cancel({job})")
        assert cursor.fetchall() == [("CANCELLING",)]
        heard: list[dict[str, object]] = []
        while not any(said == {"job": job, "state": "CANCELLED"} for said in heard):
            assert select.select([connection], [], [], 20)[0]
            connection.poll()
            heard += [json.loads(said.payload) for said in connection.notifies]
            connection.notifies.clear()
        assert time.monotonic() - started < 6  # 3 s on a machine that has time
    assert clients.value("select to_regclass('ml.long')") is None


def test_a_model_is_dropped_unless_something_uses_it(clients: SqlClients, model: int) -> None:
    clients.ask("create view ml.scores as select ml.predict_mixed(1, 2, 'x1', now(), 'low', true) as p")
    job = clients.value("select postgres_ml.drop_model('ml.mixed')", clients.analyst)
    with pytest.raises(psycopg2.Error, match=r"FAILED: (.|\n)*is used by .*view ml\.scores"):
        clients.wait(job)
    clients.ask("drop view ml.scores")
    assert (
        clients.wait(clients.value("select postgres_ml.drop_model('ml.mixed')", clients.analyst)) == "READY"
    )
    assert clients.value("select to_regclass('ml.mixed')") is None
    assert clients.ask("select * from postgres_ml.model_owner where model_name = 'mixed'") == []
