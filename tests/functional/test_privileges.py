"""Least privileges: what a role that trains needs, what one that predicts may do, and who reads what."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.errors
import pytest
from dbt.tests.util import run_dbt
from postgres_ml.embedded import ServerAddress

PASSWORD = "hunter2-of-the-trainer"
MODEL = """
{{ config(materialized='create_model', target='y', auto=false, model_type='linear_learner',
          problem_type='regression', grants={'select': ['GROUP_analyst'], 'execute': ['GROUP_analyst']}) }}
select a, 'not a secret' as note, y from source.measurements
"""
Ask = Callable[..., list[tuple[Any, ...]]]


class World:
    """A database of its own with a trainer, who owns a schema in it, an analyst and a stranger."""

    def __init__(self, server: ServerAddress) -> None:
        self.server = server
        self.name = f"priv_{uuid.uuid4().hex[:8]}"
        self.trainer, self.analyst, self.stranger = (
            f"{self.name}_{who}" for who in ("trainer", "analyst", "stranger")
        )

    def ask(self, query: str, role: str | None = None, database: str | None = None) -> list[tuple[Any, ...]]:
        where = {"host": self.server.host, "port": self.server.port, "user": self.server.user}
        with closing(psycopg2.connect(**where, dbname=database or self.name)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                if role:
                    cursor.execute(f'set role "{role}"')
                cursor.execute(query)
                return cursor.fetchall() if cursor.description else []

    def make(self) -> None:
        self.ask(f"create database {self.name}", database=self.server.dbname)
        self.ask(f"""
            create role {self.trainer} login password '{PASSWORD}';
            create role {self.analyst};
            create role {self.stranger};
            create schema ml authorization {self.trainer};
            grant usage on schema ml to {self.analyst};
            create schema source;
            create table source.measurements as
                select i as a, 2.0 * i + i % 3 as y, i % 2 = 0 as is_public from generate_series(1, 1200) as i;
            alter table source.measurements enable row level security;
            create policy public_rows on source.measurements to {self.trainer} using (is_public);
            grant usage on schema source to {self.trainer};
            grant select on source.measurements to {self.trainer}
        """)

    def drop(self) -> None:
        self.ask(f"drop database {self.name} with (force)", database=self.server.dbname)
        for role in (self.trainer, self.analyst, self.stranger):
            self.ask(f"drop role {role}", database=self.server.dbname)


@pytest.fixture(scope="module")
def world(server: ServerAddress) -> Iterator[World]:
    made = World(server)
    made.make()
    yield made
    made.drop()


@pytest.fixture(scope="module")
def folder(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dbt project with the profiles of the administrator and of the trainer."""
    made = tmp_path_factory.mktemp("privileges")
    (made / "models").mkdir()
    (made / "models" / "m.sql").write_text(MODEL.replace("GROUP_analyst", world.analyst))
    (made / "dbt_project.yml").write_text("name: privileges\nprofile: privileges\n")
    common = {
        "type": "postgres_ml",
        "host": world.server.host,
        "port": world.server.port,
        "dbname": world.name,
        "schema": "ml",
        "threads": 1,
    }
    outputs = {
        "admin": {**common, "user": world.server.user, "password": ""},
        "trainer": {**common, "user": world.trainer, "password": PASSWORD},
    }
    (made / "profiles.yml").write_text(json.dumps({"privileges": {"target": "trainer", "outputs": outputs}}))
    return made


@pytest.fixture(scope="module")
def built(world: World, folder: Path) -> Any:
    where = ["--project-dir", str(folder), "--profiles-dir", str(folder)]
    arguments = json.dumps({"trainers": [world.trainer]})
    run_dbt(["run-operation", "create_catalog", "--args", arguments, "--target", "admin", *where])
    return run_dbt(["build", *where])[0]


def test_the_trainer_owns_a_schema_and_nothing_else(built: Any, world: World) -> None:
    assert str(built.status) == "success"
    rights = world.ask(f"""select rolsuper, rolcreatedb, rolcreaterole,
        has_database_privilege(rolname, current_database(), 'create') from pg_roles where rolname = '{world.trainer}'""")
    assert rights == [(False, False, False, False)]


def test_row_level_security_holds_for_the_training_query(built: Any, world: World) -> None:
    assert world.ask("select n_rows from ml.m") == [(600,)]


def test_an_analyst_may_predict_and_read_the_card(built: Any, world: World) -> None:
    [(value,)] = world.ask("select ml.predict_m(10, 'x')", world.analyst)
    assert value == pytest.approx(21, abs=2)
    assert world.ask("select model, version from ml.m", world.analyst) == [("m", 1)]
    assert world.ask("select model_name from postgres_ml.model_info", world.analyst) == [("m",)]


@pytest.mark.parametrize(
    "statement",
    [
        "select * from postgres_ml.model_version",
        "delete from postgres_ml.model_version",
        "select * from source.measurements",
        "create or replace function ml.predict_m(a float8, note text) returns double precision language sql as 'select 1.0'",
        "drop function ml.predict_m(float8, text)",
        "create table ml.mine (a integer)",
        "create function postgres_ml.mine() returns int language sql as 'select 1'",
    ],
)
def test_an_analyst_may_do_nothing_else(built: Any, world: World, statement: str) -> None:
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        world.ask(statement, world.analyst)


def test_a_stranger_may_not_even_predict(built: Any, world: World) -> None:
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        world.ask("select ml.predict_m(10, 'x')", world.stranger)
    assert world.ask("select * from postgres_ml.model_info", world.stranger) == []
    with pytest.raises(psycopg2.errors.UndefinedObject):
        world.ask("select * from postgres_ml.show_model('ml.m')", world.stranger)


def test_query_and_hyperparameters_are_the_owners(built: Any, world: World) -> None:
    for_owner = dict(world.ask("select * from postgres_ml.show_model('ml.m')", world.trainer))
    for_analyst = dict(world.ask("select * from postgres_ml.show_model('ml.m')", world.analyst))
    assert "source.measurements" in for_owner["Query"]
    assert for_analyst["Query"] is None
    assert for_analyst["Function Name"] == "predict_m"
    query = "select query, settings, hyperparameters from postgres_ml.serving_model"
    assert world.ask(query, world.analyst) == [(None, None, None)]


def test_no_file_and_no_function_holds_the_password(built: Any, world: World, folder: Path) -> None:
    """Nor does MLflow's store, which is in the folder too."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "profiles.yml"]
    assert {"run_results.json", "mlflow.db"} <= {path.name for path in files}
    assert [path for path in files if PASSWORD.encode() in path.read_bytes()] == []
    assert world.ask(f"select count(*) from pg_proc where prosrc like '%{PASSWORD}%'") == [(0,)]
    catalog = f"select count(*) from postgres_ml.model_version as v where v::text like '%{PASSWORD}%'"
    assert world.ask(catalog) == [(0,)]


def test_a_trainer_of_another_schema_changes_no_row_of_this_one(built: Any, world: World) -> None:
    world.ask(f"""create schema other authorization {world.stranger};
        grant usage on schema postgres_ml to {world.stranger};
        grant select, insert, update, delete on postgres_ml.model_version to {world.stranger};
        create table other.rows_of_ml as select * from postgres_ml.model_version;
        grant select on other.rows_of_ml to {world.stranger}""")
    world.ask("delete from postgres_ml.model_version", world.stranger)
    world.ask("update postgres_ml.model_version set version = 7", world.stranger)
    with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="row-level security"):
        world.ask(
            "insert into postgres_ml.model_version select * from other.rows_of_ml",
            world.stranger,
        )
    assert world.ask("select version from ml.m") == [(1,)]
    world.ask(f"drop table other.rows_of_ml; drop owned by {world.stranger}")
