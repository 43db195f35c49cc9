"""Weights of rows, from the query's column to the function, the card and the digest."""

from pathlib import Path

import joblib
import numpy as np
import pytest
from dbt.tests.util import run_dbt
from support.selecting import selector

N_ROWS = 700
#: rows of weight 9 follow another line than those of weight 1
SALES = f"""
{{{{ config(materialized='table') }}}}
select i as id, x, case when i % 2 = 0 then 9 else 1 end as counts, 2.5 as half,
    case when i % 2 = 0 then 5 * x else -5 * x end + (hashtext('e' || i) % 100) / 500.0 as amount
from (select i, (hashtext('x' || i) % 1000) / 500.0 as x from generate_series(1, {N_ROWS}) as i) as drawn
"""
LINE = """
{{ config(materialized='create_model', target='amount', weight='counts', auto=false, model_type='linear_learner',
    interval=0.8) }}
select x, half, counts, amount from {{ ref('sales') }}
"""
OWN = """
def model(dbt, session):
    dbt.config(materialized="create_model", target="amount", weight="counts", arguments="x double precision",
        interval=0.8)
    from sklearn.linear_model import LinearRegression

    rows = dbt.ref("sales")
    return LinearRegression().fit(rows[["x"]], rows["amount"], sample_weight=rows["counts"])
"""


class TestWeightedModels:
    @pytest.fixture(scope="class")
    def models(self):
        return {"sales.sql": SALES, "line.sql": LINE, "own.py": OWN}

    @pytest.fixture(scope="class")
    def built(self, project):
        return {result.node.name: result for result in run_dbt(["build"])}

    @pytest.fixture
    def select(self, built, project, connection):
        return selector(connection, project.test_schema)

    def test_the_model_is_the_one_of_weighted_rows_and_takes_no_weight(self, select, project, built):
        # slope: (9 * 5 - 1 * 5) / 10
        [(slope, own)] = select(
            "select predict_line(1, 2.5) - predict_line(0, 2.5), predict_own(1) - predict_own(0)"
        )
        assert slope == pytest.approx(4, abs=0.3) and own == pytest.approx(4, abs=0.3)
        [arguments] = select(
            "select pg_get_function_identity_arguments(oid) from pg_proc where proname = 'predict_line' "
            "and pronargs = 2 and pronamespace = current_schema()::regnamespace"
        )
        assert "counts" not in arguments[0]
        run_id = built["line"].adapter_response["mlflow_run_id"]
        [found] = Path(project.project_root).glob(f"mlartifacts/**/{run_id}/artifacts")
        card = (found / "model_card.md").read_text(encoding="utf-8")
        assert "| weight | counts, from 1 to 9 |" in card and "weigh each row by counts" in card
        pipeline = joblib.load(found / "pipeline.joblib")
        rows = select("select x::float8, half::float8, predict_line(x, half) from sales limit 20")
        import pandas as pd

        frame = pd.DataFrame([row[:2] for row in rows], columns=["x", "half"])
        assert np.allclose(pipeline.predict(frame), [row[2] for row in rows], rtol=1e-9)

    def test_own_code_has_intervals_too(self, select):
        [(bounds, predicted)] = select("select predict_own_interval(1), predict_own(1)")
        assert bounds["lower"] < predicted < bounds["upper"]
        assert (bounds["lower"] + bounds["upper"]) / 2 == pytest.approx(predicted)
        [(coverage,)] = select("select (metrics ->> 'interval_coverage')::float8 from own")
        assert coverage == pytest.approx(0.8, abs=0.12)

    def test_scores_are_weighted(self, select):
        query = "select sqrt(sum(w * (amount - predicted) ^ 2) / sum(w)) from (select amount, {0} as w, predict_own(x) as predicted from sales) as s"
        [(weighted,)] = select(query.format("counts"))
        [(plain,)] = select(query.format("1"))
        [(rmse,)] = select("select (metrics ->> 'rmse')::float8 from own")
        assert abs(float(rmse) - float(weighted)) < 0.2 * float(weighted) < abs(float(rmse) - float(plain))

    def test_another_weight_trains_again_and_a_bad_one_is_refused(self, select, project):
        newest = (
            "select max(version), count(distinct n_holdout) from postgres_ml.model_version "
            "where model_name = 'line' and model_schema = current_schema()"
        )
        run_dbt(["run", "-s", "line"])
        assert select(newest) == [(1, 1)]
        project.run_sql(f"update {project.test_schema}.sales set counts = 5 where id = 2")
        run_dbt(["run", "-s", "line"])
        assert select(newest) == [(2, 1)], "and the hold-out doesn't follow from weights"
        project.run_sql(f"update {project.test_schema}.sales set counts = null where id <= 3")
        results = run_dbt(["run", "-s", "line"], expect_pass=False)
        assert 'weight "counts" is NULL or NaN in 3 of 700 rows' in results.results[0].message
