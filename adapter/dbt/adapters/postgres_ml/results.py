"""What dbt is told of a build: the console's message and the entry in run_results.json."""

from __future__ import annotations

from dataclasses import dataclass, field

from dbt.adapters.contracts.connection import AdapterResponse

from postgres_ml.spec import TrainedModel


@dataclass
class CreateModelResponse(AdapterResponse):
    """`adapter_response` of a create_model node in run_results.json."""

    function: str = ""
    version: int = 0
    model_type: str = ""
    runtime: str = ""
    mlflow_run_id: str = ""
    metrics: dict[str, float] = field(default_factory=dict)


def response(trained: TrainedModel, function: str, version: int) -> CreateModelResponse:
    """Return the response whose message reads 'CREATE MODEL v3 f1=0.842 xgboost/sql'."""
    score = f"{trained.metric}={trained.score:.4g}"
    return CreateModelResponse(
        _message=f"CREATE MODEL v{version} {score} {trained.model_type}/{trained.runtime}",
        code="CREATE MODEL",
        rows_affected=trained.n_rows,
        function=function,
        version=version,
        model_type=trained.model_type,
        runtime=trained.runtime,
        mlflow_run_id=trained.mlflow_run_id,
        metrics=trained.metrics,
    )
