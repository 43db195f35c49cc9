"""What is dropped, replaced, granted on or listed is this model's and this project's, whatever its name says.

Stubs are enough: they have functions, a card and a row of the catalog as a trained model has.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from dbt.tests.util import run_dbt_and_capture
from dbt_common.exceptions import DbtValidationError
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
DEFINITIONS = """
select proname::text, prosrc, obj_description(oid, 'pg_proc') from pg_proc
where pronamespace = 'ml'::regnamespace order by oid
"""
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


class TestFunctionsOfOneName:
    def test_in_one_project(self, world: World) -> None:
        world.write(price=model(interval=0.9), price_interval=model())
        with pytest.raises(DbtValidationError, match="would both take the name 'predict_price_interval'"):
            world.dbt("parse")

    def test_in_two_projects(self, world: World) -> None:
        """The second is refused before anything is trained or replaced, whichever of the two names is longer."""
        world.write(price=model(interval=0.9))
        world.stub()
        before = world.ask(DEFINITIONS)
        for config in ({"function": "predict_price"}, {"function": "predict_price_interval"}):
            world.write(project="finance", risk=model(**config))
            said = world.stub("finance", passes=False)
            assert "function predict_price, with its like, belongs to model ml.price" in said
            assert "drop_model --args '{model: ml.price}'" in said
        assert world.ask(DEFINITIONS) == before

    def test_one_that_was_replaced_before_is_noticed(self, world: World) -> None:
        """The catalog of an earlier release: both models serve by one function, which the second made."""
        world.write(price=model(function="says"), risk=model(function="tells"))
        world.stub()
        world.ask(
            "update postgres_ml.model_version set function_name = 'says',"
            " functions = replace(functions::text, 'tells', 'says')::jsonb where model_name = 'risk'"
        )
        world.ask(
            "comment on function ml.says(float8, float8) is 'Predicts by risk, version 1 (r2 1) [dbt-postgres-ml]'"
        )
        world.write(price=model(function="says"))  # a build of risk would take its own name again
        before = world.ask(DEFINITIONS)
        theirs = "price: function says, with its like, belongs to model ml.risk"
        assert theirs in world.stub(passes=False)
        world.ask(
            "insert into postgres_ml.model_version select (jsonb_populate_record(v, jsonb_build_object("
            "'version', 0, 'state', 'READY', 'runtime', 'sql', 'is_serving', false))).* from postgres_ml.model_version as v"
            " where model_name = 'price' and is_serving"
        )
        assert theirs in world.operation("rollback_model", passes=False, model="price", version=0)
        assert world.ask(DEFINITIONS) == before
        world.operation("drop_model", model="ml.risk")
        world.stub()
        [(comment,)] = world.ask("select obj_description('ml.says(float8, float8)'::regprocedure)")
        assert comment.startswith("Predicts by price, version 1 ")

    def test_parts_of_a_name_that_begins_alike(self, world: World) -> None:
        """`predict_price__eu` is a function of its own, and its parts are no stale ones of `predict_price`."""
        world.write(price=model(), price__eu=model())
        world.stub()
        part = "ml._predict_price__eu__0(float8)"
        world.ask(
            f"create function {part} returns float8 language sql as 'select $1';"
            f"comment on function {part} is 'A part of the functions of price__eu, version 1 (mse 1) [dbt-postgres-ml]'"
        )
        world.write(price=model().replace("i % 7 as b", "i % 7 as c"))
        world.stub()
        assert "_predict_price__eu__0" in world.functions()


DESCRIBED = """
models:
  - name: price
    description: Takes the place of churn, version 1, pinned (by hand), which nobody uses.
    config: {persist_docs: {relation: true}}
"""


class TestDescriptions:
    def test_a_description_that_names_another_model(self, world: World) -> None:
        """Rights and drops of `churn` leave the functions of `price` alone, whose comments speak of it."""
        of_price = "select proname::text, proacl::text from pg_proc where proname like '%price%' order by oid"
        churn = model(grants={"execute": ["pg_monitor"]})
        mine = model(alias="my churn", function="predict_my_churn")
        world.write(price=model(interval=0.9), churn=churn, my_churn=mine, schema_yml=DESCRIBED)
        world.stub()
        [(comment,)] = world.ask("select obj_description('ml.predict_price(float8, float8)'::regprocedure)")
        assert " churn, version 1, pinned (by hand)" in comment
        assert {acl for _, acl in world.ask(of_price)} == {None}
        granted = "select count(*) from pg_proc where proname = 'predict_churn' and proacl::text like '%pg_monitor=X%'"
        assert world.ask(granted) == [(2,)]  # the function, and the one that takes its features by name
        before = [name for name in world.functions() if name != "predict_churn"]
        assert '"ml"."churn": dropped' in world.operation("drop_model", model="churn")
        assert world.functions() == before
        assert {"predict_price", "predict_price_interval", "predict_my_churn"} <= set(before)


class TestOrphans:
    def test_models_of_others_are_no_orphans(self, world: World) -> None:
        world.write(price=model(), rent=model())
        world.stub()
        world.ask(
            "update postgres_ml.model_version set dbt_unique_id = 'model.sql_client.rent' where model_name = 'rent'"
        )
        world.write(project="finance", ledger="{{ config(materialized='view') }} select 1 as a")
        assert "no model is orphaned" in world.operation("drop_orphans", "finance", dry_run=False)
        world.write()
        said = world.operation("drop_orphans")
        assert '"ml"."price": would be dropped' in said and "rent" not in said
        world.operation("drop_orphans", dry_run=False)
        assert world.ask(VERSIONS) == [("rent",)]

    def test_models_of_a_package_are_the_projects(self, world: World) -> None:
        """Of an installed package of which no node is left, too."""
        world.write(project="houses", price=model())
        world.write(project="town", ledger="select 1 as a")
        packages = json.dumps({"packages": [{"local": str(world.folder / "houses")}]})
        (world.folder / "town" / "packages.yml").write_text(packages)
        world.dbt("deps", project="town")
        world.stub("town")
        world.write(project="houses")
        assert '"ml"."price": would be dropped' in world.operation("drop_orphans", "town")


class TestFeaturesType:
    def test_columns_of_it_are_not_dropped_with_it(self, world: World) -> None:
        """More than 100 features make one argument, of a type that tables may have columns of."""
        columns = ", ".join(f"i as f{n}" for n in range(101))
        wide = model().replace("i as a, i % 7 as b", columns)
        world.write(wide=wide)
        world.stub()
        world.ask("create table ml.kept as select 1 as a, null::ml.predict_wide_features as row")
        world.write(wide=wide.replace("f100", "g100"))
        for arguments in (["--empty"], ["--empty", "--full-refresh"]):
            said = world.dbt("run", *arguments, passes=False)
            assert "which these use: column row of table ml.kept" in said.replace('"', "")
        assert world.ask("select count(*) from ml.kept where row is null") == [(1,)]
        world.ask("drop table ml.kept")
        world.stub()
        assert world.ask("select version from ml.wide") == [(2,)]
