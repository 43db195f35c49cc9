"""Models made elsewhere, and rows or shapes that they refuse: scores of the others, or an error with a cure."""

from __future__ import annotations

import warnings
from pathlib import Path

import joblib
import lightgbm
import mlflow
import numpy as np
import pandas as pd
import pytest
from dbt.tests.util import run_dbt, run_dbt_and_capture
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from test_brought import CUSTOMERS, config, training_frame

NUMBERS = ", arguments='spend float8, calls float8'"
QUERY = "select {} as spend, calls, {} as y from {{{{ ref('customers') }}}}"
LONG = """{{{{ config(materialized='create_model', target='churned', auto=false, model_type='xgboost',
    hyperparameters={{'num_round': 5}}, settings={{'min_rows': 100}}) }}}}
select spend, calls, churned from {{{{ ref('customers') }}}} where id not in ({})"""


def query(spend: str = "spend", y: str = "spend * 2 + calls") -> str:
    return QUERY.format(spend, y)


def without(value: str) -> str:
    """Return the column spend with this value in one row of 400."""
    return f"case when id = 7 then {value} else spend end"


@pytest.fixture(scope="class")
def files(project) -> Path:
    warnings.simplefilter("ignore")
    root = Path(project.project_root)
    frame, target = training_frame()
    numbers, y = frame[["spend", "calls"]], frame["spend"] * 2 + frame["calls"]
    joblib.dump(LinearRegression().fit(numbers, y), root / "line.joblib")
    joblib.dump(LogisticRegression().fit(numbers, target), root / "logistic.joblib")
    joblib.dump(LinearRegression().fit(numbers, y.to_frame()), root / "column.joblib")
    joblib.dump(LinearRegression().fit(numbers, np.column_stack([y, -y])), root / "two.joblib")
    codes = (target == "yes").astype(int)
    both = MultiOutputClassifier(LogisticRegression()).fit(numbers, np.column_stack([codes, 1 - codes]))
    joblib.dump(both, root / "both.joblib")
    columns = ColumnTransformer([("t", OneHotEncoder(), ["region"])], remainder="passthrough")
    joblib.dump(make_pipeline(columns, LogisticRegression()).fit(frame, target), root / "known.joblib")
    listed = frame.assign(region=frame["region"].astype("category"), one=pd.Categorical(["x"] * len(frame)))
    data = lightgbm.Dataset(listed[["spend", "region", "one"]], y)
    lightgbm.train({"verbose": -1, "min_data_in_leaf": 5}, data, 4).save_model(root / "constant.txt")
    return root


class TestRowsThatAreRefused:
    @pytest.fixture(scope="class")
    def models(self):
        unknown = "select spend, calls, case when id = 7 then 'zz' else region end as region, churned"
        return {
            "customers.sql": CUSTOMERS,
            "missing.sql": config("line.joblib", ", target='y'", query(without("null"))),
            "endless.sql": config("line.joblib", ", target='y'", query(without("'Infinity'::float8"))),
            "label.sql": config("logistic.joblib", ", target='y'", query(without("null"), "churned")),
            "unknown.sql": config(
                "known.joblib", ", target='churned'", unknown + " from {{ ref('customers') }}"
            ),
            "column.sql": config("column.joblib", ", target='y'", query()),
            "constant.sql": config("constant.txt", ", arguments='spend float8, region text, one text'"),
        }

    def test_the_others_are_scored(self, files, project, connection) -> None:
        results, output = run_dbt_and_capture(["build"])
        assert all(result.status == "success" for result in results)
        for name in ("missing", "endless", "label", "unknown"):
            assert f"{name}: the scores are of 399 rows; the model refuses 1 of the query's 400" in output
        frame, _ = training_frame()
        with connection.cursor() as cursor:
            cursor.execute(f"set search_path = {project.test_schema}")
            cursor.execute("select predict_missing(null, 1), predict_missing(1, 2), predict_column(1, 2)")
            nothing, number, same = cursor.fetchone()
            assert nothing is None and number == pytest.approx(4.0) and same == pytest.approx(4.0)
            cursor.execute("select predict_constant(spend, region, 'x') from customers order by id")
            found = [row[0] for row in cursor.fetchall()]
            cursor.execute("select metrics from postgres_ml.model_card where model_name = 'missing'")
            assert float(cursor.fetchone()[0]["r2"]) == pytest.approx(1.0)
        listed = frame.assign(
            region=frame["region"].astype("category"), one=pd.Categorical(["x"] * len(frame))
        )
        booster = lightgbm.Booster(model_file=files / "constant.txt")
        assert found == booster.predict(listed[["spend", "region", "one"]]).tolist()


class TestRefusals:
    MESSAGES = {
        "nan": 'target "y" is NaN or infinite in 1 of 400 rows; leave them out',
        "endless": 'target "y" is NaN or infinite in 1 of 400 rows; leave them out',
        "words": 'target "y" is text, and the model predicts a number',
        "two": "the model predicts 2 values for a row, and a function returns one",
        "both": "the model predicts 2 values for a row, and a function returns one",
    }

    @pytest.fixture(scope="class")
    def models(self):
        return {
            "customers.sql": CUSTOMERS,
            "nan.sql": config("line.joblib", ", target='y'", query(y=without("'NaN'::float8"))),
            "endless.sql": config("line.joblib", ", target='y'", query(y=without("'-Infinity'::float8"))),
            "words.sql": config("line.joblib", ", target='y'", query(y="churned")),
            "two.sql": config("two.joblib", NUMBERS),
            "both.sql": config("both.joblib", NUMBERS),
        }

    def test_each_names_cause_and_cure(self, files, project) -> None:
        results, output = run_dbt_and_capture(["build"], expect_pass=False)
        said = {result.node.name: result.message for result in results}
        for name, text in self.MESSAGES.items():
            assert text in said[name], said[name]
        assert "Traceback" not in output


class TestRegistered:
    """MLflow's models with a date, and without the files of their example."""

    @pytest.fixture(scope="class")
    def models(self):
        return {
            "dated.sql": config("models:/dated/1"),
            "odd.sql": config("models:/odd/1", NUMBERS),
            "odd_untyped.sql": config("models:/odd/1"),
            "lost.sql": config("models:/lost/1"),
            "sure.sql": config("models:/sure/1"),
            "cut.sql": config("ml/cut"),
            "empty.sql": config("ml/empty"),
        }

    def test_they_are_published_or_refused_by_name(self, files, project, connection) -> None:
        warnings.simplefilter("ignore")
        frame, target = training_frame()
        numbers, y = frame[["spend", "calls"]], frame["spend"] * 2 + frame["calls"]
        mlflow.set_tracking_uri(f"sqlite:///{files / 'mlflow.db'}")
        mlflow.set_experiment("elsewhere")

        def log(name, model, signature, **more) -> str:
            with mlflow.start_run():
                logged = mlflow.sklearn.log_model(
                    model, name="model", signature=signature, registered_model_name=name,
                    serialization_format="pickle", **more,
                )  # fmt: skip
            return mlflow.artifacts.download_artifacts(logged.model_uri)

        dated = numbers.assign(at=pd.date_range("2024-01-01", periods=len(frame)))[["at", "spend"]]
        scaled = ColumnTransformer([("n", StandardScaler(), ["spend"])])
        log(
            "dated",
            Pipeline([("c", scaled), ("l", LinearRegression())]).fit(dated, y),
            infer_signature(dated, y),
        )
        line = LinearRegression().fit(numbers, y)
        log("odd", line, infer_signature(numbers.assign(calls=b"x"), y))
        folder = Path(log("lost", line, infer_signature(numbers, y), input_example=numbers.head(3)))
        likely = LogisticRegression().fit(numbers, target)
        log("sure", likely, infer_signature(numbers, target), pyfunc_predict_fn="predict_proba")
        for path in folder.glob("*example*"):
            path.unlink()
        for name, text in (("cut", "flavors: {sklearn: ["), ("empty", "")):
            (files / "ml" / name).mkdir(parents=True)
            (files / "ml" / name / "MLmodel").write_text(text)
        results, output = run_dbt_and_capture(["build"], expect_pass=False)
        said = {result.node.name: (result.status, result.message) for result in results}
        assert [said[name][0] for name in ("dated", "odd", "lost", "sure")] == ["success"] * 4, said
        assert "sure: MLflow's pyfunc of this model calls predict_proba" in output
        assert "has inputs that no SQL type fits" in said["odd_untyped"][1]
        assert "set 'arguments' to names and types" in said["odd_untyped"][1]
        for name in ("cut", "empty"):
            assert "its file MLmodel is damaged" in said[name][1], said[name]
        assert "Traceback" not in output
        with connection.cursor() as cursor:
            cursor.execute(f"select {project.test_schema}.predict_dated(timestamp '2024-05-01', 1)")
            assert cursor.fetchone()[0] is not None


class TestLongQuery:
    @pytest.fixture(scope="class")
    def models(self):
        ids = ",".join(str(number) for number in range(1_000_000, 1_010_000))
        return {"customers.sql": CUSTOMERS, "long.sql": LONG.format(ids)}

    def test_it_is_published_and_kept_whole(self, project) -> None:
        results = run_dbt(["build"])
        assert [result.status for result in results] == ["success"] * 2
        mlflow.set_tracking_uri(f"sqlite:///{Path(project.project_root) / 'mlflow.db'}")
        [run] = mlflow.search_runs(search_all_experiments=True, output_format="list")
        [used] = run.inputs.dataset_inputs
        assert len(used.dataset.source) <= 65_535 and "training_query.sql" in used.dataset.source
        path = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="training_query.sql")
        assert "1009999)" in Path(path).read_text()
