"""The name that release 0.1.0 gave `postgres_ml.components.estimators`, for what it stored."""

from postgres_ml.components.estimators import (
    BlendedClassifier,
    BlendedRegressor,
    LabelEncodedClassifier,
    LogTargetRegressor,
)

__all__ = ["BlendedClassifier", "BlendedRegressor", "LabelEncodedClassifier", "LogTargetRegressor"]
