"""Columns of type real: a row as jsonb has them in fewer digits, and gets the same prediction."""

from __future__ import annotations

import pytest
from dbt.tests.util import run_dbt

ROWS = """
{{ config(materialized='table') }}
select i as id, ((array[0.1, 0.2, 0.3, 0.7, -0.1, 1e-3])[1 + i % 6])::real as r, (i % 17) / 4.0::float8 as z
from generate_series(1, 600) as i
"""
MODEL = """
{{ config(materialized='create_model', target='y', auto=false, model_type='linear_learner', runtime='sql',
    problem_type='regression', preprocessors=[{'column_set': ['r'], 'transformers': ['OneHotEncoder']}]) }}
select r, z, case when r = 0.1::real then 100 else 0 end + z as y from {{ ref('rows') }}
"""
ODD = """('{"r": null, "z": 1}'), ('{"z": 1}'), ('{"r": 1e300, "z": 1}'), ('{"r": -1e300, "z": 1}'),
    ('{"r": 1e-300, "z": 1}'), ('{"r": "NaN", "z": 1}'), ('{"r": "Infinity", "z": 1}'), ('{"r": 0, "z": 1}')"""


class TestRealColumns:
    @pytest.fixture(scope="class")
    def models(self):
        return {"rows.sql": ROWS, "by_sql.sql": MODEL}

    def test_both_forms_predict_the_same(self, project, connection) -> None:
        assert {result.status for result in run_dbt(["build"])} == {"success"}
        with connection.cursor() as cursor:
            cursor.execute(f"set search_path = {project.test_schema}")
            for name in ("predict_by_sql",):
                cursor.execute(
                    f"select count(*), count(distinct r), sum(({name}(r, z) > 50)::int),"
                    f" bool_and({name}(r, z) = {name}(to_jsonb(rows))) from rows"
                )
                assert cursor.fetchone() == (600, 6, 100, True)
                cursor.execute(f"select {name}(features::jsonb) from (values {ODD}) as odd (features)")
                found = [row[0] for row in cursor.fetchall()]
                assert len(found) == 8 and all(value < 50 for value in found if value is not None)
