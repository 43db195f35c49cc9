"""Functions and operators of somebody else's in the search_path are not what this package's statements call.

The traps fit calls in queries of the catalog better than Postgres's own, which take any type, an array of any, or
a name for a text. They raise, so whatever calls one fails.
"""

import pytest
from dbt.tests.util import run_dbt, run_dbt_and_capture, write_file

MODEL = """
{{{{ config(materialized='create_model', target='y', auto=false, model_type='linear_learner', runtime='sql',
          settings={{'max_cells': 6000}}, explain=true, grants={{'execute': ['public']}}, persist_docs={{'relation': true}}) }}}}
select i::float8 as x, 'a' || (i % 7)::text as z, timestamp '2026-01-01' + i * interval '1 hour' as at,
    case when i > {limit} then 'yes' else 'no' end as y
from generate_series(1, 3000) as i
"""
TREES = """
{{ config(materialized='create_model', target='y', auto=false, model_type='xgboost', runtime='sql', explain=true,
          hyperparameters={'num_round': 4, 'max_depth': 3}) }}
select i::float8 as x, case when i % 11 > 0 then 'a' || (i % 7)::text end as z, sqrt(i) as y
from generate_series(1, 600) as i
"""
ADDITIVE = TREES.replace("'xgboost'", "'additive'").replace("'num_round': 4, 'max_depth': 3", "")
SCHEMA = """
models:
  - name: m
    description: Says yes to large x
    data_tests:
      - prediction_parity
      - model_age: {arguments: {max: 1 day}}
      - model_metric: {arguments: {metric: f1, min: 0.5}}
      - feature_drift: {arguments: {relation: ref('rows'), max_psi: 9, max_ks: 9}}
      - prediction_drift: {arguments: {relation: ref('scored'), column: p, max_psi: 9, max_ks: 9}}
"""
ROWS = """
select i::float8 as x, 'a' || (i % 7)::text as z, timestamp '2026-01-01' as at, 'no' as y
from generate_series(1, 90) as i
"""
TYPES = (
    "text",
    "name",
    "oid",
    "regclass",
    "text[]",
    "name[]",
    "jsonb",
    "integer",
    "bigint",
    "float8",
    "numeric",
    '"char"',
)
NAMES = [
    "width_bucket",
    "ln",
    "jsonb_object_agg",
    "generate_series",
    "exp",
    "bool_or",
    "array_agg",
    "array_position",
    "array_to_string",
    "array_to_json",
    "btrim",
    "cardinality",
    "coalesce",
    "concat",
    "concat_ws",
    "count",
    "current_setting",
    "floor",
    "format",
    "format_type",
    "greatest",
    "has_schema_privilege",
    "hashtext",
    "json_agg",
    "json_build_array",
    "jsonb_array_elements",
    "jsonb_array_elements_text",
    "jsonb_build_object",
    "jsonb_each",
    "lower",
    "max",
    "md5",
    "min",
    "obj_description",
    "pg_advisory_xact_lock",
    "pg_describe_object",
    "pg_get_userbyid",
    "pg_has_role",
    "quote_ident",
    "replace",
    "round",
    "row_number",
    "split_part",
    "starts_with",
    "string_agg",
    "strpos",
    "substr",
    "substring",
    "sum",
    "to_char",
    "to_json",
    "to_jsonb",
    "to_regclass",
    "to_regnamespace",
    "to_regprocedure",
    "to_regtype",
    "unnest",
    "upper",
    "aclexplode",
    "acldefault",
]
OPERATORS = (
    "=",
    "<>",
    "<",
    ">",
    "<=",
    ">=",
    "||",
    "~",
    "~~",
    "#",
    "+",
    "-",
    "*",
    "/",
    "->",
    "->>",
    "#>>",
    "@?",
)
TRAPS = """
do $do$
declare
    names constant text[] := %(names)s;
    types constant text[] := %(types)s;
    operators constant text[] := %(operators)s;
    body constant text := 'language plpgsql as $$begin raise exception ''trap sprung by %%'', current_query(); end$$';
    f text; a text; b text; o text;
begin
    foreach f in array names loop
        foreach a in array types loop
            execute format('create function trap.%%I(%%s) returns text %%s', f, a, body);
            foreach b in array types loop
                execute format('create function trap.%%I(%%s, %%s) returns text %%s', f, a, b, body);
            end loop;
        end loop;
    end loop;
    foreach a in array types loop
        foreach b in array types loop
            execute format('create function trap.of_operator(%%s, %%s) returns boolean %%s', a, b, body);
            continue when (a, b) = ('oid', 'regclass');  -- a query of dbt-postgres compares them
            foreach o in array operators loop
                execute format('create operator trap.%%s (function = trap.of_operator, leftarg = %%s, rightarg = %%s)', o, a, b);
            end loop;
        end loop;
    end loop;
end
$do$
"""


class TestTraps:
    @pytest.fixture(scope="class")
    def server_target(self, server_target):
        return {**server_target, "search_path": "trap, public"}

    @pytest.fixture(scope="class")
    def models(self):
        return {
            "m.sql": MODEL.format(limit=1500),
            "trees.sql": TREES,
            "curves.sql": ADDITIVE,
            "rows.sql": ROWS,
            "scored.sql": "select {{ predict('m') }} as p from {{ ref('rows') }}",
            "pinned.sql": "select {{ predict('m', version=1) }} as p from {{ ref('rows') }}",
            "table_scored.sql": "{{ predict_table('m', ref('rows'), key='x') }}",
            "schema.yml": SCHEMA,
        }

    @pytest.fixture(scope="class")
    def traps(self, server_connection):
        with server_connection.cursor() as cursor:
            cursor.execute("drop schema if exists trap cascade; create schema trap")
            cursor.execute(
                "create schema if not exists postgres_ml; comment on schema postgres_ml is 'layout 0'"
            )
            lists = {"names": NAMES, "types": list(TYPES), "operators": list(OPERATORS)}
            cursor.execute(TRAPS, lists)
            yield
            cursor.execute("drop schema trap cascade")

    def test_builds_and_tests(self, project, traps):
        run_dbt(["build"])
        write_file(MODEL.format(limit=1000), project.project_root, "models", "m.sql")
        run_dbt(["build"])
        run_dbt(["build", "--select", "m"])  # which finds it unchanged

    @pytest.mark.parametrize(
        ("operation", "arguments"),
        [
            ("show_models", "{}"),
            ("show_model", "{model: m}"),
            ("explain_model", "{model: m}"),
            ("list_versions", "{model: m}"),
            ("evaluate_model", "{model: m, relation: rows}"),
            ("rollback_model", "{model: m}"),
            ("drop_orphans", "{dry_run: false}"),
            ("create_catalog", "{}"),
        ],
    )
    def test_operations(self, project, traps, operation, arguments):
        run_dbt_and_capture(["run-operation", operation, "--args", arguments])

    def test_drop_model(self, project, traps):
        run_dbt(["run-operation", "drop_model", "--args", "{model: m}"], expect_pass=False)  # views use it
        for view in ("scored", "pinned", "table_scored"):
            project.run_sql(f"drop view {project.test_schema}.{view}")
        run_dbt(["run-operation", "drop_model", "--args", "{model: m}"])
