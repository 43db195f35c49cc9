"""AUTO publishes a stack where it is better: the functions, the card and the catalog of one."""

import contextlib

import psycopg2
import pytest
from dbt.tests.util import run_dbt_and_capture
from postgres_ml import embedded
from postgres_ml.publish import native_extension
from support.dbt_projects import EmbeddedProfile
from support.native_server import load_builder
from support.selecting import selector

CUSTOMERS = """
{{ config(materialized='table') }}
select
    day, eve, night, abroad, calls, plan, noise,
    case when bill > 70 and plan = 'no' then 30 when calls >= 3 and bill < 65 then 20 else bill / 10 end
        + (hashtext('e' || i) % 1000) / 200.0 as lost
from (
    select *, 0.17 * day + 0.085 * eve + 0.045 * night + 0.27 * abroad as bill
    from (
        select i, (abs(hashtext('d' || i)) % 360)::float8 as day, (abs(hashtext('v' || i)) % 400)::float8 as eve,
            (abs(hashtext('n' || i)) % 400)::float8 as night, (abs(hashtext('a' || i)) % 80)::float8 as abroad,
            abs(hashtext('c' || i)) % 5 as calls, hashtext('x' || i)::float8 as noise,
            (array['yes', 'no', 'no'])[1 + abs(hashtext('p' || i)) % 3] as plan
        from generate_series(1, 2000) as i
    ) as drawn
) as billed
"""
LOST = """
{{ config(materialized='create_model', target='lost', runtime='native', settings={'max_runtime': 300}) }}
select day, eve, night, abroad, calls, plan, noise, lost from {{ ref('customers') }}
"""
SCHEMA = """
models:
  - name: revenue_lost
    data_tests: [prediction_parity]
"""


OFF = """
select avg(abs(predict_revenue_lost(day, eve, night, abroad, calls, plan, noise) - lost))::float8,
    stddev(lost)::float8
from customers
"""


@pytest.mark.exhaustive
class TestStack(EmbeddedProfile):
    @pytest.fixture(scope="class")
    def models(self):
        return {"customers.sql": CUSTOMERS, "revenue_lost.sql": LOST, "schema.yml": SCHEMA}

    @pytest.fixture(scope="class", autouse=True)
    def package(self, tmp_path_factory):
        builder = load_builder()
        headers = builder.server_headers(embedded_only=True)
        library = tmp_path_factory.mktemp("native") / f"plmodel-{max(headers)}.so"
        builder.build(headers[max(headers)], library)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(native_extension, "packaged_library", lambda major: library)
            yield

    def test_a_build(self, project):
        results, log = run_dbt_and_capture(["build"])
        assert {result.status for result in results} <= {"success", "pass"}, log
        assert " on the scores of " in log and "within noise, so it is left out" not in log
        at = embedded.ensure(project.adapter.config.credentials.embedded, linger=5)
        with contextlib.closing(
            psycopg2.connect(host=at.host, port=at.port, user=at.user, dbname=at.dbname)
        ) as connection:
            select = selector(connection, project.test_schema)
            [(runtime, hyperparameters)] = select(
                "select runtime, hyperparameters::text from postgres_ml.model_version"
            )
            assert runtime == "native" and "scores_of" in hyperparameters
            [(off, spread)] = select(OFF)
        assert off < spread / 3
