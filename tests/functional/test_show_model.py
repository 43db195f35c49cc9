"""SHOW MODEL, EXPLAIN_MODEL and their like, in SQL and as dbt operations, on one trained project."""

from __future__ import annotations

import json
import math

import psycopg2
import pytest
from dbt.tests.util import run_dbt, run_dbt_and_capture, write_file

LABELLED = """
{{ config(materialized='table') }}
select
    (hashtext('a' || i) % 1000) / 10.0::double precision as spend,
    (array['north', 'south', null])[1 + abs(hashtext('r' || i)) % 3] as "sales Region",
    hashtext('c' || i) % 10 as calls,
    case when (hashtext('a' || i) % 1000) > 100 and hashtext('x' || i) % 20 <> 0 then 'yes' else 'no' end as churned,
    (hashtext('a' || i) % 1000) / 5.0::double precision + hashtext('e' || i) % 10 as amount
from generate_series(1, 700) as i
union all
select 1, 'north', 1, null, null
"""
CHURN = """
{{ config(materialized='create_model', target='churned', auto=false, model_type='xgboost',
          explain=true, hyperparameters={'num_round': '12', 'max_depth': '3'}, settings={'max_runtime': 60}) }}
select spend, "sales Region", calls, churned from {{ ref('labelled') }}
"""
AMOUNT = """
{{ config(materialized='create_model', target='amount', auto=false, model_type='linear_learner',
          function='estimate_amount', grants={'execute': ['teller']}) }}
select spend, calls, amount from {{ ref('labelled') }}
"""
#: functions that fit a call in the catalog's functions as well as Postgres's own, or better
TRAPS = {
    "cardinality(text[])": "integer",
    "array_position(name[], name)": "integer",
    "string_agg(text, text)": "text",
    "format(text, text, text)": "text",
    "array_to_string(text[], text)": "text",
    "to_char(timestamptz, text)": "text",
    "jsonb_build_object(text, text, text, text)": "jsonb",
    "lower(text)": "text",
    "btrim(text)": "text",
    "parse_ident(text)": "text[]",
    "current_schemas(boolean)": "name[]",
    "jsonb_each_text(jsonb)": "jsonb",
    "avg(double precision)": "double precision",
}


class TestShowModel:
    @pytest.fixture(scope="class")
    def models(self):
        return {"labelled.sql": LABELLED, "churn.sql": CHURN, "amount.sql": AMOUNT}

    @pytest.fixture(scope="class")
    def built(self, project, server_connection):
        with server_connection.cursor() as cursor:
            cursor.execute("select 1 from pg_roles where rolname = 'teller'")
            if cursor.fetchone() is None:
                cursor.execute("create role teller")
            cursor.execute(f'grant usage on schema "{project.test_schema}" to teller')
            cursor.execute("select to_regclass('postgres_ml.model_info')")
            if cursor.fetchone()[0]:  # of another test: the build has to replace it
                cursor.execute("comment on view postgres_ml.model_info is 'as of release 0'")
        return run_dbt_and_capture(["--debug", "--log-format", "json", "build"])

    @pytest.fixture
    def select(self, built, server_connection):
        def run(query, role=None):
            with server_connection.cursor() as cursor:
                if role:
                    cursor.execute(f"set role {role}")
                try:
                    cursor.execute(query)
                    return cursor.fetchall()
                finally:
                    cursor.execute("reset role")

        return run

    @pytest.fixture
    def operation(self, built, project):
        def run(name, expect_pass=True, **arguments):
            _, output = run_dbt_and_capture(
                ["run-operation", name, "--args", repr(arguments)], expect_pass=expect_pass
            )
            return output

        return run

    def test_logs_in_json_have_fields(self, built, project):
        events = [json.loads(line) for line in built[1].splitlines() if line.startswith("{")]
        ours = [
            e["data"]["args"]
            for e in events
            if e["data"].get("name") == "dbt-postgres-ml" and e["data"]["args"]
        ]
        fields = [args[2] for args in ours if args[0] == "churn"]
        assert {"load", "search", "evaluate", "explain", "track"} <= {f.get("phase") for f in fields}
        assert all(f["model"] == "model.test.churn" for f in fields)
        ended = {f["phase"]: f["seconds"] for f in fields if "phase" in f and "seconds" in f}
        assert {"load", "search", "evaluate", "explain", "track"} <= ended.keys() and min(ended.values()) >= 0

    def test_run_results_have_what_a_pipeline_asks(self, built):
        response = {r.node.name: r for r in built[0]}["amount"].adapter_response
        assert response["metric"] == "mse" and response["score"] == response["metrics"]["mse"]
        assert response["n_rows"] == 700 and 90 < response["n_holdout"] < 190
        assert (response["problem_type"], response["model_type"]) == ("regression", "linear_learner")

    def test_show_model_has_redshifts_keys_in_its_order(self, select, project):
        schema = project.test_schema
        rows = select(f"select key, value from postgres_ml.show_model('{schema}.churn')")
        shown = dict(rows)
        assert [key for key, _ in rows if not key.startswith("validation:")] == [
            "Model Name", "Schema Name", "Owner", "Creation Time", "Model State", "Metric Direction", "",
            "TRAINING DATA:", "Query", "Target Column", "Rows", "Rows Held Out", "",
            "PARAMETERS:", "Model Type", "Problem Type", "Objective", "Function Name", "Explain Function", "Function Parameters",
            "Function Parameter Types", "Runtime", "Version", "MLflow Run ID", "dbt Unique ID", "Max Runtime", "",
            "HYPERPARAMETERS:", "max_depth", "num_round",
        ]  # fmt: skip
        assert rows[5][0] == "validation:f1" and 0.5 < float(rows[5][1]) <= 1
        assert shown["Model Name"] == "churn" and shown["Schema Name"] == schema
        assert shown["Model State"] == "READY" and shown["Metric Direction"] == "higher is better"
        assert shown["Query"].startswith('select spend, "sales Region", calls')
        assert (shown["Target Column"], shown["Rows"]) == ("churned", "700")
        assert shown["Explain Function"] == "predict_churn_explain"
        assert shown["Function Parameters"] == "spend sales Region calls"
        assert shown["Function Parameter Types"] == "float8 text float8"
        assert (shown["Max Runtime"], shown["num_round"]) == ("60.0", "12")

    def test_show_model_all_and_model_info(self, select, project):
        schema = project.test_schema
        mine = f"where schema_name = '{schema}'"
        assert select(f"select * from postgres_ml.show_model_all() {mine}") == [
            (schema, "amount"),
            (schema, "churn"),
        ]
        rows = select("select key, value from postgres_ml.show_model('ALL')")
        assert rows[0] == ("Schema Name", "Model Name") and (schema, "churn") in rows
        found = select(
            f"select model_name, model_state, version, problem_type, function_name from postgres_ml.model_info {mine} order by 1"
        )
        assert found == [
            ("amount", "READY", 1, "regression", "estimate_amount"),
            ("churn", "READY", 1, "binary_classification", "predict_churn"),
        ]

    @pytest.mark.parametrize("path", ["trap, pg_catalog", "pg_catalog, trap", "trap"])
    def test_nobodys_functions_run_with_the_callers_rights(self, built, project, server_connection, path):
        trap = "language plpgsql as $$ begin raise exception 'another''s function ran'; end $$"
        name = f"{project.test_schema}.churn"
        with server_connection.cursor() as cursor:
            cursor.execute("create schema trap; grant usage on schema trap to public")
            for signature, returns in TRAPS.items():
                cursor.execute(f"create function trap.{signature} returns {returns} {trap}")
            cursor.execute(f"set search_path = {path}")
            try:
                for call in ("find_model", "show_model", "explain_model", "feature_importance"):
                    cursor.execute(f"select * from postgres_ml.{call}('{name}')")
                    assert cursor.fetchall()
                cursor.execute("select * from postgres_ml.show_model_all()")
                cursor.execute("select * from postgres_ml.model_info")
            finally:
                cursor.execute("reset search_path; drop schema trap cascade")

    def test_a_name_without_a_schema_is_found_by_the_callers_search_path(self, select, project):
        schema = project.test_schema
        found = select(
            f"set local search_path = '{schema}'; select (postgres_ml.find_model('churn')).model_schema"
        )
        assert found == [(schema,)]

    def test_feature_importance_is_the_explanation_as_a_table(self, select, project):
        rows = select(f"select * from postgres_ml.feature_importance('{project.test_schema}.churn')")
        [(sets,)] = select(
            f"select postgres_ml.explain_model('{project.test_schema}.churn') -> 'explanations' -> 'kernel_shap'"
        )
        values = sets["label0"]["global_shap_values"]
        assert [(rank, feature, importance) for rank, feature, importance, _ in rows] == [
            (rank, feature, values[feature])
            for rank, feature in enumerate(sorted(values, key=lambda name: -values[name]), start=1)
        ]
        assert sum(share for *_, share in rows) == pytest.approx(1)
        assert rows[0][3] == pytest.approx(rows[0][2] / sum(values.values()))
        visible = f"select count(*) from postgres_ml.feature_importance('{project.test_schema}.amount')"
        assert select(visible, "teller") == [(2,)]
        with pytest.raises(psycopg2.errors.UndefinedObject, match="or you may not execute its function"):
            select(visible.replace("amount", "no_such"))

    def test_explain_model_has_redshifts_shape(self, select, project):
        schema = project.test_schema
        [(found,)] = select(f"select postgres_ml.explain_model('{schema}.churn')")
        assert found["version"] == "1.0" and found["method"] == "tree_shap" and found["unit"] == "log-odds"
        label = found["explanations"]["kernel_shap"]["label0"]
        assert set(label["global_shap_values"]) == {"spend", "sales Region", "calls"}
        assert label["global_shap_values"]["spend"] > 3 * label["global_shap_values"]["calls"]
        assert found["labels"] == {"label0": "yes"} and isinstance(label["expected_value"], float)
        [(found,)] = select(f"select postgres_ml.explain_model('{schema}.amount')")
        assert found["method"] == "linear_shap" and found["unit"] == "units of the target"

    def test_a_rows_values_add_up_to_its_score(self, select, project):
        schema = project.test_schema
        features = '(spend, "sales Region", calls)'
        rows = select(
            f"""select {schema}.predict_churn_explain{features}, {schema}.predict_churn_probabilities{features}
            from {schema}.labelled where spend is not null limit 20"""
        )
        for explained, probabilities in rows:
            found = explained["explanations"]["label0"]
            score = found["expected_value"] + sum(found["shap_values"].values())
            p = dict(zip(probabilities["labels"], probabilities["probabilities"], strict=True))["yes"]
            assert score == pytest.approx(math.log(p / (1 - p)), abs=1e-4) and found["label"] == "yes"
        [(shown,)] = select(
            f"select value from postgres_ml.show_model('{schema}.amount') where key = 'Explain Function'"
        )
        assert shown == "none (config: explain: true)"

    def test_everybody_sees_the_models_whose_function_they_may_execute(self, select, project):
        schema = project.test_schema
        mine = f"where schema_name = '{schema}'"
        query = f"select model_name from postgres_ml.model_info {mine} order by 1"
        # churn's function has Postgres's default: everybody who may use the schema
        assert select(query, role="teller") == [("amount",), ("churn",)]
        select(f"revoke execute on all functions in schema {schema} from public; select 1")
        assert select(query, role="teller") == [("amount",)]
        assert select(query) == [("amount",), ("churn",)]
        with pytest.raises(Exception, match="churn"):
            select(f"select postgres_ml.show_model('{schema}.churn')", role="teller")
        with pytest.raises(Exception, match="permission denied"):
            select("select * from postgres_ml.model_version", role="teller")

    def test_an_unknown_model_is_an_error_that_names_those_there_are(self, select, project):
        with pytest.raises(Exception, match=f"(?s)churm.* does not exist.*{project.test_schema}.churn"):
            select(f"select postgres_ml.show_model('{project.test_schema}.churm')")

    def test_operations_print_aligned_text(self, operation, project):
        schema = project.test_schema
        shown = operation("show_model", model="churn")
        assert "Target Column             churned" in shown and "HYPERPARAMETERS:" in shown
        listed = operation("show_models")
        assert f"{schema}.churn" in listed and "predict_churn" in listed
        explained = operation("explain_model", model=f"{schema}.churn")
        assert "(tree_shap, exact)" in explained and "label0: 'yes'" in explained
        assert "█" in explained.split("spend")[1].splitlines()[0]

    def test_evaluate_model_scores_any_labelled_relation(self, operation, select, project):
        text = operation("evaluate_model", model="churn", relation="labelled")
        scores = dict(line.split()[-2:] for line in text.splitlines() if len(line.split()) == 2)
        [(accuracy, n)] = select(
            f"""select avg((churned = {project.test_schema}.predict_churn(spend, "sales Region", calls))::int), count(*)
            from {project.test_schema}.labelled where churned is not null"""
        )
        assert f"on {n} rows of" in text and float(scores["accuracy"]) == pytest.approx(
            float(accuracy), abs=1e-4
        )
        assert 0.5 < float(scores["auc"]) <= 1 and float(scores["log_loss"]) > 0
        assert "true \\ predicted" in text
        text = operation("evaluate_model", model="amount", relation=f"{project.test_schema}.labelled")
        scores = dict(line.split()[-2:] for line in text.splitlines() if len(line.split()) == 2)
        assert float(scores["r2"]) > 0.9 and float(scores["rmse"]) ** 2 == pytest.approx(
            float(scores["mse"]), rel=1e-2
        )

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            ({"model": "chrun"}, "there is no model 'chrun'; did you mean 'churn'?"),
            ({"model": "labelled"}, "there is no model 'labelled'; there are: "),
        ],
    )
    def test_operations_name_the_likely_model(self, operation, arguments, text):
        assert text in operation("show_model", expect_pass=False, **arguments)

    def test_evaluate_model_names_missing_columns(self, operation):
        text = operation(
            "evaluate_model", expect_pass=False, model="churn", relation="postgres_ml.model_info"
        )
        assert "lacks columns that the model needs: 'spend'" in text

    def test_without_explain_the_function_and_its_parts_go(self, built, project, select):
        def functions():
            schema = f"'{project.test_schema}'::regnamespace"
            found = select(
                f"select proname from pg_proc where pronamespace = {schema} and proname like '%predict_churn%'"
            )
            return {name for (name,) in found if "explain" in name}

        assert functions() == {"predict_churn_explain", "_predict_churn__explain__slots"}
        write_file(CHURN.replace("explain=true,", ""), project.project_root, "models", "churn.sql")
        run_dbt(["build", "--select", "churn"])
        assert functions() == set()
