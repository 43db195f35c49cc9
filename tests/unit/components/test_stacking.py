"""Scores out of fold, beside scikit-learn's own cross-validation and stacking."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from postgres_ml.components.additive import AdditiveClassifier
from postgres_ml.components.neural_network import NetworkClassifier
from postgres_ml.components.stacking import OutOfFoldScores, scores_of
from scipy import special
from sklearn.base import clone
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import StackingClassifier, StackingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from xgboost import XGBClassifier


def classes(n_classes: int) -> tuple[Any, Any]:
    return make_classification(300, 8, n_informative=5, n_classes=n_classes, random_state=0)


def logits(probabilities: Any) -> Any:
    p = np.clip(probabilities, 1e-6, 1 - 1e-6)
    return np.log(p[:, 1:] / (1 - p[:, 1:])) if p.shape[1] == 2 else np.log(p)


CLASSIFIERS = [
    ("linear", make_pipeline(StandardScaler(), LogisticRegression())),
    ("tree", DecisionTreeClassifier(min_samples_leaf=9, random_state=0)),
]
REGRESSORS = [("linear", Ridge()), ("tree", DecisionTreeRegressor(max_depth=3, random_state=0))]


@pytest.mark.parametrize("n_classes", [2, 3])
def test_training_rows_have_the_scores_of_cross_validation(n_classes: int) -> None:
    x, y = classes(n_classes)
    scores = OutOfFoldScores(CLASSIFIERS, random_state=7, n_jobs=2)
    found = scores.fit_transform(x, y)
    folds = StratifiedKFold(5, shuffle=True, random_state=7)
    expected = np.hstack(
        [
            logits(cross_val_predict(clone(one), x, y, cv=folds, method="predict_proba"))
            for _, one in CLASSIFIERS
        ]
    )
    np.testing.assert_allclose(found, StandardScaler().fit_transform(expected), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_other_rows_have_the_scores_of_sklearns_stacking(n_classes: int) -> None:
    x, y = classes(n_classes)
    train, other = slice(0, 250), slice(250, None)
    scores = OutOfFoldScores(CLASSIFIERS).fit(x[train], y[train])
    library = StackingClassifier(CLASSIFIERS, stack_method="predict_proba").fit(x[train], y[train])
    expected = np.hstack([logits(one.predict_proba(x[other])) for one in library.estimators_])
    expected = (expected - scores.center_) / scores.scale_
    np.testing.assert_allclose(scores.transform(x[other]), expected, rtol=1e-9)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_scores_of_boosted_trees_are_margins(n_classes: int) -> None:
    x, y = classes(n_classes)
    scores = OutOfFoldScores([("trees", XGBClassifier(n_estimators=9, n_jobs=1))]).fit(x, y)
    margins = scores.estimators_[0].predict(x, output_margin=True).astype(np.float64)
    if n_classes > 2:
        margins = margins - special.logsumexp(margins, axis=1, keepdims=True)
    expected = (margins.reshape(len(x), -1) - scores.center_) / scores.scale_
    np.testing.assert_allclose(scores.transform(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("make", [AdditiveClassifier, NetworkClassifier], ids=["tables", "network"])
def test_scores_of_our_own_are_what_their_probabilities_come_from(make: Any, n_classes: int) -> None:
    x, y = classes(n_classes)
    options = {"outer_bags": 1} if make is AdditiveClassifier else {"n_epochs": 5}
    own = make(random_state=0, **options)
    scores = OutOfFoldScores([("own", own)]).fit(x, y)
    expected = logits(scores.estimators_[0].predict_proba(x))
    expected = (expected - scores.center_) / scores.scale_
    np.testing.assert_allclose(scores.transform(x), expected, rtol=1e-8, atol=1e-8)


def test_a_regressions_scores_are_its_predictions() -> None:
    x, y = make_regression(200, 5, noise=9.0, random_state=0)
    scores = OutOfFoldScores(REGRESSORS, is_regression=True, random_state=3)
    found = scores.fit_transform(x, y)
    folds = KFold(5, shuffle=True, random_state=3)
    expected = np.column_stack([cross_val_predict(clone(one), x, y, cv=folds) for _, one in REGRESSORS])
    np.testing.assert_allclose(found, StandardScaler().fit_transform(expected), rtol=1e-9, atol=1e-9)
    library = StackingRegressor(REGRESSORS).fit(x, y)
    expected = np.column_stack([one.predict(x) for one in library.estimators_])
    np.testing.assert_allclose(scores.transform(x), (expected - scores.center_) / scores.scale_, rtol=1e-9)


def test_no_row_is_told_its_own_target() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(400, 3)), random.integers(0, 2, 400)
    memory = [("memory", DecisionTreeClassifier(random_state=0))]
    scores = OutOfFoldScores(memory, random_state=0)
    assert abs(np.corrcoef(scores.fit_transform(x, y)[:, 0], y)[0, 1]) < 0.15
    assert np.corrcoef(scores.transform(x)[:, 0], y)[0, 1] > 0.99, "that of rows it learned from"


def test_certain_probabilities_give_finite_scores() -> None:
    assert np.isfinite(scores_of(np.array([[0.0, 1.0], [1.0, 0.0]]), is_regression=False)).all()
    assert np.isfinite(scores_of(np.eye(3), is_regression=False)).all()


def test_nothing_below_is_refused() -> None:
    with pytest.raises(ValueError, match="no estimators"):
        OutOfFoldScores().fit(np.zeros((9, 1)), np.zeros(9))
