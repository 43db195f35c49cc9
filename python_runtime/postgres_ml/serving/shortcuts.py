"""Shorter ways through two estimators for one row; whether they are exact is tried when a pipeline is packed.

Travels in artifacts and runs in the server's own Python, like `scorer`.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def quick(estimator: Any) -> Any:
    """Return what predicts a matrix of one row as the estimator does, and faster where a way is known."""
    name, module = type(estimator).__name__, type(estimator).__module__.partition(".")[0]
    if name == "LabelEncodedClassifier":
        return Labels(estimator)
    if module == "xgboost" and name in ("XGBClassifier", "XGBRegressor"):
        known = estimator.booster != "gblinear" and estimator.objective != "multi:softmax"
        return Boosted(estimator) if known else estimator
    return estimator


class Labels:
    """Our `LabelEncodedClassifier` without scikit-learn's check of whether it is fitted."""

    def __init__(self, estimator: Any) -> None:
        self.classes, self.threshold = estimator.classes_, estimator.threshold
        self.inner = quick(estimator.estimator_)
        if hasattr(self.inner, "predict_proba"):
            self.predict_proba = self.inner.predict_proba

    def predict(self, rows: Any) -> Any:
        """Return the labels."""
        if self.threshold is None:
            codes = np.asarray(self.inner.predict(rows))
        else:
            codes = self.inner.predict_proba(rows)[:, 1].astype(np.float64) >= self.threshold
        return self.classes[codes.astype(np.intp)]


class Boosted:
    """xgboost's Booster, without the configuration that its scikit-learn classes set at each call."""

    def __init__(self, estimator: Any) -> None:
        self.booster, self.missing = estimator.get_booster(), estimator.missing
        self.iterations = estimator._get_iteration_range(None)
        self.is_classifier = hasattr(estimator, "predict_proba")
        if self.is_classifier:
            self.predict_proba = self._probabilities

    def predict(self, rows: Any) -> Any:
        """Return codes of classes, or numbers."""
        scores = self._scores(rows)
        if not self.is_classifier:
            return scores
        return np.argmax(scores, axis=1) if scores.ndim > 1 else (scores > 0.5).astype(np.int64)

    def _probabilities(self, rows: Any) -> Any:
        scores = self._scores(rows)
        return scores if scores.ndim > 1 else np.vstack((1.0 - scores, scores)).transpose()

    def _scores(self, rows: Any) -> Any:
        return self.booster.inplace_predict(
            rows, iteration_range=self.iterations, missing=self.missing, validate_features=False
        )
