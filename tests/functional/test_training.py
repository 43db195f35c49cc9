"""Whole trainings: query, child, functions in the database, and what MLflow keeps of it."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow.tracking import MlflowClient
from postgres_ml.contract.config import Settings
from postgres_ml.contract.exceptions import ParityError
from postgres_ml.contract.model import TrainedModel
from postgres_ml.process.parent import TrainingProcess
from postgres_ml.program.serialize import program_from_json
from postgres_ml.verify.parity import check_parity, predictor
from support.training import Training, churn_rows, fill_table

BLEND = """
from postgres_ml.components.estimators import BlendedClassifier, LabelEncodedClassifier
from postgres_ml.components.neural_network import NetworkClassifier
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from xgboost import XGBClassifier

class dbtObj:
    def __init__(self, load):
        self.ref = load

def model(dbt, session):
    rows = dbt.ref("customers")
    numbers, text = ["calls", "minutes"], OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    scaled = make_column_transformer((make_pipeline(SimpleImputer(), StandardScaler()), numbers), (text, ["plan"]))
    plain = make_column_transformer(("passthrough", numbers), (text, ["plan"]))
    network = make_pipeline(scaled, NetworkClassifier((8,), n_epochs=20, random_state=0))
    trees = make_pipeline(plain, XGBClassifier(n_estimators=8, max_depth=3))
    blend = BlendedClassifier([("trees", trees), ("network", network)], [0.7, 0.3])
    return LabelEncodedClassifier(blend, threshold=0.2).fit(rows[["calls", "plan", "minutes"]], rows["churned"])
"""
MODEL_TYPES = ("xgboost", "linear_learner", "mlp")  # additive models have other plots and functions
TYPES = "calls integer, plan text, minutes double precision, churned text"


@pytest.fixture
def churn(connection: Any, schema: str, tmp_path: Path) -> Training:
    cursor = connection.cursor()
    fill_table(cursor, f"{schema}.customers", churn_rows(800), TYPES)
    sql = f"select * from {schema}.customers"
    changes = {"target": "churned", "schema": schema, "model_types": MODEL_TYPES}
    return Training(connection, sql, tmp_path / "job", **changes)


def query(training: Training, sql: str) -> list[tuple[Any, ...]]:
    training.cursor.execute(sql)
    return training.cursor.fetchall()


def test_a_training_from_the_query_to_the_function_and_mlflow(churn: Training, schema: str) -> None:
    trained = churn.train()
    summary = churn.publish(trained)
    churn.process.published(7, {"function": f"{schema}.predict_churn"})

    assert (trained.summary.problem_type, trained.summary.return_type, trained.summary.labels) == (
        "binary_classification",
        "text",
        ("no", "yes"),
    )
    assert trained.evaluation.metrics["f1"] == trained.evaluation.score > 0.8
    assert (
        trained.summary.n_rows == 800
        and 100 < trained.summary.n_holdout < 220
        and len(trained.summary.features) == 3
    )
    null_rows = len(trained.summary.features) + 1  # NULL in each feature, and in all
    assert summary.n_rows == trained.summary.n_holdout + 400 + null_rows and summary.max_difference <= 1e-6
    assert [b.role for b in trained.deployed.functions if b.role != "part"] == ["predict", "probabilities"]
    assert not any("customers" in f.name for f in Path.cwd().glob("mlruns"))
    in_sql = query(churn, f"select calls, plan, minutes, {schema}.predict_churn(calls, plan, minutes) "
                          f"from {schema}.customers")  # fmt: skip
    assert {row[3] for row in in_sql} == {"no", "yes"}
    check_run(churn, trained, schema)
    check_loading(churn, in_sql, schema)


def check_run(training: Training, trained: TrainedModel, schema: str) -> None:
    client = MlflowClient(training.job.tracking_uri)
    run = client.get_run(trained.run.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["f1"] == trained.evaluation.score
    assert run.data.metrics["train_f1"] == trained.evaluation.train_metrics["f1"]
    assert run.data.params["target"] == "churned"
    assert run.data.tags["dbt.unique_id"] == training.spec.unique_id
    assert run.data.tags["function_version"] == "7"
    (dataset,) = run.inputs.dataset_inputs
    assert json.loads(dataset.dataset.source)["query"] == training.sql
    (model,) = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'")
    store = Path(training.job.tracking_uri.removeprefix("sqlite:///")).parent
    assert model.artifact_location.startswith((store / "mlartifacts").as_uri())
    names = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert names >= {
        "functions.sql", "model_card.html", "model_card.md", "pipeline.joblib", "pipeline.joblib.sha256",
        "plots", "program.json", "training_query.sql", "trials.json",
    }  # fmt: skip
    plots = {Path(file.path).stem for file in client.list_artifacts(run.info.run_id, "plots")}
    assert plots == {
        "calibration", "confusion_matrix", "feature_importance", "precision_recall", "roc", "search_history",
    }  # fmt: skip
    searched = client.get_metric_history(run.info.run_id, "search_least_loss")
    assert [metric.step for metric in searched] == list(range(1, len(searched) + 1)) and len(searched) >= 2
    page = Path(client.download_artifacts(run.info.run_id, "model_card.html")).read_text(encoding="utf-8")
    for text in (
        "predict_churn(",
        "rows that it never saw",
        run.info.run_id,
        "data:image/png",
        "mean |SHAP value|",
    ):
        assert text in page
    program = Path(client.download_artifacts(run.info.run_id, "program.json")).read_text(encoding="utf-8")
    assert [item.name for item in program_from_json(program).inputs] == ["calls", "plan", "minutes"]
    version = client.get_model_version_by_alias(f"{schema}.churn", "champion")
    assert version.run_id == run.info.run_id and version.tags["function"] == f"{schema}.predict_churn"


LOAD = """
import json, sys, warnings
warnings.simplefilter("ignore")
import mlflow, pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
given = pd.DataFrame(json.load(sys.stdin), columns=["calls", "plan", "minutes"])
loaded = mlflow.pyfunc.load_model(f"models:/{sys.argv[2]}.churn@champion")
typed = mlflow.sklearn.load_model(f"models:/{sys.argv[2]}.churn@champion")
likely = loaded.predict(given, params={"proba": True})
assert (typed.predict_proba(given) == likely.to_numpy()).all() and list(likely) == ["no", "yes"]
import postgres_ml
assert "/code/" in postgres_ml.__file__, "the model needs nothing of ours but what travels with it"
print(json.dumps([list(loaded.predict(given)), likely["yes"].tolist()]))
"""


def check_loading(training: Training, in_sql: list[tuple[Any, ...]], schema: str) -> None:
    """The registered model gives the function's labels and probabilities, on what a driver fetched."""
    asked = json.dumps([row[:3] for row in in_sql])
    command = [sys.executable, "-c", LOAD, training.job.tracking_uri, schema]
    labels, positive = json.loads(subprocess.check_output(command, input=asked.encode()))
    assert labels == [row[3] for row in in_sql]
    probabilities = query(
        training,
        f"select (select p::float8 from rows from (jsonb_array_elements_text(j->'labels'), "
        f"jsonb_array_elements_text(j->'probabilities')) e(l, p) where l = 'yes') from (select "
        f"{schema}.predict_churn_probabilities(calls, plan, minutes) j from {schema}.customers) q",
    )
    assert np.allclose(positive, [p for (p,) in probabilities], rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["blend", "network"])
def test_a_registered_blend_or_network_predicts_as_its_function(
    kind: str, churn: Training, schema: str, tmp_path: Path
) -> None:
    if (
        kind == "blend"
    ):  # of members that encode the columns differently, with a threshold, as the search makes them
        churn.job = dataclasses.replace(churn.job, code=BLEND, relation="customers")
        churn.process = TrainingProcess(churn.job, churn.messages, lambda: False)
    else:
        options: dict[str, Any] = {"auto": False, "model_types": ("mlp",), "hyperparameters": {"epochs": 5}}
        churn = Training(
            churn.connection, churn.sql, tmp_path / "network", target="churned", schema=schema, **options
        )
    trained = churn.train()
    churn.publish(trained)
    churn.process.published(1, {})
    in_sql = query(churn, f"select calls, plan, minutes, {schema}.predict_churn(calls, plan, minutes) "
                          f"from {schema}.customers")  # fmt: skip
    assert {row[3] for row in in_sql} == {"no", "yes"} and None in {row[1] for row in in_sql}
    check_loading(churn, in_sql, schema)


@pytest.mark.parametrize(
    ("sql_type", "labels"),
    [
        ("boolean", ["false", "true"]),
        ("bigint", ["9007199254740993", "9007199254740995", "-5"]),
        ("numeric", ["1.5", "2"]),
        ("smallint", ["0", "1"]),
        ("text", ["it''s \"$$\" \\ $body$", "日本", ""]),
    ],
)
def test_labels_come_back_in_their_own_type(
    connection: Any, schema: str, tmp_path: Path, sql_type: str, labels: list[str]
) -> None:
    array = ", ".join(f"'{label}'" for label in labels)
    problem = "binary_classification" if len(labels) == 2 else "multiclass_classification"
    sql = f'''select i % 17 + random() "order", ('{{a,b}}'::text[])[i % 2 + 1] "ümläut ""q""",
        i % 3 = 0 flag, (array[{array}])[1 + i % {len(labels)}]::{sql_type} target, (i % {len(labels)})::real hint
        from generate_series(1, 300) i'''
    options: dict[str, Any] = {"auto": False, "model_types": ("linear_learner",), "problem_type": problem}
    training = Training(connection, sql, tmp_path / "job", schema=schema, **options)
    trained = training.train()
    training.publish(trained)
    training.process.abandon("the test is over")
    assert trained.summary.return_type == sql_type
    found = query(
        training,
        f"select distinct {schema}.predict_churn(1, 'a', true, hint)::text from generate_series(0, 2) hint",
    )
    assert {row[0] for row in found} <= {label.replace("''", "'") for label in labels} and len(found) >= 2
    assert query(training, f"select pg_typeof({schema}.predict_churn(1, 'a', null, 0))::text") == [
        (sql_type,)
    ]


def test_a_regression_returns_double_precision_of_any_target(
    connection: Any, schema: str, tmp_path: Path
) -> None:
    sql = """select i % 100 a, (i % 7)::numeric(10, 2) b, case when i % 5 > 0 then i % 11 end::smallint c,
        (3 * (i % 100) + i % 7)::integer target from generate_series(1, 3000) i"""
    options: dict[str, Any] = {"settings": Settings(min_rows=50, max_runtime=60, max_trials=4)}
    training = Training(connection, sql, tmp_path / "job", schema=schema, **options)
    trained = training.train()
    summary = training.publish(trained)
    training.process.published(1, {})
    assert (trained.summary.problem_type, trained.summary.return_type, trained.summary.labels) == (
        "regression",
        "double precision",
        (),
    )
    assert (
        trained.evaluation.metrics["r2"] > 0.99
        and trained.evaluation.metric == "mse"
        and trained.evaluation.score == trained.evaluation.metrics["mse"]
    )
    assert summary.max_difference <= 1e-6


def test_rare_classes_are_weighed_for_f1_macro_and_the_function_weighs_them_too(
    connection: Any, schema: str, tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    classes = np.array(["most", "some", "rare"])[random.choice(3, 3000, p=[0.85, 0.11, 0.04])]
    shift = {"most": (0.0, 0.0), "some": (1.3, 0.0), "rare": (0.0, 1.5)}
    rows = [
        (*(float(random.normal(center)) for center in shift[label]), str(label)) for label in classes.tolist()
    ]
    cursor = connection.cursor()
    fill_table(cursor, f"{schema}.rare", rows, "x double precision, y double precision, target text")
    options: dict[str, Any] = {"objective": "f1_macro", "settings": Settings(max_trials=2, min_rows=50)}
    training = Training(
        connection, f"select * from {schema}.rare", tmp_path / "job", schema=schema, **options
    )
    trained = training.train()
    summary = training.publish(trained)
    training.process.published(1, {})
    factors = trained.summary.hyperparameters["class_multipliers"]
    card = (tmp_path / "job" / "artifacts" / "model_card.md").read_text()
    assert f"greatest product of probability and multiplier: most {factors['most']}" in card
    assert list(factors) == ["most", "rare", "some"] and factors["rare"] > factors["most"]
    assert summary.max_difference <= 1e-6
    labels = f"""select {schema}.predict_churn(x, y), p -> 'labels' ->> 0, p from {schema}.rare,
        {schema}.predict_churn_probabilities(x, y) p"""
    found = query(training, labels)
    assert sum(label == "rare" for label, *_ in found) > 1.5 * sum(likely == "rare" for _, likely, _ in found)
    for label, _, p in found:
        products = {
            name: factors[name] * value for name, value in zip(p["labels"], p["probabilities"], strict=True)
        }
        assert products[label] >= max(products.values()) * (1 - 1e-6)


def test_a_function_that_differs_is_refused_with_the_row(churn: Training, schema: str) -> None:
    trained = churn.train()
    churn.process.abandon("the test is over")
    churn.publish(trained)
    churn.connection.autocommit = False
    churn.cursor.execute(
        f"create or replace function {schema}.predict_churn(calls float8, plan text, minutes float8) "
        "returns text language sql immutable as $$ select 'no' $$"
    )
    with pytest.raises(ParityError, match=r"differs .* rows; the first: \(calls => .*pipeline says 'yes'"):
        check_parity(churn.cursor, churn.spec.schema, predictor(trained), Path(trained.deployed.parity_file))
    churn.connection.rollback()


def test_retraining_gives_the_same_function(churn: Training, tmp_path: Path) -> None:
    first = churn.train()
    churn.process.abandon("the test is over")
    again = Training(
        churn.connection,
        churn.sql + " order by random()",
        tmp_path / "again",
        target="churned",
        schema=churn.spec.schema,
        model_types=MODEL_TYPES,
    )
    second = again.train()
    again.process.abandon("the test is over")
    assert first.evaluation.metrics == second.evaluation.metrics
    assert [b.body for b in first.deployed.functions] == [b.body for b in second.deployed.functions]
