"""Which metrics let a version pass."""

import pytest
from postgres_ml.contract.config import Gate
from postgres_ml.contract.exceptions import SpecError
from postgres_ml.evaluate.gates import check_gates, check_promotion

METRICS = {"f1": 0.6, "log_loss": 0.4}


@pytest.mark.parametrize(("operator", "passes"), [(">=", True), (">", False), ("<=", True), ("<", False)])
def test_bounds_count_as_the_operator_says(operator, passes):
    assert (check_gates([Gate("f1", operator, 0.6)], METRICS) is None) == passes


def test_every_gate_that_is_not_met_is_named():
    gates = [Gate("f1", ">", 0.7, "warn"), Gate("log_loss", "<", 0.1, "warn"), Gate("f1", ">", 0.1)]
    refusal = check_gates(gates, METRICS)
    assert refusal.text == "gate not met: f1 is 0.6, not > 0.7, log_loss is 0.4, not < 0.1"
    assert refusal.severity == "warn"
    assert check_gates([*gates, Gate("f1", ">", 0.9)], METRICS).severity == "error"


def test_a_metric_that_the_model_lacks_is_an_error():
    with pytest.raises(SpecError, match="this model has no mse; it has f1, log_loss"):
        check_gates([Gate("mse", "<", 1)], METRICS)


@pytest.mark.parametrize(
    ("metric", "score", "champion", "promoted"),
    [
        ("f1", 0.7, 0.6, True),
        ("f1", 0.6, 0.6, False),
        ("f1", 0.5, 0.6, False),
        ("mse", 0.5, 0.6, True),
        ("mse", 0.7, 0.6, False),
        ("mse", 0.7, None, True),
    ],
)
def test_only_better_is_promoted(metric, score, champion, promoted):
    assert (check_promotion(metric, score, champion, 7) is None) == promoted
