"""The part of a catalog row that only SHOW MODEL and EXPLAIN_MODEL read."""

from __future__ import annotations

import dataclasses
from typing import Any

from postgres_ml.spec import TrainedModel, TrainingSpec


def shown_details(spec: TrainingSpec, trained: TrainedModel, query: str) -> dict[str, Any]:
    """Return columns of postgres_ml.model_version, by name."""
    return {
        "target": spec.target,
        "query": query.strip(),
        "labels": list(trained.labels),
        "settings": dataclasses.asdict(spec.settings),
        "hyperparameters": trained.hyperparameters,
        "explanation": trained.explanation,
    }
