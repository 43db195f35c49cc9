"""Forecasts, model_type forecast: from a query to the function and through a model's whole life in a project."""

import csv
import json
import re
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from dbt.tests.util import run_dbt, run_dbt_and_capture
from support.selecting import selector

pytest.importorskip("statsforecast", reason="the extra [forecast]")
N_DAYS, HORIZON = 70, 7
DAYS = f"""
{{{{ config(materialized='table') }}}}
select store, day::date as day,
    (100 * length(coalesce(store, '')) + 10 * extract(isodow from day) + (hashtext(concat(store, day)) % 300) / 100.0)::numeric(10, 2) as sold
from unnest(array['A', 'it''s B', null]) as store
cross join generate_series(date '2024-01-01', date '2024-01-01' + {N_DAYS} - 1, interval '1 day') as day
where day <= date '2024-01-01' + {{{{ env_var('N_DAYS', '{N_DAYS}') }}}} - 1
union all
select 'short', date '2024-01-01', 1
"""
SALES = f"""
{{{{ config(materialized='create_model', model_type='forecast', target='sold', gates={{'mase': '<= 1.2'}},
    settings={{'horizon': env_var('HORIZON', '{HORIZON}') | int, 'percentiles': '0.9,0.1,0.5,mean', 'max_runtime': 10}},
    grants={{'execute': ['pg_monitor']}}) }}}}
select store, day, sold from {{{{ ref('days') }}}}
"""
NEXT_DAYS = "select * from {{ forecast('sales') }}"
FIRST_DAY = "select * from {{ forecast('sales', horizon=1, version=1) }} as f where f.store = 'A'"
SCHEMA = """
models:
  - name: sales
    data_tests:
      - prediction_parity
      - model_metric: {arguments: {metric: mase, max: 1.2}}
  - name: next_days
    columns:
      - name: mean
        data_tests: [not_null]
"""


class TestForecastModels:
    @pytest.fixture(scope="class")
    def models(self):
        return {
            "days.sql": DAYS,
            "sales.sql": SALES,
            "next_days.sql": NEXT_DAYS,
            "first_day.sql": FIRST_DAY,
            "schema.yml": SCHEMA,
        }

    @pytest.fixture(scope="class")
    def built(self, project):
        return {result.node.name: result for result in run_dbt(["build"])}

    @pytest.fixture
    def select(self, built, project, connection):
        return selector(connection, project.test_schema)

    @pytest.fixture
    def artifacts(self, built, project):
        run_id = built["sales"].adapter_response["mlflow_run_id"]
        [found] = Path(project.project_root).glob(f"mlartifacts/**/{run_id}/artifacts")
        return found

    def test_the_function_returns_what_the_training_told(self, select, artifacts):
        with (artifacts / "forecast.csv").open(encoding="utf-8") as file:
            told = sorted(tuple(row.values()) for row in csv.DictReader(file))
        rows = select("select coalesce(store, ''), day::text, mean, p10, p50, p90 from predict_sales()")
        assert sorted((*row[:2], *map(repr, row[2:])) for row in rows) == told
        assert len(rows) == 3 * HORIZON
        assert all(row[3] < row[4] < row[5] for row in rows)

    def test_series_keep_their_keys_and_go_on_day_by_day(self, select):
        keys = "select store, min(day)::text, count(*) from predict_sales() group by 1 order by 1"
        assert select(keys) == [
            ("A", "2024-03-11", HORIZON), ("it's B", "2024-03-11", HORIZON), (None, "2024-03-11", HORIZON),
        ]  # fmt: skip
        error = """select max(abs(f.mean - 100 * length(coalesce(store, '')) - 10 * extract(isodow from day)))
            from predict_sales() as f"""
        assert select(error)[0][0] < 6

    def test_the_horizon_is_an_argument_with_limits(self, select, project):
        assert select("select count(*) from predict_sales(2)") == [(6,)]
        assert select("select count(*) from predict_sales(horizon => 1)") == [(3,)]
        for wrong in ("8", "0", "null"):
            with pytest.raises(Exception, match=r"horizon must be from 1 to 7, found"):
                project.run_sql(f"select * from {project.test_schema}.predict_sales({wrong})", fetch="all")

    def test_models_downstream_depend_on_it(self, select, built):
        assert select("select count(*) from next_days") == [(3 * HORIZON,)]
        assert select("select store, day::text from first_day") == [("A", "2024-03-11")]
        assert built["next_days"].node.depends_on_nodes == [built["sales"].node.unique_id]

    def test_card_catalog_and_comments(self, select, artifacts, project):
        [(card,)] = select("select to_jsonb(sales) from sales")
        assert (card["problem_type"], card["model_type"], card["metric"]) == (
            "forecasting",
            "forecast",
            "mase",
        )
        assert (
            card["runtime"] == "sql"
            and card["score"] < 1.2
            and card["metrics"]["naive_mase"] >= card["score"]
        )
        shown = dict(select(f"select * from postgres_ml.show_model('{project.test_schema}.sales')"))
        assert shown["Metric Direction"] == "lower is better" and shown["horizon"] == str(HORIZON)
        assert shown["Function Parameters"] == "horizon" and shown["frequency"] == "D"
        [(comment, acl)] = select(
            """select obj_description(p.oid, 'pg_proc'), proacl::text from pg_proc as p
            where proname = 'predict_sales' and pronamespace = current_schema()::regnamespace"""
        )
        assert comment.startswith("Forecasts by sales, version 1 (mase ")
        assert (
            f"Call: select * from {project.test_schema}.predict_sales()" in comment and "pg_monitor=X/" in acl
        )
        [(comment,)] = select("select obj_description('sales'::regclass, 'pg_class')")
        assert comment.startswith("Card of the model sales, which forecasts the column sold, version 1")
        text = (artifacts / "model_card.md").read_text(encoding="utf-8")
        assert "not forecast, with fewer than 3 rows: 1 series (store=short)" in text
        assert "seasonal naive" in text and "| p10 to p90 | 80% |" in text
        assert {path.stem for path in (artifacts / "plots").iterdir()} == {
            "median_series", "worst_series", "error_by_step",
        }  # fmt: skip
        with pytest.raises(Exception, match="a forecast is made of the series itself and has no features"):
            project.run_sql(f"select * from postgres_ml.feature_importance('{project.test_schema}.sales')")

    def test_the_registered_model_tells_the_same(self, select, project):
        mlflow.set_tracking_uri(f"sqlite:///{project.project_root}/mlflow.db")
        model = mlflow.pyfunc.load_model(f"models:/{project.test_schema}.sales@champion")
        found = model.predict(pd.DataFrame({"horizon": [2]}))
        assert sorted(found["mean"]) == sorted(row[0] for row in select("select mean from predict_sales(2)"))

    def test_redshifts_statement_returns_the_rows(self, built, project, select):
        run_dbt(["run-operation", "create_catalog"])
        statement = f"SELECT FORECAST({project.test_schema}.sales)"
        rows = select(f"select value::jsonb from postgres_ml.run('{statement}')")
        assert len(rows) == 3 * HORIZON
        assert {"store", "day", "mean", "p10", "p50", "p90"} == rows[0][0].keys()

    def test_predict_and_forecast_send_to_each_other(self, built, project):
        path = Path(project.project_root) / "models" / "wrong.sql"
        path.write_text("select {{ predict('sales') }} from {{ ref('days') }}")
        with pytest.raises(Exception, match=r"that model forecasts, which is a table"):
            run_dbt(["compile", "-s", "wrong"])
        path.unlink()

    def test_new_versions_rollback_pin_stub_and_drop(self, select, project, monkeypatch):
        assert "unchanged" in str(run_dbt(["run", "-s", "sales"])[0].message)
        assert "--empty" in str(run_dbt(["run", "-s", "sales", "--empty"])[0].message)
        monkeypatch.setenv("HORIZON", "3")
        monkeypatch.setenv("N_DAYS", "60")
        run_dbt(["run", "-s", "days"])
        assert "CREATE MODEL v2" in str(run_dbt(["run", "-s", "sales"])[0].message)
        newest = "select count(*), min(day)::text from next_days"  # the view calls the function as before
        assert select(newest) == [(9, "2024-03-01")]
        run_dbt(["run-operation", "rollback_model", "--args", json.dumps({"model": "sales"})])
        assert select(newest) == [(3 * HORIZON, "2024-03-11")]
        assert select("select count(*) from predict_sales__v1(1)") == [(3,)]
        for view in ("next_days", "first_day"):
            project.run_sql(f"drop view {project.test_schema}.{view}")
        run_dbt(["run-operation", "drop_model", "--args", json.dumps({"model": "sales"})])
        left = "select count(*) from pg_proc where proname ~ 'predict_sales' and pronamespace = current_schema()::regnamespace"
        assert select(left) == [(0,)]
        run_dbt(["run", "-s", "sales", "--empty"])
        assert select("select count(*) from predict_sales()") == [(0,)]


WRONG = {
    "twice": ("select day, store, 1.0 as sold from {{ ref('days') }} union all select day, store, 2.0 from {{ ref('days') }}",
              "the series and time of another row; the first: store=A at 2024-01-01. Sum or average them"),
    "far": ("select day, store, sold from {{ ref('days') }} where day < '2024-01-10'",
            "horizon 7 is longer than history allows: the longest series has 9 steps of one day"),
    "timeless": ("select store, sold from {{ ref('days') }}", "no column of type date or timestamp"),
    "two_times": ("select store, sold, day, day as other from {{ ref('days') }}", r"several columns of type date or timestamp \(day, other\)"),
    "words": ("select store, day, sold::text as sold from {{ ref('days') }}", 'target "sold" is of type text, and a forecast is of numbers'),
    "measured": ("select store, day, sold, sold as price from {{ ref('days') }}", 'column "price" is of type numeric, which tells no series apart'),
}  # fmt: skip
CONFIG = "{{ config(materialized='create_model', model_type='forecast', target='sold', settings={'horizon': 7}) }}\n"


class TestWrongForecasts:
    @pytest.fixture(scope="class")
    def models(self):
        wrong = {f"{name}.sql": CONFIG + query for name, (query, _) in WRONG.items()}
        monthly = CONFIG.replace("'horizon': 7", "'horizon': 7, 'frequency': 'm'")
        rows = "select store, day, sold from {{ ref('days') }}"
        return {"days.sql": DAYS, **wrong, "monthly.sql": monthly + rows, "right.sql": CONFIG + rows}

    def test_each_is_refused_with_cause_and_cure(self, project):
        run_dbt(["run", "-s", "days"])
        results = run_dbt(["run", "-s", *WRONG, "monthly"], expect_pass=False)
        said = {result.node.name: str(result.message) for result in results}
        for name, (_, text) in WRONG.items():
            assert re.search(text, said[name]), said[name]
        assert "frequency M does not fit: " in said["monthly"] and "store=A at 2024-01-02" in said["monthly"]

    def test_without_the_library_nothing_is_read(self, project, monkeypatch):
        from dbt.adapters.postgres_ml.build import forecast

        run_dbt(["run", "-s", "days"])
        monkeypatch.setattr(forecast, "LIBRARY", "no_such_library")
        [result] = run_dbt(["run", "-s", "right"], expect_pass=False)
        assert "pip install 'dbt-postgres-ml[forecast]'" in str(result.message)


HOURLY = """
{{ config(materialized='create_model', model_type='forecast', target='sold', settings={'horizon': 3, 'frequency': 'D', 'max_runtime': 5}) }}
select at, extract(isodow from at at time zone 'UTC')::integer as sold
from generate_series(timestamptz '2024-01-01 00:00+00', timestamptz '2024-02-19 00:00+00', interval '1 day') as at
"""


class TestDaysOfTheSession:
    @pytest.fixture(scope="class")
    def models(self):
        return {"sales.sql": HOURLY}

    def test_another_time_zone_is_a_change(self, project):
        """The same rows are of other days there."""
        database = project.run_sql("select quote_ident(current_database())", fetch="one")[0]
        project.run_sql(f"alter database {database} set timezone = 'UTC'")
        try:
            assert "CREATE MODEL v1" in str(run_dbt(["run"])[0].message)
            assert "unchanged" in str(run_dbt(["run"])[0].message)
            project.run_sql(f"alter database {database} set timezone = 'Asia/Tokyo'")
            results, said = run_dbt_and_capture(["run"])
            assert "CREATE MODEL v2" in str(results[0].message) and "config (time_zone)" in said
            assert "unchanged" in str(run_dbt(["run"])[0].message)
        finally:
            project.run_sql(f"alter database {database} reset timezone")
