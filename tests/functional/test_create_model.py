"""What stands in the database after a build, seen from a second connection."""

import itertools
import json
import re
from datetime import datetime
from pathlib import Path

import mlflow
import pytest
from dbt.tests.util import run_dbt, run_dbt_and_capture, write_file

N_ROWS = 1200

# Names and labels a generator would trip over: a keyword, quotes, a dollar quote, backslashes, non-ASCII.
CUSTOMERS = f"""
{{{{ config(materialized='table') }}}}
select
    i as id,
    (hashtext(i::text) % 1000) / 10.0 as "select",
    case when i % 7 = 0 then null else (hashtext('b' || i) % 100)::numeric(8, 2) end as "spend ""per"" day é",
    (array['north', 'it''s $$ \\\\ "x"', 'Süd', null])[1 + abs(hashtext('r' || i)) % 4] as region,
    hashtext('v' || i) % 2 = 0 as is_vip
from generate_series(1, {N_ROWS}) as i
"""
LABELLED = """
select *,
    case when "select" > 10 and coalesce(region, '') <> 'Süd' then 'l''été $$ \\"1"' else 'no' end as label,
    "select" * 3 + case when is_vip then 20 else 0 end as amount,
    case when "select" < -30 then 1 when "select" < 30 then 2 else 3 end::smallint as tier
from {{ ref('customers') }}
"""
CHURN = """
{{ config(materialized='create_model', target='label', grants={'execute': ['analyst']},
          settings={'max_trials': 3}) }}
select "select", "spend ""per"" day é", region, is_vip, label from {{ ref('labelled') }}
"""
AMOUNT = """
{{ config(materialized='create_model', target='amount', auto=false, model_type='linear_learner',
          function='estimate_amount') }}
select "select", region, is_vip, amount from {{ ref('labelled') }}
"""
TIER = """
{{ config(materialized='create_model', target='tier', problem_type='multiclass_classification', auto=false,
          model_type='xgboost', hyperparameters={'num_round': '20', 'max_depth': '3'}) }}
select "select", is_vip, tier from {{ ref('labelled') }}
"""
SCORED = """
select id, label, amount, tier,
    {{ predict('churn') }} as predicted_label,
    {{ predict_probabilities('churn', alias='c') }} as probabilities,
    {{ predict('amount', ['c."select"', 'region', 'is_vip']) }} as predicted_amount,
    {{ predict('tier', {'select': '"select"', 'is_vip': 'is_vip'}) }} as predicted_tier
from {{ ref('labelled') }} as c
"""
SCHEMA_YML = """
models:
  - name: churn
    columns:
      - name: state
        data_tests:
          - accepted_values: {arguments: {values: [READY]}}
      - name: version
        data_tests: [not_null, unique]
"""


@pytest.fixture(scope="class", autouse=True)
def analyst(server_connection):
    """A role that may do nothing but what it is granted."""
    with server_connection.cursor() as cursor:
        cursor.execute("select 1 from pg_roles where rolname = 'analyst'")
        if cursor.fetchone() is None:
            cursor.execute("create role analyst")


@pytest.fixture(scope="class")
def models():
    return {
        "customers.sql": CUSTOMERS,
        "labelled.sql": LABELLED,
        "churn.sql": CHURN,
        "amount.sql": AMOUNT,
        "tier.sql": TIER,
        "scored.sql": SCORED,
        "schema.yml": SCHEMA_YML,
    }


class TestFirstBuild:
    @pytest.fixture(scope="class")
    def build(self, project):
        return run_dbt_and_capture(["--log-format", "json", "build"])

    @pytest.fixture(scope="class")
    def built(self, build):
        return {result.node.name: result for result in build[0]}

    @pytest.fixture
    def select(self, built, project, connection):
        def run(query, role=None):
            with connection.cursor() as cursor:
                cursor.execute(f'set search_path to "{project.test_schema}"')
                if role:
                    cursor.execute(f"set role {role}")
                cursor.execute(query)
                rows = cursor.fetchall()
                cursor.execute("reset role")
                return rows

        return run

    def test_everything_passes(self, built):
        assert {name: str(result.status) for name, result in built.items()} == {
            name: "pass" if "churn_" in name else "success" for name in built
        }
        assert len(built) == 9

    def test_run_results_name_function_version_run_and_metrics(self, built):
        response = built["churn"].adapter_response
        assert response["version"] == 1
        assert response["function"].endswith(".predict_churn")
        assert response["metrics"]["f1"] > 0.9
        assert response["mlflow_run_id"]
        assert built["churn"].message.startswith("CREATE MODEL v1 f1=")

    def test_the_file_of_results_has_the_same(self, built, project):
        results = json.loads((Path(project.project_root) / "target" / "run_results.json").read_text())[
            "results"
        ]
        [churn] = [r["adapter_response"] for r in results if r["unique_id"] == "model.test.churn"]
        asked = {"function", "version", "mlflow_run_id", "metrics", "metric", "score", "runtime", "n_rows"}
        assert {name: churn[name] for name in asked} == {
            name: built["churn"].adapter_response[name] for name in asked
        }
        assert churn["n_rows"] == N_ROWS and churn["runtime"] in ("native", "sql")

    def test_progress_is_logged_with_fields(self, build):
        events = [json.loads(line) for line in build[1].splitlines() if line.startswith("{")]
        logged = [
            e["data"]["args"][2]
            for e in events
            if e["data"].get("name") == "dbt-postgres-ml" and e["data"]["args"]
        ]
        searched = [fields for fields in logged if fields.get("phase") == "search" and "trials" in fields]
        assert searched
        for fields in searched:
            assert fields["model"] == "model.test.churn"
            assert 1 <= fields["trials"] <= 3 and isinstance(fields["best"], str)
            assert (fields["metric"], 0 < fields["score"] <= 1) == ("f1", True)
            assert fields["loss"] > 0 and fields["seconds_left"] > 0

    def test_no_node_is_silent_for_long(self, build):
        """The lines of the log from the first node on, debug lines left out, by the time of each."""
        events = [json.loads(line) for line in build[1].splitlines() if line.startswith("{")]
        first = next(i for i, event in enumerate(events) if event["info"]["name"] == "LogStartLine")
        times = [
            datetime.fromisoformat(e["info"]["ts"].replace("Z", "+00:00")).timestamp()
            for e in events[first:]
            if e["info"]["level"] != "debug"
        ]
        assert max(after - before for before, after in itertools.pairwise(sorted(times))) < 6  # 5, and a wait

    def test_card(self, select, project):
        [card] = select("select to_jsonb(churn) from churn")[0]
        assert card["model"] == "churn"
        assert card["state"] == "READY"
        assert card["problem_type"] == "binary_classification"
        assert card["function"] == f"{project.test_schema}.predict_churn"
        assert card["n_rows"] == N_ROWS
        assert 150 < card["n_holdout"] < 330
        assert card["n_features"] == 4
        assert card["score"] == card["metrics"]["f1"]
        assert card["runtime"] == "sql"
        assert card["dbt_unique_id"] == "model.test.churn"
        assert card["signature"] == (
            '(select double precision, spend "per" day é double precision, region text, is_vip boolean) returns text'
        )

    def test_functions(self, select):
        rows = select(
            """select proname, format_type(prorettype, null), provolatile::text, proparallel::text, proisstrict
               from pg_proc
               where pronamespace = current_schema::regnamespace and obj_description(oid, 'pg_proc') not like 'A part of %'
               order by proname"""
        )
        assert rows == [
            (name, returns, "i", "s", False)
            for name, returns in [
                ("estimate_amount", "double precision"),
                ("predict_churn", "text"),
                ("predict_churn_probabilities", "jsonb"),
                ("predict_tier", "smallint"),
                ("predict_tier_probabilities", "jsonb"),
            ]
            for _ in ("the features", "the features as jsonb")
        ]

    def test_predictions_are_good(self, select):
        [(label, tier, error)] = select(
            """select avg((label = predicted_label)::int)::float, avg((tier = predicted_tier)::int)::float,
                      max(abs(amount - predicted_amount))::float from scored"""
        )
        assert label > 0.98
        assert tier > 0.99
        assert error < 1.0  # the target is linear in the features

    def test_label_is_the_likeliest(self, select):
        assert select("select count(*) from scored where predicted_label <> probabilities->'labels'->>0") == [
            (0,)
        ]

    def test_another_role_may_predict_and_nothing_else(self, select, project, connection):
        with connection.cursor() as cursor:
            cursor.execute(f'grant usage on schema "{project.test_schema}" to analyst')
        query = "select predict_churn(50, 1, 'north', true)"
        assert select(query, role="analyst") == [('l\'été $$ \\"1"',)]
        with connection.cursor() as cursor:
            cursor.execute(
                "select has_function_privilege('public', 'predict_churn(float8, float8, text, boolean)', 'execute')"
            )
            assert cursor.fetchone() == (False,)

    def test_comment_leads_to_the_run(self, select, built):
        [(comment,)] = select(
            "select obj_description('predict_churn(float8,float8,text,boolean)'::regprocedure, 'pg_proc')"
        )
        assert "version 1" in comment
        assert re.search(r"\nPredicts the column label\. Call: select \S+predict_churn\(select, ", comment)
        [(card,)] = select("select obj_description('churn'::regclass)")
        assert card.startswith("Card of the model churn, which predicts the column label by ")
        assert ", version 1 (f1 " in card and card.endswith("[dbt-postgres-ml]")
        assert built["churn"].adapter_response["mlflow_run_id"] in comment

    def test_mlflow_has_the_run_and_the_champion(self, built, project):
        client = mlflow.MlflowClient(f"sqlite:///{project.project_root}/mlflow.db")
        run = client.get_run(built["churn"].adapter_response["mlflow_run_id"])
        assert run.info.status == "FINISHED"
        assert run.data.tags["dbt.unique_id"] == "model.test.churn"
        assert run.data.metrics["f1"] == pytest.approx(built["churn"].adapter_response["metrics"]["f1"])
        champions = [
            model.name
            for model in client.search_registered_models()
            if client.get_model_version_by_alias(model.name, "champion").run_id == run.info.run_id
        ]
        assert len(champions) == 1
        assert champions[0].endswith("churn")

    def test_catalog(self, select, project):
        rows = select(
            f"""select model_name, version, is_serving,
                    (select count(*) from jsonb_array_elements(functions) as f where f ->> 'role' <> 'part')
                from postgres_ml.model_version where model_schema = '{project.test_schema}' order by 1"""
        )
        assert rows == [("amount", 1, True, 1), ("churn", 1, True, 2), ("tier", 1, True, 2)]

    def test_nothing_is_left_behind(self, built, project):
        target = (
            project.project_root / "target" / "postgres_ml"
            if hasattr(project.project_root, "joinpath")
            else None
        )
        assert target is None or not list(target.rglob("snapshot.bin"))

    def test_a_second_build_is_version_two(self, select, project):
        results = run_dbt(["build", "--select", "churn", "--full-refresh"])
        assert results[0].adapter_response["version"] == 2
        assert select("select version, state from churn") == [(2, "READY")]
        assert select("select count(*) from scored where predicted_label is null") == [(0,)]

    def test_a_failing_build_keeps_the_old_version(self, select, project):
        [(before,)] = select("select version from churn")
        broken = CHURN.replace("target='label'", "target='label', post_hook='select 1 / 0'")
        write_file(broken, project.project_root, "models", "churn.sql")
        results = run_dbt(["build", "--select", "churn", "--full-refresh"], expect_pass=False)
        write_file(CHURN, project.project_root, "models", "churn.sql")
        assert "division by zero" in results[0].message
        assert select("select version from churn") == [(before,)]
        assert select("select predict_churn(50, 1, 'north', true)") == [('l\'été $$ \\"1"',)]
        client = mlflow.MlflowClient(f"sqlite:///{project.project_root}/mlflow.db")
        failed = client.search_runs(
            [e.experiment_id for e in client.search_experiments()], "status = 'FAILED'"
        )
        assert len(failed) == 1

    def test_show_previews_the_training_rows(self, built, project):
        results = run_dbt(["show", "--select", "churn", "--output", "json", "--limit", "2"])
        assert len(results.results[0].agate_table.rows) == 2


class TestBadInput:
    """Each a clear error that names the model and the cause; nothing is made."""

    @pytest.fixture(scope="class")
    def models(self):
        base = "{{{{ config(materialized='create_model', target='y'{more}) }}}} {query}"
        rows = "select i as x, i % 2 = 0 as y from generate_series(1, {n}) as i"
        cases = {
            "no_target": base.format(more="", query="select 1 as x, 2 as z"),
            "only_target": base.format(more="", query="select 1 as y"),
            "twice": base.format(more="", query="select 1 as x, 2 as x, 3 as y"),
            "json_feature": base.format(more="", query="select '{}'::jsonb as x, 3 as y"),
            "too_few": base.format(more="", query=rows.format(n=100)),
            "one_class": base.format(
                more="", query="select i as x, 'a' as y from generate_series(1, 600) as i"
            ),
            "all_null": base.format(
                more="", query="select i as x, null::text as y from generate_series(1, 600) as i"
            ),
            "failing_query": base.format(
                more="", query="select 1 / (i - 5) as x, i as y from generate_series(1, 600) as i"
            ),
            "nan_target": base.format(
                more=", problem_type='regression'",
                query="select i as x, case when i < 4 then 'NaN'::float else i end as y from generate_series(1, 600) as i",
            ),
            "wrong_problem": base.format(
                more=", problem_type='regression'",
                query="select i as x, 'a' || i % 2 as y from generate_series(1, 600) as i",
            ),
        }
        return {f"{name}.sql": text for name, text in cases.items()}

    @pytest.fixture(scope="class")
    def messages(self, project):
        results = run_dbt(["build"], expect_pass=False)
        assert {str(result.status) for result in results} == {"error"}
        return {result.node.name: result.message for result in results}

    @pytest.mark.parametrize(
        ("name", "cause"),
        [
            ("no_target", 'no column "y"'),
            ("only_target", "no column besides the target"),
            ("twice", '2 columns are named "x"'),
            ("json_feature", 'column "x" is of type jsonb'),
            ("too_few", "100 rows"),
            ("one_class", "'a'"),
            ("all_null", 'target "y" is NULL in all 600 rows'),
            ("failing_query", "division by zero"),
            ("nan_target", "NaN or infinite in 3 of 600 rows"),
            ("wrong_problem", "regression"),
        ],
    )
    def test_message_names_model_and_cause(self, messages, name, cause):
        assert f"{name}" in messages[name]
        assert cause in messages[name]

    def test_nothing_was_made(self, messages, project, connection):
        with connection.cursor() as cursor:
            cursor.execute(
                "select count(*) from pg_proc where pronamespace = %s::regnamespace",
                (f'"{project.test_schema}"',),
            )
            assert cursor.fetchone() == (0,)
            cursor.execute("select to_regclass(%s)", (f'"{project.test_schema}".too_few',))
            assert cursor.fetchone() == (None,)


class TestRareClass:
    """A class of one row can't be held out; it is learned, and said."""

    @pytest.fixture(scope="class")
    def models(self):
        config = (
            "materialized='create_model', target='y', auto=false, model_type='linear_learner', runtime='sql'"
        )
        query = "select i as x, case when i = 1 then 'rare' else (i % 2)::text end as y from generate_series(1, 600) as i"
        return {"rare_class.sql": f"{{{{ config({config}) }}}} {query}"}

    def test_it_trains_with_a_warning(self, project):
        results, log = run_dbt_and_capture(["build", "--no-use-colors"])
        assert [str(result.status) for result in results] == ["success"]
        assert "rare" in log and "1 row" in log


class TestParseErrors:
    @pytest.fixture(scope="class")
    def models(self):
        return {
            "a.sql": "{{ config(materialized='create_model', settigns={}) }} select 1 as x",
            "b.sql": "{{ config(materialized='create_model', target='y', settings={'compute': 'spark'}) }} select 1 as x",
        }

    def test_all_problems_of_all_models_at_once(self, project):
        with pytest.raises(Exception, match="create_model configuration") as caught:
            run_dbt(["parse"])
        text = str(caught.value)
        assert "a (models/a.sql): unknown config 'settigns', did you mean 'settings'?" in text
        assert "a (models/a.sql): config 'target' is required" in text
        assert "b (models/b.sql): settings: compute 'spark' is not one of local, dask" in text


class TestSignatures:
    """What happens to functions that already have the name."""

    QUERY = """
    {{{{ config(materialized='create_model', target='y', auto=false, model_type='linear_learner', problem_type='regression') }}}}
    select {columns}, 2.0 * i as y from generate_series(1, 600) as i
    """

    @pytest.fixture(scope="class")
    def models(self):
        return {"m.sql": self.QUERY.format(columns="i as a")}

    def overloads(self, project, connection):
        """The forms that take the features one by one, and their comments."""
        with connection.cursor() as cursor:
            cursor.execute(
                """select pg_get_function_identity_arguments(oid), coalesce(obj_description(oid, 'pg_proc'), '')
                   from pg_proc where pronamespace = %s::regnamespace and proname = 'predict_m'
                   and 'jsonb'::regtype <> all (proargtypes) order by 1""",
                (f'"{project.test_schema}"',),
            )
            return dict(cursor.fetchall())

    def build(self, project, columns, *flags, expect_pass=True):
        write_file(self.QUERY.format(columns=columns), project.project_root, "models", "m.sql")
        return run_dbt(["build", "--select", "m", *flags], expect_pass=expect_pass)[0]

    def test_life_of_a_signature(self, project, connection):
        self.build(project, "i as a")
        assert list(self.overloads(project, connection)) == ["a double precision"]
        self.build(project, "i as a, i * 0.5 as b")
        assert list(self.overloads(project, connection)) == ["a double precision, b double precision"]

        with connection.cursor() as cursor:
            name = f'"{project.test_schema}"'
            cursor.execute(f"create view {name}.uses_it as select {name}.predict_m(1, 0.5) as p")
        renamed = self.build(project, "i as a, i * 0.5 as c", expect_pass=False)
        assert "uses_it" in renamed.message
        assert "--full-refresh" in renamed.message
        assert list(self.overloads(project, connection)) == ["a double precision, b double precision"]

        self.build(project, "i as a")
        found = self.overloads(project, connection)
        assert list(found) == ["a double precision", "a double precision, b double precision"]
        assert found["a double precision, b double precision"].startswith("SUPERSEDED")
        with connection.cursor() as cursor:
            cursor.execute(f"select p from {name}.uses_it")
            assert cursor.fetchone()[0] == pytest.approx(2.0, rel=0.5)
            cursor.execute(f"drop view {name}.uses_it")
        self.build(project, "i as a")
        assert list(self.overloads(project, connection)) == ["a double precision"]

        self.build(project, "i as renamed")
        assert list(self.overloads(project, connection)) == ["renamed double precision"]

    def test_a_feature_of_another_type(self, project, connection):
        self.build(project, "i as renamed")
        for another in ("i::bigint", "i * 0.5", "i::real"):
            self.build(project, f"{another} as renamed")
            assert list(self.overloads(project, connection)) == ["renamed double precision"]
        self.build(project, "(i % 2 = 0) as renamed")
        assert list(self.overloads(project, connection)) == ["renamed boolean"]
        with connection.cursor() as cursor:
            name = f'"{project.test_schema}"'
            cursor.execute(f"create view {name}.uses_it as select {name}.predict_m(true) as p")
            self.build(project, "i as renamed")
            found = self.overloads(project, connection)
            assert list(found) == ["renamed boolean", "renamed double precision"]
            assert found["renamed boolean"].startswith("SUPERSEDED")
            assert not found["renamed double precision"].startswith("SUPERSEDED")
            cursor.execute(f"select {name}.predict_m(1), p is not null from {name}.uses_it")
            assert cursor.fetchone() == (pytest.approx(2.0, rel=0.5), True)
            cursor.execute(f"drop view {name}.uses_it")
        assert self.build(project, "i as renamed").message.startswith("unchanged, kept")
        assert list(self.overloads(project, connection)) == ["renamed double precision"]

    def test_full_refresh_rebuilds_what_depends_on_a_renamed_argument(self, project, connection):
        self.build(project, "i as a")
        write_file("select {{ predict('m', ['1']) }} as p", project.project_root, "models", "uses_m.sql")
        run_dbt(["build", "--select", "uses_m"])
        self.build(project, "i as b", expect_pass=False)
        run_dbt(["build", "--full-refresh"])
        assert list(self.overloads(project, connection)) == ["b double precision"]
        (Path(project.project_root) / "models" / "uses_m.sql").unlink()

    def test_a_function_of_somebody_else_is_never_touched(self, project, connection):
        with connection.cursor() as cursor:
            cursor.execute(f'drop function if exists "{project.test_schema}".predict_m cascade')
            cursor.execute(
                f'create or replace function "{project.test_schema}".predict_m(a int) returns int language sql as $$ select 42 $$'
            )
        result = self.build(project, "i as a", expect_pass=False)
        assert "was not made by dbt-postgres-ml" in result.message
        assert "owner" in result.message
        with connection.cursor() as cursor:
            cursor.execute(f'select "{project.test_schema}".predict_m(1)')
            assert cursor.fetchone() == (42,)
