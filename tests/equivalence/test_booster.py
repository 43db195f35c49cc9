"""An xgboost Booster by itself against Booster.predict."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xgboost
from equivalence.draw import NUMBERS, SeededDraw, draw_frame, draw_targets
from equivalence.oracle import Fitted, check_predictions, expected_of
from postgres_ml.lower import parse_pipeline
from postgres_ml.program.adversarial import adversarial_rows
from postgres_ml.program.interpret import predict, predict_probabilities

NAMES = [item.name for item in NUMBERS]


class DMatrixPredictor:
    """A Booster with the `predict` of an estimator: the oracle's side only."""

    def __init__(self, booster: xgboost.Booster) -> None:
        self.booster = booster

    def predict(self, frame: Any) -> np.ndarray:
        predicted = self.booster.predict(xgboost.DMatrix(frame.to_numpy(), nthread=1))
        return np.argmax(predicted, axis=1) if predicted.ndim > 1 else predicted.astype(np.float64)


@pytest.mark.parametrize(
    ("objective", "booster", "tolerance"),
    [
        ("reg:squarederror", "gbtree", 0.0),
        ("reg:squarederror", "dart", 0.0),
        ("binary:logistic", "gbtree", 2e-7),
        ("binary:hinge", "gbtree", 0.0),
        ("multi:softmax", "gbtree", 0.0),
        ("multi:softprob", "dart", 0.0),
    ],
)
def test_booster(objective: str, booster: str, tolerance: float) -> None:
    draw = SeededDraw(7)
    frame = draw_frame(draw)[NAMES]
    signal = draw_targets(draw_frame(SeededDraw(7)), draw)["regression"]
    target = {"reg": signal, "bin": signal > 0, "mul": np.digitize(signal, [-0.5, 1.0])}[objective[:3]]
    options = {"objective": objective, "booster": booster, "max_depth": 4, "rate_drop": 0.5, "nthread": 1}
    if objective.startswith("multi"):
        options["num_class"] = 3
    data = xgboost.DMatrix(frame.to_numpy(), target, nthread=1)
    trained = xgboost.train(options, data, 9)
    return_type = "integer" if objective.startswith("multi") else "double precision"
    program = parse_pipeline(trained, NUMBERS, return_type)
    fitted = Fitted(DMatrixPredictor(trained), NUMBERS, frame, return_type)
    for columns in (fitted.training_columns, adversarial_rows(program, 3, 300)):
        predictions = predict(program, columns)
        expected = expected_of(fitted, columns, hint=[p is None for p in predictions])
        check_predictions(program, columns, expected, predictions, None, tolerance)
    assert expected.refused.any(), "a DMatrix refuses infinities"
    if objective == "multi:softprob":
        rows = {name: [0.25, -1.0] for name in NAMES}
        theirs = trained.predict(xgboost.DMatrix(np.array([[0.25] * 4, [-1.0] * 4])))
        assert np.allclose(predict_probabilities(program, rows), theirs, rtol=0, atol=1.2e-7)


def test_all_rounds_count_where_training_stopped_early() -> None:
    """Booster.predict ignores best_iteration; the estimators' predict stops there."""
    draw = SeededDraw(1)
    frame = draw_frame(draw, 400)[NAMES]
    noise = np.random.default_rng(0).normal(size=400)
    options: dict[str, Any] = {"n_estimators": 60, "early_stopping_rounds": 2, "n_jobs": 1, "max_depth": 3}
    estimator = xgboost.XGBRegressor(**options)
    estimator.fit(frame[:300], noise[:300], eval_set=[(frame[300:], noise[300:])], verbose=False)
    assert estimator.best_iteration + 1 < estimator.get_booster().num_boosted_rounds()
    stopped = parse_pipeline(estimator, NUMBERS, "double precision")
    whole = parse_pipeline(estimator.get_booster(), NUMBERS, "double precision")
    columns = Fitted(estimator, NUMBERS, frame, "double precision").training_columns
    assert predict(stopped, columns) == estimator.predict(frame).astype(np.float64).tolist()
    matrix = xgboost.DMatrix(frame)
    assert predict(whole, columns) == estimator.get_booster().predict(matrix).astype(np.float64).tolist()
    assert stopped.n_nodes < whole.n_nodes
