"""Intervals around a regression's predictions, through a model's whole life in a project."""

import json
from pathlib import Path

import numpy as np
import pytest
from dbt.tests.util import run_dbt
from support.selecting import selector

N_ROWS = 2000
#: errors grow with the area, so that intervals have to be scaled
HOMES = f"""
{{{{ config(materialized='table') }}}}
select
    i as id,
    area,
    case when i % 25 = 0 then null else (hashtext('r' || i) % 5)::int end as rooms,
    (array['north', 'south', null])[1 + abs(hashtext('d' || i)) % 3] as district,
    100 + 3 * area + area * (hashtext('e' || i) % 1000) / 1000.0 as price
from (
    select i, 20 + abs(hashtext('a' || i)) % 20000 / 100.0 as area from generate_series(1, {N_ROWS}) as i
) as drawn
"""
PRICE = """
{{ config(materialized='create_model', target='price', auto=false, model_type='xgboost', interval=env_var('LEVEL', '0.9'),
    hyperparameters={'n_estimators': 30, 'max_depth': 3}, explain=true,
    gates={'interval_coverage': '>= 0.8'}, grants={'execute': ['pg_monitor']}) }}
select area::float8 as area, rooms, district, price from {{ ref('homes') }}
"""
PRICE_IN_SQL = """
{{ config(materialized='create_model', target='price', auto=false, model_type='linear_learner', interval='0.5', runtime='sql',
    settings={'refit': false}) }}
select area, rooms, district, price from {{ ref('homes') }} where area < 100
"""
PRICE_AUTO = """
{{ config(materialized='create_model', target='price', interval=0.95, settings={'max_trials': 2, 'max_runtime': 30}) }}
select area, rooms, price from {{ ref('homes') }}
"""
SCHEMA = """
models:
  - name: price
    data_tests: [prediction_parity]
  - name: price_in_sql
    data_tests: [prediction_parity]
"""
SCORED = """
select h.*, {{ predict('price') }} as predicted, {{ predict_interval('price') }} as bounds,
    {{ predict_interval('price', version=1) }} as pinned,
    {{ predict('price_in_sql') }} as predicted_in_sql, {{ predict_interval('price_in_sql') }} as bounds_in_sql,
    {{ predict_interval('price_auto') }} as bounds_auto
from {{ ref('homes') }} as h
"""
SHARE = "avg((price between ({0}->>'lower')::float8 and ({0}->>'upper')::float8)::int)::float8"
WIDTH = "avg(({0}->>'upper')::float8 - ({0}->>'lower')::float8)"


class TestIntervalModels:
    @pytest.fixture(scope="class")
    def models(self):
        return {
            "homes.sql": HOMES,
            "price.sql": PRICE,
            "price_in_sql.sql": PRICE_IN_SQL,
            "price_auto.sql": PRICE_AUTO,
            "schema.yml": SCHEMA,
            "scored.sql": SCORED,
        }

    @pytest.fixture(scope="class")
    def built(self, project):
        return {result.node.name: result for result in run_dbt(["build"])}

    @pytest.fixture
    def select(self, built, project, connection):
        return selector(connection, project.test_schema)

    @pytest.fixture
    def card(self, built, project):
        def of(name):
            run_id = built[name].adapter_response["mlflow_run_id"]
            [found] = Path(project.project_root).glob(f"mlartifacts/**/{run_id}/artifacts")
            return (found / "model_card.md").read_text(encoding="utf-8")

        return of

    def test_bounds_are_around_the_prediction_and_wide_where_errors_are(self, select):
        rows = select(
            "select predicted, (bounds->>'lower')::float8, (bounds->>'upper')::float8, area::float8 from scored"
        )
        predicted, lower, upper, area = np.array(rows).T
        assert np.allclose((lower + upper) / 2, predicted, rtol=1e-12)
        wide, narrow = (upper - lower)[area > 180].mean(), (upper - lower)[area < 60].mean()
        assert wide > 2 * narrow
        assert select("select distinct pg_typeof(bounds)::text from scored") == [("jsonb",)]
        assert select("select count(*) from scored where pinned is distinct from bounds") == [(0,)]

    @pytest.mark.parametrize(("column", "level"), [("bounds", 0.9), ("bounds_auto", 0.95)])
    def test_as_many_true_values_as_asked_are_between_them(self, select, column, level):
        # all rows: the published model has learned from them, so they are covered a little better
        [(share, width)] = select(f"select {SHARE}, {WIDTH} from scored".format(column))
        assert level - 0.02 <= share <= level + 0.06 and width > 0

    def test_constant_width_is_exact_to_the_last_bit(self, select):
        rows = select(
            "select predicted_in_sql, (bounds_in_sql->>'lower')::float8, (bounds_in_sql->>'upper')::float8 from scored"
        )
        predicted, lower, upper = np.array(rows).T
        assert len(rows) == N_ROWS and np.all(lower < predicted) and np.all(upper > predicted)

    def test_null_where_the_prediction_is_and_any_argument_may_be_missing(self, select):
        assert select(
            "select predict_price_interval(null, null, null) ? 'lower', predict_price_in_sql_interval('Infinity', 1, 'north')"
        ) == [(True, None)]
        by_name = "count(*) filter (where predict_price_interval(to_jsonb(s)) is distinct from bounds)"
        assert select(f"select {by_name} from scored as s") == [(0,)]

    def test_card_and_record(self, select, card, built):
        [(metrics,)] = select("select metrics from price")
        assert abs(metrics["interval_coverage"] - 0.9) < 0.06 and metrics["interval_width"] > 0
        text = card("price")
        assert "## How sure it is" in text and "predict_price_interval" in text
        assert "| prediction | rows | covered | mean width |" in text and "0.9 of rows" in text
        [(comment, acl)] = select(
            """select obj_description(p.oid, 'pg_proc'), proacl::text from pg_proc as p
            where proname = 'predict_price_interval' and pronargs = 3 and pronamespace = current_schema()::regnamespace"""
        )
        assert comment.startswith("Interval of the prediction by price, version 1") and "pg_monitor=X/" in acl

    def test_without_the_key_there_is_no_function_and_with_it_again(self, select, project, monkeypatch):
        names = """select array_agg(distinct proname::text order by proname::text) from pg_proc
            where proname in ('predict_price', 'predict_price_interval') and pronamespace = current_schema()::regnamespace"""
        both = ["predict_price", "predict_price_interval"]
        assert select(names) == [(both,)]
        model = Path(project.project_root) / "models" / "price.sql"
        with_key = model.read_text(encoding="utf-8")
        model.write_text(
            with_key.replace("interval=env_var('LEVEL', '0.9'),", "").replace(
                "gates={'interval_coverage': '>= 0.8'},", ""
            )
        )
        project.run_sql(f"drop view {project.test_schema}.scored")  # it calls the function
        run_dbt(["run", "-s", "price"])
        assert select(names) == [(both[:1],)]
        run_dbt(["run-operation", "rollback_model", "--args", json.dumps({"model": "price"})])
        assert select(names) == [(both,)]
        assert select("select predict_price_interval(100, 3, 'north') ? 'upper'") == [(True,)]
        model.write_text(with_key)
        monkeypatch.setenv("LEVEL", "0.4")
        with pytest.raises(Exception, match=r"interval must be a number from 0\.5 to 0\.999"):
            run_dbt(["run", "-s", "price"])
        monkeypatch.setenv("LEVEL", "0.9")
        run_dbt(["run-operation", "drop_model", "--args", json.dumps({"model": "price"})])
        assert select(names) == [(None,)]
        run_dbt(["run", "-s", "price", "--empty"])
        assert select(names) == [(both,)]
        assert select("select predict_price_interval(1, 1, 'north') is null") == [(True,)]
