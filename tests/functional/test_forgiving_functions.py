"""What may be passed to a function, and what becomes of versions whose functions were stricter."""

from __future__ import annotations

import dataclasses
import json

import pytest
from dbt.tests.util import run_dbt, run_dbt_and_capture, write_file
from postgres_ml.generate.sql.generate import generate_sql
from postgres_ml.program.serialize import program_from_json
from support.native_server import plmodel, server

__all__ = ["plmodel", "server"]

MODEL = """
{{{{ config(materialized='create_model', target='churned', runtime='{runtime}', auto=false, model_type='xgboost',
          hyperparameters={{'num_round': 8, 'max_depth': 3}}) }}}}
select
    i % 41 as calls, (i % 24){hour} as hour, ('plan ' || i % 3)::varchar(20) as plan, i % 2 = 0 as vip,
    date '2020-01-01' + i % 300 as since,
    case when i % 41 > 20 and i % 3 <> 1 then 'yes' else 'no' end as churned
from generate_series(1, 900) as i
"""
SCORED = """
select i, {{ predict('by_sql', ['i % 41', '(i % 24)::int', "('plan ' || i % 3)::varchar", 'i % 2 = 0', "date '2020-01-01' + i % 300"]) }} as p
from generate_series(1, 900) as i
"""
BIG = """
{{ config(materialized='create_model', target='y', auto=false, model_type='linear_learner', runtime='sql',
          problem_type='regression', preprocessors=[{'column_set': ['account'], 'transformers': ['OneHotEncoder']}]) }}
select 9007199254740992 + i % 5 as account, i % 5 * 1.0 as y from generate_series(1, 600) as i
"""
SIGNATURE = "calls double precision, hour double precision, plan text, vip boolean, since date"
STRICT = "calls integer, hour numeric, plan character varying, vip boolean, since date"
STRICT_TYPES = {"calls": "integer", "hour": "numeric", "plan": "character varying"}


class TestForgivingFunctions:
    @pytest.fixture(scope="class")
    def models(self):
        return {
            "by_sql.sql": MODEL.format(runtime="sql", hour=" * 1.0"),
            "by_native.sql": MODEL.format(runtime="native", hour=" * 1.0"),
            "big.sql": BIG,
        }

    @pytest.fixture(scope="class")
    def built(self, project, plmodel):
        return run_dbt(["build", "--select", "by_sql", "by_native"])

    @pytest.fixture
    def ask(self, project, built, server_connection):
        """Return the first column of a query's rows."""

        def run(query):
            with server_connection.cursor() as cursor:
                cursor.execute(f'set search_path to "{project.test_schema}"')
                cursor.execute(query)
                return [row[0] for row in cursor.fetchall()] if cursor.description else []

        return run

    def overloads(self, ask):
        return ask(
            "select pg_get_function_identity_arguments(oid) from pg_proc "
            "where pronamespace = current_schema::regnamespace and proname = 'predict_by_sql' order by 1"
        )

    @pytest.mark.parametrize("name", ["by_sql", "by_native"])
    def test_whatever_postgres_casts_may_be_passed(self, ask, name):
        call = f"predict_{name}"
        for calls, hour, plan in (
            ("count(*)", "extract(hour from now())", "'plan 2'"),
            ("max(30)", "7", "'plan 2'::varchar(9)"),
            ("max(30::smallint)", "7::real", "'plan 2'::char(9)"),
            ("sum(1::bigint)", "7.0", "'plan 2'::name"),
            ("sum(1.0)::numeric(6,2)", "7::bigint", "max('plan 2')"),
        ):
            query = f"select {call}({calls}, {hour}, {plan}, true, current_date) from generate_series(1, 30)"
            assert ask(query) == ["yes"]

    def test_a_column_of_another_number_type_keeps_the_signature(self, project, ask):
        assert self.overloads(ask) == [SIGNATURE]
        ask("create view uses_it as select predict_by_sql(30, 7, 'plan 2', true, null)")
        write_file(MODEL.format(runtime="sql", hour="::bigint"), project.project_root, "models", "by_sql.sql")
        run_dbt(["build", "--select", "by_sql"])
        assert ask("select version from by_sql") == [2]
        assert self.overloads(ask) == [SIGNATURE]
        ask("drop view uses_it")

    def test_a_strict_version_of_an_earlier_release_serves_again(self, project, ask):
        self.make_strict(project, ask, version=1)
        run_dbt(["run-operation", "rollback_model", "--args", "{model: by_sql, version: 1}"])
        assert self.overloads(ask) == [STRICT]
        assert ask("select signature from by_sql") == [f"({STRICT}) returns text"]
        assert ask("select predict_by_sql(30, 7, 'plan 2', true, null)") == ["yes"]
        write_file(SCORED, project.project_root, "models", "scored.sql")
        run_dbt(["build", "--select", "scored"])
        assert "double precision" not in ask("select pg_get_viewdef('scored'::regclass)")[0]

    def test_a_view_comes_off_the_strict_overload_when_it_is_built_again(self, project, ask):
        """By itself, `create or replace view` would choose the strict one for ever: it fits an integer best."""
        run_dbt(["run-operation", "rollback_model", "--args", "{model: by_sql, version: 2}"])
        assert self.overloads(ask) == [SIGNATURE, STRICT]
        run_dbt(["build", "--select", "scored"])
        assert run_dbt(["build", "--select", "by_sql"])[0].message.startswith("unchanged, kept")
        assert self.overloads(ask) == [SIGNATURE]
        assert ask("select count(distinct p) from scored") == [2]

    def test_categories_that_doubles_mix_up_are_refused(self, project):
        results, log = run_dbt_and_capture(["build", "--select", "big"], expect_pass=False)
        assert 'column "account" is encoded as a category, and holds numbers beyond 2^53 in 600 rows' in log
        assert "cast it to text in the query (account::text)" in results[0].message

    def make_strict(self, project, ask, version):
        """Store the version as a release wrote it that gave functions the types of the query's columns."""
        where = (
            f"where model_schema = '{project.test_schema}' and model_name = 'by_sql' and version = {version}"
        )
        program = program_from_json(
            ask(f"select evaluated_program from postgres_ml.model_version {where}")[0]
        )
        inputs = tuple(
            dataclasses.replace(item, sql_type=STRICT_TYPES.get(item.name, item.sql_type))
            for item in program.inputs
        )
        program = dataclasses.replace(program, inputs=inputs)
        generated = generate_sql(program, project.test_schema, "predict_by_sql")
        bodies = json.dumps([dataclasses.asdict(body) for body in generated.functions]).replace("'", "''")
        ask(
            f"update postgres_ml.model_version set functions = '{bodies}', signature = '({STRICT}) returns text' {where}"
        )
