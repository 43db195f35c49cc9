"""Additive models: a table of points for each column and for a few pairs of columns, whose sum is the score.

The model is its tables: `predict` adds up doubles in the order of the terms, as every runtime does. How the
tables come about is in `additive_boosting`, which only `fit` needs.

Source: Lou et al. 2013, "Accurate intelligible models with pairwise interactions" (GA2M); Nori et al. 2019,
"InterpretML" for the names of the parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

Floats = npt.NDArray[np.float64]
# By name: the artifact of runtime python takes along what this module imports, and xgboost with it.
BOOSTING = "postgres_ml.components.additive_boosting"


@dataclass(frozen=True)
class Axis:
    """How the values of one column fall into bins.

    Bin k has the values with k edges at or below them (numpy.searchsorted, side 'right'); the last bin,
    len(edges) + 1, has missing values.

    Parameters
    ----------
    feature : position of the column
    edges : strictly increasing; of a column of categories the codes, so that bin 0 is what was never seen
    """

    feature: int
    edges: tuple[float, ...]

    @property
    def n_bins(self) -> int:
        """Number of bins, that of missing values included."""
        return len(self.edges) + 2

    def bins(self, X: Floats) -> npt.NDArray[np.int64]:
        """Return each row's bin, of shape (n_rows,)."""
        x = X[:, self.feature]
        found = np.searchsorted(self.edges, x, side="right")
        return np.where(np.isnan(x), self.n_bins - 1, found)


@dataclass(frozen=True)
class Term:
    """The points of one column, or of a pair of columns.

    Parameters
    ----------
    axes : positions in the model's axes, one or two
    points : of shape (n_outputs, n_cells); of a pair, bins i and j are cell
        i * n_bins of the second + j
    shares : of shape (n_cells,), the share of the training rows in each cell
    """

    axes: tuple[int, ...]
    points: Floats
    shares: Floats


class _Additive(BaseEstimator):  # type: ignore[misc]
    """What both have in common.

    Parameters
    ----------
    interactions : int
        How many pairs of columns have a table of their own; 0 for none.
    max_bins, max_interaction_bins : int
        Bins of a number by itself, and in a pair; missing values have one more.
    learning_rate : float
        Of boosting.
    max_rounds : int
        Trees per class at most, of the columns and of the pairs; early stopping ends most fits before.
    max_leaves : int
        Of a tree of one column.
    outer_bags : int
        How many models are averaged, each of which stops early by other rows that it did not learn from.
    min_child_weight, reg_lambda : float
        xgboost's parameters of the trees.
    categorical : sequence of int
        Positions of the columns that hold codes of categories: 0, 1, … ; -1 was never seen, NaN is missing.
    monotone_constraints : sequence of int or None
        1 increasing, -1 decreasing, 0 neither, one for each column.
    random_state : int
    n_jobs : int
        Threads.
    is_late : callable or None
        Ends boosting early when it returns true.

    Attributes
    ----------
    intercept_ : ndarray of shape (n_outputs,)
    axes_ : list of Axis
    terms_ : list of Term, columns before pairs
    n_features_in_ : int
    """

    def __init__(
        self,
        interactions: int = 10,
        max_bins: int = 256,
        max_interaction_bins: int = 32,
        learning_rate: float = 0.1,
        max_rounds: int = 2000,
        max_leaves: int = 3,
        outer_bags: int = 5,
        min_child_weight: float = 1.0,
        reg_lambda: float = 1.0,
        categorical: Sequence[int] = (),
        monotone_constraints: Sequence[int] | None = None,
        random_state: int = 0,
        n_jobs: int = 1,
        is_late: Callable[[], bool] | None = None,
    ) -> None:
        self.interactions = interactions
        self.max_bins = max_bins
        self.max_interaction_bins = max_interaction_bins
        self.learning_rate = learning_rate
        self.max_rounds = max_rounds
        self.max_leaves = max_leaves
        self.outer_bags = outer_bags
        self.min_child_weight = min_child_weight
        self.reg_lambda = reg_lambda
        self.categorical = categorical
        self.monotone_constraints = monotone_constraints
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.is_late = is_late

    def _fit(self, X: Any, y: Floats, n_classes: int, sample_weight: Any) -> None:
        matrix = _matrix(X)
        if np.isinf(matrix).any():
            raise ValueError("X contains infinity, between which and a number there is no edge")
        weight = np.ones(len(matrix)) if sample_weight is None else np.asarray(sample_weight, np.float64)
        self.n_features_in_ = matrix.shape[1]
        self.intercept_, self.axes_, self.terms_ = import_module(BOOSTING).fit_tables(
            self, matrix, y, n_classes, weight
        )

    def scores(self, X: Any) -> Floats:
        """Return the sums of points of shape (n_rows, n_outputs): target, log-odds, or one log-odds a class.

        Parameters
        ----------
        X : of shape (n_rows, n_features); NaN is missing, infinities are in the outermost bins
        """
        check_is_fitted(self)
        matrix = _matrix(X)
        bins = [axis.bins(matrix) for axis in self.axes_]
        total: Floats = np.tile(self.intercept_, (len(matrix), 1))
        for term in self.terms_:
            cells = bins[term.axes[0]]
            if len(term.axes) == 2:
                cells = cells * self.axes_[term.axes[1]].n_bins + bins[term.axes[1]]
            total += term.points[:, cells].T
        return total

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "terms_")


class AdditiveRegressor(RegressorMixin, _Additive):  # type: ignore[misc]
    """An additive model of a number; points are in units of the target.

    Parameters and attributes as `_Additive` says.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> AdditiveRegressor:
        """Fit the tables by squared error.

        Parameters
        ----------
        X : of shape (n_rows, n_features); NaN is missing, infinities are refused
        y : of shape (n_rows,)
        sample_weight : of shape (n_rows,), positive; None counts all rows alike

        Raises
        ------
        ValueError
            X has infinities, or fewer rows than there are bags.
        """
        self._fit(X, np.asarray(y, dtype=np.float64), 0, sample_weight)
        return self

    def predict(self, X: Any) -> Floats:
        """Return predictions of shape (n_rows,)."""
        found: Floats = self.scores(X)[:, 0]
        return found


class AdditiveClassifier(ClassifierMixin, _Additive):  # type: ignore[misc]
    """An additive model of log-odds: of the second of two classes, or of each of more.

    Parameters and attributes as `_Additive` says.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> AdditiveClassifier:
        """Fit the tables by log loss; parameters and errors as `AdditiveRegressor.fit`."""
        self.classes_, codes = np.unique(np.asarray(y), return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("a classifier needs rows of two classes or more")
        self._fit(X, codes.astype(np.float64), len(self.classes_), sample_weight)
        return self

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return labels of shape (n_rows,): the greatest score's; the second of two where it is > 0."""
        scores = self.scores(X)
        codes = scores[:, 0] > 0 if scores.shape[1] == 1 else np.argmax(scores, axis=1)
        return np.asarray(self.classes_[np.asarray(codes, dtype=np.intp)])

    def predict_proba(self, X: Any) -> Floats:
        """Return probabilities of shape (n_rows, n_classes), in the order of `classes_`."""
        scores = self.scores(X)
        if scores.shape[1] == 1:
            with np.errstate(over="ignore"):
                positive = 1 / (np.exp(-scores[:, 0]) + 1)
            return np.column_stack((1 - positive, positive))
        terms = np.exp(scores - scores.max(axis=1, keepdims=True))
        result: Floats = terms / terms.sum(axis=1, keepdims=True)
        return result


def _matrix(X: Any) -> Floats:
    matrix = np.asarray(X, dtype=np.float64)
    if matrix.ndim != 2:
        raise ValueError(f"X has {matrix.ndim} dimensions, not two")
    return matrix
