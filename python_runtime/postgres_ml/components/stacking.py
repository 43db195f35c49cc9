"""What other estimators predict, as columns to learn from (Wolpert 1992, "Stacked generalization")."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from postgres_ml.components.additive import AdditiveClassifier
from postgres_ml.components.estimators import mean_and_deviation
from postgres_ml.components.neural_network import NetworkClassifier

Floats = npt.NDArray[np.float64]
# Probabilities are kept this far from 0 and 1, whose log-odds are infinite.
FLOOR = 1e-6
FAR = float(np.log(1 - FLOOR) - np.log(FLOOR))  # these log-odds
N_FOLDS = 5


class OutOfFoldScores(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Scores of several estimators, standardised; the rows that it learns from get those of other rows.

    `fit_transform` is cross-fitted, as that of scikit-learn's TargetEncoder: each row's scores come from
    estimators that never saw it, so what learns from them is not told the rows' own targets. `transform` asks
    estimators that learned from all rows. So `fit(X, y).transform(X)` is not `fit_transform(X, y)`.

    Parameters
    ----------
    estimators : list of (name, estimator)
        Regressors, or classifiers with probabilities of codes 0 … n-1; pipelines among them. Cloned.
    is_regression : bool
        Scores are predictions. Else two classes give the log-odds of the second, and more of them the
        logarithm of each one's probability.
    n_folds : int
    random_state : int or None
        Of the folds.
    n_jobs : int
        How many are fitted at once, in threads.

    Attributes
    ----------
    estimators_ : list of estimators fitted on all rows
    center_, scale_ : ndarray of shape (n_scores,)
        Mean and standard deviation of the scores out of fold.
    """

    def __init__(
        self,
        estimators: Any = (),
        is_regression: bool = False,
        n_folds: int = N_FOLDS,
        random_state: int | None = None,
        n_jobs: int = 1,
    ) -> None:
        self.estimators = estimators
        self.is_regression = is_regression
        self.n_folds = n_folds
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any) -> OutOfFoldScores:
        """Fit clones of the estimators on all rows, and on folds for the scores' mean and deviation."""
        self.fit_transform(X, y)
        return self

    def fit_transform(self, X: Any, y: Any) -> Floats:
        """Fit, and return scores out of fold, of shape (n_rows, n_scores).

        Raises
        ------
        ValueError
            There are no estimators, or a fold lacks a class.
        """
        if not self.estimators:
            raise ValueError("there are no estimators to take scores from")
        target = np.asarray(y)
        folds = KFold if self.is_regression else StratifiedKFold
        splits = list(folds(self.n_folds, shuffle=True, random_state=self.random_state).split(X, target))
        learned = [*(train for train, _ in splits), np.arange(len(target))]
        jobs = [(one, rows) for rows in learned for _, one in self.estimators]
        # threads: the libraries let go of Python's lock while they compute
        with ThreadPoolExecutor(max(1, self.n_jobs)) as pool:
            fitted = list(pool.map(lambda job: clone(job[0]).fit(_rows(X, job[1]), target[job[1]]), jobs))
        n = len(self.estimators)
        self.estimators_ = fitted[-n:]
        held = [rows for _, rows in splits]
        parts = [self._scores(fitted[i * n : (i + 1) * n], _rows(X, rows)) for i, rows in enumerate(held)]
        scores = np.concatenate(parts)[np.argsort(np.concatenate(held))]
        self.center_, self.scale_ = mean_and_scale(scores)
        return (scores - self.center_) / self.scale_

    def transform(self, X: Any) -> Floats:
        """Return the scores of shape (n_rows, n_scores)."""
        check_is_fitted(self)
        return (self._scores(self.estimators_, X) - self.center_) / self.scale_

    def _scores(self, estimators: Any, X: Any) -> Floats:
        if self.is_regression:
            return np.hstack([_column(one.predict(X)) for one in estimators])
        return np.hstack([_class_scores(one, X) for one in estimators])


def scores_of(predicted: Any, *, is_regression: bool) -> Floats:
    """Return an estimator's predictions as scores, of shape (n_rows, n_scores).

    Parameters
    ----------
    predicted : values of shape (n_rows,), or probabilities of shape (n_rows, n_classes)
    """
    if is_regression:
        return _column(predicted)
    probabilities = np.asarray(predicted, dtype=np.float64)
    if probabilities.shape[1] > 2:
        return np.asarray(np.log(np.clip(probabilities, FLOOR, 1 - FLOOR)))
    positive = np.clip(probabilities[:, 1:], FLOOR, 1 - FLOOR)
    return np.asarray(np.log(positive) - np.log(1 - positive))


def has_margins(estimator: Any) -> bool:
    """Return whether a fitted classifier's scores are taken from what its probabilities are computed from.

    xgboost rounds probabilities to single precision: those near 1 hardly tell how far they are from it.
    """
    last = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    own = isinstance(last, LogisticRegression | NetworkClassifier | AdditiveClassifier)
    return own or _is_xgboosts(last)


def _is_xgboosts(estimator: Any) -> bool:
    """Return whether it is an XGBClassifier, by name: this module travels with models that need none."""
    return f"{type(estimator).__module__}.{type(estimator).__name__}" == "xgboost.sklearn.XGBClassifier"


def _class_scores(estimator: Any, X: Any) -> Floats:
    if not has_margins(estimator):
        return scores_of(estimator.predict_proba(X), is_regression=False)
    if isinstance(estimator, Pipeline):
        estimator, X = estimator[-1], estimator[:-1].transform(X)
    if _is_xgboosts(estimator):
        margins = estimator.predict(X, output_margin=True)
    elif isinstance(estimator, LogisticRegression):
        margins = estimator.decision_function(X)
    else:
        margins = estimator.scores(X)
    margins = np.asarray(margins, dtype=np.float64).reshape(len(margins), -1)
    if margins.shape[1] > 1:
        return scores_of(special.softmax(margins, axis=1), is_regression=False)
    return np.clip(margins, -FAR, FAR)


def mean_and_scale(scores: Floats) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of each column; a deviation of 1 where all its values are equal."""
    found = np.array([mean_and_deviation(column, None) for column in scores.T])
    return found[:, 0], found[:, 1]


def _column(values: Any) -> Floats:
    return np.asarray(values, dtype=np.float64).reshape(-1, 1)


def _rows(X: Any, places: npt.NDArray[Any]) -> Any:
    return X.iloc[places] if hasattr(X, "iloc") else X[places]
