"""Models made elsewhere, published as functions by dbt: files of several libraries, and MLflow's registry."""

from __future__ import annotations

import warnings

import joblib
import lightgbm
import mlflow
import numpy as np
import pandas as pd
import pytest
import xgboost
from dbt.tests.util import run_dbt, run_dbt_and_capture
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from support.selecting import selector

N_ROWS = 400
CUSTOMERS = """
{{ config(materialized='table') }}
select i as id, (i % 97) / 10.0 as spend, (i % 13)::float8 as calls, (array['n', 's', 'w'])[1 + i % 3] as region,
    case when i % 97 > 40 or i % 3 = 0 then 'yes' else 'no' end as churned
from generate_series(1, 400) as i
"""


def training_frame() -> tuple[pd.DataFrame, np.ndarray]:
    i = np.arange(1, N_ROWS + 1)
    frame = pd.DataFrame(
        {
            "spend": (i % 97) / 10.0,
            "calls": (i % 13).astype(float),
            "region": pd.Series(np.array(["n", "s", "w"])[i % 3], dtype=object),
        }
    )
    return frame, np.where((i % 97 > 40) | (i % 3 == 0), "yes", "no")


def pipeline(c: float = 1.0) -> Pipeline:
    frame, target = training_frame()
    columns = ColumnTransformer(
        [("n", StandardScaler(), ["spend", "calls"]), ("t", OneHotEncoder(sparse_output=False), ["region"])]
    )
    return Pipeline([("columns", columns), ("estimate", LogisticRegression(C=c))]).fit(frame, target)


class Code:
    """Its pickle is a call of os.system."""

    def __reduce__(self):
        import os

        return os.system, ("touch never",)


class Brought:
    """A project with the files of several models, and a registry."""

    @pytest.fixture(scope="class")
    def model_files(self, project):
        from pathlib import Path

        root = Path(project.project_root)
        frame, target = training_frame()
        numbers, codes = frame[["spend", "calls"]], (target == "yes").astype(int)
        joblib.dump(pipeline(), root / "pipeline.joblib")
        joblib.dump({"model": pipeline(), "after": Code()}, root / "hostile.joblib")
        (root / "damaged.joblib").write_bytes((root / "pipeline.joblib").read_bytes()[:300])
        classifier = xgboost.XGBClassifier(n_estimators=5, max_depth=3).fit(numbers, codes)
        classifier.save_model(root / "classifier.ubj")
        booster = xgboost.train({"max_depth": 2}, xgboost.DMatrix(numbers, frame["spend"]), 4)
        booster.save_model(root / "booster.json")
        trained = lightgbm.train(
            {"verbose": -1, "min_data_in_leaf": 5}, lightgbm.Dataset(numbers, frame["spend"] * 2), 4
        )
        trained.save_model(root / "lightgbm.txt")
        mlflow.set_tracking_uri(f"sqlite:///{root / 'mlflow.db'}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.register(frame, target, 1.0)
        return root

    @staticmethod
    def register(frame, target, c):
        model = pipeline(c)
        mlflow.set_experiment("elsewhere")
        with mlflow.start_run():
            mlflow.sklearn.log_model(
                model,
                name="model",
                signature=infer_signature(frame, target),
                registered_model_name="churn",
                serialization_format="pickle",
            )
        client = mlflow.MlflowClient()
        newest = max(int(v.version) for v in client.search_model_versions("name='churn'"))
        client.set_registered_model_alias("churn", "champion", str(newest))
        return model


def config(source: str, more: str = "", query: str = "-- nothing to evaluate on") -> str:
    return f"{{{{ config(materialized='create_model', source='{source}'{more}) }}}}\n{query}"


class TestPublished(Brought):
    @pytest.fixture(scope="class")
    def models(self):
        query = "select spend, calls, region, churned from {{ ref('customers') }}"
        return {
            "customers.sql": CUSTOMERS,
            "joined.sql": config("pipeline.joblib", ", target='churned'", query),
            "registered.sql": config("models:/churn@champion"),
            "newest.sql": config("models:/churn/latest"),
            "classifier.sql": config(
                "classifier.ubj", ", arguments='spend float8, calls float8', returns='smallint'"
            ),
            "booster.sql": config("booster.json", ", arguments='spend float8, calls float8'"),
            "light.sql": config("lightgbm.txt", ", arguments='spend float8, calls float8'"),
        }

    @pytest.fixture(scope="class")
    def built(self, model_files):
        return {result.node.name: result for result in run_dbt(["build"])}

    @pytest.fixture
    def select(self, built, project, connection):
        return selector(connection, project.test_schema)

    def test_all_are_built_and_lowered(self, built):
        runtimes = {n: r.adapter_response["runtime"] for n, r in built.items() if n != "customers"}
        assert set(runtimes) == {"joined", "registered", "newest", "classifier", "booster", "light"}
        assert set(runtimes.values()) <= {"sql", "native"}

    def test_a_query_evaluates(self, built, select):
        assert built["joined"].adapter_response["metrics"]["f1"] > 0.7
        assert select("select metric, n_rows, n_holdout from joined") == [("f1", N_ROWS, N_ROWS)]
        assert select("select score, n_rows from registered") == [(None, 0)]
        assert "not evaluated" in built["registered"].message

    def test_predictions_are_the_models_own(self, built, select):
        frame, _ = training_frame()
        expected = pipeline().predict(frame).tolist()
        for function in ("predict_joined", "predict_registered"):
            rows = select(f"select {function}(spend, calls, region) from customers order by id")
            assert [row[0] for row in rows] == expected

    def test_types_of_arguments_come_from_the_signature(self, built, select):
        [(signature,)] = select("select signature from registered")
        assert signature == "(spend double precision, calls double precision, region text) returns text"
        assert select("select pg_typeof(predict_classifier(1, 2))::text, predict_classifier(9, 2)") == [
            ("smallint", 1)
        ]

    def test_boosters_give_their_numbers(self, built, model_files, select):
        numbers = training_frame()[0][["spend", "calls"]].head(20)
        booster = xgboost.Booster(model_file=model_files / "booster.json").predict(xgboost.DMatrix(numbers))
        light = lightgbm.Booster(model_file=model_files / "lightgbm.txt").predict(numbers)
        rows = select(
            "select predict_booster(spend, calls), predict_light(spend, calls) from customers where id <= 20 order by id"
        )
        np.testing.assert_allclose([row[0] for row in rows], booster, rtol=1e-6)
        np.testing.assert_allclose([row[1] for row in rows], light, rtol=1e-12)

    def test_a_new_champion_is_published_by_the_next_run(self, built, model_files, select):
        [kept] = run_dbt(["run", "--select", "registered"])
        assert "unchanged, kept v1" in kept.message
        frame, target = training_frame()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            champion = self.register(frame, target, 0.001)
        for made in run_dbt(["run", "--select", "registered", "newest"]):
            assert made.message.startswith("CREATE MODEL v2")
        assert select(
            "select digest -> 'config' ->> 'source_version' "
            "from postgres_ml.model_version where model_name = 'newest' order by version"
        ) == [("models:/churn/1",), ("models:/churn/2",)]
        rows = select("select predict_registered(spend, calls, region) from customers order by id")
        assert (
            [row[0] for row in rows] == champion.predict(frame).tolist() != pipeline().predict(frame).tolist()
        )
        assert select(
            "select changes from postgres_ml.model_version where model_name = 'registered' and version = 2"
        ) == [("config (source_version)",)]


class TestRefused(Brought):
    """One clear error each, and nothing is published."""

    @pytest.fixture(scope="class")
    def models(self):
        arguments = ", arguments='spend float8, calls float8'"
        return {
            "gone.sql": config("gone.joblib", arguments),
            "hostile.sql": config("hostile.joblib", arguments),
            "damaged.sql": config("damaged.joblib", arguments),
            "unsigned.sql": config("pipeline.joblib"),
            "misfit.sql": config("classifier.ubj", ", arguments={'spend': 'float8'}"),
            "swapped.sql": config("classifier.ubj", ", arguments='calls float8, spend float8'"),
            "no_version.sql": config("models:/churn/99"),
            "no_alias.sql": config("models:/churn@nobody"),
        }

    def test_each_says_what_is_wrong(self, model_files, project, connection):
        _results, output = run_dbt_and_capture(["build"], expect_pass=False)
        output = " ".join(output.split())
        for text in (
            "gone.joblib: there is no such file",
            "hostile.joblib could run code when it is loaded, because it names posix.system",
            "set trust: true in this model's config",
            "damaged.joblib can't be loaded as a pickle, joblib or skops file",
            "the arguments of the function are unknown because pipeline.joblib has no MLflow signature",
            "'spend float8, calls float8, region float8'",
            "was fitted on other ones: spend, calls",
            "was fitted on them in another order: spend, calls",
            "source models:/churn/99:",
            "source models:/churn@nobody:",
        ):
            assert text in output
        assert not (model_files / "never").exists()
        with connection.cursor() as cursor:
            cursor.execute(
                "select count(*) from pg_proc where pronamespace = %s::regnamespace", (project.test_schema,)
            )
            assert cursor.fetchall() == [(0,)]


class Rule(mlflow.pyfunc.PythonModel):
    """A model that only MLflow itself can run."""

    def predict(self, context, model_input, params=None):
        return (model_input["spend"] > 4).astype(int)


class TestRegistry(Brought):
    """Each flavor of MLflow's, by name and version, alias and run; what needs no trust loads without it."""

    @pytest.fixture(scope="class")
    def flavors(self, model_files):
        frame, target = training_frame()
        numbers, codes = frame[["spend", "calls"]], (target == "yes").astype(int)
        signature = infer_signature(frame, target)
        of_numbers = infer_signature(numbers, codes)
        trees = xgboost.XGBClassifier(n_estimators=5, max_depth=3).fit(numbers, codes)
        booster = xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(numbers, codes), 4)
        light = lightgbm.LGBMRegressor(n_estimators=4, min_child_samples=5, verbose=-1)
        light.fit(numbers, frame["spend"] * 2)
        with warnings.catch_warnings(), mlflow.start_run() as run:
            warnings.simplefilter("ignore")
            for name, form in (("skops", "skops"), ("pickled", "pickle"), ("cloud", "cloudpickle")):
                mlflow.sklearn.log_model(
                    pipeline(), name=name, signature=signature, serialization_format=form,
                    registered_model_name=name, skops_trusted_types=["numpy.dtype"] if form == "skops" else None,
                )  # fmt: skip
            mlflow.xgboost.log_model(trees, name="trees", signature=of_numbers, registered_model_name="trees")
            mlflow.xgboost.log_model(booster, name="booster", signature=of_numbers)
            mlflow.lightgbm.log_model(
                light,
                name="light",
                signature=infer_signature(numbers, frame["spend"]),
                registered_model_name="light",
            )
            mlflow.pyfunc.log_model(
                name="rule", python_model=Rule(), signature=of_numbers, registered_model_name="rule"
            )
        (model_files / "models" / "booster.sql").write_text(config(f"runs:/{run.info.run_id}/booster"))
        return {"trees": trees, "booster": booster, "light": light}

    @pytest.fixture(scope="class")
    def models(self):
        return {
            "customers.sql": CUSTOMERS,
            "skops.sql": config("models:/skops/1"),
            "pickled.sql": config("models:/pickled/1"),
            "cloud.sql": config("models:/cloud/1"),
            "trees.sql": config("models:/trees/1"),
            "light.sql": config("models:/light/1"),
            "rule.sql": config("models:/rule/1"),
            "again.sql": config("models:/{{ schema }}.pickled@champion".replace("{{ schema }}", "SCHEMA")),
        }

    def test_each_flavor(self, project, flavors, connection):
        path = project.project_root + "/models/again.sql"
        with open(path) as file:  # noqa: PTH123
            text = file.read().replace("SCHEMA", project.test_schema) + "-- depends_on: {{ ref('pickled') }}"
        with open(path, "w") as file:  # noqa: PTH123
            file.write(text)
        _results, output = run_dbt_and_capture(["build"], expect_pass=False)
        assert "rule version 1 is a pyfunc of flavor python_function" in " ".join(output.split()), output
        frame, _ = training_frame()
        numbers = frame[["spend", "calls"]]
        with connection.cursor() as cursor:
            cursor.execute(f'set search_path to "{project.test_schema}"')
            expected = pipeline().predict(frame).tolist()
            for name in ("skops", "pickled", "cloud", "again"):
                cursor.execute(f"select predict_{name}(spend, calls, region) from customers order by id")
                assert [row[0] for row in cursor.fetchall()] == expected, name
            cursor.execute(
                "select predict_trees(spend, calls), predict_booster(spend, calls), predict_light(spend, calls) "
                "from customers order by id"
            )
            rows = cursor.fetchall()
        assert [row[0] for row in rows] == flavors["trees"].predict(numbers).tolist()
        likely = flavors["booster"].predict(xgboost.DMatrix(numbers))
        assert [row[1] for row in rows] == (likely > 0.5).astype(int).tolist()
        np.testing.assert_allclose([row[2] for row in rows], flavors["light"].predict(numbers), rtol=1e-12)

    def test_what_was_brought_is_registered_and_predicts_the_same(self, project, flavors, connection):
        frame, _ = training_frame()
        asked = pd.concat([frame.head(20), pd.DataFrame([{"spend": None, "calls": 1.0, "region": "x"}])])
        with connection.cursor() as cursor:
            cursor.execute(f'set search_path to "{project.test_schema}"')
            for name in ("pickled", "trees", "booster", "light"):
                loaded = mlflow.pyfunc.load_model(f"models:/{project.test_schema}.{name}@champion")
                columns = ("spend", "calls", "region") if name == "pickled" else ("spend", "calls")
                found = pd.Series(list(loaded.predict(asked[list(columns)])), dtype=object).tolist()
                values = [
                    tuple(None if v != v else v for v in row) for row in asked[list(columns)].values.tolist()
                ]
                marks = ", ".join(["%s"] * len(columns))
                in_sql = []
                for row in values:
                    cursor.execute(f"select predict_{name}({marks})", row)
                    in_sql.append(cursor.fetchone()[0])
                if name == "light":
                    assert found == pytest.approx(in_sql, rel=1e-12)
                else:
                    assert found == in_sql, name
