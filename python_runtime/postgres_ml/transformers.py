"""The name that release 0.1.0 gave `postgres_ml.components.transformers`, for what it stored."""

from postgres_ml.components.transformers import (
    DateTimeVectorizer,
    PiecewiseLinear,
    QuantileNormal,
    RobustSmoothClip,
)

__all__ = ["DateTimeVectorizer", "PiecewiseLinear", "QuantileNormal", "RobustSmoothClip"]
