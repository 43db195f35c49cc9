"""dbt models in Python that fit an estimator of their own."""

import pytest
from dbt.tests.util import run_dbt, run_dbt_and_capture

LABELLED = """
{{ config(materialized='table') }}
select (i % 97) / 10.0 as spend, (array['n', 's', 'w'])[1 + i % 3] as region,
    case when i % 97 > 40 or i % 3 = 0 then 'yes' else 'no' end as churned
from generate_series(1, 900) as i
"""
CHURN = """
def model(dbt, session):
    dbt.config(materialized="create_model", target="churned")
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder

    rows = dbt.ref("labelled")
    columns = ColumnTransformer(
        [("n", "passthrough", ["spend"]), ("t", OneHotEncoder(sparse_output=False), ["region"])]
    )
    forest = RandomForestClassifier(n_estimators=10, random_state=0)
    return Pipeline([("columns", columns), ("forest", forest)]).fit(rows[["spend", "region"]], rows["churned"])
"""
RAISES = """
def model(dbt, session):
    dbt.config(materialized="create_model", target="churned")
    rows = dbt.ref("labelled")
    return rows["no such column"]
"""
NO_ESTIMATOR = """
def model(dbt, session):
    dbt.config(materialized="create_model", target="churned")
    return dbt.ref("labelled")
"""


class TestOwnCode:
    @pytest.fixture(scope="class")
    def models(self):
        return {
            "labelled.sql": LABELLED,
            "churn.py": CHURN,
            "raises.py": RAISES,
            "no_estimator.py": NO_ESTIMATOR,
        }

    def test_it_is_trained_evaluated_and_published_like_others(self, project, connection):
        _results, output = run_dbt_and_capture(["build"], expect_pass=False)
        output = " ".join(output.split())
        assert "the model's own code raised KeyError: 'no such column' (line" in output
        assert (
            "`model` must return a fitted scikit-learn estimator or pipeline; it returned DataFrame" in output
        )
        with connection.cursor() as cursor:
            cursor.execute(f'set search_path to "{project.test_schema}"')
            cursor.execute(
                "select model_type, score > 0.9, signature, runtime in ('sql', 'native') from churn"
            )
            assert cursor.fetchall() == [
                ("own_code", True, "(spend numeric, region text) returns text", True)
            ]
            cursor.execute("select predict_churn(9.0, 'n'), predict_churn(0.1, 's')")
            assert cursor.fetchall() == [("yes", "no")]
        [kept] = run_dbt(["run", "--select", "churn"])
        assert "unchanged, kept v1" in kept.message
