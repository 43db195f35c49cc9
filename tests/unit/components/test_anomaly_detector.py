"""The detector whose prediction is the score."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from postgres_ml.components.anomaly import AnomalyDetector
from postgres_ml.evaluate.anomalies import evaluate_anomalies, has_rule, predict_is_anomaly, threshold
from sklearn.base import clone
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

X = np.random.default_rng(0).normal(size=(300, 2))


def test_it_predicts_the_score_and_tells_anomalies_if_it_has_a_rule() -> None:
    forest = IsolationForest(n_estimators=10, contamination=0.1, random_state=0)
    made = AnomalyDetector(forest, has_rule=True).fit(X)
    plain = forest.fit(X)
    assert np.array_equal(made.predict(X), -plain.score_samples(X))
    assert made.is_anomaly(X).tolist() == (plain.predict(X) == -1).tolist() and made.is_anomaly(X).sum() == 30
    again = pickle.loads(pickle.dumps(made))
    assert np.array_equal(again.predict(X), made.predict(X)) and again.n_features_in_ == 2
    assert clone(made).get_params()["estimator__contamination"] == 0.1
    assert not hasattr(AnomalyDetector(forest).fit(X), "is_anomaly")


def test_the_metrics_describe_the_scores() -> None:
    forest = IsolationForest(n_estimators=10, contamination=0.1, random_state=0)
    pipeline = make_pipeline(StandardScaler(), AnomalyDetector(forest, has_rule=True)).fit(X)
    found = evaluate_anomalies(pipeline, X)
    assert found["anomaly_share"] == pytest.approx(0.1) == predict_is_anomaly(pipeline, X).mean()
    assert found["score_median"] < found["score_p95"] < found["score_p99"] < found["score_max"] < 1
    assert found["score_median"] < threshold(pipeline) < found["score_max"]
    assert has_rule(pipeline) and not has_rule(make_pipeline(AnomalyDetector(forest)))
    untold = make_pipeline(AnomalyDetector(IsolationForest(n_estimators=10, random_state=0))).fit(X)
    assert threshold(untold) is None and "anomaly_share" not in evaluate_anomalies(untold, X)
