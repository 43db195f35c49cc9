"""`dbt clone` of models with more functions than one, or with a function that is no prediction of rows."""

import json
import shutil
from pathlib import Path

import pytest
from dbt.tests.util import run_dbt
from support.selecting import selector

HOMES = """
{{ config(materialized='table') }}
select i as id, 20 + i % 190 as area, 100 + 3 * (i % 190) + (hashtext('e' || i) % 1000) / 100.0 as price
from generate_series(1, 600) as i
"""
PRICE = """
{{ config(materialized='create_model', target='price', auto=false, model_type='linear_learner', interval=0.9) }}
select area, price from {{ ref('homes') }}
"""
DAYS = """
{{ config(materialized='table') }}
select store, day::date as day, 10 * extract(isodow from day) + (hashtext(store || day) % 300) / 100.0 as sold
from unnest(array['A', 'B']) as store
cross join generate_series(date '2024-01-01', date '2024-03-10', interval '1 day') as day
"""
SALES = """
{{ config(materialized='create_model', model_type='forecast', target='sold',
    settings={'horizon': 7, 'percentiles': '0.1,mean', 'max_runtime': 10}) }}
select store, day, sold from {{ ref('days') }}
"""


class OneCloned:
    """Builds the models, clones one of them into a schema beside, and asks both schemas."""

    @pytest.fixture(scope="class")
    def cloned(self, project, server_target):
        run_dbt(["build"])
        root = Path(project.project_root)
        shutil.copytree(root / "target", root / "state", ignore=shutil.ignore_patterns("postgres_ml"))
        other = f"{project.test_schema}_clone"
        outputs = {"default": {**server_target, "schema": other}}
        (root / "other_profile").mkdir()
        profiles = json.dumps({"test": {"target": "default", "outputs": outputs}})
        (root / "other_profile" / "profiles.yml").write_text(profiles)
        where = ["--profiles-dir", str(root / "other_profile"), "--state", "state"]
        run_dbt(["clone", "--select", self.MODEL, *where])
        yield other
        project.run_sql(f'drop schema if exists "{other}" cascade')

    def both(self, project, connection, cloned, query):
        """Return the rows of the original, once the clone has been seen to answer the same."""
        found, expected = (selector(connection, schema)(query) for schema in (cloned, project.test_schema))
        assert found == expected
        return expected

    def functions(self, connection, schema):
        select = selector(connection, schema)
        query = f"""select proname, pronargs from pg_proc
            where pronamespace = '"{schema}"'::regnamespace order by 1, 2"""
        return select(query)


class TestClonedInterval(OneCloned):
    MODEL = "price"

    @pytest.fixture(scope="class")
    def models(self):
        return {"homes.sql": HOMES, "price.sql": PRICE}

    def test_predictions_and_intervals_are_the_same(self, project, connection, cloned):
        query = """select area, predict_price(area) as price, predict_price_interval(area) as bounds
            from generate_series(0, 300, 7) as area order by 1"""
        rows = self.both(project, connection, cloned, query)
        assert len(rows) == 43
        assert all(row[2]["lower"] < row[1] < row[2]["upper"] for row in rows)
        assert self.functions(connection, cloned) == self.functions(connection, project.test_schema)

    def test_the_clone_calls_nothing_of_the_original(self, project, connection, cloned):
        query = f"""select proname, prosrc ~ '[" ]?{project.test_schema}"?[.]' from pg_proc
            where pronamespace = '"{cloned}"'::regnamespace and proname like 'predict_price%'"""
        found = dict(selector(connection, cloned)(query))
        assert {"predict_price", "predict_price_interval"} <= set(found)
        assert not any(found.values())


class TestClonedForecast(OneCloned):
    MODEL = "sales"

    @pytest.fixture(scope="class")
    def models(self):
        pytest.importorskip("statsforecast", reason="the extra [forecast]")
        return {"days.sql": DAYS, "sales.sql": SALES}

    def test_forecasts_are_the_same(self, project, connection, cloned):
        rows = self.both(project, connection, cloned, "select * from predict_sales() order by 1, 2")
        assert len(rows) == 2 * 7 and {row[0] for row in rows} == {"A", "B"}
        assert self.functions(connection, cloned) == self.functions(connection, project.test_schema)

    def test_the_card_names_the_clones_function(self, connection, cloned):
        rows = selector(connection, cloned)("select version, function from sales")
        assert rows == [(1, f"{cloned}.predict_sales")]
