"""What `dbt build --empty` publishes: functions of the right signature that return NULL."""

from __future__ import annotations

from dbt.adapters.postgres_ml.catalog.row import STUB_RUNTIME

from postgres_ml.contract.column import Column, as_arguments
from postgres_ml.contract.config import ProblemType, TrainingSpec
from postgres_ml.contract.forecast import HORIZON, table_columns
from postgres_ml.contract.model import (
    SCORECARD_COLUMNS,
    DeployedFunctions,
    Details,
    FunctionBody,
    ModelSummary,
    TrainedModel,
)
from postgres_ml.contract.sql_names import function_arguments, type_name

MEASURED = ("real", "double precision", "numeric")


def stub_model(spec: TrainingSpec, features: tuple[Column, ...], target: Column | None) -> TrainedModel:
    """Return a model that predicts NULL; the next build without --empty trains."""
    if spec.is_forecast:
        return _forecast_stub(spec, features)
    problem_type = spec.problem_type or _likely_problem_type(target)
    returns = spec.returns or _return_type(problem_type, target)
    columns = [(column.name, column.sql_type) for column in as_arguments(features)]
    arguments, composite = function_arguments(spec.schema, spec.function, columns)
    predict = FunctionBody(
        "predict", spec.function, arguments, returns, "sql", f"select null::{returns}", composite
    )
    functions = [predict]
    role, kind = _companion(problem_type, spec)
    if role is not None:
        name, nothing = f"{spec.function}_{role}", f"select null::{kind}"
        functions.append(FunctionBody(role, name, arguments, kind, "sql", nothing, composite))
    if spec.model_types == ("additive",):
        functions.append(_scorecard_stub(spec.function))
    summary = ModelSummary(as_arguments(features), returns, problem_type, "none", spec.objective or "none")
    return TrainedModel(summary, DeployedFunctions(tuple(functions), STUB_RUNTIME, "--empty"))


def _forecast_stub(spec: TrainingSpec, features: tuple[Column, ...]) -> TrainedModel:
    """Return a forecast without rows."""
    time, *series = features
    columns = table_columns(time, series, spec.settings.percentiles)
    nothing = ", ".join(f"null::{type_name(kind)}" for _, kind in columns)
    predict = FunctionBody(
        "predict", spec.function, ((HORIZON.name, HORIZON.sql_type),), "record", "sql",
        f"select {nothing} where false", columns=columns, defaults=(spec.settings.horizon or 1,),
    )  # fmt: skip
    summary = ModelSummary((HORIZON,), "record", "forecasting", "none", spec.objective or "none")
    return TrainedModel(summary, DeployedFunctions((predict,), STUB_RUNTIME, "--empty"))


def _scorecard_stub(function: str) -> FunctionBody:
    """Return a scorecard without rows."""
    nothing = ", ".join(f"null::{kind}" for _, kind in SCORECARD_COLUMNS)
    body = f"select {nothing} where false"
    return FunctionBody(
        "scorecard", f"{function}_scorecard", (), "record", "sql", body, columns=SCORECARD_COLUMNS
    )


def _companion(problem_type: str, spec: TrainingSpec) -> tuple[Details | None, str]:
    """Return role and type of the function beside the prediction."""
    if problem_type == "clustering":
        return "distances", "double precision[]"
    if problem_type == "anomaly_detection" and spec.has_anomaly_rule:
        return "is_anomaly", "boolean"
    if problem_type == "regression" and spec.interval is not None:
        return "interval", "jsonb"
    return ("probabilities", "jsonb") if problem_type.endswith("classification") else (None, "")


def _likely_problem_type(target: Column | None) -> ProblemType:
    """Return what the target's type alone suggests: no row is there to look at."""
    if target is None:
        return "clustering"
    return "regression" if target.sql_type in MEASURED else "binary_classification"


def _return_type(problem_type: str, target: Column | None) -> str:
    if problem_type in ("regression", "anomaly_detection"):
        return "double precision"
    return "integer" if target is None else target.sql_type
