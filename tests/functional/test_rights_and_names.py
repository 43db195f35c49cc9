"""Whose a function is, and who may call it: after a rollback, a renaming, and beside other sessions' objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg2
import pytest
from dbt.tests.util import run_dbt, run_dbt_and_capture, write_file
from support.selecting import selector

ROWS = "create table events as select i % 17 as x, i % 5 as z, (i % 17) * 2.0 + i % 5 as y from generate_series(1, 600) as i"
MODEL = """
{{{{ config(materialized='create_model', target='y', auto=false, model_type='linear_learner',
           problem_type='regression', runtime='sql'{more}) }}}}
select {columns}, y from {{{{ target.schema }}}}.events
"""


class Small:
    """A project whose models are written by the tests."""

    @pytest.fixture(scope="class")
    def models(self):
        return {"nothing.sql": "select 1 as one"}

    @pytest.fixture(scope="class")
    def ask(self, project, server_connection):
        run = selector(server_connection, project.test_schema)
        run(ROWS)
        return run

    @pytest.fixture
    def build(self, project):
        def run(
            name: str, columns: str = "x, z", more: str = "", *flags: str, expect_pass: bool = True
        ) -> Any:
            write_file(
                MODEL.format(columns=columns, more=more), project.project_root, "models", f"{name}.sql"
            )
            return run_dbt(["build", "--select", name, *flags], expect_pass=expect_pass)[0]

        return run


class TestRollback(Small):
    def test_functions_made_anew_are_no_more_public_than_what_served(self, project, build, ask) -> None:
        """As a worker rolls back, whose project has no node of the model."""
        allowed = ", grants={'execute': ['pg_monitor']}"
        build("m", "x, z", allowed)
        build("m", "x, z, x * z as xz", allowed)
        assert ask("select version, signature from m") == [
            (2, "(x double precision, z double precision, xz double precision) returns double precision")
        ]
        Path(project.project_root, "models", "m.sql").unlink()
        run_dbt(["run-operation", "rollback_model", "--args", f"{{model: {project.test_schema}.m}}"])
        assert ask("select version from m") == [(1,)]
        rights = ask(
            "select p.oid::regprocedure::text, coalesce(p.proacl::text, 'everybody') from pg_proc as p "
            "where p.pronamespace = current_schema::regnamespace and p.proname like 'predict%'"
        )
        assert len(rights) == 2, "by arguments, and by name"
        assert all("pg_monitor=X" in acl and "{=X" not in acl and ",=X" not in acl for _, acl in rights)


class TestNames(Small):
    def test_a_function_that_a_model_left_is_not_taken_by_another(self, project, build, ask) -> None:
        build("a", "x, z", ", function='scored'")
        ask("create view uses_it as select scored(1, 2) as p")
        before = ask("select p from uses_it")
        pinning = "select {{ predict('%s', ['1', '2'], version=1) }} as p"
        write_file(pinning % "a", project.project_root, "models", "first_of_a.sql")
        run_dbt(["run", "--select", "first_of_a"])
        build("a", "x, z", ", function='scored_anew'")
        refused = build("b", "x, z", ", function='scored'", expect_pass=False)
        message = " ".join(refused.message.split())
        assert (
            "scored(double precision,double precision) is of model a, which left it for what still calls it"
            in message
        )
        assert "set the config `function` of b to another name, or drop function" in message
        assert ask("select p from uses_it") == before
        ask("drop view uses_it; drop function scored(float8, float8); drop function scored(jsonb)")
        assert str(build("b", "x, z", ", function='scored'").status) == "success"
        write_file(pinning % "b", project.project_root, "models", "first_of_b.sql")
        (refused,) = run_dbt(["run", "--select", "first_of_b"], expect_pass=False)
        assert "scored__v1" in refused.message and "is a version of another model" in refused.message


class TestOtherSessions(Small):
    def test_their_temporary_indexes_are_left_alone(self, project, build, ask, server_connection) -> None:
        build("m")
        parameters = server_connection.get_dsn_parameters()
        known = {key: parameters[key] for key in ("host", "port", "user", "dbname")}
        with psycopg2.connect(**known) as other, other.cursor() as cursor:
            cursor.execute("create temporary table theirs (a float8, b float8)")
            cursor.execute(f'create index on theirs ("{project.test_schema}".predict_m(a, b))')
            other.commit()
            ask("update events set y = y + 1")
            assert build("m").message.startswith("CREATE MODEL v2")
        other.close()


WIDE = """
{{{{ config(materialized='create_model', target='y', auto=false, model_type='linear_learner',
           problem_type='regression', runtime='sql') }}}}
select {columns}, 1.0 as y from generate_series(1, 600) as i
"""


class TestWideThenNarrow(Small):
    def test_the_type_of_more_than_100_features_goes_with_them(self, project, ask) -> None:
        types = "select typname from pg_type where typnamespace = current_schema::regnamespace and typtype = 'c' and typname like '%features'"
        for n_columns, expected in ((120, [("predict_w_features",)]), (80, [])):
            columns = ", ".join(f"i + {n} as f{n}" for n in range(n_columns))
            write_file(WIDE.format(columns=columns), project.project_root, "models", "w.sql")
            assert run_dbt(["run", "--select", "w", "--empty"])[0].message.startswith("CREATE STUB")
            assert ask(types) == expected


DRIFTING = """
{{ config(materialized='create_model', target='y', auto=false, model_type='xgboost', problem_type='regression',
    hyperparameters={'num_round': 3}, runtime='sql') }}
select r, c, flag, y from {{ ref('sold') }}
"""
SOLD = """
{{ config(materialized='table') }}
select ((array[0.1, 0.2, 0.3])[1 + i % 3])::real as r, ((array['a', 'b'])[1 + i % 2])::char(5) as c,
    i / 3 % 2 as flag, (i % 7)::float8 as y
from generate_series(1, 900) as i
"""
MOVED = "{{ config(materialized='table') }} select r, c, flag * 100 as flag, y from {{ ref('sold') }}"
TESTS = """
models:
  - name: sells
    tests:
      - feature_drift: {name: same_rows, arguments: {relation: ref('sold')}}
      - feature_drift: {name: moved_rows, arguments: {relation: ref('moved')}}
"""


class TestDrift:
    @pytest.fixture(scope="class")
    def models(self):
        return {"sells.sql": DRIFTING, "sold.sql": SOLD, "moved.sql": MOVED, "schema.yml": TESTS}

    def test_reals_and_padded_texts_are_themselves_and_greater_numbers_are_not(self, project) -> None:
        results, _ = run_dbt_and_capture(["build"], expect_pass=False)
        states = {result.node.name: str(result.status) for result in results}
        assert states.pop("moved_rows") == "fail"
        assert set(states.values()) <= {"success", "pass"}, states
        [moved] = [result for result in results if result.node.name == "moved_rows"]
        assert moved.failures == 1, "of the three columns only flag"
