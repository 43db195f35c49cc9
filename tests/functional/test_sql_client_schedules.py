"""Schedules of SQL clients: what they run, as whom, and what a trap in the query finds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import procrastinate
import psycopg2
import pytest
from dbt.adapters.postgres_ml.worker.catalog import Catalog
from dbt.adapters.postgres_ml.worker.schedules import Schedules
from dbt.adapters.postgres_ml.worker.setup import create_catalog
from postgres_ml.embedded import ServerAddress
from support.sql_clients import SqlClients, sql_clients

TRAP = """
create table ml.runs (who name, session name);
create function ml.deferred() returns trigger language plpgsql as
    $$ begin insert into ml.runs values (current_user, session_user); return null; end $$;
create table ml.bait (a integer);
create constraint trigger later after insert on ml.bait deferrable initially deferred for each row execute function ml.deferred();
create function ml.spring(x double precision) returns double precision language plpgsql as $$
begin
    insert into ml.runs values (current_user, session_user);
    begin execute 'reset role'; exception when others then null; end;
    begin execute 'set session authorization default'; exception when others then null; end;
    if x = 2.0 + 1 then insert into ml.bait values (1); end if;
    insert into ml.runs values (current_user, session_user);
    return x;
end $$;
grant insert on ml.runs to public
"""


@pytest.fixture(scope="module")
def clients(server: ServerAddress, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlClients]:
    with sql_clients(server, tmp_path_factory.mktemp("schedules")) as made:
        yield made


def fire(clients: SqlClients, now: datetime, runner: str) -> None:
    """Fire what is due, as a worker does each minute."""
    conninfo = f"host={clients.server.host} port={clients.server.port} dbname={clients.name}"
    connector = procrastinate.PsycopgConnector(conninfo=f"{conninfo} user={clients.worker}")

    async def run() -> None:
        async with procrastinate.App(connector=connector).open_async():
            await Schedules(Catalog(connector), f"{conninfo} user={runner}").fire(now)

    asyncio.run(run())


def test_a_schedule_calls_create_model_as_its_owner(clients: SqlClients) -> None:
    runner = f"{clients.name}_runner"
    schedule = "select postgres_ml.schedule('ml.timed', '0 3 * * *')"
    with pytest.raises(psycopg2.Error, match="there is no role that fires schedules"):
        clients.ask(schedule, clients.analyst)
    clients.ask(f"create role {runner} login")
    create_catalog(clients.place(), clients.worker, runner)
    with pytest.raises(psycopg2.Error, match=f"role {runner}, which fires schedules, may not use schema"):
        clients.ask(schedule, clients.analyst)
    clients.ask(f"grant usage on schema ml to {runner}")
    with pytest.raises(psycopg2.Error, match=r"you have created no model ml\.timed"):
        clients.ask(schedule, clients.analyst)
    clients.ask(TRAP, clients.analyst)
    first = clients.create(
        "ml.timed", "select a, ml.spring(y) as y from measurements".replace("from m", "from ml.m")
    )
    with pytest.raises(psycopg2.Error, match='"daily" is no cron expression'):
        clients.ask("select postgres_ml.schedule('ml.timed', 'daily')", clients.analyst)
    with pytest.raises(psycopg2.Error, match="NULL is no cron expression"):
        clients.ask("select postgres_ml.schedule('ml.timed', null)", clients.analyst)
    assert 'again at "0 3 * * *" (UTC)' in clients.value(schedule, clients.analyst)
    with pytest.raises(psycopg2.Error, match="permission denied"):
        clients.ask("select ml.timed__retrain()", clients.other)

    now = datetime.now(timezone.utc)
    fire(clients, now, runner)
    assert clients.value("select max(job) from postgres_ml.job") == first  # nothing has become due
    for _ in range(2):  # the second finds it fired
        fire(clients, now + timedelta(days=1), runner)
    [(message,)] = clients.ask("select message from postgres_ml.schedules", clients.analyst)
    assert message == f"job {first + 1}", message
    [(requested_by, n_rows)] = clients.ask(
        f"select requested_by, n_rows from postgres_ml.job where job = {first + 1}"
    )
    assert (requested_by, n_rows) == (clients.analyst, 600)
    assert clients.value("select max(job) from postgres_ml.job") == first + 1
    # the query ran as its author; what it deferred to the commit ran as a role without rights; never as the worker
    assert {who for who, _ in clients.ask("select who, session from ml.runs")} <= {clients.analyst, runner}
    assert {who for _, who in clients.ask("select who, session from ml.runs")} <= {clients.analyst, runner}

    clients.ask(f"grant {clients.other} to {runner}")
    fire(clients, now + timedelta(days=2), runner)
    assert "has rights of its own" in clients.value(
        "select message from postgres_ml.schedules", clients.analyst
    )
    assert clients.value("select postgres_ml.unschedule('ml.timed')", clients.analyst) is True
    assert clients.value("select to_regprocedure('ml.timed__retrain()')") is None
    assert clients.value("select postgres_ml.unschedule('ml.timed')", clients.analyst) is False
    clients.ask(f"drop owned by {runner}; drop role {runner}")


def test_rows_without_a_query_can_not_be_scheduled(clients: SqlClients) -> None:
    runner = f"{clients.name}_runner2"
    clients.ask(f"create role {runner} login; grant usage on schema ml to {runner}")
    create_catalog(clients.place(), clients.worker, runner)
    clients.ask(
        """
        do $$ declare made bigint; begin
            insert into postgres_ml.job (model_schema, model_name) values ('ml', 'handed') returning job into made;
            perform postgres_ml.open_rows(made, '{a,y}', '{23,701}');
            execute format('insert into postgres_ml.rows_%s select i, i from generate_series(1, 600) as i', made);
            perform postgres_ml.seal_rows(made);
        end $$
        """,
        clients.analyst,
    )
    with pytest.raises(
        psycopg2.Error, match=r"the rows of model ml\.handed were handed over, and there is no query"
    ):
        clients.ask("select postgres_ml.schedule('ml.handed', '0 3 * * *')", clients.analyst)
    clients.ask(f"drop owned by {runner}; drop role {runner}")


@pytest.fixture
def runner(clients: SqlClients) -> Iterator[str]:
    """The role that fires schedules."""
    role = f"{clients.name}_runner3"
    clients.ask(f"create role {role} login; grant usage on schema ml to {role}")
    create_catalog(clients.place(), clients.worker, role)
    yield role
    clients.ask(f"drop owned by {role}; drop role {role}")


@pytest.mark.parametrize("who", ["a superuser", "a member of the role"])
def test_a_query_of_somebody_else_is_never_scheduled(clients: SqlClients, runner: str, who: str) -> None:
    clients.create("ml.anas", "select * from ml.measurements")
    role = None if who == "a superuser" else clients.other
    schedule = "select postgres_ml.schedule('ml.anas', '0 3 * * *')"
    clients.ask(f"grant {clients.analyst} to {clients.other}")
    try:
        assert clients.value("select count(*) from postgres_ml.job where model_name = 'anas'", role) > 0
        with pytest.raises(psycopg2.Error, match=r"you have created no model ml\.anas"):
            clients.ask(schedule, role)
        assert clients.value("select to_regprocedure('ml.anas__retrain()')") is None

        # with a call of his own it is that which is repeated, not the other's later one
        clients.create(
            "ml.anas", "select a, y + 1 as y from ml.measurements", role=role or clients.server.user
        )
        clients.create("ml.anas", "select * from ml.measurements")
        clients.ask(schedule, clients.analyst)
        clients.ask(schedule, role)
        [(owner, body)] = clients.ask(
            "select proowner::regrole::text, prosrc from pg_proc where proname = 'anas__retrain'"
        )
        assert owner == (role or clients.server.user) and "y + 1 as y" in body
    finally:
        clients.ask("select postgres_ml.unschedule('ml.anas')")
        clients.ask("delete from postgres_ml.job where model_name = 'anas'")
        clients.ask(f"revoke {clients.analyst} from {clients.other}")


TURNED = """
create or replace function ml.turned__retrain() returns bigint language plpgsql as
    $$ begin execute format('alter role %I password %L', current_user, 'mine'); return 1; end $$
"""


def test_only_what_schedule_made_is_fired(clients: SqlClients, runner: str) -> None:
    """With the rights of its caller a function could change the role that fires all schedules."""
    clients.create("ml.turned", "select * from ml.measurements")
    with pytest.raises(psycopg2.Error, match=r"no function ml\.other__retrain of yours"):
        clients.ask(
            "insert into postgres_ml.schedule (model_schema, model_name, cron) values ('ml', 'other', '* * * * *')",
            clients.other,
        )
    clients.ask("select postgres_ml.schedule('ml.turned', '* * * * *')", clients.analyst)
    clients.ask(TURNED, clients.analyst)
    fire(clients, datetime.now(timezone.utc) + timedelta(days=1), runner)
    [(message,)] = clients.ask("select message from postgres_ml.schedules", clients.analyst)
    assert message.startswith("not fired: ml.turned__retrain() is not as postgres_ml.schedule() made it")
    assert clients.ask(f"select rolpassword from pg_authid where rolname = '{runner}'") == [(None,)]
    clients.ask("select postgres_ml.unschedule('ml.turned')", clients.analyst)


def test_a_dropped_model_is_not_made_again(clients: SqlClients, runner: str) -> None:
    clients.create("ml.ended", "select * from ml.measurements")
    clients.ask("select postgres_ml.schedule('ml.ended', '* * * * *')", clients.analyst)
    job = clients.value("select postgres_ml.drop_model('ml.ended')", clients.analyst)
    clients.ask(f"select postgres_ml.claim_job({job}, 'a worker')")
    assert clients.value(f"select state from postgres_ml.job where job = {job}") == "READY"
    assert clients.ask("select 1 from postgres_ml.schedules", clients.analyst) == []


def test_a_claim_that_is_given_back_is_claimed_again(clients: SqlClients, runner: str) -> None:
    """As when a worker is stopped in the query's midst."""
    clients.create("ml.given", "select * from ml.measurements")
    clients.ask("select postgres_ml.schedule('ml.given', '* * * * *')", clients.analyst)
    claim = "select postgres_ml.claim_schedule('ml', 'given', '2100-01-01 00:00+00')"
    assert [clients.value(claim), clients.value(claim)] == [True, False]
    give_back = "select postgres_ml.give_back_schedule('ml', 'given', '{}', now(), 'stopped')"
    clients.ask(give_back.format("2099-01-01 00:00+00"))
    assert clients.value(claim) is False, "another time's claim is left alone"
    clients.ask(give_back.format("2100-01-01 00:00+00"))
    assert clients.value("select message from postgres_ml.schedules", clients.analyst) == "stopped"
    assert clients.value(claim) is True
    clients.ask("select postgres_ml.unschedule('ml.given')", clients.analyst)


def test_stops_of_the_worker_are_no_lost_attempts(clients: SqlClients) -> None:
    job = clients.create("ml.stopped", "select * from ml.measurements")
    for attempt in range(1, 9):
        assert clients.value(f"select postgres_ml.claim_job({job}, 'a worker')")["attempt"] == attempt
        clients.ask(f"select postgres_ml.note_stop({job}, {attempt})")
    for _ in range(5):
        assert clients.value(f"select postgres_ml.claim_job({job}, 'a worker')") is not None
    assert clients.value(f"select postgres_ml.claim_job({job}, 'a worker')") is None
    [(state, message)] = clients.ask(f"select state, message from postgres_ml.job where job = {job}")
    assert state == "FAILED" and "given up after 5 attempts" in message


def test_a_function_of_the_users_own_is_left_alone(clients: SqlClients, runner: str) -> None:
    clients.create("ml.mine", "select * from ml.measurements")
    schedule = "select postgres_ml.schedule('ml.mine', '0 3 * * *')"
    own = "create or replace function ml.mine__retrain() returns int language sql as 'select 7'"
    clients.ask(own, clients.analyst)
    try:
        with pytest.raises(
            psycopg2.Error, match=r"function ml\.mine__retrain\(\) is not of postgres_ml\.schedule"
        ):
            clients.ask(schedule, clients.analyst)
        assert clients.value("select ml.mine__retrain()", clients.analyst) == 7
        clients.ask("drop function ml.mine__retrain()", clients.analyst)
        clients.ask(schedule, clients.analyst)
        clients.ask("drop function ml.mine__retrain()", clients.analyst)
        clients.ask(own, clients.analyst)
        assert clients.value("select postgres_ml.unschedule('ml.mine')", clients.analyst) is True
        assert clients.value("select ml.mine__retrain()", clients.analyst) == 7
    finally:
        clients.ask("drop function if exists ml.mine__retrain()")
        clients.ask("delete from postgres_ml.job where model_name = 'mine'")


def test_of_a_model_everybodys_last_call_outlives_its_days(clients: SqlClients) -> None:
    insert = "insert into postgres_ml.job (model_schema, model_name, config) values ('ml', 'old', '{\"target\": \"y\"}')"
    clients.ask(f"grant {clients.analyst} to {clients.other}")
    for role in (clients.analyst, clients.other, clients.analyst, clients.other):
        clients.ask(insert, role)
        clients.ask(
            "update postgres_ml.job set is_sealed = true, state = 'READY', ended_at = now() - interval '31 days' "
            "where model_name = 'old'"
        )
    assert clients.value("select postgres_ml.prune_jobs(30)") == 2
    kept = clients.ask("select requested_by from postgres_ml.job where model_name = 'old'")
    assert {role for (role,) in kept} == {clients.analyst, clients.other} and len(kept) == 2
    clients.ask(
        f"revoke {clients.analyst} from {clients.other}; delete from postgres_ml.job where model_name = 'old'"
    )
