"""A model of more than 100 features, which Postgres allows no function to have as arguments."""

from pathlib import Path

import pytest
from dbt.tests.util import run_dbt

N_FEATURES = 150
COLUMNS = ", ".join(f"(i * {number} % 97)::float as f{number}" for number in range(N_FEATURES))
WIDE = f"""
{{{{ config(materialized='create_model', target='y', auto=false, model_type='linear_learner',
           problem_type='regression', retrain='always') }}}}
select {COLUMNS}, (2 * (i * 3 % 97) - (i * 120 % 97))::float as y from generate_series(1, 600) as i
"""
SCORED = """
select i, 2.0 * (i * 3 % 97) - (i * 120 % 97) as y,
    {{{{ predict('wide', alias='w') }}}} as by_alias,
    {{{{ predict('wide', [{by_list}]) }}}} as by_list
from (select i, {columns} from generate_series(1, 600) as i) as w
"""


class TestWideModel:
    @pytest.fixture(scope="class")
    def models(self):
        names = ", ".join(f"'w.f{number}'" for number in range(N_FEATURES))
        return {"wide.sql": WIDE, "scored.sql": SCORED.format(by_list=names, columns=COLUMNS)}

    def test_predicts_through_a_composite_type(self, project):
        run_dbt(["build"])
        query = (
            "select max(abs(by_alias - y)), count(*) filter (where by_alias <> by_list) from {schema}.scored"
        )
        error, different = project.run_sql(query, fetch="one")
        assert error < 1
        assert different == 0
        query = "select pg_get_function_identity_arguments(oid) from pg_proc where proname = 'predict_wide' and proargtypes::text <> '3802' and pronamespace = '{schema}'::regnamespace"
        assert project.run_sql(query, fetch="one")[0].endswith("predict_wide_features")

    def test_a_version_is_pinned_with_a_type_of_its_own(self, project):
        pinned = f"""select i, 2.0 * (i * 3 % 97) - (i * 120 % 97) as y,
            {{{{ predict('wide', alias='w', version=1) }}}} as p
        from (select i, {COLUMNS} from generate_series(1, 600) as i) as w"""
        (Path(project.project_root) / "models" / "pinned.sql").write_text(pinned)
        run_dbt(["run", "--select", "pinned"])
        same = "select count(*) from {schema}.pinned join {schema}.scored using (i) where p = by_alias"
        assert project.run_sql(same, fetch="one") == (600,)

    def test_other_features_make_another_type(self, project):
        run_dbt(["build"])  # with the view that depends on it; a second time it is the same type
        path = Path(project.project_root) / "models" / "wide.sql"
        path.write_text(path.read_text().replace("::float as f0", "::text as f0"))
        refused = run_dbt(["build", "--select", "wide"], expect_pass=False)
        assert "scored" in refused[0].message
        assert "--full-refresh" in refused[0].message
        run_dbt(["build", "--full-refresh"])
        query = "select max(abs(p - y)) from {schema}.pinned"  # by the type that version 1 took
        assert project.run_sql(query, fetch="one")[0] < 1
        types = "select typname from pg_type where typnamespace = '{schema}'::regnamespace and typname like '%features%' and typtype = 'c' order by 1"
        assert [name for (name,) in project.run_sql(types, fetch="all")] == [
            "predict_wide_features",
            "predict_wide_features__v1",
        ]

    def test_what_is_dropped_takes_its_types_along(self, project):
        project.run_sql("drop view {schema}.pinned; drop view {schema}.scored")
        run_dbt(["run-operation", "drop_model", "--args", "{model: wide}"])
        left = "select count(*) from pg_type where typnamespace = '{schema}'::regnamespace and typtype = 'c'"
        assert project.run_sql(left, fetch="one") == (0,)
