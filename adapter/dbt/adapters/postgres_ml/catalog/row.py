"""A version's row in the catalog, postgres_ml.model_version. Nothing of it is read while predicting."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from dbt.adapters.postgres_ml.build.stub import STUB_RUNTIME
from dbt.adapters.postgres_ml.catalog.read import STUB
from dbt_common.invocation import get_invocation_id

from postgres_ml.contract.config import TrainingSpec
from postgres_ml.contract.model import TrainedModel
from postgres_ml.verify.parity import parity_sample

SAME_NAME = (
    *("problem_type", "model_type", "objective", "metric", "score", "metrics", "train_metrics"),
    *("n_rows", "n_holdout", "n_features", "n_nodes", "est_rows_per_s", "return_type", "runtime"),
    *(
        "mlflow_run_id",
        "mlflow_model_uri",
        "hyperparameters",
        "explanation",
        "evaluated_program",
        "statistics",
    ),
)


def catalog_row(spec: TrainingSpec, trained: TrainedModel, query: str) -> dict[str, Any]:
    """Return the columns that follow from a trained model, by name: all but its place, number and digest."""
    arguments = next(body.composite or body.arguments for body in trained.functions if body.role == "predict")
    signature = ", ".join(f"{name} {kind}" for name, kind in arguments)
    rows = json.dumps(parity_sample(Path(trained.parity_file))) if trained.parity_file else None
    return {
        "state": STUB if trained.runtime == STUB_RUNTIME else "READY",
        "is_serving": True,
        "trained_at": datetime.now(timezone.utc).isoformat(),
        "function_name": spec.function,
        "signature": f"({signature}) returns {trained.return_type}",
        "dbt_unique_id": spec.unique_id,
        "dbt_invocation_id": get_invocation_id(),
        "functions": [dataclasses.asdict(body) for body in trained.functions],
        "features": [dataclasses.asdict(column) for column in trained.features],
        "target": spec.target,
        "query": query.strip(),
        "labels": list(trained.labels),
        "settings": dataclasses.asdict(spec.settings),
        "parity_rows": rows,
        "is_champion": False if trained.mlflow_run_id else None,  # as long as MLflow has not been told
        **{name: getattr(trained, name) for name in SAME_NAME},
    }
