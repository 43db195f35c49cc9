"""dbt models in Python that fit an estimator of their own."""

from pathlib import Path

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
                ("own_code", True, "(spend double precision, region text) returns text", True)
            ]
            cursor.execute("select predict_churn(9.0, 'n'), predict_churn(0.1, 's')")
            assert cursor.fetchall() == [("yes", "no")]
        [kept] = run_dbt(["run", "--select", "churn"])
        assert "unchanged, kept v1" in kept.message


POOLED = """
def model(dbt, session):
    dbt.config(materialized="create_model", target="churned", gates={"own_n_rows": ">= 1500"})
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder
    from sklearn.tree import DecisionTreeClassifier

    regions = dbt.ref("regions")
    labelled = dbt.ref("labelled")
    earlier = dbt.ref("earlier")
    known = regions["region"].tolist()
    rows = pd.concat([labelled, earlier])
    texts = OneHotEncoder(categories=[known], sparse_output=False, handle_unknown="ignore")
    columns = ColumnTransformer([("n", "passthrough", ["spend"]), ("t", texts, ["region"])])
    pipeline = Pipeline([("columns", columns), ("tree", DecisionTreeClassifier(max_depth=4, random_state=0))])
    fitted = pipeline.fit(rows[["spend", "region"]], rows["churned"])
    return [fitted, {"n_rows": len(rows), "n_regions": len(known)}]
"""
REGIONS = """
{{ config(materialized='table') }}
select region from (values ('n'), ('s'), {% if var('is_west_known', false) %} ('w'), {% endif %} ('x')) as r(region)
"""
BAD_METRICS = """
def model(dbt, session):
    dbt.config(materialized="create_model", target="churned", arguments="spend numeric")
    from sklearn.tree import DecisionTreeClassifier

    rows = dbt.ref("labelled")
    return [DecisionTreeClassifier().fit(rows[["spend"]], rows["churned"]), {"profit": float("nan")}]
"""
NO_TARGET = """
def model(dbt, session):
    dbt.config(materialized="create_model", target="churned")
    return dbt.ref("regions")
"""


class TestSeveralRelations:
    """The first that has the target is split into training rows and a hold-out, the others come whole."""

    @pytest.fixture(scope="class")
    def models(self):
        return {
            "labelled.sql": LABELLED,
            "earlier.sql": LABELLED.replace("900", "850"),
            "regions.sql": REGIONS,
            "pooled.py": POOLED,
        }

    def test_relations_and_metrics(self, project, connection):
        import mlflow

        built = {result.node.name: result for result in run_dbt(["build"])}["pooled"].adapter_response
        # of the fit on the rows to train on, not of the second one on all rows
        assert 850 + 600 < built["metrics"]["own_n_rows"] < 850 + 900
        assert built["metrics"]["own_n_regions"] == 3
        assert 0 < built["metrics"]["accuracy"] <= 1
        with connection.cursor() as cursor:
            cursor.execute(f'set search_path to "{project.test_schema}"')
            cursor.execute("select n_rows, (metrics ->> 'own_n_regions')::float8, signature from pooled")
            assert cursor.fetchall() == [(900, 3.0, "(spend double precision, region text) returns text")]
        client = mlflow.MlflowClient(f"sqlite:///{project.project_root}/mlflow.db")
        run_id = built["mlflow_run_id"]
        assert client.get_run(run_id).data.metrics["own_n_regions"] == 3
        card = Path(client.download_artifacts(run_id, "model_card.md")).read_text(encoding="utf-8")
        assert "returned by the Python model's own code" in card

    def test_rows_of_another_relation_are_a_change(self, project):
        [kept] = run_dbt(["run", "--select", "pooled"])
        assert "unchanged, kept v1" in kept.message
        trained = run_dbt(["run", "--select", "regions", "pooled", "--vars", "is_west_known: true"])[-1]
        assert trained.message.startswith("CREATE MODEL v2")
        assert trained.adapter_response["metrics"]["own_n_regions"] == 4
        assert not list(Path(project.project_root).glob("target/**/*.csv"))


class TestRefusedCode:
    @pytest.fixture(scope="class")
    def models(self):
        return {
            "labelled.sql": LABELLED,
            "regions.sql": REGIONS,
            "bad_metrics.py": BAD_METRICS,
            "no_target.py": NO_TARGET,
            "missed.py": POOLED.replace(">= 1500", ">= 1e9").replace(
                'dbt.ref("earlier")', 'dbt.ref("labelled")'
            ),
        }

    def test_each_says_what_is_wrong(self, project):
        _results, output = run_dbt_and_capture(["build"], expect_pass=False)
        output = " ".join(output.split())
        assert "the metric profit is nan, which is not a finite number" in output
        assert 'a model in Python trains on the rows of a relation with the target "churned"' in output
        assert "gate not met: own_n_rows is" in output
