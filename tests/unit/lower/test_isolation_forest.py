"""Isolation forests as programs: the sum of depths to the last bit, and what is an anomaly exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from postgres_ml.components.anomaly import AnomalyDetector
from postgres_ml.contract.exceptions import UnsupportedModelError
from postgres_ml.lower import isolation_forest, parse_anomaly_rule, parse_pipeline
from postgres_ml.program.interpret import predict
from postgres_ml.program.program import BinaryLabel, Input
from sklearn.covariance import EllipticEnvelope
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import Ridge

INPUTS = tuple(Input(name, "double precision", "number") for name in "abc")
X = np.random.default_rng(0).normal(size=(400, 3))


def columns(rows: Any) -> dict[str, list[float]]:
    return {item.name: rows[:, k].tolist() for k, item in enumerate(INPUTS)}


@pytest.mark.parametrize("contamination", ["auto", 0.01, 0.25, 0.5])
def test_the_row_on_the_threshold_is_on_the_librarys_side(contamination: Any) -> None:
    forest = IsolationForest(n_estimators=7, contamination=contamination, random_state=1)
    fitted = AnomalyDetector(forest, has_rule=True).fit(X)
    rule = parse_anomaly_rule(fitted, INPUTS)
    assert rule is not None and rule.return_type == "boolean"
    assert predict(rule, columns(X)) == fitted.is_anomaly(X).tolist()
    scores = np.array(predict(parse_pipeline(fitted, INPUTS, "double precision"), columns(X)))
    assert np.allclose(scores, fitted.predict(X), rtol=1e-15)


def test_the_limit_is_the_greatest_sum_that_is_an_anomaly() -> None:
    fitted = IsolationForest(n_estimators=7, contamination=0.1, random_state=1).fit(X)
    output = parse_pipeline(fitted, INPUTS, "integer").output
    assert isinstance(output, BinaryLabel) and output.labels == (-1, 1)
    around = np.array([output.threshold, np.nextafter(output.threshold, np.inf)])
    assert isolation_forest._are_anomalies(fitted, around).tolist() == [True, False]


def test_missing_infinite_and_huge_values_go_where_the_library_sends_them() -> None:
    learned = X.copy()
    learned[::7, 1] = np.nan
    rows = np.array([[np.nan] * 3, [np.inf, 0, -np.inf], [1e300, -1e300, np.nan], [3.5e38, 1e-320, 0.0]])
    for options in ({}, {"max_features": 2, "bootstrap": True}):
        fitted = AnomalyDetector(IsolationForest(n_estimators=9, random_state=0, **options)).fit(learned)
        with np.errstate(over="ignore"):
            expected = fitted.predict(rows)
        found = predict(parse_pipeline(fitted, INPUTS, "double precision"), columns(rows))
        assert np.allclose(np.array(found), expected, rtol=1e-15)
        assert parse_anomaly_rule(fitted, INPUTS) is None


def test_trees_of_one_row_score_a_half() -> None:
    fitted = AnomalyDetector(IsolationForest(n_estimators=3, max_samples=1), has_rule=True).fit(X)
    assert predict(parse_pipeline(fitted, INPUTS, "double precision"), columns(X[:2])) == pytest.approx(
        [0.5] * 2
    )
    rule = parse_anomaly_rule(fitted, INPUTS)
    assert rule is not None and predict(rule, columns(X[:2])) == [False, False]


def test_another_detector_and_a_wavering_power_function_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnsupportedModelError, match="EllipticEnvelope inside"):
        parse_pipeline(AnomalyDetector(EllipticEnvelope()).fit(X), INPUTS, "double precision")
    assert parse_anomaly_rule(Ridge().fit(X, X[:, 0]), INPUTS) is None
    fitted = AnomalyDetector(IsolationForest(n_estimators=3, random_state=0), has_rule=True).fit(X)
    steady = isolation_forest._are_anomalies

    def wavering(forest: Any, depths: Any) -> Any:
        found = steady(forest, depths)
        if len(found) > 1:
            found[0] = not found[0]
        return found

    monkeypatch.setattr(isolation_forest, "_are_anomalies", wavering)
    with pytest.raises(UnsupportedModelError, match="does not fall steadily"):
        parse_pipeline(fitted, INPUTS, "double precision")
