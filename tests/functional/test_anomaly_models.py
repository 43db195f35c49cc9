"""Anomaly detection, model_type isolation_forest: score and rule through a model's whole life in a project."""

import json
from pathlib import Path

import joblib
import mlflow
import numpy as np
import pandas as pd
import pytest
from dbt.tests.util import run_dbt
from postgres_ml import AnomalyDetector
from sklearn.ensemble import IsolationForest
from support.selecting import selector

N_ROWS = 900
SENSORS = f"""
{{{{ config(materialized='table') }}}}
select
    i as id,
    case when i % 90 = 0 then 40.0 else 20 + (hashtext('h' || i) % 200) / 100.0 end as heat,
    case when i % 20 = 0 then null else (hashtext('p' || i) % 100)::int end as pressure,
    (array['oil', 'gas', null])[1 + abs(hashtext('k' || i)) % 3] as kind,
    timestamp '2024-01-01' + i * interval '7 hours' as seen_at
from generate_series(1, {N_ROWS}) as i
"""
ODD = """
{{ config(materialized='create_model', model_type='isolation_forest', explain=true,
    hyperparameters={'contamination': env_var('CONTAMINATION', '0.05')} if env_var('CONTAMINATION', '0.05') else {},
    gates={'score_max': '<= 1'}, promote='if_better', grants={'execute': ['pg_monitor']}) }}
select heat, pressure, kind from {{ ref('sensors') }}
"""
ODD_IN_SQL = """
{{ config(materialized='create_model', model_type='ISOLATION_FOREST', runtime='sql',
    hyperparameters="DEFAULT EXCEPT (NUM_TREES '12', NUM_SAMPLES_PER_TREE '64', max_features '0.7', contamination 'auto')",
    settings={'refit': false}) }}
select id, heat, pressure, kind, seen_at from {{ ref('sensors') }}
"""
RAW = """
{{ config(materialized='create_model', model_type='isolation_forest', preprocessors='none',
    hyperparameters={'n_estimators': 10, 'bootstrap': true}) }}
select heat, pressure from {{ ref('sensors') }}
"""
BROUGHT = """
{{ config(materialized='create_model', source='forest.joblib', returns='integer') }}
select heat, pressure::float8 as pressure from {{ ref('sensors') }}
"""
DETECTOR = """
{{ config(materialized='create_model', source='detector.joblib') }}
select heat, pressure::float8 as pressure from {{ ref('sensors') }}
"""
SCHEMA = """
models:
  - name: odd
    data_tests:
      - prediction_parity
      - prediction_drift: {arguments: {relation: ref('scored'), column: score}}
      - model_metric: {arguments: {metric: anomaly_share, max: 0.2}}
"""
SCORED = """
select s.*, {{ predict('odd') }} as score, {{ predict_is_anomaly('odd') }} as is_anomaly,
    {{ predict('odd_in_sql') }} as other_score, {{ predict_is_anomaly('odd_in_sql') }} as other, {{ predict('raw') }} as raw,
    {{ predict('brought') }} as sign, {{ predict_is_anomaly('detector') }} as is_detected,
    {{ predict_is_anomaly('odd', version=1) }} as pinned
from {{ ref('sensors') }} as s
"""


class TestAnomalyModels:
    @pytest.fixture(scope="class")
    def models(self):
        return {
            "sensors.sql": SENSORS,
            "odd.sql": ODD,
            "odd_in_sql.sql": ODD_IN_SQL,
            "raw.sql": RAW,
            "brought.sql": BROUGHT,
            "detector.sql": DETECTOR,
            "schema.yml": SCHEMA,
            "scored.sql": SCORED,
        }

    @pytest.fixture(scope="class")
    def built(self, project):
        frame = pd.DataFrame(np.random.default_rng(0).normal([20, 50], [5, 30], size=(500, 2)))
        frame.columns = ["heat", "pressure"]
        forest = IsolationForest(n_estimators=9, contamination=0.1, random_state=0)
        joblib.dump(forest.fit(frame), Path(project.project_root) / "forest.joblib")
        detector = AnomalyDetector(forest, has_rule=True).fit(frame)
        joblib.dump(detector, Path(project.project_root) / "detector.joblib")
        return {result.node.name: result for result in run_dbt(["build"])}

    @pytest.fixture
    def select(self, built, project, connection):
        return selector(connection, project.test_schema)

    @pytest.fixture
    def artifacts(self, built, project):
        def of(name):
            run_id = built[name].adapter_response["mlflow_run_id"]
            [found] = Path(project.project_root).glob(f"mlartifacts/**/{run_id}/artifacts")
            return found

        return of

    def test_the_functions_are_the_librarys(self, select, artifacts):
        columns = "heat, pressure::float8, kind"
        rows = select(f"select {columns}, score, is_anomaly from scored")
        frame = pd.DataFrame([row[:3] for row in rows], columns=["heat", "pressure", "kind"])
        frame = frame.astype({"heat": float, "pressure": float, "kind": object}).replace(
            {"kind": {np.nan: None}}
        )
        pipeline = joblib.load(artifacts("odd") / "pipeline.joblib")
        forest, encoded = pipeline[-1].estimator_, pipeline[:-1].transform(frame)
        assert type(forest) is IsolationForest and forest.contamination == 0.05
        scores = np.array([row[3] for row in rows])
        assert np.allclose(scores, -forest.score_samples(encoded), rtol=1e-13)
        assert [row[4] for row in rows] == (forest.predict(encoded) == -1).tolist()

    def test_unusual_rows_have_the_highest_scores(self, select):
        assert select("select count(*), bool_and(is_anomaly) from scored where heat = 40") == [(10, True)]
        [(share, least, most)] = select(
            "select avg(is_anomaly::int)::float8, min(score), max(score) from scored"
        )
        assert 0.04 <= share <= 0.06 and 0 < least < most < 1
        types = "pg_typeof(score)::text, pg_typeof(is_anomaly)::text, pg_typeof(other)::text"
        assert select(f"select distinct {types} from scored") == [("double precision", "boolean", "boolean")]
        assert select("select count(*) from scored where num_nulls(other_score, other, raw) > 0") == [(0,)]

    def test_brought_forests_keep_what_they_predict(self, select):
        query = "select sign, is_detected, count(*) from scored group by 1, 2 order by 1"
        [(low, is_low, n_low), (high, is_high, n_high)] = select(query)
        assert (
            (low, is_low, high, is_high) == (-1, True, 1, False) and n_low >= 10 and n_low + n_high == N_ROWS
        )
        assert select("select count(*) from scored where pinned is distinct from is_anomaly") == [(0,)]

    def test_any_argument_may_be_missing(self, select):
        assert select(
            "select predict_odd(null, null, null) between 0 and 1, predict_raw(null, null) > 0"
        ) == [(True, True)]
        assert select(
            "select predict_odd('Infinity', 1, 'oil'), predict_odd_is_anomaly('-Infinity', 1, 'oil')"
        ) == [(None, None)]  # the imputer takes no infinity; the trees of `raw` do
        assert select("select predict_raw('Infinity', 1) > 0.3") == [(True,)]
        by_name = "count(*) filter (where predict_odd_is_anomaly(to_jsonb(s)) is distinct from is_anomaly)"
        assert select(f"select {by_name} from scored as s") == [(0,)]

    def test_card_record_and_explanation(self, select, artifacts, built):
        [(card,)] = select("select to_jsonb(odd) from odd")
        assert (card["problem_type"], card["model_type"], card["metric"]) == (
            "anomaly_detection", "isolation_forest", "anomaly_share",
        )  # fmt: skip
        assert card["metrics"].keys() == {
            "anomaly_share", "score_mean", "score_median", "score_p95", "score_p99", "score_max",
        }  # fmt: skip
        assert 0 < card["score"] < 0.15
        text = (artifacts("odd") / "model_card.md").read_text(encoding="utf-8")
        assert "| score | anomaly | heat | pressure | kind |" in text and "it is not known how many" in text
        assert "the score that 5.00% of the training rows exceed" in text
        other = (artifacts("odd_in_sql") / "model_card.md").read_text(encoding="utf-8")
        assert "| score | anomaly | heat | pressure | kind | seen_at |" in other, (
            "an identifier tells nothing"
        )
        assert {path.name for path in (artifacts("odd") / "plots").iterdir()} == {
            "anomaly_scores.png", "feature_importance.png",
        }  # fmt: skip
        [(explained, score)] = select(
            "select predict_odd_explain(40, 10, 'oil'), predict_odd(40::float8::numeric, 10, 'oil')"
        )
        values = explained["explanations"]["label0"]
        assert explained["unit"] == "logarithm of the score"
        total = values["expected_value"] + sum(values["shap_values"].values())
        assert np.exp(total) == pytest.approx(score, rel=1e-9)

    def test_the_registered_model_predicts_the_same(self, select, project, built):
        rows = select("select heat, pressure, kind, score, is_anomaly from scored order by id limit 200")
        frame = pd.DataFrame([row[:3] for row in rows], columns=["heat", "pressure", "kind"])
        mlflow.set_tracking_uri(f"sqlite:///{project.project_root}/mlflow.db")
        model = mlflow.pyfunc.load_model(f"models:/{project.test_schema}.odd@champion")
        assert np.allclose(model.predict(frame), [row[3] for row in rows], rtol=1e-13)
        found = model.predict(frame, params={"is_anomaly": True})
        assert list(found) == [row[4] for row in rows] and any(found)

    def test_shown_commented_and_granted(self, select, project):
        shown = dict(select(f"select * from postgres_ml.show_model('{project.test_schema}.odd')"))
        assert shown["Metric Direction"] == "neither is better" and shown["contamination"] == "0.05"
        [(comment, acl)] = select(
            """select obj_description(p.oid, 'pg_proc'), proacl::text from pg_proc as p
            where proname = 'predict_odd_is_anomaly' and pronargs = 3 and pronamespace = current_schema()::regnamespace"""
        )
        assert comment.startswith("Whether a row is an anomaly by odd, version 1") and "pg_monitor=X/" in acl

    def test_without_contamination_there_is_no_rule_and_with_it_again(self, select, project, monkeypatch):
        names = """select array_agg(distinct proname::text order by proname::text) from pg_proc
            where proname in ('predict_odd', 'predict_odd_explain', 'predict_odd_is_anomaly')
            and pronamespace = current_schema()::regnamespace"""
        both = ["predict_odd", "predict_odd_explain", "predict_odd_is_anomaly"]
        assert select(names) == [(both,)]
        monkeypatch.setenv("CONTAMINATION", "0.6")
        with pytest.raises(Exception, match=r"'contamination' must be .*at most 0\.5"):
            run_dbt(["run", "-s", "odd"])
        monkeypatch.setenv("CONTAMINATION", "")
        project.run_sql(f"drop view {project.test_schema}.scored")  # it calls the rule
        run_dbt(["run", "-s", "odd"])
        assert select(names) == [(both[:2],)]
        assert select("select metric, metrics ? 'anomaly_share' from odd") == [("score_mean", False)]
        run_dbt(["run-operation", "rollback_model", "--args", json.dumps({"model": "odd"})])
        assert select(names) == [(both,)]
        run_dbt(["run-operation", "drop_model", "--args", json.dumps({"model": "odd"})])
        assert select(names) == [(None,)]
        monkeypatch.setenv("CONTAMINATION", "auto")
        run_dbt(["run", "-s", "odd", "--empty"])
        assert select(names) == [([both[0], both[2]],)]
        assert select(
            "select predict_odd(1, 1, 'oil') is null and predict_odd_is_anomaly(1, 1, 'oil') is null"
        ) == [(True,)]
