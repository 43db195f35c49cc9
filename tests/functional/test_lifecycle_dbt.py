"""A model among dbt's other features: generic tests, documentation, contracts, --empty, clone."""

import json
import re
import shutil
from pathlib import Path

import pytest
from dbt.tests.util import run_dbt, write_file

EVENTS = """
{{ config(materialized='table') }}
select i as id, i % 17 as x, (i % 5) * 1.5 as z, (array['north', 'south', null])[1 + i % 3] as region, i % 2 = 0 as vip,
    case when i % 17 > 8 then 'yes' else 'no' end as y
from generate_series(1, 600) as i
"""
# the same columns with other contents: x twice as large, a region that was not there
LATER = """
{{ config(materialized='table') }}
select id, x * 2 as x, z, coalesce(region, 'west') as region, vip from {{ ref('events') }}
"""
MODEL = """
{{{{ config(materialized='create_model', target='y', auto=false, model_type='linear_learner', runtime='sql'{more}) }}}}
select x, z, region, vip, y from {{{{ ref('events') }}}}
"""
SCORED = "select id, {{ predict('m') }} as y from {{ ref('events') }}"
SCHEMA = """
models:
  - name: m
    description: Says yes to large x
    config:
      persist_docs: {relation: true, columns: true}
    data_tests:
      - model_metric: {arguments: {metric: f1, min: 0.9}}
      - model_metric: {name: metric_fails, arguments: {metric: f1, min: 1.1}}
      - model_metric: {name: metric_unknown, arguments: {metric: mse, max: 9}}
      - model_age: {arguments: {max: 1 day}}
      - model_age: {name: age_fails, arguments: {max: 0 seconds}}
      - prediction_parity
      - feature_drift: {arguments: {relation: ref('events')}}
      - feature_drift: {name: features_drifted, arguments: {relation: ref('later')}}
      - feature_drift: {name: chosen_features, arguments: {relation: ref('later'), features: [z, vip]}}
      - feature_drift: {name: one_feature, arguments: {relation: ref('later'), features: region}}
      - feature_drift: {name: feature_unknown, arguments: {relation: ref('later'), features: [z, regoin]}}
      - prediction_drift: {arguments: {relation: ref('scored'), column: y}}
      - prediction_drift: {name: predictions_drifted, arguments: {relation: ref('scored'), column: y, condition: "y = 'no'"}}
"""
# a package that knows of Postgres and not of this adapter, as those of the package hub
NEIGHBOUR = """
{% macro known() %}{{ return(adapter.dispatch('known', 'neighbour')()) }}{% endmacro %}
{% macro postgres__known() %}{{ return('postgres') }}{% endmacro %}
{% macro default__known() %}{{ return('default') }}{% endmacro %}
{% macro unknown() %}{{ return(adapter.dispatch('unknown', 'neighbour')()) }}{% endmacro %}
{% macro redshift__unknown() %}{{ return('redshift') }}{% endmacro %}
{% macro default__unknown() %}{{ return('default') }}{% endmacro %}
"""
DISPATCHED = """
select '{{ neighbour.known() }}' as known, '{{ neighbour.unknown() }}' as unknown,
    {{ dbt.listagg('region', "'+'", 'order by region') }} as regions
from (values ('n'), ('s')) as regions (region)
"""


class TestGenericTestsAndDocs:
    @pytest.fixture(scope="class")
    def packages(self, tmp_path_factory):
        package = tmp_path_factory.mktemp("neighbour")
        write_file("name: neighbour\nversion: 1.0.0\nconfig-version: 2\n", package, "dbt_project.yml")
        (package / "macros").mkdir()
        write_file(NEIGHBOUR, package, "macros", "neighbour.sql")
        return {"packages": [{"local": str(package)}]}

    @pytest.fixture(scope="class")
    def models(self):
        return {
            "events.sql": EVENTS,
            "later.sql": LATER,
            "m.sql": MODEL.format(more=""),
            "scored.sql": SCORED,
            "schema.yml": SCHEMA,
            "dispatched.sql": DISPATCHED,
        }

    @pytest.fixture(scope="class")
    def outcome(self, project):
        run_dbt(["deps"])
        run_dbt(["run"])
        return {r.node.name: r for r in run_dbt(["test"], expect_pass=False)}

    def test_each_test_passes_or_fails_as_it_should(self, outcome):
        failed = {name for name, result in outcome.items() if str(result.status) == "fail"}
        assert failed == {
            "metric_fails",
            "metric_unknown",
            "age_fails",
            "features_drifted",
            "one_feature",
            "feature_unknown",
            "predictions_drifted",
        }
        assert {str(result.status) for result in outcome.values()} == {"pass", "fail"}
        assert outcome["one_feature"].failures == outcome["feature_unknown"].failures == 1
        assert outcome["features_drifted"].failures == 2  # x and region, not z and vip

    def test_parity_notices_another_function(self, outcome, project, connection):
        schema = f'"{project.test_schema}"'
        with connection.cursor() as cursor:
            cursor.execute(
                "select pg_get_functiondef(%s::regprocedure)",
                (f"{schema}.predict_m(float8, float8, text, boolean)",),
            )
            [definition] = cursor.fetchone()
            try:
                arguments = definition[definition.index("(") : definition.index("RETURNS")]
                cursor.execute(
                    f"create or replace function {schema}.predict_m{arguments} returns text language sql immutable as $$ select 'no' $$"
                )
                [result] = run_dbt(["test", "--select", "prediction_parity_m_"], expect_pass=False)
                assert str(result.status) == "fail"
                [result] = run_dbt(["compile", "--select", "prediction_parity_m_"])
                assert "where false" in result.node.compiled_code
            finally:
                cursor.execute(definition)

    def test_the_description_is_in_the_comments(self, outcome, project, connection):
        with connection.cursor() as cursor:
            cursor.execute(
                f"""select obj_description('"{project.test_schema}".predict_m(float8, float8, text, boolean)'::regprocedure)"""
            )
            [comment] = cursor.fetchone()
        assert comment.startswith("Predicts by m, version 1 (f1 ")
        assert "Says yes to large x" in comment
        assert comment.endswith("[dbt-postgres-ml]")
        with connection.cursor() as cursor:
            cursor.execute(f"""select obj_description('"{project.test_schema}".m'::regclass)""")
            assert cursor.fetchone() == ("Says yes to large x",)
            cursor.execute(f"""select col_description(attrelid, attnum) from pg_attribute
                where attrelid = '"{project.test_schema}".m'::regclass and attname = 'score'""")
            [comment] = cursor.fetchone()
        assert "never saw" in comment

    def test_packages_that_know_postgres_know_this_adapter(self, outcome, project, connection):
        with connection.cursor() as cursor:
            cursor.execute(f'select * from "{project.test_schema}".dispatched')
            assert cursor.fetchall() == [("postgres", "default", "n+s")]

    def test_documentation_shows_the_card(self, outcome, project):
        run_dbt(["docs", "generate"])
        catalog = json.loads((Path(project.project_root) / "target" / "catalog.json").read_text())
        card = catalog["nodes"]["model.test.m"]
        assert {"version", "state", "score", "signature"} <= set(card["columns"])
        manifest = json.loads((Path(project.project_root) / "target" / "manifest.json").read_text())
        assert "never saw" in manifest["nodes"]["model.test.m"]["columns"]["score"]["description"]
        assert manifest["nodes"]["model.test.m"]["docs"]["node_color"]
        stats = {stat["label"]: stat["value"] for stat in card["stats"].values() if stat["include"]}
        assert re.fullmatch(r"f1 [\d.]+, on \d+ hold-out rows", stats["Score"])
        assert stats["Signature"].startswith(f"{project.test_schema}.predict_m(")
        assert stats["Version"].startswith("1, READY, trained 20") and stats["Runtime"]
        others = [node for name, node in catalog["nodes"].items() if name != "model.test.m"]
        assert others and not any(stat["include"] for node in others for stat in node["stats"].values())
        predict = manifest["macros"]["macro.dbt_postgres_ml.predict"]
        assert predict["description"].startswith("A call of a create_model's prediction function")
        assert [argument["name"] for argument in predict["arguments"]][:2] == ["model_name", "features"]


class TestEmptyContractAndClone:
    @pytest.fixture(scope="class")
    def models(self):
        return {"events.sql": EVENTS, "m.sql": MODEL.format(more=""), "scored.sql": SCORED}

    def ask(self, connection, query):
        with connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()

    def test_empty_publishes_a_stub_and_the_next_build_trains(self, project, connection):
        schema = f'"{project.test_schema}"'
        results = {r.node.name: r for r in run_dbt(["build", "--empty"])}
        assert results["m"].message == "CREATE STUB v1: it predicts NULL"
        call = f"select {schema}.predict_m(1, 1, 'a', true)"
        assert self.ask(connection, call) == [(None,)]
        assert self.ask(connection, f"select state, score from {schema}.m") == [("STUB", None)]
        # the view that depends on the stub goes on with the trained function
        built = {r.node.name: r for r in run_dbt(["build"])}
        assert built["m"].adapter_response["version"] == 2
        assert self.ask(connection, call) == [("no",)]
        assert self.ask(connection, f"select state from {schema}.m") == [("READY",)]
        kept = {r.node.name: r for r in run_dbt(["build", "--empty"])}
        assert kept["m"].message == "--empty, kept v2"
        assert self.ask(connection, call) == [("no",)]

    def test_contract_compares_the_query(self, project):
        contract = """
models:
  - name: m
    config: {contract: {enforced: true}}
    columns:
      - {name: x, data_type: int}
      - {name: z, data_type: float8}
      - {name: region, data_type: text}
      - {name: y, data_type: text}
      - {name: w, data_type: text}
"""
        write_file(contract, project.project_root, "models", "schema.yml")
        [result] = run_dbt(["build", "--select", "m"], expect_pass=False)
        (Path(project.project_root) / "models" / "schema.yml").unlink()
        for problem in (
            'column "vip" of the query is not in it',
            'column "z" is numeric, the contract says double precision',
            'the query has no column "w"',
        ):
            assert problem in result.message
        assert '"x"' not in result.message  # int is integer

    def test_clone_and_defer(self, project, connection, server_target):
        run_dbt(["build"])  # events again: --empty has emptied them
        root = Path(project.project_root)
        state = root / "state"
        shutil.copytree(root / "target", state, ignore=shutil.ignore_patterns("postgres_ml"))
        other = f"{project.test_schema}_clone"
        profiles = json.dumps(
            {
                "test": {
                    "target": "default",
                    "outputs": {"default": {**server_target, "schema": other}},
                }
            }
        )
        folder = root / "other_profile"
        folder.mkdir()
        (folder / "profiles.yml").write_text(profiles)
        try:
            arguments = ["--profiles-dir", str(folder), "--state", "state"]
            run_dbt(["clone", "--select", "m", *arguments])
            assert self.ask(
                connection,
                f"""select "{other}".predict_m(1, 1, 'a', true), version, function from "{other}".m""",
            ) == [("no", 1, f"{other}.predict_m")]
            run_dbt(["clone", "--select", "m", *arguments])  # a second time does nothing
            assert self.ask(connection, f'select version from "{other}".m') == [(1,)]
            # without a clone, --defer takes the state's function
            run_dbt(["run", "--select", "scored", "--defer", "--favor-state", *arguments])
            [(definition,)] = self.ask(connection, f"""select pg_get_viewdef('"{other}".scored'::regclass)""")
            assert f"{project.test_schema}.predict_m(" in definition
        finally:
            self.ask(connection, f'drop schema if exists "{other}" cascade; select 1')
