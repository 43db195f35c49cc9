"""Values of a build for tests without dbt and without a database."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from dbt.adapters.postgres_ml.build.node import NodeBuild, TrainingQuery
from dbt.adapters.postgres_ml.catalog.read import StoredVersion
from postgres_ml.contract.column import Column
from postgres_ml.contract.config import TrainingSpec
from postgres_ml.contract.model import (
    DeployedFunctions,
    Evaluation,
    FunctionBody,
    ModelSummary,
    RunReference,
    TrainedModel,
)
from postgres_ml.snapshot.digest import Digest

CALLS = Column("calls", "integer", "number")
PREDICT = FunctionBody("predict", "predict_churn", (("calls", "integer"),), "text", "sql", "select 'no'")
QUERY = TrainingQuery("select calls, y from t", (CALLS,), (CALLS,), None)


def spec(**changes: Any) -> TrainingSpec:
    given = {
        "name": "churn",
        "unique_id": "model.shop.churn",
        "database": "d",
        "schema": "ml",
        "function": "predict_churn",
        "target": "y",
    }
    return TrainingSpec(**{**given, **changes})


def digest(**changes: Any) -> Digest:
    given = {"data": 1, "n_rows": 10, "query": "q", "columns": {}, "config": {}, "versions": {}}
    return Digest(**{**given, **changes})


def version(number: int = 1, *, state: str = "READY", **changes: Any) -> StoredVersion:
    given: dict[str, Any] = {
        "is_serving": True,
        "function_name": "predict_churn",
        "age_s": 100.0,
        "digest": {"data": 1, "n_rows": 10, "query": "q", "columns": {}, "config": {}, "versions": {}},
        "is_champion": True,
        "summary": {
            "arguments": [["calls", "integer"]],
            "mlflow_run_id": f"run{number}",
            "model_type": "xgboost",
            "runtime": "sql",
            "metric": "f1",
            "score": 0.8,
            "metrics": {"f1": 0.8},
            "n_rows": 10,
        },
    }
    return StoredVersion(version=number, state=state, **{**given, **changes})


def evaluation(score: float = 0.9, **changes: Any) -> Evaluation:
    return Evaluation(**{"metric": "f1", "score": score, "metrics": {"f1": score}, **changes})


def trained(**changes: Any) -> TrainedModel:
    given: dict[str, Any] = {
        "summary": ModelSummary(
            (CALLS,), "text", "binary_classification", "xgboost", "f1", ("no", "yes"), 10, 2
        ),
        "deployed": DeployedFunctions((PREDICT,), "sql", "the server has no plmodel", 7, 70_000),
        "evaluation": evaluation(),
        "run": RunReference("run2", "models:/m-2", is_tracked=True),
    }
    return TrainedModel(**{**given, **changes})


class Build(SimpleNamespace):
    """What phases ask of a NodeBuild; `said` keeps its log lines."""

    def __init__(self, **spec_changes: Any) -> None:
        super().__init__(
            spec=spec(**spec_changes), node=SimpleNamespace(name="churn", alias="churn"), place=("ml", "churn"), said=[], n_measured=0,
            is_remote=False, rows=(1, 10),
        )  # fmt: skip

    trains_here = NodeBuild.trains_here
    fits = NodeBuild.fits
    lacking = NodeBuild.lacking

    def job_fields(self, cursor: Any, query: Any) -> dict[str, Any]:
        return {}

    session_identity = job_fields

    def log(self, level: str, text: str, fields: Any = None) -> None:
        self.said.append((level, text))

    def measure(self, cursor: Any, query: Any) -> tuple[int, int]:
        self.n_measured += 1
        return self.rows
