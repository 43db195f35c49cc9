"""predict_incremental: exactly the rows that are new, that have changed, or that another version would score."""

from __future__ import annotations

import pytest
from dbt.tests.util import run_dbt, run_dbt_and_capture, write_file

MODEL = """
{{{{ config(materialized='create_model', target='y', auto=false, model_type='linear_learner',
           problem_type='regression', runtime='{runtime}') }}}}
select i::float8 as a, 'w' || i % 3 as word, timestamptz '2026-01-01' + i * interval '1 hour' as at, {slope} * i as y
from generate_series(1, 600) as i
"""
SCORED = """
{{{{ config(materialized='incremental', unique_key={key}) }}}}
{{{{ predict_incremental('m', ref('rows'), key={key}) }}}}
"""
ROWS = "{{ config(materialized='view') }} select * from {{ target.schema }}.stored"


class TestIncremental:
    @pytest.fixture(scope="class")
    def models(self):
        return {
            "m.sql": MODEL.format(slope="2.0", runtime="sql"),
            "rows.sql": ROWS,
            "scored.sql": SCORED.format(key="['shop', 'id']"),
            "appended.sql": SCORED.format(key="['shop', 'id']").replace(
                "unique_key=", "incremental_strategy='append', unique_key="
            ),
            "keyless.sql": SCORED.format(key="'id'").replace("unique_key='id'", "unique_key='shop'"),
        }

    @pytest.fixture(scope="class")
    def built(self, project):
        project.run_sql(
            f"create table {project.test_schema}.stored as select 1 as shop, i as id, i::float8 as a, 'w1' as word, "
            "timestamptz '2026-02-01 12:00+00' as at, i as other from generate_series(1, 100) as i"
        )
        run_dbt(["build", "--select", "m", "rows"])

    def rows_scored(self, *arguments: str) -> int:
        [result] = run_dbt(["run", "--select", "scored", *arguments])
        return int(result.adapter_response["rows_affected"])

    def check(self, project) -> None:
        """Every row has the prediction that the function gives now."""
        wrong = project.run_sql(
            f"select count(*) from {project.test_schema}.stored as r left join {project.test_schema}.scored as s using (shop, id) "
            f"where s.prediction is distinct from {project.test_schema}.predict_m(r.a, r.word, r.at) "
            f"or s.model_version is distinct from (select version from {project.test_schema}.m)",
            fetch="one",
        )
        assert wrong == (0,)

    def test_only_what_has_to_be_is_scored(self, project, built):
        stored = f"{project.test_schema}.stored"
        assert self.rows_scored() == 100
        assert self.rows_scored() == 0
        project.run_sql(f"insert into {stored} select 2, i, i, null, null, 0 from generate_series(1, 7) as i")
        project.run_sql(f"update {stored} set a = a + 0.5 where shop = 1 and id <= 3")
        project.run_sql(f"update {stored} set word = null where shop = 1 and id = 4")
        project.run_sql(f"update {stored} set at = at + interval '1 second' where shop = 1 and id = 5")
        project.run_sql(f"update {stored} set other = -1 where shop = 1 and id = 6")  # no feature
        assert self.rows_scored() == 7 + 3 + 1 + 1
        self.check(project)
        project.run_sql(f"update {stored} set word = '' where shop = 1 and id = 4")  # no longer NULL
        assert self.rows_scored() == 1
        assert self.rows_scored("--empty") == 0
        assert project.run_sql(f"select count(*) from {project.test_schema}.scored", fetch="one") == (107,)
        role = project.run_sql("select current_user", fetch="one")[0]
        for setting in ("timezone = 'Pacific/Auckland'", "datestyle = 'SQL, DMY'", "extra_float_digits = 0"):
            project.run_sql(f"alter role {role} set {setting}")
        try:
            assert self.rows_scored() == 0
        finally:
            project.run_sql(f"alter role {role} reset all")

        write_file(MODEL.format(slope="3.0", runtime="sql"), project.project_root, "models", "m.sql")
        run_dbt(["run", "--select", "m"])
        assert self.rows_scored() == 107
        self.check(project)
        assert self.rows_scored() == 0
        assert self.rows_scored("--full-refresh") == 107

    def test_what_would_double_rows_is_refused(self, project, built):
        results, _ = run_dbt_and_capture(["run", "--select", "appended", "keyless"], expect_pass=False)
        messages = {result.node.name: result.message for result in results}
        assert (
            'needs unique_key=["shop", "id"] and any incremental_strategy but append' in messages["appended"]
        )
        assert 'needs unique_key="id"' in messages["keyless"]

    def test_a_table_of_other_columns_is_named(self, project, built):
        project.run_sql(f"drop table if exists {project.test_schema}.scored")
        project.run_sql(
            f"create table {project.test_schema}.scored as select 1 as shop, 1 as id, 0.5::float8 as prediction"
        )
        [result] = run_dbt(["run", "--select", "scored"], expect_pass=False)
        assert "has no column features_hash, model_version" in result.message
        assert "dbt build --full-refresh --select scored" in result.message
        project.run_sql(f"drop table {project.test_schema}.scored")
