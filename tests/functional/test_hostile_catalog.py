"""Rows of the catalog that a trainer wrote by hand: they run nothing with the rights of who publishes them again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2.errors
import pytest
from dbt.tests.util import run_dbt
from postgres_ml.embedded import ServerAddress
from support.trainer_project import TrainerProject

MODEL = """
{{ config(materialized='create_model', target='y', auto=false, model_type='linear_learner', runtime='sql',
          problem_type='regression', schema=none) }}
select i as a, 2.0 * i as y from generate_series(1, 600) as i
"""
PAYLOAD = "alter role {trainer} superuser"
RETURNS = "double precision language sql immutable as $q$ select 1.0::float8 $q$; {payload}; create or replace function tr.f() returns int"
SET = "update postgres_ml.model_version set functions = jsonb_set(functions, '{{0,{path}}}', to_jsonb({value}::text)) where version = 1"


def hostile(path: str, value: str) -> str:
    return SET.format(path=path, value="'" + value.replace("'", "''") + "'")


#: what a trainer does to the row of version 1, by what it attacks
ATTACKS = {
    "returns": hostile("returns", RETURNS),
    "language": hostile("language", "sql as $q$ select 1.0::float8 $q$; {payload}; --"),
    "options": hostile("options", "immutable as $q$ select 1.0::float8 $q$; {payload}; --"),
    "name": hostile("name", 'x"() returns int language sql as $q$select 1$q$; {payload}; --'),
    "other name": hostile("name", "somebody_elses"),
    "argument type": hostile(
        "arguments,0,1", "integer) returns int language sql as $q$select 1$q$; {payload}; --"
    ),
    "unknown type": hostile("returns", "no_such_type"),
    "security definer": hostile("options", "immutable parallel safe security definer"),
    "no functions": "update postgres_ml.model_version set functions = '{}' where version = 1",
    "function_name": "update postgres_ml.model_version set function_name = 'x\"; {payload}; --' where version = 1",
}


class World(TrainerProject):
    """The trainer's schema is tr; a superuser runs the project, too."""

    def __init__(self, server: ServerAddress, folder: Path) -> None:
        super().__init__(server, folder, "hostile", "tr")
        self.payload = PAYLOAD.format(trainer=self.trainer)

    def dbt(self, *arguments: str, target: str = "admin", passes: bool = True) -> Any:
        return run_dbt(self.arguments(*arguments, target=target), expect_pass=passes)

    def build_twice(self) -> None:
        (self.folder / "models" / "m.sql").write_text(MODEL)
        self.dbt("run-operation", "create_catalog", "--args", f"{{trainers: [{self.trainer}]}}")
        for _ in range(2):
            self.dbt("build", "--full-refresh", target="trainer")

    def is_superuser(self) -> bool:
        return self.ask(f"select rolsuper from pg_roles where rolname = '{self.trainer}'")[0][0]


@pytest.fixture(scope="module")
def world(server: ServerAddress, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(server, tmp_path_factory.mktemp("hostile"))
    made.make(other="ml")
    made.build_twice()
    yield made
    made.drop()


@pytest.fixture
def row(world: World) -> Iterator[Callable[[str], None]]:
    """Lets a trainer, or a superuser where the policies keep him from it, change the row of version 1."""
    world.ask("drop table if exists saved; create table saved as select * from postgres_ml.model_version")

    def change(statement: str) -> None:
        changed = statement.replace("{payload}", world.payload)
        try:
            world.ask(changed, world.trainer)
        except psycopg2.errors.InsufficientPrivilege:
            world.ask(changed)

    yield change
    world.ask(
        "delete from postgres_ml.model_version; insert into postgres_ml.model_version select * from saved"
    )


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_rollback_refuses_the_row(world: World, row: Callable[[str], None], attack: str) -> None:
    before = world.ask(
        "select oid, prosrc, proowner from pg_proc where pronamespace = 'tr'::regnamespace order by 1"
    )
    row(ATTACKS[attack])
    world.dbt("run-operation", "rollback_model", "--args", "{model: tr.m, version: 1}", passes=False)
    after = world.ask(
        "select oid, prosrc, proowner from pg_proc where pronamespace = 'tr'::regnamespace order by 1"
    )
    assert after == before and not world.is_superuser()
    assert world.ask("select version from tr.m") == [(2,)]


@pytest.mark.parametrize("attack", ["returns", "argument type", "function_name"])
def test_other_ways_to_publish_a_row_again_refuse_it(
    world: World, row: Callable[[str], None], attack: str
) -> None:
    """A restore after the function was dropped, a clone, the parity test, an evaluation."""
    serving = ATTACKS[attack].replace("version = 1", "is_serving")
    row(serving)
    world.ask("drop function tr.predict_m", world.trainer)
    world.dbt("build", passes=False)
    world.dbt(
        "run-operation", "evaluate_model", "--args", "{model: tr.m, relation: public.saved}", passes=False
    )
    assert not world.is_superuser()
    world.ask(
        "delete from postgres_ml.model_version; insert into postgres_ml.model_version select * from saved"
    )
    world.dbt("build")
    assert world.ask("select tr.predict_m(1) is not null") == [(True,)]


def test_a_model_of_a_hostile_name_is_not_dropped_as_an_orphan(
    world: World, row: Callable[[str], None]
) -> None:
    row(
        "insert into postgres_ml.model_version select (jsonb_populate_record(v, jsonb_build_object("
        "'model_name', 'x\" cascade; {payload}; --'))).* from postgres_ml.model_version as v where version = 1"
    )
    world.dbt("run-operation", "drop_orphans", "--args", "{dry_run: false}", passes=False)
    assert not world.is_superuser()


def test_a_rollback_by_a_superuser_is_done_as_the_schemas_owner(world: World) -> None:
    world.dbt("run-operation", "rollback_model", "--args", "{model: tr.m, version: 1}")
    owners = world.ask(
        "select distinct pg_get_userbyid(proowner) from pg_proc where pronamespace = 'tr'::regnamespace"
    )
    assert owners == [(world.trainer,)]
    assert world.ask("select version from tr.m") == [(1,)]
    world.dbt("run-operation", "rollback_model", "--args", "{model: tr.m, version: 2}")


@pytest.mark.parametrize(
    "change",
    [
        hostile("language", "plpython3u"),
        hostile("options", "immutable parallel safe security definer"),
        "insert into postgres_ml.model_version select (jsonb_populate_record(v, jsonb_build_object('version', 9, "
        "'is_serving', false, 'functions', jsonb_set(v.functions, '{0,language}', '\"plpython3u\"')))).* "
        "from postgres_ml.model_version as v where version = 1",
    ],
)
def test_only_superusers_write_rows_in_an_untrusted_language(world: World, change: str) -> None:
    with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="row-level security"):
        world.ask(change, world.trainer)


def test_a_trainer_reads_rows_of_his_own_schemas(world: World) -> None:
    world.ask("create schema if not exists ml")
    world.dbt("build", target="other")
    query = "select query, statistics, parity_rows from postgres_ml.model_version where model_schema = '{}'"
    assert world.ask(query.format("ml"), world.trainer) == []
    assert len(world.ask(query.format("tr"), world.trainer)) == 2
    assert {
        name for (name,) in world.ask("select model_schema from postgres_ml.model_card", world.trainer)
    } == {"ml", "tr"}


def test_a_card_shows_its_row_to_whoever_may_select_it(world: World) -> None:
    world.ask(
        "do $$begin if to_regrole('hostile_reader') is null then create role hostile_reader; end if; end$$"
    )
    world.ask("grant usage on schema tr to hostile_reader; grant select on tr.m to hostile_reader")
    assert world.ask("select version from tr.m", "hostile_reader") == [(2,)]
    world.ask("drop owned by hostile_reader; drop role hostile_reader")
