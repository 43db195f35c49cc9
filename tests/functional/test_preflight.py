"""What can be known before a training is said before it, with the command that cures it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dbt.tests.util import run_dbt, run_dbt_and_capture
from dbt_common.exceptions import DbtValidationError
from postgres_ml.embedded import ServerAddress
from support.trainer_project import TrainerProject

MODEL = """
{{{{ config(materialized='create_model', target='y', auto=false, model_type='linear_learner', runtime='sql',
          problem_type='regression'{more}) }}}}
select i as a{columns}, {y} as y from generate_series(1, 600) as i
"""
SCORED = "select i as a, {{ predict('m', ['i']) }} as y from generate_series(1, 50) as i"
TESTS = """
models:
  - name: m
    data_tests:
      - feature_drift: {arguments: {relation: ref('scored')}}
      - model_metric: {arguments: {metric: r2, min: 2}}
"""
MISPLACED = """
models:
  - name: scored
    data_tests:
      - prediction_drift: {arguments: {relation: ref('scored'), column: y}}
"""
COLUMN_TEST = """
models:
  - name: m
    columns:
      - {name: a, data_type: integer, data_tests: [not_null]}
"""


class World(TrainerProject):
    """The trainer may create in schema ml."""

    def write(self, more: str = "", columns: str = "", y: str = "2.0 * i", **files: str) -> None:
        models = self.folder / "models"
        for path in models.iterdir():
            path.unlink()
        (models / "m.sql").write_text(MODEL.format(more=more, columns=columns, y=y))
        for name, text in files.items():
            (models / name.replace("_sql", ".sql").replace("_yml", ".yml")).write_text(text)

    def dbt(self, *arguments: str, target: str = "trainer", passes: bool = True) -> str:
        given = self.arguments(*arguments, "--no-use-colors", target=target)
        return run_dbt_and_capture(given, expect_pass=passes)[1]

    def refused(self, **model: str) -> str:
        """Return what the build says that trains nothing."""
        self.write(**model)
        said = self.dbt("build", passes=False)
        assert "training:" not in said
        return " ".join(said.split())


@pytest.fixture(scope="module")
def world(server: ServerAddress, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(server, tmp_path_factory.mktemp("preflight"), "preflight", "ml")
    made.make(mixed="Analytics_P4")
    yield made
    made.drop()


@pytest.fixture(scope="module")
def catalog(world: World) -> None:
    world.write()
    world.dbt("run-operation", "create_catalog", "--args", f"{{trainers: [{world.trainer}]}}", target="admin")


def test_a_missing_catalog_names_the_operation(world: World) -> None:
    """The first test of the module: the catalog is not there yet."""
    said = world.refused()
    assert f"role {world.trainer} may not create it" in said
    assert f"create_catalog --args '{{trainers: [{world.trainer}]}}'" in said


@pytest.mark.parametrize(
    ("lack", "cure", "said"),
    [
        ("revoke create on schema ml from {role}", "grant usage, create on schema ml to {role}", "may not create functions"),
        ("revoke insert on postgres_ml.model_version from {role}", "grant insert on postgres_ml.model_version to {role}",
         "may not write the catalog"),
        ("revoke temporary on database {database} from public, {role}", "grant temporary on database {database} to public",
         "may not create temporary tables"),
        ("alter role {role} set default_transaction_read_only = on",
         "alter role {role} reset default_transaction_read_only", "read-only"),
    ],
)  # fmt: skip
def test_missing_rights(world: World, catalog: None, lack: str, cure: str, said: str) -> None:
    names = {"role": world.trainer, "database": world.name}
    world.ask("alter schema ml owner to current_user; grant usage, create on schema ml to " + world.trainer)
    world.ask(lack.format(**names))
    try:
        assert said in world.refused()
    finally:
        world.ask(cure.format(**names))
        world.ask(f"alter schema ml owner to {world.trainer}")


def test_a_function_of_somebody_else(world: World, catalog: None) -> None:
    world.ask("create function ml.predict_m(x int) returns int language sql as 'select 1'")
    try:
        assert "exists and was not made by dbt-postgres-ml" in world.refused()
    finally:
        world.ask("drop function ml.predict_m(int)")


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"more": ", grants={'execute': ['\"no such role\"']}"}, 'role "no such role" does not exist'),
        ({"more": ", grants={'select': ['nobody_there']}"}, "role nobody_there does not exist"),
        ({"columns": ', i as "$1"'}, 'column "$1": PL/pgSQL reads it as an argument\'s position'),
        ({"y": "null::float8"}, 'target "y" is NULL in all 600 rows'),
    ],
)  # fmt: skip
def test_configs_that_cannot_be_published(
    world: World, catalog: None, model: dict[str, str], said: str
) -> None:
    assert said in world.refused(**model)


def test_column_tests_on_the_card_are_an_error_of_the_parser(world: World, catalog: None) -> None:
    world.write(m_yml=COLUMN_TEST, more=", contract={'enforced': true}")
    with pytest.raises(DbtValidationError, match="put the test on the model that the query reads"):
        run_dbt(["parse", "--project-dir", str(world.folder), "--profiles-dir", str(world.folder)])


def test_an_unknown_privilege_is_an_error_of_the_parser(world: World, catalog: None) -> None:
    world.write(more=", grants={'run': ['public']}")
    with pytest.raises(DbtValidationError, match="there is no privilege 'run' on a model"):
        run_dbt(["parse", "--project-dir", str(world.folder), "--profiles-dir", str(world.folder)])


def test_roles_are_written_as_in_sql(world: World, catalog: None) -> None:
    """A quoted name, a folded one, the session's own role and public; the second build changes nothing."""
    quoted, plain = f"{world.name}-ro", f"{world.name}_analyst"
    world.ask(f'create role "{quoted}"; create role {plain}')
    roles = [f'"{quoted}"', plain.upper(), "current_user", "public"]
    world.write(more=f", grants={{'execute': {roles}, 'select': {roles[:2]}}}")
    for arguments in (["build"], ["build"], ["build", "--full-refresh"]):
        world.dbt(*arguments)
    for role in (quoted, plain):
        [(may_execute, may_select)] = world.ask(
            f"select has_function_privilege('{role}', p.oid, 'execute'), has_table_privilege('{role}', 'ml.m', 'select') "
            "from pg_proc as p where proname = 'predict_m' and proargtypes::text <> '3802'"
        )
        assert may_execute and may_select, role
    world.write(more=", grants={'execute': ['public'], 'select': []}")
    world.dbt("build")
    assert world.ask(f"select has_table_privilege('{quoted}', 'ml.m', 'select')") == [(False,)]
    world.ask(f'drop owned by "{quoted}", {plain}; drop role "{quoted}", {plain}')


def test_an_empty_build_runs_the_tests(world: World, catalog: None) -> None:
    """ref() brings an alias of its own with --empty, and so does a `where` in a test's config."""
    where = "{arguments: {relation: ref('scored')}, config: {where: 'version > 0'}}"
    world.write(scored_sql=SCORED, m_yml=TESTS.replace("{arguments: {relation: ref('scored')}}", where))
    world.dbt("build", "--empty")


def test_a_failing_metric_says_value_and_limit(world: World, catalog: None) -> None:
    world.write(scored_sql=SCORED, m_yml=TESTS)
    said = world.dbt("build", passes=False)
    assert "r2 is 0.99" in said and "(min: 2)" in said


def test_a_test_that_stands_on_the_mart_says_where_it_belongs(world: World, catalog: None) -> None:
    world.write(scored_sql=SCORED, scored_yml=MISPLACED)
    said = " ".join(world.dbt("build", passes=False).split())
    assert "scored is none: put it under the create_model" in said


def test_names_follow_dbts_quoting_policy(world: World, catalog: None) -> None:
    project = world.folder / "dbt_project.yml"
    before = project.read_text()
    project.write_text(before + "quoting: {schema: false}\n")
    world.write(scored_sql=SCORED)
    try:
        world.dbt("build", target="mixed")
        world.dbt("build", target="mixed")
        said = world.dbt("run-operation", "list_versions", "--args", "{model: m}", target="mixed")
        world.dbt("run-operation", "evaluate_model", "--args", "{model: m, relation: scored}", target="mixed")
    finally:
        project.write_text(before)
    assert "* v1" in said
    assert world.ask("select model, version from analytics_p4.m") == [("m", 1)]
    assert world.ask("select count(y) from analytics_p4.scored") == [(50,)]
