"""LabelEncodedClassifier and the networks as scikit-learn estimators."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from postgres_ml.estimators import LabelEncodedClassifier
from postgres_ml.networks import NetworkClassifier, NetworkRegressor
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBClassifier

SOURCE = np.random.default_rng(0)
X = SOURCE.normal(size=(200, 2))
XOR = (X[:, 0] > 0) ^ (X[:, 1] > 0)
TWO = (X[:, 0] + SOURCE.normal(scale=0.5, size=200) > 0).astype(int)


@pytest.mark.parametrize("labels", [["no", "yes"], [3, 7], [False, True], [0.5, 2.5], ["Ünfug", "b"]])
def test_labels_come_back_as_they_went_in(labels: list[Any]) -> None:
    y = np.array(labels)[TWO]
    fitted = LabelEncodedClassifier(XGBClassifier(n_estimators=3, n_jobs=1)).fit(X, y)
    assert fitted.classes_.tolist() == sorted(labels)
    predicted = fitted.predict(X)
    assert predicted.dtype == y.dtype
    assert set(predicted) == set(labels)
    assert np.mean(predicted == y) > 0.8
    assert fitted.predict_proba(X).shape == (200, 2)


def test_is_a_last_step_that_clones_and_pickles() -> None:
    y = np.where(TWO, "yes", "no")
    pipeline = make_pipeline(StandardScaler(), LabelEncodedClassifier(LogisticRegression(), threshold=0.3))
    fitted = clone(pipeline).fit(X, y)
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.predict(X), fitted.predict(X))
    assert fitted.score(X, y) > 0.6
    assert clone(fitted[-1]).threshold == 0.3


def test_threshold() -> None:
    y = np.where(TWO, "yes", "no")
    plain = LabelEncodedClassifier(LogisticRegression()).fit(X, y)
    probability = plain.predict_proba(X)[:, 1]
    for threshold in (0.2, 0.5, float(probability[17])):
        tuned = LabelEncodedClassifier(LogisticRegression(), threshold=threshold).fit(X, y)
        assert np.array_equal(tuned.predict(X) == "yes", probability >= threshold)


def test_threshold_needs_two_classes() -> None:
    for y, threshold in ((np.arange(200) % 3, 0.5), (TWO, 0.0), (TWO, 1.0)):
        with pytest.raises(ValueError, match="two classes"):
            LabelEncodedClassifier(LogisticRegression(), threshold=threshold).fit(X, y)


def test_evaluation_labels_are_encoded_too() -> None:
    y = np.where(TWO, "yes", "no")
    inner = XGBClassifier(n_estimators=50, early_stopping_rounds=2, n_jobs=1)
    fitted = LabelEncodedClassifier(inner).fit(X[:150], y[:150], eval_set=[(X[150:], y[150:])], verbose=False)
    assert fitted.estimator_.best_iteration < 49
    with pytest.raises(ValueError, match="eval_set"):
        LabelEncodedClassifier(inner).fit(X, y, eval_set=[(X[:1], ["maybe"])])


@pytest.mark.parametrize("activation", ["silu", "relu", "tanh"])
def test_network_learns_what_is_not_linear(activation: str) -> None:
    network = NetworkClassifier((16,), activation, learning_rate=0.05, n_epochs=60, random_state=0)
    fitted = clone(network).fit(X, np.where(XOR, "odd", "even"))
    assert fitted.score(X, np.where(XOR, "odd", "even")) > 0.95
    again = clone(network).fit(X, np.where(XOR, "odd", "even"))
    assert np.array_equal(again.predict_proba(X), fitted.predict_proba(X)), "seeded"
    regressor = NetworkRegressor((16,), activation, learning_rate=0.05, n_epochs=80, random_state=0)
    target = X[:, 0] * X[:, 1]
    assert regressor.fit(X, target).score(X, target) > 0.9


def test_network_of_three_classes() -> None:
    y = np.digitize(X[:, 0], [-0.5, 0.5])
    fitted = NetworkClassifier((8, 8), n_epochs=80, random_state=0).fit(X, y)
    assert fitted.score(X, y) > 0.9
    assert np.allclose(fitted.predict_proba(X).sum(axis=1), 1)


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_gradient_is_the_slope_of_the_loss(n_outputs: int) -> None:
    y = TWO if n_outputs == 1 else np.digitize(X[:, 0], [-0.5, 0.5])
    network = NetworkClassifier((4,), n_epochs=3, random_state=0).fit(X, y)
    targets = y[:, None].astype(float) if n_outputs == 1 else np.eye(3)[y]

    def loss() -> float:
        p = network._linked(network._raw(X))
        terms = targets * np.log(p) + ((1 - targets) * np.log(1 - p) if n_outputs == 1 else 0)
        return float(-terms.sum() / len(X))

    gradients = network._gradients(X, targets)
    for weights, gradient in zip([*network.coefs_, *network.intercepts_], gradients, strict=True):
        before = loss()
        weights.flat[0] += 1e-6
        assert (loss() - before) / 1e-6 == pytest.approx(gradient.flat[0], abs=1e-4)


def test_network_refuses() -> None:
    with pytest.raises(ValueError, match="gelu"):
        NetworkRegressor(activation="gelu").fit(X, TWO)
    with pytest.raises(ValueError, match="one class"):
        NetworkClassifier().fit(X, np.zeros(200))
