"""Our own estimators as scikit-learn estimators."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from postgres_ml.components.estimators import (
    BlendedClassifier,
    BlendedRegressor,
    LabelEncodedClassifier,
    LogTargetRegressor,
)
from postgres_ml.components.neural_network import NetworkClassifier, NetworkRegressor
from postgres_ml.components.neural_network_training import Examples, Network, loss
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, Ridge
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


def test_factors_weigh_the_probabilities_of_several_classes() -> None:
    y = np.array(["a", "b", "c"])[np.digitize(X[:, 0], [-1.5, 1.0])]
    plain = LabelEncodedClassifier(LogisticRegression()).fit(X, y)
    weighted = LabelEncodedClassifier(LogisticRegression(), class_multipliers=(5.0, 1.0, 0.1)).fit(X, y)
    products = plain.predict_proba(X) * (5.0, 1.0, 0.1)
    assert np.array_equal(weighted.predict(X), plain.classes_[products.argmax(axis=1)])
    assert np.array_equal(weighted.predict_proba(X), plain.predict_proba(X))
    assert np.sum(weighted.predict(X) == "a") > np.sum(plain.predict(X) == "a")


@pytest.mark.parametrize(
    ("y", "factors"), [(TWO, (1.0, 2.0)), (TWO + XOR, (1.0, 2.0)), (TWO + XOR, (1, 0, 1))]
)
def test_factors_need_one_above_zero_for_each_class(y: Any, factors: Any) -> None:
    with pytest.raises(ValueError, match="three classes or more"):
        LabelEncodedClassifier(LogisticRegression(), class_multipliers=factors).fit(X, y)


def test_evaluation_labels_are_encoded_too() -> None:
    y = np.where(TWO, "yes", "no")
    inner = XGBClassifier(n_estimators=50, early_stopping_rounds=2, n_jobs=1)
    fitted = LabelEncodedClassifier(inner).fit(X[:150], y[:150], eval_set=[(X[150:], y[150:])], verbose=False)
    assert fitted.estimator_.best_iteration < 49
    with pytest.raises(ValueError, match="eval_set"):
        LabelEncodedClassifier(inner).fit(X, y, eval_set=[(X[:1], ["maybe"])])


def test_a_network_predicts_many_rows_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = NetworkRegressor((4,), n_epochs=2, random_state=0).fit(X, X[:, 0])
    at_once = fitted.predict(X)
    monkeypatch.setattr("postgres_ml.components.neural_network.PREDICTED_AT_ONCE", 30)
    assert np.allclose(fitted.predict(X), at_once, rtol=1e-12)
    assert len(fitted.predict(X[:30])) == 30


@pytest.mark.parametrize("activation", ["silu", "relu", "tanh"])
def test_network_learns_what_is_not_linear(activation: str) -> None:
    network = NetworkClassifier((16,), activation, 0.05, n_epochs=80, batch_size=20, random_state=0)
    fitted = clone(network).fit(X, np.where(XOR, "odd", "even"))
    assert fitted.score(X, np.where(XOR, "odd", "even")) > 0.95
    again = clone(network).fit(X, np.where(XOR, "odd", "even"))
    assert np.array_equal(again.predict_proba(X), fitted.predict_proba(X)), "seeded"
    regressor = NetworkRegressor((16,), activation, 0.05, n_epochs=80, batch_size=20, random_state=0)
    target = X[:, 0] * X[:, 1]
    assert regressor.fit(X, target).score(X, target) > 0.9


def test_network_of_three_classes() -> None:
    y = np.digitize(X[:, 0], [-0.5, 0.5])
    fitted = NetworkClassifier((8, 8), n_epochs=80, random_state=0).fit(X, y)
    assert fitted.score(X, y) > 0.9
    assert np.allclose(fitted.predict_proba(X).sum(axis=1), 1)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("link", ["identity", "logistic", "softmax"])
def test_gradient_is_the_slope_of_the_loss(link: str, weighted: bool) -> None:
    y = np.digitize(X[:, 0], [-0.5, 0.5])
    targets = np.eye(3)[y] if link == "softmax" else TWO[:, None].astype(float)
    parameters = NetworkRegressor((4, 3), dropout=0.0).get_params()
    weight = np.random.default_rng(3).uniform(0.2, 1.8, (len(X), 1))
    examples = Examples(X, targets, weight / weight.mean() if weighted else None)
    network = Network(parameters, examples, link, np.random.default_rng(1))
    # in doubles, with a last layer that isn't zero
    network.values = [np.random.default_rng(2).normal(size=v.shape) for v in network.values]

    def now() -> float:
        return loss(network.layers().outputs(X), examples, link)

    for values, gradient in zip(network.values, network.gradients(examples), strict=True):
        before = now()
        values.flat[0] += 1e-6
        assert (now() - before) / 1e-6 == pytest.approx(gradient.flat[0], abs=1e-4)


def test_network_keeps_the_epoch_that_is_best_on_rows_not_trained_on() -> None:
    noise = SOURCE.permutation(TWO)  # nothing to learn: every epoch makes it worse
    network = NetworkClassifier((32,), n_epochs=60, learning_rate=0.1, random_state=0)
    fitted = clone(network).fit(X[:100], noise[:100], validation=(X[100:], noise[100:]))
    assert fitted.best_epoch_ < 30
    assert clone(network).fit(X[:100], noise[:100]).best_epoch_ == 60
    stopped = clone(network).set_params(stop_epoch=7).fit(X[:100], noise[:100])
    assert stopped.best_epoch_ == 7


def test_network_stops_when_it_is_late() -> None:
    asked: list[int] = []

    def is_late() -> bool:
        asked.append(1)
        return len(asked) == 3

    assert NetworkRegressor((4,), n_epochs=50, is_late=is_late).fit(X, TWO).best_epoch_ == 3


def test_dropout_and_decay_keep_weights_small() -> None:
    plain = NetworkRegressor((16,), n_epochs=40, random_state=0).fit(X, X[:, 0])
    decayed = NetworkRegressor((16,), n_epochs=40, random_state=0, weight_decay=20.0, dropout=0.5).fit(
        X, X[:, 0]
    )
    assert np.abs(decayed.coefs_[0]).mean() < np.abs(plain.coefs_[0]).mean()


def test_network_predicts_in_the_targets_own_scale() -> None:
    target = 1e6 + 1e3 * X[:, 0]
    fitted = NetworkRegressor((16,), n_epochs=60, random_state=0).fit(X, target)
    assert fitted.score(X, target) > 0.95


def test_log_target() -> None:
    target = np.exp(2 + X[:, 0])
    fitted = clone(LogTargetRegressor(Ridge(alpha=1e-6))).fit(X, target)
    assert np.allclose(fitted.predict(X), target, rtol=1e-4)
    far = fitted.predict(np.array([[50.0, 0.0]]))[0]
    assert target.max() < far < target.max() ** 2, "limited to the range seen, and a tenth"
    with pytest.raises(ValueError, match="positive"):
        LogTargetRegressor(Ridge()).fit(X, X[:, 0])


def test_blend_is_the_weighted_mean_of_its_members() -> None:
    members = [("a", LogisticRegression()), ("b", XGBClassifier(n_estimators=3, n_jobs=1))]
    blend = clone(BlendedClassifier(members, [3.0, 1.0], n_jobs=2)).fit(X, TWO)
    alone = [clone(member).fit(X, TWO).predict_proba(X) for _, member in members]
    expected = (3 * alone[0] + alone[1].astype(float)) / 4
    assert np.array_equal(blend.predict_proba(X), expected)
    assert np.array_equal(blend.predict(X), expected.argmax(axis=1))
    regressor = BlendedRegressor([("a", Ridge())], [1.0]).fit(X, X[:, 0])
    assert np.array_equal(regressor.predict(X), Ridge().fit(X, X[:, 0]).predict(X))
    with pytest.raises(ValueError, match="one weight for each"):
        BlendedRegressor([("a", Ridge())], [1.0, 2.0]).fit(X, X[:, 0])


def test_network_refuses() -> None:
    with pytest.raises(ValueError, match="gelu"):
        NetworkRegressor(activation="gelu").fit(X, TWO)
    with pytest.raises(ValueError, match="one class"):
        NetworkClassifier().fit(X, np.zeros(200))
