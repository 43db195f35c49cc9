"""Linear models of batches against scikit-learn's own, on the same rows in one matrix."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from postgres_ml.out_of_core.linear import fit_logistic, fit_ridge
from sklearn.linear_model import LogisticRegression, Ridge

N, P = 600, 7


def drawn(n_classes: int) -> tuple[Any, Any, Any]:
    random = np.random.default_rng(n_classes)
    matrix = random.normal(size=(N, P)) * np.arange(1, P + 1)
    matrix[:, 3] = matrix[:, 2] + 1e-3 * random.normal(size=N)  # nearly the same
    score = (
        matrix @ random.normal(size=(P, max(n_classes, 1))) + 3 + random.normal(size=(N, max(n_classes, 1)))
    )
    target = score.argmax(axis=1) if n_classes > 2 else score[:, 0] > 3 if n_classes else score[:, 0]
    return matrix, target.astype(np.int64 if n_classes else float), random.integers(1, 5, N).astype(float)


def batches(matrix: Any, target: Any, weight: Any) -> Callable[[], Iterator[Any]]:
    def each() -> Iterator[Any]:
        for part in np.array_split(np.arange(N), 7):
            yield matrix[part], target[part], None if weight is None else weight[part]

    return each


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("options", [{}, {"alpha": 30.0}, {"fit_intercept": False}, {"alpha": 0.0}])
def test_ridge_is_the_librarys(options: dict[str, Any], is_weighted: bool) -> None:
    matrix, target, weight = drawn(0)
    given = weight if is_weighted else None
    ours = fit_ridge(Ridge(**options), batches(matrix, target, given))
    theirs = Ridge(solver="svd", **options).fit(matrix, target, sample_weight=given)
    np.testing.assert_allclose(ours.predict(matrix), theirs.predict(matrix), rtol=1e-6, atol=1e-6)
    assert ours.n_features_in_ == P


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(
    ("options", "is_weighted"),
    [
        ({}, False), ({}, True), ({"C": 0.01}, True), ({"fit_intercept": False}, False),
        ({"class_weight": "balanced"}, False),
    ],
)  # fmt: skip
def test_logistic_regression_is_the_librarys(
    options: dict[str, Any], n_classes: int, is_weighted: bool
) -> None:
    matrix, target, weight = drawn(n_classes)
    given = weight if is_weighted else None
    exact = {"max_iter": 10_000, "tol": 1e-9, **options}
    counts = np.bincount(target, minlength=n_classes)
    ours = fit_logistic(LogisticRegression(**exact), batches(matrix, target, given), counts)
    theirs = LogisticRegression(**exact).fit(matrix, target, sample_weight=given)
    np.testing.assert_allclose(ours.predict_proba(matrix), theirs.predict_proba(matrix), atol=1e-4)
    assert ours.coef_.shape == theirs.coef_.shape and ours.n_iter_[0] > 1
