"""What dbt is told of a build: the console's message and the entry in run_results.json."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dbt.adapters.contracts.connection import AdapterResponse

if TYPE_CHECKING:
    from dbt.adapters.postgres_ml.build.plan import BuildPlan

    from postgres_ml.contract.model import TrainedModel
    from postgres_ml.evaluate.gates import Refusal


@dataclass
class CreateModelResponse(AdapterResponse):
    """`adapter_response` of a create_model node in run_results.json.

    Parameters
    ----------
    metric, score : the objective's metric on the hold-out
    metrics : all metrics on the hold-out
    n_rows, n_holdout : rows used, hold-out included, and those of them that were held out
    n_warnings : of the build, each of which its log has
    is_refused : whether a gate kept a new version from being published
    """

    function: str = ""
    version: int = 0
    problem_type: str = ""
    model_type: str = ""
    runtime: str = ""
    mlflow_run_id: str = ""
    metric: str = ""
    score: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    n_rows: int = 0
    n_holdout: int = 0
    n_warnings: int = 0
    is_refused: bool = False


def response(trained: TrainedModel, function: str, version: int, n_warnings: int = 0) -> CreateModelResponse:
    """Return the response whose message reads 'CREATE MODEL v3 f1=0.842 xgboost/sql, 2 warnings'."""
    from dbt.adapters.postgres_ml.catalog.row import STUB_RUNTIME

    from postgres_ml.process.progress import figure

    summary, deployed, evaluation = trained.summary, trained.deployed, trained.evaluation
    score = f"{evaluation.metric}={figure(evaluation.score)}" if evaluation else "not evaluated"
    is_stub = deployed.runtime == STUB_RUNTIME
    text = f"CREATE MODEL v{version} {score} {summary.model_type}/{deployed.runtime}"
    if n_warnings:
        text += f", {n_warnings} warning{'s' * (n_warnings > 1)}"
    return CreateModelResponse(
        _message=f"CREATE STUB v{version}: it predicts NULL" if is_stub else text,
        code="CREATE STUB" if is_stub else "CREATE MODEL",
        rows_affected=summary.n_rows,
        function=function,
        version=version,
        problem_type=summary.problem_type,
        model_type=summary.model_type,
        runtime=deployed.runtime,
        mlflow_run_id=trained.run.run_id if trained.run else "",
        metric=evaluation.metric if evaluation else "",
        score=evaluation.score if evaluation else None,
        metrics=evaluation.metrics if evaluation else {},
        n_rows=summary.n_rows,
        n_holdout=summary.n_holdout,
        n_warnings=n_warnings,
    )


def kept_response(plan: BuildPlan, refusal: Refusal | None) -> CreateModelResponse:
    """Return the response whose message reads 'unchanged, kept v7' or 'gate not met: …, kept v7'."""
    serving = plan.serving
    if serving is None:
        raise ValueError("a build that keeps has something to keep")
    verb = "restored" if plan.action == "restore" else "kept"
    return CreateModelResponse(
        _message=f"{refusal.text if refusal else plan.reason}, {verb} v{serving.version}",
        code="KEEP MODEL",
        rows_affected=0,
        function=f"{plan.build.spec.schema}.{serving.function_name}",
        version=serving.version,
        model_type=serving.summary["model_type"],
        runtime=serving.summary["runtime"],
        mlflow_run_id=serving.summary["mlflow_run_id"],
        metric=serving.summary["metric"],
        score=serving.summary["score"],
        n_rows=serving.summary["n_rows"],
        metrics=serving.summary["metrics"],
        is_refused=refusal is not None,
    )
