"""A version's row in the catalog, postgres_ml.model_version. Nothing of it is read while predicting."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from dbt.adapters.postgres_ml.catalog.read import STUB
from dbt_common.invocation import get_invocation_id

from postgres_ml.contract.config import TrainingSpec
from postgres_ml.contract.forecast import table_type
from postgres_ml.contract.model import Evaluation, RunReference, TrainedModel
from postgres_ml.verify.parity import parity_sample

STUB_RUNTIME = "stub"
SUMMARY = ("problem_type", "model_type", "objective", "n_rows", "n_holdout", "return_type", "hyperparameters")
DEPLOYED = ("n_nodes", "est_rows_per_s", "runtime")


def catalog_row(spec: TrainingSpec, trained: TrainedModel, query: str) -> dict[str, Any]:
    """Return the columns that follow from a trained model, by name: all but its place, number and digest.

    Columns that are never NULL in the catalog get an empty text or object where the model lacks the part.
    """
    summary, deployed = trained.summary, trained.deployed
    is_stub = deployed.runtime == STUB_RUNTIME
    predict = next(body for body in deployed.functions if body.role == "predict")
    arguments = predict.composite or predict.arguments
    returns = table_type(predict.columns) if predict.columns else summary.return_type
    signature = ", ".join(f"{name} {kind}" for name, kind in arguments)
    rows = json.dumps(parity_sample(Path(deployed.parity_file))) if deployed.parity_file else None
    return {
        "state": STUB if is_stub else "READY",
        "is_serving": True,
        "trained_at": trained.trained_at or datetime.now(timezone.utc).isoformat(),
        "function_name": spec.function,
        "signature": f"({signature}) returns {returns}",
        "dbt_unique_id": spec.unique_id,
        "dbt_invocation_id": get_invocation_id(),
        "functions": [dataclasses.asdict(body) for body in deployed.functions],
        "features": [dataclasses.asdict(column) for column in summary.features],
        "n_features": len(summary.features),
        "target": spec.target,
        "query": query.strip(),
        "labels": list(summary.labels),
        "settings": dataclasses.asdict(spec.settings),
        "parity_rows": rows,
        "explanation": trained.explanation,
        "statistics": trained.statistics,
        **{name: getattr(summary, name) for name in SUMMARY},
        **{name: getattr(deployed, name) for name in DEPLOYED},
        **_evaluation(trained.evaluation, "none" if is_stub else ""),
        **_run(trained.run),
    }


def _evaluation(evaluation: Evaluation | None, no_metric: str) -> dict[str, Any]:
    if evaluation is None:
        return {
            "metric": no_metric,
            "score": None,
            "metrics": {},
            "train_metrics": {},
            "evaluated_program": "",
        }
    return {
        "metric": evaluation.metric,
        "score": evaluation.score,
        "metrics": evaluation.metrics,
        "train_metrics": evaluation.train_metrics,
        "evaluated_program": evaluation.program or "",
    }


def _run(run: RunReference | None) -> dict[str, Any]:
    if run is None:
        return {"mlflow_run_id": "", "mlflow_model_uri": "", "is_champion": None}
    # false as long as MLflow has not been told
    return {"mlflow_run_id": run.run_id, "mlflow_model_uri": run.model_uri or "", "is_champion": False}
