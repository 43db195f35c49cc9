"""scikit-learn estimators of our own: fitted pipelines contain them, so they are pickled and parsed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils.validation import check_is_fitted


class LabelEncodedClassifier(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier that takes and returns labels of any type, and can hold a tuned decision threshold.

    xgboost's classifiers only take labels 0 … n-1; this one encodes text, integer, boolean and float labels
    to their position in sorted order, and decodes predictions.

    Parameters
    ----------
    estimator : classifier
        Cloned and fitted on the encoded labels.
    threshold : float or None
        Two classes only: predict the second label where its probability, in double precision, is >= this
        number between 0 and 1. None leaves the decision to the estimator's own `predict`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    estimator_ : classifier
        Fitted on positions in `classes_`.
    """

    def __init__(self, estimator: Any = None, threshold: float | None = None) -> None:
        self.estimator = estimator
        self.threshold = threshold

    def fit(self, X: Any, y: Any, **fit_params: Any) -> LabelEncodedClassifier:
        """Fit a clone of the estimator.

        `eval_set` in `fit_params`, a list of (X, y) pairs for xgboost's early stopping, has its labels
        encoded as well.

        Raises
        ------
        ValueError
            A label is missing, an evaluation label is unknown, or the threshold is given with other than
            two classes or is not between 0 and 1.
        """
        labels = np.asarray(y)
        self.classes_, encoded = np.unique(labels, return_inverse=True)
        if self.threshold is not None and (len(self.classes_) != 2 or not 0 < self.threshold < 1):
            raise ValueError(f"threshold={self.threshold!r} needs two classes and a value between 0 and 1")
        if fit_params.get("eval_set"):
            pairs = [(features, self._encode(target)) for features, target in fit_params["eval_set"]]
            fit_params = {**fit_params, "eval_set": pairs}
        self.estimator_ = clone(self.estimator).fit(X, encoded, **fit_params)
        if hasattr(self.estimator_, "n_features_in_"):
            self.n_features_in_ = self.estimator_.n_features_in_
        return self

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return the labels of shape (n_rows,)."""
        check_is_fitted(self)
        if self.threshold is None:
            codes = np.asarray(self.estimator_.predict(X))
        else:
            codes = self.estimator_.predict_proba(X)[:, 1].astype(np.float64) >= self.threshold
        return np.asarray(self.classes_[codes.astype(np.intp)])

    def predict_proba(self, X: Any) -> npt.NDArray[Any]:
        """Return probabilities of shape (n_rows, n_classes), in the order of `classes_`."""
        check_is_fitted(self)
        return np.asarray(self.estimator_.predict_proba(X))

    def _encode(self, y: Any) -> npt.NDArray[np.intp]:
        labels = np.asarray(y)
        positions = np.minimum(np.searchsorted(self.classes_, labels), len(self.classes_) - 1)
        if np.any(self.classes_[positions] != labels):
            raise ValueError("eval_set has labels that the training rows have not")
        return positions
