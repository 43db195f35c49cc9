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
        assert "column s.b does not exist" in messages["missing_column"]
        assert messages["fine"] == "CREATE VIEW"

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
