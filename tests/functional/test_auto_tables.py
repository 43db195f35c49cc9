"""AUTO where the function is SQL: an additive model is published, with its scorecard and what it gives up."""

import pytest
from dbt.tests.util import run_dbt_and_capture
from support.selecting import selector

PARCELS = """
{{ config(materialized='table') }}
select
    weight, distance, kind,
    sin(weight / 3) * 4 + case when distance > 60 then 3 else 0 end + case kind when 'fragile' then 2 else 0 end
        + (hashtext('e' || i) % 1000) / 1000.0 as days
from (
    select i, abs(hashtext('w' || i)) % 200 / 10.0::float8 as weight,
        case when i % 25 = 0 then null else abs(hashtext('d' || i)) % 100 end::float8 as distance,
        (array['plain', 'fragile', 'large'])[1 + abs(hashtext('k' || i)) % 3] as kind
    from generate_series(1, 700) as i
) as drawn
"""
DELIVERY = """
{{ config(materialized='create_model', target='days', runtime='sql', model_type=['xgboost', 'additive'],
    settings={'max_trials': 2, 'max_runtime': 600, 'sql_tolerance': 0.2}) }}
select weight, distance, kind, days from {{ ref('parcels') }}
"""
SCHEMA = """
models:
  - name: delivery
    data_tests: [prediction_parity]
"""


class TestAutoPublishesTables:
    @pytest.fixture(scope="class")
    def models(self):
        return {"parcels.sql": PARCELS, "delivery.sql": DELIVERY, "schema.yml": SCHEMA}

    def test_a_build(self, project, connection):
        results, log = run_dbt_and_capture(["build"])
        assert {result.status for result in results} <= {"success", "pass"}
        select = selector(connection, project.test_schema)
        assert select("select model_type, runtime, n_nodes from delivery") == [("additive", "sql", 0)]
        assert "chosen: additive tables" in log
        [(off, spread)] = select(
            "select avg(abs(predict_delivery(weight, distance, kind) - days))::float8, stddev(days)::float8 "
            "from parcels"
        )
        assert off < spread / 4
        terms = {term for term, *_ in select("select * from predict_delivery_scorecard()")}
        assert {"(intercept)", "weight", "distance", "kind"} <= terms
