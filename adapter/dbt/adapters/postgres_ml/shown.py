"""The part of a catalog row that nothing reads while predicting: shown, explained, tested and compared."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from postgres_ml.parity import parity_sample
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
        "evaluated_program": trained.evaluated_program,
        "statistics": trained.statistics,
        "parity_rows": json.dumps(parity_sample(Path(trained.parity_file)) if trained.parity_file else None),
    }
