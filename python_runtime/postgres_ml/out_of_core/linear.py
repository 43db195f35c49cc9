"""Linear models on rows that are read in parts.

Input: encoded batches. Output: fitted Ridge or LogisticRegression, at the optimum of the library's own
objective. A ridge regression is solved from the batches' normal equations, in one pass. A logistic regression
takes a pass for each step of L-BFGS, which sees the loss and gradient of all rows: nothing is stochastic.
Source: the objectives that scikit-learn's user guide gives for `Ridge` and `LogisticRegression`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import scipy.linalg
import scipy.optimize
from scipy.special import logsumexp, softmax

from postgres_ml.snapshot.rows import Array

Encoded = Callable[[], Iterable[tuple[Array, Array, Array | None]]]
"""Returns the batches: a matrix, class codes or values, weights or None."""


def fit_ridge(estimator: Any, batches: Encoded) -> Any:
    """Return the Ridge, fitted."""
    sums = [
        _sums(np.column_stack([matrix, np.ones(len(matrix)), target]), weight)
        for matrix, target, weight in batches()
    ]
    moments = np.sum(sums, axis=0)
    products, with_target = moments[:-2, :-2], moments[:-2, -1]
    total = float(moments[-2, -2])
    mean, target_mean = moments[:-2, -2] / total, float(moments[-1, -2]) / total
    if not estimator.fit_intercept:
        mean, target_mean = np.zeros_like(mean), 0.0
    gram = products - total * np.outer(mean, mean)
    gram[np.diag_indices_from(gram)] += estimator.alpha
    estimator.coef_ = scipy.linalg.lstsq(gram, with_target - total * mean * target_mean)[0]
    estimator.intercept_ = float(target_mean - mean @ estimator.coef_) if estimator.fit_intercept else 0.0
    estimator.n_features_in_, estimator.n_iter_ = len(mean), None
    return estimator


def _sums(matrix: Array, weight: Array | None) -> Array:
    """Return the weighted sums of the products of all pairs of columns."""
    products: Array = (matrix if weight is None else matrix * weight[:, None]).T @ matrix
    return products


def fit_logistic(estimator: Any, batches: Encoded, counts: Array) -> Any:
    """Return the LogisticRegression of class codes, fitted.

    Parameters
    ----------
    counts : rows of each class, for `class_weight: balanced`
    """
    n_classes = len(counts)
    n_outputs = 1 if n_classes == 2 else n_classes
    balance = np.ones(n_classes)
    if estimator.class_weight == "balanced":
        balance = counts.sum() / (n_classes * counts)
    n_features = next(iter(batches()))[0].shape[1]

    def loss(flat: Array) -> tuple[float, Array]:
        weights = flat.reshape(n_outputs, n_features + 1)
        value, slope, total = 0.0, np.zeros_like(weights), 0.0
        for matrix, codes, weight in batches():
            each = balance[codes] if weight is None else balance[codes] * weight
            scores = matrix @ weights[:, :-1].T + weights[:, -1] * estimator.fit_intercept
            part, residual = _log_loss(scores, codes)
            total += float(each.sum())
            value += float(part @ each)
            residual *= each[:, None]
            slope[:, :-1] += residual.T @ matrix
            slope[:, -1] += residual.sum(axis=0) * estimator.fit_intercept
        strength = 0.0 if np.isinf(estimator.C) else 1 / (estimator.C * total)
        value = value / total + 0.5 * strength * float(np.square(weights[:, :-1]).sum())
        slope /= total
        slope[:, :-1] += strength * weights[:, :-1]
        return value, slope.ravel()

    found = scipy.optimize.minimize(
        loss,
        np.zeros(n_outputs * (n_features + 1)),
        jac=True,
        method="L-BFGS-B",
        options={
            "maxiter": estimator.max_iter,
            "maxls": 50,
            "gtol": estimator.tol,
            "ftol": 64 * np.finfo(float).eps,
        },
    )
    weights = found.x.reshape(n_outputs, n_features + 1)
    estimator.classes_ = np.arange(n_classes)
    estimator.coef_, estimator.intercept_ = weights[:, :-1].copy(), weights[:, -1].copy()
    estimator.n_features_in_ = n_features
    estimator.n_iter_ = np.array([found.nit], dtype=np.int32)
    return estimator


def _log_loss(scores: Array, codes: Array) -> tuple[Array, Array]:
    """Return each row's negative log-likelihood, and its gradient by the scores."""
    if scores.shape[1] == 1:
        value, both = _log_loss(np.hstack([np.zeros_like(scores), scores]), codes)
        return value, both[:, 1:]
    rows = np.arange(len(codes))
    residual: Array = softmax(scores, axis=1)
    residual[rows, codes] -= 1
    return logsumexp(scores, axis=1) - scores[rows, codes], residual
