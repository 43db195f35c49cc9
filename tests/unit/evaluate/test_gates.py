"""Which metrics let a version pass."""

import pytest
from postgres_ml.contract.config import Gate
from postgres_ml.contract.exceptions import SpecError
from postgres_ml.evaluate.gates import check_gates, check_promotion, gate_problem

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


@pytest.mark.parametrize(
    ("problem_type", "names", "lacking"),
    [
        ("regression", ["f1", "mse", "own_profit"], "f1; one for regression can have mse"),
        ("multiclass_classification", ["rmse", "f1"], "rmse; one for classification can have accuracy"),
        ("forecasting", ["mse", "mase"], "mse; one for forecasting can have mase"),
        ("binary_classification", ["f1", "auc", "own_profit"], ""),
        ("clustering", ["inertia", "silhouette"], ""),
    ],
)
def test_gates_that_no_such_model_can_meet(problem_type, names, lacking):
    found = gate_problem(names, problem_type)
    assert found.startswith(f"gates: this model has no {lacking}" if lacking else "") and bool(found) == bool(
        lacking
    )


def test_a_classifier_without_probabilities_has_no_metrics_of_them():
    assert gate_problem(["auc"], "binary_classification", has_probabilities=False).startswith(
        "gates: this model has no auc; one for classification can have accuracy, f1, f1_macro, precision, recall"
    )
