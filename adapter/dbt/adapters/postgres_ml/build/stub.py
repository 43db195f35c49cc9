"""What `dbt build --empty` publishes: functions of the right signature that return NULL (SPEC 8.13)."""

from __future__ import annotations

from typing import Literal

from postgres_ml.contract.column import Column
from postgres_ml.contract.config import ProblemType, TrainingSpec
from postgres_ml.contract.model import FunctionBody, TrainedModel
from postgres_ml.contract.sql_names import function_arguments

STUB_RUNTIME = "stub"
MEASURED = ("real", "double precision", "numeric")


def stub_model(spec: TrainingSpec, features: tuple[Column, ...], target: Column | None) -> TrainedModel:
    """Return a model that predicts NULL; the next build without --empty trains."""
    problem_type = spec.problem_type or _likely_problem_type(target)
    returns = spec.returns or _return_type(problem_type, target)
    columns = [(column.name, column.sql_type) for column in features]
    arguments, composite = function_arguments(spec.schema, spec.function, columns)
    predict = FunctionBody(
        "predict", spec.function, arguments, returns, "sql", f"select null::{returns}", composite
    )
    functions = [predict]
    role, kind = _companion(problem_type)
    if role is not None:
        name, nothing = f"{spec.function}_{role}", f"select null::{kind}"
        functions.append(FunctionBody(role, name, arguments, kind, "sql", nothing, composite))
    return TrainedModel(
        features=features,
        return_type=returns,
        problem_type=problem_type,
        model_type="none",
        objective=spec.objective or "none",
        labels=(),
        metric="none",
        score=None,
        metrics={},
        train_metrics={},
        n_rows=0,
        n_holdout=0,
        n_features=len(features),
        functions=tuple(functions),
        runtime=STUB_RUNTIME,
        runtime_reason="--empty",
        n_nodes=0,
        est_rows_per_s=0,
        mlflow_run_id="",
        mlflow_model_uri="",
        parity_file="",
        messages=(),
        seconds={},
    )


def _companion(problem_type: str) -> tuple[Literal["probabilities", "distances"] | None, str]:
    """Return role and type of the function beside the prediction."""
    if problem_type == "clustering":
        return "distances", "double precision[]"
    return ("probabilities", "jsonb") if problem_type.endswith("classification") else (None, "")


def _likely_problem_type(target: Column | None) -> ProblemType:
    """Return what the target's type alone suggests: no row is there to look at."""
    if target is None:
        return "clustering"
    return "regression" if target.sql_type in MEASURED else "binary_classification"


def _return_type(problem_type: str, target: Column | None) -> str:
    if problem_type == "regression":
        return "double precision"
    return "integer" if target is None else target.sql_type
