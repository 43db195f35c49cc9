"""The snippets of docs/bring-your-own-model.md, built as a reader would build them."""

from __future__ import annotations

import re
import warnings

import mlflow
import pytest
from dbt.tests.util import run_dbt
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder
from support.doc_pages import blocks, read_page

from tests.support.model_config import ConfigReader, node

PAGE = read_page("bring-your-own-model.md")
LABELLED = """
{{ config(materialized='table') }}
select (i % 97) / 10.0 as spend, i % 13 as visits, (array['n', 's', 'w'])[1 + i % 3] as state,
    case when i % 97 > 40 or i % 3 = 0 then 'yes' else 'no' end as churned
from generate_series(1, 900) as i
"""
CUSTOMERS = "select row_number() over () as customer_id, spend, state from {{ ref('customers_labelled') }}"


def snippet(language: str, containing: str) -> str:
    [found] = [text for text in blocks(PAGE, language) if containing in text]
    return found


class TestSnippets:
    @pytest.fixture(scope="class")
    def models(self):
        return {
            "customers_labelled.sql": LABELLED,
            "customers.sql": CUSTOMERS,
            "churn.sql": snippet("sql", "source='models:/churn@champion'"),
            "scored.sql": snippet("sql", "predict_table(ref('churn')").partition("--")[0],
            "own_churn.py": snippet("python", "def model(dbt, session)"),
        }

    def test_they_build(self, project, connection):
        run_dbt(["run", "--select", "customers_labelled"])
        import pandas as pd

        with connection.cursor() as cursor:
            cursor.execute(
                f'select spend::float8, state, churned from "{project.test_schema}".customers_labelled'
            )
            rows = pd.DataFrame(cursor.fetchall(), columns=["spend", "state", "churned"])
        texts = OneHotEncoder(sparse_output=False, handle_unknown="ignore")
        columns = ColumnTransformer([("n", "passthrough", ["spend"]), ("t", texts, ["state"])])
        features = rows[["spend", "state"]]
        model = Pipeline([("columns", columns), ("estimate", LogisticRegression())]).fit(
            features, rows["churned"]
        )
        mlflow.set_tracking_uri(f"sqlite:///{project.project_root}/mlflow.db")
        mlflow.set_experiment("elsewhere")
        with warnings.catch_warnings(), mlflow.start_run():
            warnings.simplefilter("ignore")
            signature = infer_signature(features, rows["churned"])
            mlflow.sklearn.log_model(model, name="model", signature=signature, registered_model_name="churn")
        mlflow.MlflowClient().set_registered_model_alias("churn", "champion", "1")
        built = {result.node.name: result.adapter_response for result in run_dbt(["build"])}
        assert built["churn"]["metrics"]["accuracy"] > 0.6
        assert built["own_churn"]["metrics"]["accuracy"] > 0.9
        with connection.cursor() as cursor:
            cursor.execute(f'select count(*), count(prediction) from "{project.test_schema}".scored')
            assert cursor.fetchall() == [(900, 900)]


def test_the_service_is_configured_as_documented():
    text = snippet("sql", "endpoint={'url'")
    call = re.search(r"config\((.*)\)\s*}}", text, re.DOTALL)
    assert call is not None
    config = eval(f"dict({call[1]})")
    del config["materialized"]
    reader = ConfigReader(node(**config))
    spec = reader.read()
    assert reader.problems == []
    assert (spec.endpoint.timeout, spec.endpoint.max_batch_rows, spec.returns) == (5, 500, "text")
    for key in ("url", "protocol", "timeout", "retries", "max_batch_rows", "model", "secret", "region"):
        assert f"`{key}`" in PAGE
