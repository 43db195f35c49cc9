"""The name that release 0.1.0 gave `postgres_ml.track.pyfunc`, for what it stored."""

from postgres_ml.track.pyfunc import BoosterModel, Predictor, _load_pyfunc

__all__ = ["BoosterModel", "Predictor", "_load_pyfunc"]
