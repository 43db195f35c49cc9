"""The name that release 0.1.0 gave `postgres_ml.components.neural_network`, for what it stored."""

from postgres_ml.components.neural_network import NetworkClassifier, NetworkRegressor

__all__ = ["NetworkClassifier", "NetworkRegressor"]
