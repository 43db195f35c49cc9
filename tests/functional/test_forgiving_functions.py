"""What may be passed to a function, and what becomes of versions whose functions were stricter."""

from __future__ import annotations

import dataclasses
import json
import re

import psycopg2
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
SINGLE = """
{{ config(materialized='create_model', target='y', auto=false, model_type='xgboost', runtime='sql',
          hyperparameters={'num_round': 3}) }}
select {column} as only, case when i % 3 = 1 then 'a' else 'b' end as y from generate_series(1, 600) as i
"""
PINNED = "select {{ predict('by_native', ['30', '7', \"'plan 2'\", 'true', 'null'], version=1) }} as p"
ROWS = """
select i % 41 as calls, (i % 24) / 3.0 as hour, ('plan ' || i % 4)::varchar as plan, i % 2 = 0 as vip,
    case when i % 50 > 0 then date '2020-01-01' + i % 300 end as since, i as another
from generate_series(1, 900) as i
union all select null, 'NaN', null, null, 'infinity', 0
union all select 7, 1e-300, '', true, '0044-03-15 BC', 0
"""
ARGUMENTS = "calls, hour, plan, vip, since"
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
            "select pg_get_function_identity_arguments(oid) from pg_proc where pronamespace = current_schema::regnamespace "
            "and proname = 'predict_by_sql' and proargtypes::text <> 'jsonb'::regtype::oid::text order by 1"
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
        by_name = """'{"calls": 30, "hour": 7.5, "plan": "plan 2"}'::jsonb"""
        assert ask(f"select predict_by_sql({by_name})") == ["yes"]
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

    @pytest.mark.parametrize("name", ["by_sql", "by_native"])
    def test_features_by_name_answer_as_arguments_do(self, ask, name):
        for suffix in ("", "_probabilities"):
            call = f"predict_{name}{suffix}"
            assert ask(
                f"select count(*) from ({ROWS}) as t where {call}({ARGUMENTS}) is distinct from {call}(to_jsonb(t))"
            ) == [0]
        assert ask(f'select predict_{name}(\'{{"calls": 30, "plan": "plan 2"}}\')') == ["yes"]
        nothing = (
            f"predict_{name}('{{}}'::jsonb) is not distinct from predict_{name}(null, null, null, null, null)"
        )
        assert ask(f"select {nothing}") == [True]

    @pytest.mark.parametrize(
        ("features", "said"),
        [
            ({"calls": "30"}, 'predict_by_native: the key "calls" takes a number, found "30"'),
            ({"calls": True}, 'the key "calls" takes a number, found true'),
            ({"plan": 3}, 'the key "plan" takes a text, found 3'),
            ({"vip": "yes"}, 'the key "vip" takes true or false, found "yes"'),
            ({"since": "29.02.2024"}, 'the key "since" takes a date such as 2024-02-29, found "29.02.2024"'),
            ({"since": "now"}, 'the key "since" takes a date'),
            ({"hour": [1]}, 'the key "hour" takes a number, found'),
            ([1], "takes a JSON object of features, found"),
        ],
    )
    def test_a_value_of_a_wrong_type_is_named(self, ask, features, said):
        with pytest.raises(psycopg2.errors.DatatypeMismatch, match=re.escape(said)):
            ask(f"select predict_by_native('{json.dumps(features)}'::jsonb)")

    def test_the_form_by_name_lives_with_the_function(self, project, ask):
        ask("create view by_key as select predict_by_native(to_jsonb(t)) as p from (select 30 as calls) as t")
        found = ask(
            "select obj_description(oid) from pg_proc where pronamespace = current_schema::regnamespace "
            "and proargtypes::text = 'jsonb'::regtype::oid::text and proname ~ '^predict_by_native' order by proname"
        )
        assert len(found) == 2
        assert found[0].startswith(
            "Features by name, as jsonb, for predict_by_native of by_native, version 1 ("
        )
        assert "(to_jsonb(t)) from" in found[0]
        write_file(PINNED, project.project_root, "models", "pinned.sql")
        run_dbt(["build", "--select", "pinned"])
        features = """'{"calls": 30, "hour": 7, "plan": "plan 2", "vip": true}'::jsonb"""
        assert ask(f"select predict_by_native__v1({features}) = p from pinned") == [True]
        run_dbt(["run-operation", "drop_model", "--args", "{model: by_native}"], expect_pass=False)
        ask("drop view by_key; drop view pinned")
        run_dbt(["run-operation", "drop_model", "--args", "{model: by_native}"])
        left = "select count(*) from pg_proc where pronamespace = current_schema::regnamespace and proname ~ 'native'"
        assert ask(left) == [0]

    @pytest.mark.parametrize(
        ("column", "literals", "n"), [("('w' || i % 3)", ("'w1'", "null"), 2), ("i", ("'1'", "null"), 1)]
    )
    def test_a_literal_for_the_only_feature_stays_unambiguous(self, project, ask, column, literals, n):
        """Postgres takes a literal for a text where one is accepted, and can't choose among others."""
        write_file(SINGLE.replace("{column}", column), project.project_root, "models", "single.sql")
        run_dbt(["build", "--select", "single"])
        for literal in literals:
            assert ask(f"select predict_single({literal})")[0] in ("a", "b")
        forms = "select count(*) from pg_proc where pronamespace = current_schema::regnamespace and proname = 'predict_single'"
        assert ask(forms) == [n]

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
