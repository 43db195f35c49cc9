from __future__ import annotations

import numpy as np
import pytest
from postgres_ml.evaluate import metrics as evaluate
from postgres_ml.features.problem import Problem
from postgres_ml.search.decision_rule import choose_threshold
from sklearn import metrics as sk

BINARY = Problem("binary_classification", "f1", "f1", np.array(["no", "yes"], dtype=object))


def noisy(n: int, seed: int, share: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    codes = (random.random(n) < share).astype(int)
    positive = np.clip(random.normal(0.35 + 0.3 * codes, 0.2), 0.001, 0.999)
    return codes, np.column_stack([1 - positive, positive])


def test_binary_metrics_are_scikit_learns_with_the_later_label_positive() -> None:
    codes, probabilities = noisy(500, 0)
    predicted = probabilities.argmax(axis=1)
    scores = evaluate.classification_metrics(codes, predicted, probabilities)
    assert scores == {
        "accuracy": sk.accuracy_score(codes, predicted),
        "auc": sk.roc_auc_score(codes, probabilities[:, 1]),
        "f1": sk.f1_score(codes, predicted),
        "f1_macro": sk.f1_score(codes, predicted, average="macro"),
        "log_loss": pytest.approx(sk.log_loss(codes, probabilities), rel=1e-12),
        "precision": sk.precision_score(codes, predicted),
        "recall": sk.recall_score(codes, predicted),
    }


def test_multiclass_metrics_are_scikit_learns() -> None:
    random = np.random.default_rng(1)
    probabilities = random.dirichlet([1, 1, 1], 300)
    codes = np.array([random.choice(3, p=p) for p in probabilities])
    predicted = probabilities.argmax(axis=1)
    scores = evaluate.classification_metrics(codes, predicted, probabilities)
    assert scores["auc"] == pytest.approx(
        sk.roc_auc_score(codes, probabilities, multi_class="ovr"), rel=1e-12
    )
    assert scores["recall"] == sk.recall_score(codes, predicted, average="macro")
    assert "f1" not in scores


def test_auc_leaves_out_a_class_that_the_rows_lack() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1]])
    assert (
        evaluate.classification_metrics(np.array([0, 1, 0]), np.array([0, 1, 0]), probabilities)["auc"] == 1.0
    )


def test_regression_metrics_are_scikit_learns() -> None:
    truth, predicted = np.array([1.0, 2.0, 4.0]), np.array([1.5, 2.0, 3.0])
    scores = evaluate.regression_metrics(truth, predicted)
    assert scores == {
        "mse": pytest.approx(1.25 / 3),
        "rmse": pytest.approx((1.25 / 3) ** 0.5),
        "mae": pytest.approx(0.5),
        "r2": pytest.approx(sk.r2_score(truth, predicted)),
    }


def test_a_quantile_is_judged_by_pinball_loss() -> None:
    truth, predicted = np.array([1.0, 2.0, 4.0]), np.array([1.5, 2.0, 3.0])
    pinball = evaluate.regression_metrics(truth, predicted, 0.9)["pinball"]
    assert pinball == sk.mean_pinball_loss(truth, predicted, alpha=0.9) == pytest.approx((0.05 + 0.9) / 3)


def test_a_threshold_that_pays_is_chosen_and_holds_on_new_rows() -> None:
    codes, probabilities = noisy(4000, 2, share=0.1)
    probabilities[:, 1] *= 0.5  # all positives below one half
    probabilities[:, 0] = 1 - probabilities[:, 1]
    threshold = choose_threshold(codes, probabilities)
    assert 0.2 < threshold < 0.4
    fresh, fresh_probabilities = noisy(4000, 3, share=0.1)
    positive = fresh_probabilities[:, 1] * 0.5
    assert sk.f1_score(fresh, positive >= threshold) > sk.f1_score(fresh, positive >= 0.5) + 0.2


def test_a_gain_within_the_noise_leaves_one_half() -> None:
    codes, probabilities = noisy(300, 4)
    assert choose_threshold(codes, probabilities) == 0.5


def test_equal_probabilities_are_never_divided_by_the_threshold() -> None:
    codes = np.array([0, 1, 1, 0, 1, 1, 0, 0] * 20)
    positive = np.array([0.2, 0.3, 0.3, 0.3, 0.3, 0.4, 0.2, 0.2] * 20)
    threshold = choose_threshold(codes, np.column_stack([1 - positive, positive]))
    assert threshold not in (0.2, 0.3, 0.4)
    assert 0.2 < threshold < 0.3


def test_the_standard_error_is_that_of_the_difference() -> None:
    random = np.random.default_rng(5)
    codes = random.integers(0, 2, 2000)
    right = random.random((2000, 2)) < 0.8
    probabilities = [np.where((codes == 1) == hit, 0.9, 0.1) for hit in right.T]
    raw = [np.column_stack([1 - p, p]) for p in probabilities]
    score = evaluate.score_function(BINARY, "accuracy", 0.5)
    error = evaluate.standard_error_of_difference(codes, (score, raw[0]), (score, raw[1]))
    assert error == pytest.approx((2 * 0.8 * 0.2 / 2000) ** 0.5, rel=0.4)
    assert evaluate.standard_error_of_difference(codes, (score, raw[0]), (score, raw[0])) == 0


@pytest.mark.parametrize("metric", ["accuracy", "f1", "f1_macro", "auc", "log_loss"])
def test_scores_are_greater_for_better_predictions(metric: str) -> None:
    codes, good = noisy(400, 6)
    worse = good[:, ::-1]
    score = evaluate.score_function(BINARY, metric, 0.5)
    assert score(codes, good) > score(codes, worse)
