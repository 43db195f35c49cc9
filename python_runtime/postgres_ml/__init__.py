"""Train, track, compile and publish machine-learning models as Postgres functions.

Read `pipeline` first: it is the whole flow. Importing this package imports none of the heavy libraries: what
it exports, estimators and transformers that compile to SQL and native code, is loaded when it is asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = [
    "AnomalyDetector",
    "BlendedClassifier",
    "BlendedRegressor",
    "DateTimeVectorizer",
    "LabelEncodedClassifier",
    "LogTargetRegressor",
    "NetworkClassifier",
    "NetworkRegressor",
    "OutOfFoldScores",
    "PiecewiseLinear",
    "QuantileNormal",
    "RobustSmoothClip",
    "TextStatistics",
    "TextVectorizer",
]
_HOMES = {
    "postgres_ml.components.anomaly": ("AnomalyDetector",),
    "postgres_ml.components.estimators": (
        *("BlendedClassifier", "BlendedRegressor", "LabelEncodedClassifier", "LogTargetRegressor"),
    ),
    "postgres_ml.components.neural_network": ("NetworkClassifier", "NetworkRegressor"),
    "postgres_ml.components.stacking": ("OutOfFoldScores",),
    "postgres_ml.components.text": ("TextVectorizer",),
    "postgres_ml.components.text_statistics": ("TextStatistics",),
    "postgres_ml.components.transformers": (
        *("DateTimeVectorizer", "PiecewiseLinear", "QuantileNormal", "RobustSmoothClip"),
    ),
}


def __getattr__(name: str) -> Any:
    """Return what the package exports, from its module.

    Raises
    ------
    AttributeError
        The package exports nothing of that name.
    """
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
