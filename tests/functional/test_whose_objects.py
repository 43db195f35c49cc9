"""What is dropped, replaced, granted on or listed is this model's and this project's, whatever its name says.

Stubs are enough: they have functions, a card and a row of the catalog as a trained model has.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from dbt.tests.util import run_dbt_and_capture
from postgres_ml.embedded import ServerAddress
from support.trainer_project import TrainerProject

MODEL = """
{{{{ config(materialized='create_model', target='y', auto=false, model_type='linear_learner', runtime='sql',
          problem_type='regression'{more}) }}}}
select i as a, i % 7 as b, 2.0 * i as y from generate_series(1, 800) as i
"""
PLAIN = (
    "{{{{ config(materialized='{kind}') }}}} select i as a, 2.0 * i as y from generate_series(1, 800) as i"
)
ROWS = "select count(*) from ml.{name}"
VERSIONS = "select model_name from postgres_ml.model_version order by 1"


class World(TrainerProject):
    """One database and schema; a project of models in a folder of its own for each name."""

    def write(self, *, project: str = "shop", schema_yml: str = "", **models: str) -> None:
        """Write a project that has these models and no others."""
        folder = self.folder / project
        (folder / "models").mkdir(parents=True, exist_ok=True)
        (folder / "dbt_project.yml").write_text(f"name: {project}\nprofile: {self.project}\n")
        for path in (folder / "models").iterdir():
            path.unlink()
        for name, text in models.items():
            (folder / "models" / f"{name}.sql").write_text(text)
        if schema_yml:
            (folder / "models" / "schema.yml").write_text(schema_yml)

    def dbt(self, *arguments: str, project: str = "shop", passes: bool = True) -> str:
        where = ["--project-dir", str(self.folder / project), "--profiles-dir", str(self.folder)]
        said = run_dbt_and_capture([*arguments, *where, "--no-use-colors"], expect_pass=passes)[1]
        return " ".join(said.split())

    def stub(self, project: str = "shop", passes: bool = True) -> str:
        return self.dbt("run", "--empty", project=project, passes=passes)

    def operation(self, name: str, project: str = "shop", passes: bool = True, **arguments: object) -> str:
        return self.dbt(
            "run-operation", name, "--args", json.dumps(arguments), project=project, passes=passes
        )

    def functions(self) -> list[str]:
        found = self.ask(
            "select distinct proname::text from pg_proc where pronamespace = 'ml'::regnamespace order by 1"
        )
        return [name for (name,) in found]


def model(**config: object) -> str:
    return MODEL.format(more="".join(f", {key}={value!r}" for key, value in config.items()))


@pytest.fixture(scope="module")
def made(server: ServerAddress, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(server, Path(tmp_path_factory.mktemp("whose")), "whose", "ml")
    world.make()
    world.ask(f"grant create on database {world.name} to {world.trainer}")
    yield world
    world.drop()


@pytest.fixture
def world(made: World) -> World:
    """The database without models, and no project but those that a test writes."""
    made.ask("drop schema if exists postgres_ml cascade; drop schema ml cascade")
    made.ask(f"create schema ml authorization {made.trainer}")
    return made


class TestDroppedModels:
    @pytest.mark.parametrize("kind", ["table", "view"])
    def test_what_has_taken_the_cards_name_stays(self, world: World, kind: str) -> None:
        world.write(price=model())
        world.stub()
        world.write(price=PLAIN.format(kind=kind), reads="select count(*) as n from {{ ref('price') }}")
        world.dbt("run")
        assert '"ml"."price": dropped' in world.operation("drop_orphans", dry_run=False)
        assert world.ask(ROWS.format(name="price")) == [(800,)]
        assert world.functions() == [] and world.ask(VERSIONS) == []

    def test_a_view_on_the_catalog_of_another_model_is_no_card(self, world: World) -> None:
        world.write(price=model(), risk=model())
        world.stub()
        world.ask(
            "drop view ml.price;"
            "create view ml.price as select * from postgres_ml.model_card where model_name = 'risk'"
        )
        world.operation("drop_model", model="price")
        assert world.ask("select model_name from ml.price") == [("risk",)]
        assert world.ask(VERSIONS) == [("risk",)]

    def test_what_takes_the_cards_rows_is_named(self, world: World) -> None:
        world.write(price=model())
        world.stub()
        world.ask("create function ml.summary(card ml.price) returns text language sql as 'select $1.model'")
        said = world.operation("drop_model", model="price", passes=False)
        assert "ml.price is used by function ml.summary(ml.price)" in said.replace('"', "")
        assert world.ask("select version from ml.price") == [(1,)]
