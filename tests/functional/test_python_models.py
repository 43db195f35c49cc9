"""dbt models in runtime python on Debian's server: build, score, refuse."""

from __future__ import annotations

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import skl2onnx
import xgboost
from dbt.tests.util import run_dbt, run_dbt_and_capture
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from support.debian_server import SITE_PACKAGES
from support.selecting import selector

pytestmark = pytest.mark.xdist_group("debian")

CUSTOMERS = """
{{ config(materialized='table') }}
select
    i as id,
    (hashtext(i::text) % 1000) / 10.0 as spend,
    (array['north', 'it''s "x"', 'Süd', null])[1 + abs(hashtext('r' || i)) % 4] as region,
    hashtext('v' || i) % 2 = 0 as is_vip
from generate_series(1, 1200) as i
"""
CHURN = """
{{ config(materialized='create_model', target='churned', runtime='python', auto=false, model_type='xgboost',
          hyperparameters={'num_round': 10}, grants={'execute': ['analyst']}) }}
select spend, region, is_vip, (spend > 10 or is_vip) as churned from {{ ref('customers') }}
"""
KEPT = """
{{ config(materialized='incremental', unique_key='id') }}
{{ predict_incremental(ref('churn'), ref('customers'), key='id', chunk_rows=500) }}
"""
SCORED = "{{ config(materialized='table') }} {{ predict_table(ref('churn'), ref('customers'), key=['id', 'region']) }}"
GROUPS = """
{{ config(materialized='create_model', model_type='kmeans', hyperparameters={'k': 3}, runtime='python') }}
select spend, region from {{ ref('customers') }}
"""
GROUPED = """
select {{ predict('groups') }} as cluster, {{ predict_distances('groups') }} as distances from {{ ref('customers') }}
"""
ONE_BY_ONE = "select id, {{ predict('churn') }} as prediction from {{ ref('customers') }}"

ODD = """
{{ config(materialized='create_model', model_type='isolation_forest', runtime='python',
          hyperparameters={'n_estimators': 15, 'contamination': 0.05}) }}
select spend, region from {{ ref('customers') }}
"""
ODDITIES = """
select {{ predict('odd') }} as score, {{ predict_is_anomaly('odd') }} as is_anomaly from {{ ref('customers') }}
"""


class OnDebian:
    @pytest.fixture(scope="class")
    def dbt_profile_target(self, debian):
        return {
            "type": "postgres_ml",
            "host": debian.host,
            "port": debian.port,
            "user": debian.user,
            "password": "",
            "dbname": debian.dbname,
            "threads": 2,
            "server_python_path": SITE_PACKAGES,
        }

    @pytest.fixture
    def select(self, project, debian_connection):
        return selector(debian_connection, project.test_schema)


class TestRuntimePython(OnDebian):
    @pytest.fixture(scope="class")
    def models(self):
        return {
            "customers.sql": CUSTOMERS,
            "churn.sql": CHURN,
            "scored.sql": SCORED,
            "kept.sql": KEPT,
            "one_by_one.sql": ONE_BY_ONE,
            "groups.sql": GROUPS,
            "grouped.sql": GROUPED,
            "odd.sql": ODD,
            "oddities.sql": ODDITIES,
        }

    @pytest.fixture(scope="class")
    def built(self, project, debian):
        import psycopg2

        with (
            psycopg2.connect(
                host=debian.host, port=debian.port, user=debian.user, dbname=debian.dbname
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("select from pg_roles where rolname = 'analyst'")
            if not cursor.rowcount:
                cursor.execute("create role analyst")
        connection.close()
        return {result.node.name: result for result in run_dbt(["build"])}

    def test_card_and_catalog(self, built, select):
        assert built["churn"].adapter_response["runtime"] == "python"
        assert select("select runtime, state from churn") == [("python", "READY")]
        assert select("select count(*) from postgres_ml.artifact") == [(3,)]

    def test_the_cluster_is_the_nearest_centre(self, built, select):
        assert built["groups"].adapter_response["runtime"] == "python"
        [(n, n_clusters, n_nearest)] = select(
            "select count(*), count(distinct cluster), count(*) filter (where array_length(distances, 1) = 3 "
            "and distances[cluster + 1] = (select min(d) from unnest(distances) d)) from grouped"
        )
        assert (n, n_clusters, n_nearest) == (1200, 3, 1200)

    def test_anomalies_by_a_function_of_their_own(self, built, select):
        assert built["odd"].adapter_response["runtime"] == "python"
        [(n, share, least, most)] = select(
            "select count(*), avg(is_anomaly::int)::float8, min(score) filter (where is_anomaly), "
            "max(score) filter (where not is_anomaly) from oddities"
        )
        assert n == 1200 and 0.02 < share < 0.08 and 0 < most < least < 1

    def test_function_is_stable_and_granted(self, built, select, project):
        assert select(
            f"select distinct provolatile, has_function_privilege('analyst', oid, 'execute'), "
            f"has_function_privilege('public', oid, 'execute') from pg_proc "
            f"where proname = 'predict_churn' and pronamespace = '{project.test_schema}'::regnamespace"
        ) == [("s", True, False)]

    def test_predict_table_agrees_with_one_row_a_call(self, built, select):
        assert select("select count(*), count(distinct id), count(prediction) from scored") == [
            (1200, 1200, 1200)
        ]
        assert select(
            "select count(*) from scored s join one_by_one o using (id) where s.prediction is distinct from o.prediction"
        ) == [(0,)]
        assert select(
            "select count(*), count(distinct model_version) from kept join scored using (id, prediction)"
        ) == [(1200, 1)]
        [(n_true, n_right)] = select(
            "select count(*) filter (where prediction), count(*) filter (where prediction = (spend > 10 or is_vip)) "
            "from scored join customers using (id)"
        )
        assert n_true > 100
        assert n_right > 1180


class TestOnnx(OnDebian):
    """A graph from a file, and one from MLflow's registry, both run by onnxruntime on the server."""

    @pytest.fixture(scope="class")
    def models(self):
        config = "{{ config(materialized='create_model', %s) }}"
        return {
            "customers.sql": CUSTOMERS,
            "of_file.sql": config
            % "source='churn.onnx', target='churned', gates={'accuracy': '>= 0.9'}"
            + "select spend::float8, region, case when spend > 10 then 'goes' else 'stays' end as churned "
            "from {{ ref('customers') }} where region is not null",
            "of_mlflow.sql": config % "source='models:/value@champion'",
            "wrong.sql": config % "source='churn.onnx', arguments='spend text, region text'",
        }

    @pytest.fixture(scope="class")
    def exported(self, project):
        spend = np.linspace(-100, 100, 400)
        frame = pd.DataFrame({"spend": spend, "region": pd.Series(["north", "Süd"] * 200, dtype=object)})
        columns = ColumnTransformer(
            [("n", StandardScaler(), ["spend"]), ("t", OneHotEncoder(handle_unknown="ignore"), ["region"])]
        )
        pipeline = make_pipeline(columns, RandomForestClassifier(10, random_state=0))
        pipeline.fit(frame, np.where(spend > 10, "goes", "stays"))
        kinds = [("spend", FloatTensorType([None, 1])), ("region", StringTensorType([None, 1]))]
        graph = skl2onnx.to_onnx(pipeline, initial_types=kinds)
        root = Path(project.project_root)
        (root / "churn.onnx").write_bytes(graph.SerializeToString())
        line = LinearRegression().fit(spend[:, None], 3 * spend + 1)
        mlflow.set_tracking_uri(f"sqlite:///{root / 'mlflow.db'}")
        number = skl2onnx.to_onnx(line, initial_types=[("spend", FloatTensorType([None, 1]))])
        with mlflow.start_run():
            mlflow.onnx.log_model(number, name="model", registered_model_name="value")
        mlflow.MlflowClient().set_registered_model_alias("value", "champion", 1)
        return pipeline, frame

    def test_functions_answer_as_the_pipeline_does(self, exported, project, select):
        results = run_dbt(["build", "--exclude", "wrong"])
        assert {result.adapter_response.get("runtime") for result in results} == {"python", None}
        pipeline, frame = exported
        values = [
            (float(spend), region) for spend, region in frame.iloc[::20].itertuples(index=False, name=None)
        ]
        listed = ", ".join(f"({spend}::float8, '{region}')" for spend, region in values)
        rows = select(
            f"select predict_of_file(s, r), predict_of_file_probabilities(s, r) from (values {listed}) v(s, r)"
        )
        assert [label for label, _ in rows] == pipeline.predict(frame.iloc[::20]).tolist()
        own = pipeline.predict_proba(frame.iloc[::20])
        for (_, answer), probabilities in zip(rows, own, strict=True):
            found = dict(zip(answer["labels"], answer["probabilities"], strict=True))
            assert [found[label] for label in pipeline.classes_] == pytest.approx(probabilities, abs=1e-6)
        assert select("select predict_of_file(1, null)") == [(None,)]  # a graph takes no missing text
        [(score, accuracy)] = select("select score, metrics ->> 'accuracy' from of_file")
        assert float(accuracy) >= 0.9 and score is not None
        [(value,)] = select("select predict_of_mlflow(2)")
        assert value == pytest.approx(7, rel=1e-5)

    def test_arguments_that_do_not_fit(self, exported, project, select):
        _results, output = run_dbt_and_capture(["build", "--select", "wrong"], expect_pass=False)
        assert 'argument "spend" is text' in " ".join(output.split())
        assert select("select count(*) from pg_proc where proname = 'predict_wrong'") == [(0,)]


class TestPyfunc(OnDebian):
    """A model of MLflow's python_function, whose code nobody but its author knows."""

    @pytest.fixture(scope="class")
    def models(self):
        config = "{{ config(materialized='create_model', source='models:/tariff@champion'%s) }}"
        return {"price.sql": config % ", trust=true", "untrusted.sql": config % ""}

    @pytest.fixture(scope="class")
    def registered(self, project):
        class Tariff(mlflow.pyfunc.PythonModel):  # local, so that it is pickled by value
            def predict(self, context, model_input, params=None):
                return np.where(model_input["region"] == "Süd", 2.0, 1.0) * model_input["spend"].to_numpy()

        frame = pd.DataFrame({"spend": [1.5, 4.0], "region": pd.Series(["Süd", "north"], dtype=object)})
        mlflow.set_tracking_uri(f"sqlite:///{Path(project.project_root) / 'mlflow.db'}")
        with mlflow.start_run():
            mlflow.pyfunc.log_model(
                name="model",
                python_model=Tariff(),
                signature=mlflow.models.infer_signature(frame, np.array([3.0, 4.0])),
                pip_requirements=["pandas"],
                registered_model_name="tariff",
            )
        mlflow.MlflowClient().set_registered_model_alias("tariff", "champion", 1)

    def test_its_own_code_answers(self, registered, project, select):
        [result] = run_dbt(["build", "--select", "price"])
        assert result.adapter_response["runtime"] == "python"
        assert select("select predict_price(1.5, 'Süd'), predict_price(4, 'north')") == [(3.0, 4.0)]

    def test_not_without_trust(self, registered, project, select):
        _results, output = run_dbt_and_capture(["build", "--select", "untrusted"], expect_pass=False)
        assert "trust: true" in output
        assert select("select count(*) from pg_proc where proname = 'predict_untrusted'") == [(0,)]


class TestOtherLibraries(OnDebian):
    """The publication stops before anything is changed, and says both versions."""

    @pytest.fixture(scope="class")
    def dbt_profile_target(self, debian, tmp_path_factory):
        folder = tmp_path_factory.mktemp("other-libraries")
        return {
            "type": "postgres_ml",
            "host": debian.host,
            "port": debian.port,
            "user": debian.user,
            "password": "",
            "dbname": debian.dbname,
            "server_python_path": str(folder / "missing"),
        }

    @pytest.fixture(scope="class")
    def models(self):
        return {
            "customers.sql": CUSTOMERS,
            "churn.sql": CHURN.replace(", grants={'execute': ['analyst']}", ""),
        }

    def test_path_is_no_folder(self, project, select):
        _results, output = run_dbt_and_capture(["build"], expect_pass=False)
        assert "server_python_path" in output and "is no folder that user" in output
        self.nothing_was_published(project, select)

    def test_other_versions(self, project, select, dbt_profile_target):
        folder = Path(dbt_profile_target["server_python_path"])
        folder.mkdir()
        for parent in (folder, *folder.parents[:3]):
            parent.chmod(0o755)  # the server runs as another user
        (folder / "xgboost.py").write_text("__version__ = '1.0.0'\n")
        _results, output = run_dbt_and_capture(["build"], expect_pass=False)
        assert f"xgboost is 1.0.0 on the server, {xgboost.__version__} here" in " ".join(output.split())
        self.nothing_was_published(project, select)

    def nothing_was_published(self, project, select):
        assert select(
            f"select count(*) from pg_proc where pronamespace = '{project.test_schema}'::regnamespace"
        ) == [(0,)]
