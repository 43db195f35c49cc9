"""A dbt project that can be stopped at any step of a build, and what it must look like afterwards.

Nothing in the product knows of it. What runs in the database is stopped by gates: advisory locks that the model's
own query, an event trigger, a table's trigger and a deferred constraint wait for. What runs in the training
process is stopped by SIGSTOP when the log says that it has come so far.

The target is `10000 * generation + i`, so that any prediction tells which build made the function.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.errors
from faults_build import Build, processes
from postgres_ml import embedded
from support.embedded_servers import wait_until

SCHEMA = "ml"
N_ROWS = 600
ENDLESS = 10**8  # trees

MODEL = """
{{ config(
    materialized='create_model', target='y', problem_type='regression', auto=var('auto', false),
    model_type=var('model_type', 'linear_learner'), hyperparameters=var('hyperparameters', {}),
) }}
select i as a, i % 7 as b, 10000.0 * {{ var('generation') }} + i as y
from generate_series(1, {{ var('rows', 600) }}) as i, (select faults.gate('snapshot')) as gate
"""
SCORED = "select {{ predict('m', ['5', '5']) }} as y"

# A gate takes a shared lock, which a test that wants it closed holds exclusively; else it costs microseconds.
GATES = """
create schema faults;
create table faults.steps (step text primary key, key integer generated always as identity);
insert into faults.steps (step) values ('snapshot'), ('publish'), ('parity'), ('record'), ('commit');
create function faults.gate(wanted text) returns void language plpgsql as $$
begin
    perform pg_advisory_xact_lock_shared(4711, (select key from faults.steps where step = wanted));
end $$;
create function faults.on_ddl() returns event_trigger language plpgsql as $$
declare
    made record;
begin
    for made in select * from pg_event_trigger_ddl_commands() loop
        if made.command_tag = 'CREATE FUNCTION' and made.schema_name = 'ml' then
            perform faults.gate('publish');
        elsif made.command_tag = 'CREATE TABLE' and made.object_identity like '%parity' then
            perform faults.gate('parity');
        end if;
    end loop;
end $$;
create event trigger faults_on_ddl on ddl_command_end when tag in ('CREATE FUNCTION', 'CREATE TABLE')
    execute function faults.on_ddl();
"""
CATALOG_GATES = """
create or replace function faults.on_row() returns trigger language plpgsql as $$
begin
    perform faults.gate(tg_argv[0]);
    return null;
end $$;
create trigger faults_record after insert on postgres_ml.model_version
    for each row execute function faults.on_row('record');
create constraint trigger faults_commit after insert on postgres_ml.model_version
    deferrable initially deferred for each row execute function faults.on_row('commit');
"""
GATED = ("snapshot", "publish", "parity", "record", "commit")


class Server:
    """The embedded server that the faults happen to; its clients here survive its restarts."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def connect(self) -> Any:
        address = embedded.ensure(self.directory, linger=60)
        made = psycopg2.connect(
            host=address.host, port=address.port, user=address.user, dbname=address.dbname
        )
        made.autocommit = True
        return made

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows of a query on a connection of its own."""
        with contextlib.closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(query, values or None)
            return cursor.fetchall() if cursor.description else []

    def kill(self) -> None:
        """Kill -9 the postmaster; return when it is gone."""
        pid = embedded.describe(self.directory).pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: embedded.describe(self.directory).pid != pid, "the postmaster is gone")

    def cut(self) -> None:
        """End every connection of dbt's."""
        self.ask("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'dbt'")

    @contextlib.contextmanager
    def closed_gate(self, step: str) -> Iterator[None]:
        """Keep a gate closed; a server that dies opens it."""
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute(
                    "select pg_advisory_lock(4711, key) from faults.steps where step = %s", (step,)
                )
            yield
        finally:
            connection.close()

    def waits_at(self, step: str) -> bool:
        """Whether a session stands at a gate."""
        query = """select 1 from pg_locks join faults.steps on objid = key::oid
                   where classid = 4711 and not granted and step = %s"""
        return bool(self.ask(query, step))


class Project:
    """The dbt project, and the state of what it publishes."""

    def __init__(self, directory: Path, server: Server, profile: dict[str, Any] | None = None) -> None:
        self.directory, self.server = directory, server
        (directory / "models").mkdir(parents=True)
        (directory / "models" / "m.sql").write_text(MODEL)
        (directory / "models" / "scored.sql").write_text(SCORED)
        (directory / "dbt_project.yml").write_text("name: faults\nprofile: faults\nmodel-paths: [models]\n")
        target = {
            "type": "postgres_ml",
            "embedded": str(server.directory),
            "linger": 60,
            "schema": SCHEMA,
            "threads": 1,
            **(profile or {}),
        }
        self.write_profile(target)

    def write_profile(self, target: dict[str, Any]) -> None:
        self.profile = target
        profiles = {"faults": {"target": "dev", "outputs": {"dev": target}}}
        (self.directory / "profiles.yml").write_text(json.dumps(profiles))  # JSON is YAML

    def build(self, generation: int, *arguments: str, **variables: Any) -> Build:
        return Build(self, "build", "--select", "m", *arguments, generation=generation, **variables)

    def dbt(self, *arguments: str, **variables: Any) -> Build:
        return Build(self, *arguments, **variables)

    def result(self) -> dict[str, Any] | None:
        """What a build has trained and not published yet."""
        for file in (self.directory / "target" / "postgres_ml").rglob("trained.json"):
            with contextlib.suppress(FileNotFoundError):  # published in this moment
                found: dict[str, Any] = json.loads(file.read_text())
                return found
        return None

    def newest(self) -> int:
        """The number of the newest version."""
        [(version,)] = self.server.ask(
            "select max(version) from postgres_ml.model_version where model_name = 'm'"
        )
        return int(version)

    def is_known_as_champion(self) -> bool:
        """Whether the catalog says that MLflow has been told."""
        query = "select is_champion from postgres_ml.model_version where is_serving and model_name = 'm'"
        [(known,)] = self.server.ask(query)
        return bool(known)

    def n_runs(self) -> int:
        """The number of MLflow's runs."""
        with contextlib.closing(sqlite3.connect(self.directory / "mlflow.db")) as store:
            [(n,)] = store.execute("select count(*) from runs").fetchall()
        return int(n)

    def champion(self) -> int:
        """The version that MLflow's alias points at, as its store has it."""
        query = """select value from registered_model_aliases as a join model_version_tags as t
                   on t.name = a.name and t.version = a.version
                   where a.name = ? and alias = 'champion' and key = 'function_version'"""
        with contextlib.closing(sqlite3.connect(self.directory / "mlflow.db")) as store:
            [(version,)] = store.execute(query, (f"{SCHEMA}.m",)).fetchall()
        return int(version)

    def predict(self) -> int:
        """The generation of the function that answers."""
        [(value,)] = self.server.ask(f"select {SCHEMA}.predict_m(5, 5)")
        generation, rest = divmod(round(value), 10000)
        assert abs(rest - 5) < 2, f"no generation predicts {value}"
        return generation

    def state(self) -> dict[str, Any]:
        """What stands in the database of the model, from every place that says it; all must agree.

        Raises
        ------
        AssertionError
            Function, comment, card and catalog are not of one version.
        """
        ask = self.server.ask
        [(version, run_id)] = ask(f"select version, mlflow_run_id from {SCHEMA}.m")
        serving = ask(
            "select version, mlflow_run_id from postgres_ml.model_version where is_serving and model_name = 'm'"
        )
        assert serving == [(version, run_id)]
        comments = ask(
            f"select proname, obj_description(oid, 'pg_proc') from pg_proc "
            f"where pronamespace = '{SCHEMA}'::regnamespace and proname ~ '^predict_m(_|$)'"
        )
        for name, comment in comments:
            assert f"version {version} " in comment and run_id in comment, (name, comment, version)
        return {"version": version, "generation": self.predict(), "functions": sorted(n for n, _ in comments)}

    def wait_until_clean(self) -> None:
        """Return when nothing is left behind; processes and sessions that die may take a moment."""
        deadline = time.monotonic() + 20.0
        while left := self.leftovers():
            assert time.monotonic() < deadline, f"left behind: {left}"
            time.sleep(0.1)

    def leftovers(self) -> list[str]:
        """Everything that a build must not leave behind, described; empty when all is well."""
        ask = self.server.ask
        found = [
            f"process {pid}: {command}"
            for pid, (_, command) in processes().items()
            if str(self.directory) in command
        ]
        found += [
            f"session: {row}"
            for row in ask(
                "select pid, state, left(query, 80) from pg_stat_activity where application_name = 'dbt'"
            )
        ]
        found += [
            f"temporary relation {name}"
            for (name,) in ask(
                "select relname from pg_class where relpersistence = 't' and relkind in ('r', 'v', 'S')"
            )
        ]
        found += [
            f"lock {row}"
            for row in ask("select locktype, classid, objid, mode from pg_locks where locktype = 'advisory'")
        ]
        found += [f"prepared transaction {row}" for row in ask("select gid from pg_prepared_xacts")]
        found += [f"file {path}" for path in self.directory.rglob("snapshot.bin")]
        return found


def repair(project: Project) -> None:
    """A build that changes nothing tells MLflow of the version that serves, if that is not known to be told."""
    state = project.state()
    build = project.build(state["generation"])
    assert build.wait() == 0, build.output
    assert build.said("unchanged, kept"), build.output
    assert project.state() == state
    assert project.champion() == state["version"]
    assert project.is_known_as_champion(), build.output
    project.wait_until_clean()
