"""Who may create models by SQL, and attempts to make the worker, or the catalog's owner, run something of a caller's.

The traps write down who ran them: nobody but the role that set them may ever stand there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing

import psycopg2
import psycopg2.errors
import pytest
from postgres_ml.embedded import ServerAddress
from support.sql_clients import QUICK, SqlClients, sql_clients

ROWS = "select * from ml.measurements"
#: columns of the catalog that have to hold some text
TEXTS = (
    "problem_type", "model_type", "objective", "metric", "signature", "runtime", "mlflow_run_id", "mlflow_model_uri",
    "dbt_unique_id", "dbt_invocation_id",
)  # fmt: skip
TRAPS = """
set role {analyst};
create schema traps;
create table traps.runs (what text, who name);
grant usage on schema traps to public;
grant insert, select on traps.runs to public;
create function traps.spring(what text) returns boolean language plpgsql as $$
begin
    insert into traps.runs values (what, current_user);
    begin  -- whoever runs this: take what can be taken
        execute 'reset role';
        insert into traps.runs values (what || ', role reset', current_user);
        perform set_config('role', '{analyst}', false);
    exception when others then null;
    end;
    return true;
end $$;
create function traps.numeric_of(value double precision) returns double precision language plpgsql as
    $$ begin perform traps.spring('function in the query'); return value; end $$;
create view traps.view as select m.a, m.y, traps.spring('function in a view') as sprung from ml.measurements as m;
create function traps.on_insert() returns trigger language plpgsql as
    $$ begin perform traps.spring('trigger'); return new; end $$;
create type traps.mood as enum ('low', 'high');
create function traps.cast(value traps.mood) returns text language plpgsql as
    $$ begin perform traps.spring('cast'); return 'x'; end $$;
create cast (traps.mood as text) with function traps.cast(traps.mood);
create domain traps.positive as double precision check (traps.spring('domain') and value > -1);
create function traps.count(bigint) returns bigint language plpgsql as
    $$ begin perform traps.spring('function of a built-in name'); return 1; end $$;
create function traps.format(text, variadic text[]) returns text language plpgsql as
    $$ begin perform traps.spring('format'); return 'select 1'; end $$;
create function traps.same(text, text) returns boolean language plpgsql as
    $$ begin perform traps.spring('operator'); return true; end $$;
create operator traps.= (leftarg = text, rightarg = text, function = traps.same);
reset role
"""


@pytest.fixture(scope="module")
def clients(server: ServerAddress, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlClients]:
    with sql_clients(server, tmp_path_factory.mktemp("rights")) as made:
        made.ask(f"grant create on database {made.name} to {made.analyst}")
        made.ask(TRAPS.format(analyst=made.analyst))
        yield made


@pytest.fixture(scope="module")
def worked(clients: SqlClients) -> Iterator[SqlClients]:
    """The same, with a worker that builds what the traps are set in."""
    clients.start_worker()
    yield clients


def refusal(clients: SqlClients, query: str, role: str | None = None) -> str:
    """Return message and hint of the error that a statement is."""
    with pytest.raises(psycopg2.Error) as caught:
        clients.ask(query, role or clients.analyst)
    diagnosis = caught.value.diag
    return f"{diagnosis.message_primary} / {diagnosis.message_hint}"


def create(model: str, query: str = ROWS, config: str = QUICK) -> str:
    return f"select postgres_ml.create_model('{model}', $query${query}$query$, '{config}')"


def ending(clients: SqlClients, job: int) -> str:
    """Return READY, or the error of a job that failed."""
    try:
        return clients.wait(job)
    except psycopg2.Error as error:
        return str(error)


def sprung(clients: SqlClients) -> set[str]:
    """Who ran the traps."""
    return {who for (who,) in clients.ask("select distinct who from traps.runs")}


def test_a_missing_right_is_named_with_its_grant(clients: SqlClients) -> None:
    clients.ask(f"create role {clients.name}_nobody login")
    nobody = f"{clients.name}_nobody"
    try:
        assert "permission denied for function create_model" in refusal(clients, create("ml.x"), nobody)
        direct = "insert into postgres_ml.job (model_schema, model_name, config) values ('ml', 'x', '{}')"
        assert (
            f"grant execute on function postgres_ml.create_model(text, text, jsonb) to {nobody}"
            in refusal(clients, direct, nobody)
        )
    finally:
        clients.ask(f"drop role {nobody}")
    clients.ask("create schema closed; create schema half")
    assert f"grant usage, create on schema closed to {clients.analyst}" in refusal(
        clients, create("closed.x")
    )
    clients.ask(f"grant usage, create on schema half to {clients.analyst}")
    assert f"grant usage, create on schema half to {clients.worker}" in refusal(clients, create("half.x"))
    assert "create schema nowhere" in refusal(clients, create("nowhere.x"))


def test_what_is_wrong_with_a_call_is_said_at_the_call(clients: SqlClients) -> None:
    assert 'has no column "z"' in refusal(clients, create("ml.x", config='{"target": "z"}'))
    assert "unknown config: tagret" in refusal(clients, create("ml.x", config='{"tagret": "y"}'))
    for key in ("source", "trust", "endpoint"):
        assert "made elsewhere" in refusal(clients, create("ml.x", config=json.dumps({key: "x"})))
    for key in ("pre_hook", "post_hook", "sql_header", "schema", "alias", "materialized", "enabled", "meta"):
        assert "unknown config" in refusal(clients, create("ml.x", config=json.dumps({key: "x"})))
    assert "is no JSON object" in refusal(clients, create("ml.x", config="[1]"))
    assert "is of type jsonb" in refusal(clients, create("ml.x", "select '{}'::jsonb as j, 1 as y"))
    assert "has no name" in refusal(clients, create("ml.x", "select a + 1, y from ml.measurements"))
    assert 'are named "a"' in refusal(clients, create("ml.x", "select a, a, y from ml.measurements"))
    for name in (
        "ml.a-b",
        'ml."a b"',
        'ml."x""; drop table y"',
        'ml."{{ env_var(1) }}"',
        "a.b.c",
        'ml."../x"',
        "1a",
    ):
        assert "is no model's name" in refusal(clients, create(name))
    assert 'table "measurements" exists, and is no model' in refusal(clients, create("ml.measurements"))
    assert "permission denied for table secrets" in refusal(
        clients,
        (
            clients.ask("create table if not exists public.secrets as select 1 as y"),
            create("ml.x", "select * from public.secrets"),
        )[1],
    )
    assert clients.ask("select * from postgres_ml.job") == []


def test_nothing_of_a_caller_is_granted_to_others(clients: SqlClients) -> None:
    job = clients.create("ml.mine", ROWS)
    assert clients.ask(f"select count(*) from postgres_ml.jobs where job = {job}", clients.other) == [(0,)]
    assert clients.ask(f"select count(*) from postgres_ml.job where job = {job}", clients.other) == [(0,)]
    assert "does not exist, or is not yours" in refusal(
        clients, f"select postgres_ml.cancel({job})", clients.other
    )
    clients.ask(f"update postgres_ml.job set is_cancelled = true where job = {job}", clients.other)
    assert clients.value(f"select is_cancelled from postgres_ml.job where job = {job}") is False
    assert "belongs to" in refusal(clients, create("ml.mine"), clients.other)
    assert "function predict_mine, with its like, belongs to model ml.mine" in refusal(
        clients,
        create("ml.theirs", config=json.dumps({**json.loads(QUICK), "function": "predict_mine"})),
        clients.other,
    )
    for function in ("predict_mine_explain", "predict_mine__0", "predict"):
        config = json.dumps({**json.loads(QUICK), "function": function})
        if function == "predict":
            clients.value(
                f"select postgres_ml.cancel({clients.create('ml.fine', ROWS, config, clients.other)})",
                clients.other,
            )
        else:
            assert "with its like, belongs to" in refusal(
                clients, create("ml.theirs", config=config), clients.other
            )
    assert "belongs to" in refusal(clients, "select postgres_ml.drop_model('ml.mine')", clients.other)
    for role in (clients.analyst, clients.other):
        assert "permission denied" in refusal(clients, f"select * from postgres_ml.rows_{job}", role)
        assert "permission denied" in refusal(
            clients, f"insert into postgres_ml.rows_{job} values (1, 1)", role
        )
        assert "permission denied" in refusal(clients, "select * from postgres_ml.model_owner", role)
    assert clients.ask(f"select count(*) from postgres_ml.rows_{job}", clients.worker) == [(600,)]
    assert "permission denied" in refusal(clients, f"delete from postgres_ml.rows_{job}", clients.worker)
    assert clients.value(f"select postgres_ml.cancel({job})", clients.analyst) == "CANCELLED"


@pytest.mark.parametrize(
    "call",
    [
        "select postgres_ml.claim_job(1, 'x')",
        "select postgres_ml.finish_job(1, 1, 'x')",
        "select postgres_ml.end_job(1, 1, 'READY', 'x')",
        "select postgres_ml.note_progress(1, 1, '{}')",
        "select postgres_ml.give_back_job(1, 1, 'x')",
        "select * from postgres_ml.waiting_jobs()",
        "select * from postgres_ml.unfinished_jobs()",
        "select postgres_ml.clear_jobs()",
        "select postgres_ml.note_queued('{1}')",
        "select postgres_ml.thin_rows(null, 1)",
        "select postgres_ml.version_to_serve('ml', 'x', 1)",
        "update postgres_ml.job set state = 'READY'",
        "update postgres_ml.job set requested_by = 'postgres'",
        "insert into postgres_ml.job (model_schema, model_name, requested_by) values ('ml', 'x', 'postgres')",
        "insert into postgres_ml.job (model_schema, model_name, is_sealed) values ('ml', 'x', true)",
        "delete from postgres_ml.job",
        "create table postgres_ml.rows_99 (a integer)",
        "create table postgres_ml_queue.x (a integer)",
        "select * from postgres_ml_queue.procrastinate_jobs",
        "alter table postgres_ml.job disable row level security",
        "create trigger t before insert on postgres_ml.job for each row execute function traps.on_insert()",
        "create rule r as on insert to postgres_ml.job do also select traps.spring('rule')",
    ],
)
def test_the_workers_part_is_closed_to_callers(clients: SqlClients, call: str) -> None:
    said = refusal(clients, call)
    assert "permission denied" in said or "must be owner" in said, said


def test_another_role_is_not_to_be_had_by_a_forged_row(clients: SqlClients) -> None:
    """A function that runs with its owner's rights asks as its owner, and nobody asks as somebody else."""
    clients.ask(f"""
        create function ml.of_other() returns bigint language sql security definer
            as $$ select postgres_ml.create_model('ml.by_other', '{ROWS}', '{QUICK}') $$;
        alter function ml.of_other() owner to {clients.other}
    """)
    job = clients.value("select ml.of_other()", clients.analyst)
    assert clients.value(f"select requested_by from postgres_ml.job where job = {job}") == clients.other
    assert clients.ask(f"select * from postgres_ml.jobs where job = {job}", clients.analyst) == []
    assert clients.value(f"select postgres_ml.cancel({job})", clients.other) == "CANCELLED"


def test_an_overload_of_a_models_function_makes_no_owner(clients: SqlClients) -> None:
    """A model that dbt built is its functions' owner's: by their signature, as anybody may add one of that name."""
    row = {
        "model_schema": "ml", "model_name": "of_dbt", "version": 1, "state": "READY", "is_serving": True,
        "trained_at": "2026-01-01", "metrics": {}, "train_metrics": {}, "n_rows": 1, "n_holdout": 0, "n_features": 1,
        "n_nodes": 0, "function_name": "predict_of_dbt",
        "functions": [{"role": "predict", "name": "predict_of_dbt", "arguments": [["a", "double precision"]]}],
        **dict.fromkeys(TEXTS, ""),
    }  # fmt: skip
    clients.ask(f"""
        insert into postgres_ml.model_version
        select * from jsonb_populate_record(null::postgres_ml.model_version, '{json.dumps(row)}');
        create function ml.predict_of_dbt(a float8) returns float8 language sql as 'select a';
    """)
    clients.ask(
        "create function ml.predict_of_dbt(a text) returns float8 language sql as 'select 1'", clients.analyst
    )
    theirs = f"model ml.of_dbt belongs to {clients.server.user}"
    assert theirs in refusal(clients, "select postgres_ml.drop_model('ml.of_dbt')")
    assert theirs in refusal(clients, create("ml.of_dbt"))
    clients.ask(f"alter function ml.predict_of_dbt(float8) owner to {clients.analyst}")
    job = clients.value("select postgres_ml.drop_model('ml.of_dbt')", clients.analyst)
    assert clients.value(f"select postgres_ml.cancel({job})", clients.analyst) == "CANCELLED"
    clients.ask(
        "delete from postgres_ml.model_version where model_name = 'of_dbt';"
        "drop function ml.predict_of_dbt(float8), ml.predict_of_dbt(text)"
    )


@pytest.mark.parametrize(
    ("stored", "made"),
    [
        ("double precision", "float8"),
        ("timestamp with time zone", "timestamptz"),
        ("ml.mood", "ml.mood"),
        ('"ml"."Wide x_features"', 'ml."Wide x_features"'),
    ],
)
def test_a_models_function_is_known_by_its_arguments_types(
    clients: SqlClients, stored: str, made: str
) -> None:
    """By their names: the catalog's owner may have no right on a type's schema."""
    place = {"model_schema": "ml", "model_name": "typed", "version": 1, "state": "READY", "is_serving": True}
    row = {
        **place, "trained_at": "2026-01-01", "metrics": {}, "train_metrics": {}, "n_rows": 1, "n_holdout": 0,
        "n_features": 2, "n_nodes": 0, "function_name": "predict_typed", **dict.fromkeys(TEXTS, ""),
        "functions": [{"role": "predict", "name": "predict_typed", "arguments": [["a", stored], ["b", "text"]]}],
    }  # fmt: skip
    try:
        clients.ask(f"""
            create type ml.mood as enum ('good', 'bad'); create type ml."Wide x_features" as (a integer);
            insert into postgres_ml.model_version
            select * from jsonb_populate_record(null::postgres_ml.model_version, '{json.dumps(row)}');
            create function ml.predict_typed(a {made}, b text) returns float8 language sql as 'select 1';
            create function ml.predict_typed(a {made}, b bytea) returns float8 language sql as 'select 1';
            alter function ml.predict_typed({made}, bytea) owner to {clients.analyst};
        """)
        owners = clients.ask(
            "select o::regrole::text from postgres_ml.model_owner_of('ml', 'typed') as o (o)"
        )
        assert owners == [(clients.server.user,)]
    finally:
        clients.ask(
            "delete from postgres_ml.model_version where model_name = 'typed';"
            'drop type ml.mood cascade; drop type ml."Wide x_features" cascade;'
            "drop routine if exists ml.predict_typed(float8, text), ml.predict_typed(float8, bytea),"
            " ml.predict_typed(timestamptz, text), ml.predict_typed(timestamptz, bytea)"
        )


TRIGGERED = """
create type pg_temp.e as enum ('zero');
create function pg_temp.rise(pg_temp.e) returns integer language plpgsql as
    $$ begin execute format('alter role %I superuser', session_user); return 1; end $$;
create cast (pg_temp.e as integer) with function pg_temp.rise(pg_temp.e) as implicit;
create temp table own (job bigint, is_cancelled boolean, attempt pg_temp.e, state text, is_sealed boolean,
    phase text, message text, ended_at timestamptz, model_schema text, model_name text, config jsonb);
"""
TRIGGER = "create trigger taken before insert on own for each row execute function postgres_ml.{0}()"
INSERTED = "insert into own (job, attempt, state, is_sealed) values (1, 'zero', 'TRAINING', true)"


@pytest.mark.parametrize("function", ["note_cancel", "check_job"])
def test_a_trigger_of_ones_own_never_runs_with_the_owners_rights(clients: SqlClients, function: str) -> None:
    """It would compare columns of types whose casts somebody else wrote."""
    with closing(clients.connect(clients.analyst)) as connection, connection.cursor() as cursor:
        cursor.execute(TRIGGERED)
        with pytest.raises(
            psycopg2.Error, match=rf"permission denied for function (postgres_ml\.)?{function}"
        ):
            cursor.execute(TRIGGER.format(function))
        clients.ask(f"grant execute on function postgres_ml.{function}() to {clients.analyst}")
        try:
            cursor.execute(TRIGGER.format(function))  # as under a release before
        finally:
            clients.ask(f"revoke execute on function postgres_ml.{function}() from {clients.analyst}")
        with pytest.raises(psycopg2.Error, match=f"{function}.. is a trigger of postgres_ml.job alone"):
            cursor.execute(INSERTED)
        cursor.execute("select rolsuper from pg_roles where rolname = session_user")
        assert cursor.fetchall() == [(False,)]


def test_any_column_name_can_be_trained_on(clients: SqlClients) -> None:
    """The functions' own names for rows are none of a query's columns."""
    letters = ", ".join(f"a + {n} as {chr(97 + n)}" for n in range(26))
    few = '{"target": "target", "settings": {"max_cells": 1550, "min_rows": 10}}'
    query = (
        f"select {letters}, y as body, y as target, a as query, a as one, a as source from ml.measurements"
    )
    job = clients.create("ml.letters", query, few)
    clients.ask(f"select postgres_ml.cancel({job})", clients.analyst)
    assert clients.ask(f"select n_rows, n_rows_query from postgres_ml.job where job = {job}") == [(50, 600)]


def test_a_model_that_dbt_dropped_has_no_owner(clients: SqlClients) -> None:
    clients.ask(
        "insert into postgres_ml.model_owner (model_schema, model_name, owner) "
        f"values ('ml', 'gone', '{clients.other}')"
    )
    job = clients.create("ml.gone", "select * from ml.measurements")
    assert clients.value(f"select postgres_ml.cancel({job})", clients.analyst) == "CANCELLED"


def test_a_table_left_open_is_removed_and_never_trained_on(clients: SqlClients) -> None:
    with closing(clients.connect(clients.analyst)) as connection, connection.cursor() as cursor:
        cursor.execute("begin")
        cursor.execute(
            "insert into postgres_ml.job (model_schema, model_name, query) values ('ml', 'open', '') returning job"
        )
        [(job,)] = cursor.fetchall()
        cursor.execute(f"select postgres_ml.open_rows({job}, '{{a,y}}', '{{23,701}}')")
        cursor.execute(f"insert into postgres_ml.rows_{job} values (1, 2)")
        cursor.execute("commit")
    assert clients.ask("select * from postgres_ml.waiting_jobs()", clients.worker) == []
    assert "takes no rows" in refusal(clients, f"select postgres_ml.open_rows({job}, '{{a}}', '{{23}}')")
    assert "has no rows to seal" in refusal(clients, f"select postgres_ml.seal_rows({job})")
    clients.ask("select postgres_ml.clear_jobs()", clients.worker)
    assert clients.value(f"select to_regclass('postgres_ml.rows_{job}')") is None


def test_enums_of_strangers_are_refused_for_their_casts(clients: SqlClients) -> None:
    said = refusal(clients, create("ml.moody", "select 'low'::traps.mood as m, y from ml.measurements"))
    assert "whose casts would run as the worker: cast it to text" in said


def test_traps_in_queries_run_as_the_caller_alone(worked: SqlClients) -> None:
    """Functions, views, domains, temporary tables, the search_path and session variables, all at once."""
    with closing(worked.connect(worked.analyst)) as connection, connection.cursor() as cursor:
        cursor.execute("set search_path = traps, pg_catalog, ml; set session my.variable = 'x'")
        cursor.execute("create temporary table job (job bigint); create temporary table jobs (job bigint)")
        cursor.execute("create temporary table postgres_ml_rows (a integer)")
        query = """
            select v.a, traps.numeric_of(v.y)::traps.positive as y, v.sprung, 'x'::traps.mood = 'high'::traps.mood as never,
                traps.count(1) as n, '{{ env_var("HOME") }} {% endraw %} -- /*' as jinja
            from traps.view as v where 'a' = 'b' or true
        """.replace("'x'::traps.mood = 'high'::traps.mood", "false")
        cursor.execute("select postgres_ml.create_model('ml.trapped', %s, %s)", (query, QUICK))
        [(job,)] = cursor.fetchall()
    assert worked.wait(job) == "READY"
    assert sprung(worked) == {worked.analyst}
    assert worked.value("select count(*) from traps.runs where what like 'function in%'") >= 1200
    owner = worked.value("select pg_get_userbyid(proowner) from pg_proc where proname = 'predict_trapped'")
    assert owner == worked.worker


def test_texts_of_the_config_are_data(worked: SqlClients) -> None:
    """Jinja, SQL and paths in values: refused or used as they are, rendered by nobody."""
    secret = "{{ env_var('PATH') }}"
    wrong = {
        "objective": secret, "model_type": secret, "gates": {secret: ">= 1"},
        "preprocessors": [{"column_set": [secret], "transformers": [secret]}],
    }  # fmt: skip
    hostile = [
        wrong,
        {"grants": {"execute": ["public; drop table ml.measurements"]}},
        {"function": "f'; drop table x; --"},
    ]
    jobs = [
        worked.create(
            "ml.hostile",
            f"select {i} + a as a, y from ml.measurements",
            json.dumps({**json.loads(QUICK), **keys}),
        )
        for i, keys in enumerate(hostile)
    ]
    said = [ending(worked, job) for job in jobs]
    assert all(key in said[0] for key in wrong) and "env_var" in said[0] and "/bin" not in said[0]
    assert "public; drop table ml.measurements" in said[1] and "FAILED" in said[1]
    assert said[2] == "READY"  # a name like any other, quoted
    assert worked.value("select count(*) from ml.measurements") == 600
    assert sprung(worked) <= {worked.analyst}
