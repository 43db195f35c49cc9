"""scikit-learn estimators of our own: fitted pipelines contain them, so they are pickled and parsed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, RegressorMixin, clone
from sklearn.utils.validation import check_is_fitted


class LabelEncodedClassifier(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier that takes and returns labels of any type, and can hold a tuned rule of decision.

    xgboost's classifiers only take labels 0 … n-1; this one encodes text, integer, boolean and float labels
    to their position in sorted order, and decodes predictions.

    Parameters
    ----------
    estimator : classifier
        Cloned and fitted on the encoded labels.
    threshold : float or None
        Two classes only: predict the second label where its probability, in double precision, is >= this
        number between 0 and 1. None leaves the decision to the estimator's own `predict`.
    class_multipliers : sequence of float or None
        More than two classes only: predict the label of the greatest product of probability, in double
        precision, and its multiplier; among equals the first. None as for `threshold`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    estimator_ : classifier
        Fitted on positions in `classes_`.
    """

    def __init__(
        self, estimator: Any = None, threshold: float | None = None, class_multipliers: Any = None
    ) -> None:
        self.estimator = estimator
        self.threshold = threshold
        self.class_multipliers = class_multipliers

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a pickle; release 0.1.0 called the multipliers `factors`."""
        if "factors" in state:
            state = {**state, "class_multipliers": state["factors"]}
            del state["factors"]
        super().__setstate__(state)

    def fit(self, X: Any, y: Any, **fit_params: Any) -> LabelEncodedClassifier:
        """Fit a clone of the estimator.

        `eval_set` in `fit_params`, a list of (X, y) pairs for xgboost's early stopping, has its labels
        encoded as well.

        Raises
        ------
        ValueError
            A label is missing, an evaluation label is unknown, the threshold is given with other than
            two classes or is not between 0 and 1, or there is not one positive multiplier for each class.
        """
        labels = np.asarray(y)
        self.classes_, encoded = np.unique(labels, return_inverse=True)
        if self.threshold is not None and (len(self.classes_) != 2 or not 0 < self.threshold < 1):
            raise ValueError(f"threshold={self.threshold!r} needs two classes and a value between 0 and 1")
        if self.class_multipliers is not None and (
            len(self.class_multipliers) != len(self.classes_)
            or len(self.classes_) < 3
            or min(self.class_multipliers) <= 0
        ):
            raise ValueError(
                f"class_multipliers={self.class_multipliers!r} needs one above 0 for each of three "
                "classes or more"
            )
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
        if self.threshold is not None:
            codes = self.estimator_.predict_proba(X)[:, 1].astype(np.float64) >= self.threshold
        elif self.class_multipliers is not None:
            weighted = self.estimator_.predict_proba(X).astype(np.float64) * np.asarray(
                self.class_multipliers
            )
            codes = np.argmax(weighted, axis=1)
        else:
            codes = np.asarray(self.estimator_.predict(X))
        return np.asarray(self.classes_[codes.astype(np.intp)])

    def predict_proba(self, X: Any) -> npt.NDArray[Any]:
        """Return probabilities of shape (n_rows, n_classes), in the order of `classes_`."""
        check_is_fitted(self)
        return np.asarray(self.estimator_.predict_proba(X))

    def _encode(self, y: Any) -> npt.NDArray[np.intp]:
        labels = np.asarray(y)
        positions = np.minimum(np.searchsorted(self.classes_, labels), len(self.classes_) - 1)
        if np.any(self.classes_[positions] != labels):
            raise ValueError("eval_set has labels that the training rows do not have")
        return positions


class LogTargetRegressor(MetaEstimatorMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A regressor of the logarithm of a positive target.

    The estimator inside learns the standardised logarithm. What it predicts is limited to the range seen in
    training, widened by a tenth on both sides: an exponential of anything beyond would be a wild guess.

    Parameters
    ----------
    estimator : regressor
        Cloned and fitted on standardised logarithms.

    Attributes
    ----------
    estimator_ : regressor
    mean_, scale_ : float
        Of the target's logarithm.
    low_, high_ : float
        Limits of the standardised logarithm.
    """

    def __init__(self, estimator: Any = None) -> None:
        self.estimator = estimator

    def fit(self, X: Any, y: Any, **fit_params: Any) -> LogTargetRegressor:
        """Fit a clone of the estimator.

        `eval_set` (xgboost's) and `validation` (our networks') in `fit_params` have their targets
        transformed as well.

        Raises
        ------
        ValueError
            A target is not positive.
        """
        target = np.asarray(y, dtype=np.float64)
        if not np.all(target > 0):
            raise ValueError("a logarithm needs positive targets")
        logs = np.log(target)
        self.mean_, self.scale_ = mean_and_deviation(logs, fit_params.get("sample_weight"))
        scaled = (logs - self.mean_) / self.scale_
        margin = 0.1 * (scaled.max() - scaled.min())
        self.low_, self.high_ = float(scaled.min() - margin), float(scaled.max() + margin)

        def held(pair: tuple[Any, Any]) -> tuple[Any, Any]:
            return pair[0], (np.log(np.asarray(pair[1], dtype=np.float64)) - self.mean_) / self.scale_

        if fit_params.get("eval_set"):
            fit_params = {**fit_params, "eval_set": [held(pair) for pair in fit_params["eval_set"]]}
        if fit_params.get("validation"):
            fit_params = {**fit_params, "validation": held(fit_params["validation"])}
        self.estimator_ = clone(self.estimator).fit(X, scaled, **fit_params)
        if hasattr(self.estimator_, "n_features_in_"):
            self.n_features_in_ = self.estimator_.n_features_in_
        return self

    def predict(self, X: Any) -> npt.NDArray[np.float64]:
        """Return predictions of shape (n_rows,)."""
        check_is_fitted(self)
        scaled = np.asarray(self.estimator_.predict(X), dtype=np.float64)
        return np.asarray(np.exp(np.clip(scaled, self.low_, self.high_) * self.scale_ + self.mean_))


def mean_and_deviation(
    values: npt.NDArray[np.float64], weight: npt.NDArray[np.float64] | None
) -> tuple[float, float]:
    """Return mean and standard deviation of rows' values; a deviation of 1 where all are equal."""
    if weight is None:
        return float(values.mean()), float(values.std()) or 1.0
    mean = float(np.average(values, weights=weight))
    return mean, float(np.sqrt(np.average(np.square(values - mean), weights=weight))) or 1.0


class _Blend(MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]
    """Members that are fitted on the same rows; a weighted mean of what they predict."""

    def __init__(self, estimators: Any = (), weights: Any = (), n_jobs: int = 1) -> None:
        self.estimators = estimators
        self.weights = weights
        self.n_jobs = n_jobs

    def _fit(self, X: Any, y: Any, sample_weight: Any) -> None:
        if len(self.estimators) != len(self.weights) or not self.estimators:
            raise ValueError("a blend needs one weight for each of its estimators")

        def fitted(pair: tuple[str, Any]) -> Any:
            member = clone(pair[1])
            if sample_weight is None:
                return member.fit(X, y)
            steps = getattr(member, "steps", None)
            name = "sample_weight" if steps is None else f"{steps[-1][0]}__sample_weight"
            return member.fit(X, y, **{name: sample_weight})

        # threads: the libraries let go of Python's lock while they compute
        with ThreadPoolExecutor(max(1, self.n_jobs)) as pool:
            self.estimators_ = list(pool.map(fitted, self.estimators))
        self.weights_ = [float(weight) for weight in self.weights]

    def _mean(self, predictions: list[npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
        total = np.zeros(predictions[0].shape)
        for weight, prediction in zip(self.weights_, predictions, strict=True):
            total = total + weight * np.asarray(prediction, dtype=np.float64)
        return total / float(np.sum(self.weights_))


class BlendedRegressor(RegressorMixin, _Blend):  # type: ignore[misc]
    """The weighted mean of several regressors' predictions, in double precision.

    Parameters
    ----------
    estimators : list of (name, regressor), pipelines among them
    weights : list of float, one for each
    n_jobs : how many are fitted at once, in threads

    Attributes
    ----------
    estimators_ : list of fitted regressors
    weights_ : list of float
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> BlendedRegressor:
        """Fit clones of the estimators."""
        self._fit(X, y, sample_weight)
        return self

    def predict(self, X: Any) -> npt.NDArray[np.float64]:
        """Return predictions of shape (n_rows,)."""
        check_is_fitted(self)
        return self._mean([member.predict(X) for member in self.estimators_])


class BlendedClassifier(ClassifierMixin, _Blend):  # type: ignore[misc]
    """The weighted mean of several classifiers' probabilities, in double precision.

    Parameters and attributes as `BlendedRegressor`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> BlendedClassifier:
        """Fit clones of the estimators, which have to know all classes."""
        self.classes_ = np.unique(y)
        self._fit(X, y, sample_weight)
        return self

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Return probabilities of shape (n_rows, n_classes)."""
        check_is_fitted(self)
        return self._mean([member.predict_proba(X) for member in self.estimators_])

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return the most likely label of each row, the first among equals."""
        return np.asarray(self.classes_[np.argmax(self.predict_proba(X), axis=1)])
