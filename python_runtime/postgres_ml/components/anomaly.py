"""An isolation forest as a model whose prediction is the score; fitted pipelines end in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.utils.metaestimators import available_if


class AnomalyDetector(MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]
    """An outlier detector that predicts how unusual a row is, and calls rows anomalies if it has a rule.

    Parameters
    ----------
    estimator : IsolationForest
        Cloned and fitted.
    has_rule : bool
        Whether it also says which rows are anomalies: only where somebody chose how many are.

    Attributes
    ----------
    estimator_ : IsolationForest
        Fitted.
    """

    def __init__(self, estimator: Any = None, has_rule: bool = False) -> None:
        self.estimator = estimator
        self.has_rule = has_rule

    def fit(self, X: Any, y: Any = None) -> AnomalyDetector:
        """Fit a clone of the estimator; there is no target."""
        self.estimator_ = clone(self.estimator).fit(X)
        self.n_features_in_ = self.estimator_.n_features_in_
        return self

    def predict(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the scores of shape (n_rows,), 0 to 1: the more unusual a row, the greater."""
        scores: npt.NDArray[np.float64] = -self.estimator_.score_samples(X)
        return scores

    @available_if(lambda self: self.has_rule)  # type: ignore[untyped-decorator]
    def is_anomaly(self, X: Any) -> npt.NDArray[np.bool_]:
        """Return whether each row is an anomaly, of shape (n_rows,)."""
        found: npt.NDArray[np.bool_] = self.estimator_.predict(X) == -1
        return found
