"""`predict` in downstream models: errors that name the cure, --defer, and unit tests."""

import shutil
from pathlib import Path

import pytest
from dbt.tests.util import run_dbt, write_file

LINEAR = """
{{{{ config(materialized='create_model', target='y', auto=false, model_type='linear_learner',
           problem_type='regression') }}}}
select {columns}, 2.0 * i as y from generate_series(1, 600) as i
"""
UNIT_TEST = """
unit_tests:
  - name: doubles
    model: fine
    given:
      - input: ref('inputs')
        rows: [{a: 10, b: 10}, {a: null, b: null}]
      - input: ref('m')
        rows: []
    expect:
      rows: [{p: 20}, {p: 601}]
"""


class TestPredict:
    @pytest.fixture(scope="class")
    def models(self):
        return {
            "m.sql": LINEAR.format(columns="i as a, i as b"),
            "unbuilt.sql": LINEAR.format(columns="i as a"),
            "inputs.sql": "select 5 as a, 5 as b",
            "too_few.sql": "select {{ predict('m', ['1']) }} as p",
            "text_features.sql": "select {{ predict('m', 'a') }} as p",
            "not_a_feature.sql": "select {{ predict('m', {'zzz': '1'}) }} as p",
            "not_a_model.sql": "select {{ predict('inputs', ['1']) }} as p",
            "not_built.sql": "select {{ predict('unbuilt') }} as p",
            "not_told.sql": "select {{ predict_interval('m') }} as p from {{ ref('inputs') }}",
            "not_told_by_name.sql": "select {{ predict_probabilities('m', {'a': '1'}) }} as p",
            "not_built_bounds.sql": "select {{ predict_interval('unbuilt') }} as p",
            "nulls.sql": "select {{ predict('m', {'a': none, 'b': 0}) }} as p, {{ predict('m', [0, none]) }} as q",
            "listed.sql": "{{ predict_table('m', ref('inputs'), key='a', features=['a', 'b']) }}",
            "missing_column.sql": "select {{ predict('m', alias='s') }} as p from (select 1 as a) as s",
            "fine.sql": "select round({{ predict('m', alias='i') }}::numeric, 0)::int as p from {{ ref('inputs') }} as i",
            "unit_tests.yml": UNIT_TEST,
        }

    @pytest.fixture(scope="class")
    def trained(self, project):
        run_dbt(["build", "--select", "m", "inputs"])

    def test_errors_name_the_cure(self, project, trained):
        results = run_dbt(["run", "--exclude", "m", "unbuilt", "inputs"], expect_pass=False)
        messages = {result.node.name: result.message for result in results}
        assert "got 1 features and takes 2: a, b" in messages["too_few"]
        assert "features must be a list such as ['a', 'b']" in messages["text_features"]
        assert "has no feature 'zzz'; its features are a, b" in messages["not_a_feature"]
        assert "no create_model has that name; there are: m, unbuilt" in messages["not_a_model"]
        assert "build it first: dbt build --select unbuilt" in messages["not_built"]
        assert "build it first: dbt build --select unbuilt" in messages["not_built_bounds"]
        assert "predict_interval('m'): the model has no function" in messages["not_told"]
        assert "a regression has one whose config sets `interval`" in messages["not_told"]
        assert "predict_probabilities('m'): the model has no function" in messages["not_told_by_name"]
        assert "column s.b does not exist" in messages["missing_column"]
        assert messages["fine"] == messages["nulls"] == "CREATE VIEW"
        assert "features is a dictionary of SQL by feature, such as {'a': '…'}" in messages["listed"]
        compiled = (Path(project.project_root) / "target/compiled/test/models/nulls.sql").read_text()
        assert "(null, 0) as p" in compiled and "(0, null) as q" in compiled

    def test_unit_test(self, project, trained):
        results = run_dbt(["test", "--select", "doubles"])
        assert [str(result.status) for result in results] == ["pass"]

    def test_defer_uses_the_deferred_schema(self, project, trained):
        state = Path(project.project_root) / "state"
        state.mkdir(exist_ok=True)
        shutil.copy(Path(project.project_root) / "target" / "manifest.json", state)
        profiles = (Path(project.profiles_dir) / "profiles.yml").read_text()
        other = f"{project.test_schema}_pr"
        write_file(profiles.replace(project.test_schema, other), project.profiles_dir, "profiles.yml")
        try:
            run_dbt(["run", "--select", "fine", "--defer", "--state", "state"])
            compiled = (Path(project.project_root) / "target/compiled/test/models/fine.sql").read_text()
            assert f'"{project.test_schema}"."predict_m"' in compiled
            assert project.run_sql(f'select p from "{other}".fine', fetch="one") == (10,)
        finally:
            write_file(profiles, project.profiles_dir, "profiles.yml")
            project.run_sql(f'drop schema if exists "{other}" cascade')


VERSIONED = """
models:
  - name: churn
    latest_version: 2
    config: {materialized: create_model, target: y, auto: false, model_type: linear_learner, problem_type: regression}
    versions: [{v: 1}, {v: 2, config: {alias: churn_now}}, {v: '3.1'}]
"""
SLOPE = "select i as a, {y}.0 * i as y from generate_series(1, 600) as i"


class TestWhatRefResolvesTo:
    """The function called is that of the node that `ref` gives: dbt's version, the caller's package, its alias."""

    @pytest.fixture(scope="class")
    def models(self):
        return {
            "churn_v1.sql": SLOPE.format(y=1),
            "churn_v2.sql": SLOPE.format(y=2),
            "churn_v3.1.sql": SLOPE.format(y=3),
            "versions.yml": VERSIONED,
            "twice.sql": LINEAR.format(columns="i as a").replace("2.0 * i", "4.0 * i"),
            "latest.sql": "select {{ predict('churn', ['300']) }} as p",
            "first.sql": "select {{ predict('churn', ['300'], v=1) }} as p",
            "coming.sql": "select {{ predict('churn', ['300'], v='3.1') }} as p",
            "table_by_name.sql": "{{ predict_table('churn', ref('latest_rows'), key='a', v=1) }}",
            "table_by_ref.sql": "{{ predict_table(ref('churn', v=2), ref('latest_rows'), key='a') }}",
            "latest_rows.sql": "select 300 as a",
            "own.sql": "select {{ predict('twice', ['300']) }} as p",
            "others.sql": "select {{ predict('twice', ['300'], package='brought') }} as p",
        }

    @pytest.fixture(scope="class")
    def packages(self, project_root):
        package = Path(project_root) / "brought"
        (package / "models").mkdir(parents=True)
        write_file("name: brought\nversion: '1.0'\nconfig-version: 2\n", str(package), "dbt_project.yml")
        text = LINEAR.format(columns="i as a").replace("2.0 * i", "5.0 * i")
        text = text.replace(
            "materialized=", "alias='brought_twice', function='predict_brought', materialized="
        )
        write_file(text, str(package), "models", "twice.sql")
        write_file("select {{ predict('twice', ['300']) }} as p", str(package), "models", "inner_call.sql")
        return {"packages": [{"local": "brought"}]}

    @pytest.fixture(scope="class")
    def built(self, project):
        run_dbt(["deps"])
        return run_dbt(["build"])

    @pytest.mark.parametrize(
        ("view", "predicted"),
        [
            ("latest", 2),
            ("first", 1),
            ("coming", 3),
            ("own", 4),
            ("others", 5),
            ("inner_call", 4),  # dbt's default: the root project is searched first
        ],
    )
    def test_predict(self, project, built, view, predicted):
        assert project.run_sql(f"select round(p / 300) from {{schema}}.{view}", fetch="one") == (predicted,)

    @pytest.mark.parametrize(("view", "predicted"), [("table_by_name", 1), ("table_by_ref", 2)])
    def test_predict_table(self, project, built, view, predicted):
        found = project.run_sql(f"select a, round(prediction / 300) from {{schema}}.{view}", fetch="one")
        assert found == (300, predicted)

    def test_each_version_has_a_function_and_a_registered_model(self, project, built):
        names = project.run_sql(
            f"""select function_name, mlflow_model_uri from postgres_ml.model_version
            where model_schema = '{project.test_schema}' and dbt_unique_id like '%.churn.%' order by 1""",
            fetch="all",
        )
        assert [name for name, _ in names] == ["predict_churn_v1", "predict_churn_v2", "predict_churn_v3_1"]

    def test_operations_take_dbts_names(self, project, built):
        for name in ("churn", "churn.v1", "churn_v3_1"):
            run_dbt(["run-operation", "explain_model", "--args", f"{{model: {name}}}"])
