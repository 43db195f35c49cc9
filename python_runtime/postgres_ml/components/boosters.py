"""A lightgbm Booster as an estimator, so that it can be a pipeline's last step.

xgboost's Boosters have estimators of their own library.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin


class _OfBooster(BaseEstimator):  # type: ignore[misc]
    """What both have in common.

    Parameters
    ----------
    booster : lightgbm's, trained
    """

    def __init__(self, booster: Any = None) -> None:
        self.booster = booster

    def fit(self, X: Any, y: Any = None) -> Any:
        """Return itself: it is trained."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    @property
    def feature_names_in_(self) -> npt.NDArray[Any]:
        """Names of the columns, or those that lightgbm invented."""
        return np.array(self.booster.feature_name(), dtype=object)

    @property
    def n_features_in_(self) -> int:
        """Number of columns."""
        return int(self.booster.num_feature())


class BoosterRegressor(RegressorMixin, _OfBooster):  # type: ignore[misc]
    """Predicts what Booster.predict returns: a number, of two classes the second one's probability."""

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return the booster's predictions of shape (n_rows,)."""
        return np.asarray(self.booster.predict(X))


class BoosterClassifier(ClassifierMixin, _OfBooster):  # type: ignore[misc]
    """Predicts the class of the greatest probability, as LGBMClassifier does; classes are 0, 1 and so on."""

    @property
    def classes_(self) -> npt.NDArray[np.int64]:
        """The numbers of the classes."""
        return np.arange(max(int(self.booster.num_model_per_iteration()), 2))

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return labels of shape (n_rows,)."""
        return np.asarray(self.classes_[np.argmax(self.predict_proba(X), axis=1)])

    def predict_proba(self, X: Any) -> npt.NDArray[Any]:
        """Return probabilities of shape (n_rows, n_classes)."""
        found = np.asarray(self.booster.predict(X))
        return found if found.ndim > 1 else np.column_stack((1.0 - found, found))
