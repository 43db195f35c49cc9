"""Metrics: how good predictions are.

Input: true values, labels predicted, probabilities. Output: metrics by name, and comparisons of candidates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn import metrics as sk
from sklearn.pipeline import Pipeline

from postgres_ml.evaluate.anomalies import evaluate_anomalies
from postgres_ml.evaluate.clusters import evaluate_clusters
from postgres_ml.features.problem import Problem
from postgres_ml.snapshot.rows import Array

JACKKNIFE_BLOCKS = 20


def evaluate(
    problem: Problem, pipeline: Pipeline, frame: pd.DataFrame, codes: Array, weight: Array | None = None
) -> dict[str, float]:
    """Return all metrics of a pipeline on rows.

    Parameters
    ----------
    codes : ndarray of shape (n_rows,); class codes or, for a regression, true values
    weight : ndarray of shape (n_rows,), how much each row counts; None counts all alike, here and below
    """
    if problem.is_regression:
        return regression_metrics(codes, pipeline.predict(frame), problem.quantile, weight)
    if problem.is_clustering:
        return evaluate_clusters(pipeline, frame)
    if problem.is_anomaly_detection:
        return evaluate_anomalies(pipeline, frame)
    predicted = problem.encode(pipeline.predict(frame))
    scores = classification_metrics(codes, predicted, pipeline.predict_proba(frame), weight)
    if not problem.has_probabilities:
        scores = {name: value for name, value in scores.items() if name not in ("auc", "log_loss")}
    return scores


def raw_predictions(problem: Problem, pipeline: Pipeline, frame: pd.DataFrame) -> Array:
    """Return predicted values of shape (n_rows,), or probabilities of shape (n_rows, n_classes).

    Of an estimator that knows no probabilities they are 1 for the predicted class, 0 for all others.
    """
    if problem.is_regression or problem.is_anomaly_detection:
        return np.asarray(pipeline.predict(frame), dtype=np.float64)
    if problem.has_probabilities:
        return np.asarray(pipeline.predict_proba(frame), dtype=np.float64)
    one_hot: Array = np.eye(len(problem.classes))[problem.encode(pipeline.predict(frame))]
    return one_hot


def regression_metrics(
    truth: Array, predicted: Array, quantile: float | None = None, weight: Array | None = None
) -> dict[str, float]:
    """Return mse, rmse, mae and r2, and of a model that predicts a quantile its pinball loss."""
    mse = float(sk.mean_squared_error(truth, predicted, sample_weight=weight))
    pinball = {}
    if quantile is not None:
        pinball["pinball"] = float(
            sk.mean_pinball_loss(truth, predicted, alpha=quantile, sample_weight=weight)
        )
    return {
        "mse": mse,
        "rmse": float(np.sqrt(mse)),
        "mae": float(sk.mean_absolute_error(truth, predicted, sample_weight=weight)),
        "r2": float(sk.r2_score(truth, predicted, sample_weight=weight)),
        **pinball,
    }


def classification_metrics(
    codes: Array, predicted: Array, probabilities: Array, weight: Array | None = None
) -> dict[str, float]:
    """Return the metrics of a classification.

    Of two classes, precision, recall and f1 are those of class 1, the later label in sorted order; of more,
    precision and recall are the classes' mean, and auc is the mean of one class against the rest.
    """
    binary = probabilities.shape[1] == 2
    average: dict[str, Any] = {
        "average": "binary" if binary else "macro",
        "zero_division": 0.0,
        "sample_weight": weight,
    }
    scores = {
        "accuracy": sk.accuracy_score(codes, predicted, sample_weight=weight),
        "f1_macro": sk.f1_score(codes, predicted, average="macro", zero_division=0.0, sample_weight=weight),
        "auc": _auc(codes, probabilities, weight),
        "log_loss": _log_loss(codes, probabilities, weight),
        "precision": sk.precision_score(codes, predicted, **average),
        "recall": sk.recall_score(codes, predicted, **average),
    }
    if binary:
        scores["f1"] = sk.f1_score(codes, predicted, zero_division=0.0, sample_weight=weight)
    return {name: float(value) for name, value in sorted(scores.items())}


def row_log_losses(codes: Array, probabilities: Array) -> Array:
    """Return -log of the probability of each row's true class, shape (n_rows,), float64."""
    given = probabilities[np.arange(len(codes)), codes].astype(np.float64)
    return np.asarray(-np.log(np.maximum(given, np.finfo(np.float64).eps)))


def _log_loss(codes: Array, probabilities: Array, weight: Array | None = None) -> float:
    """scikit-learn's, without its warning that single-precision probabilities don't sum to one in double."""
    return weighted_mean(row_log_losses(codes, probabilities), weight)


def _auc(codes: Array, probabilities: Array, weight: Array | None = None) -> float:
    """Area under the ROC curve; of several classes the mean of one against the rest, over classes present.

    Of rows of one class only, which have no such curve, it is what guessing gets: 0.5.
    """
    if len(codes) and np.all(codes == codes[0]):
        return 0.5
    if probabilities.shape[1] == 2:
        return float(sk.roc_auc_score(codes, probabilities[:, 1], sample_weight=weight))
    present = [c for c in range(probabilities.shape[1]) if 0 < np.count_nonzero(codes == c) < len(codes)]
    areas = [sk.roc_auc_score(codes == c, probabilities[:, c], sample_weight=weight) for c in present]
    return float(np.mean(areas))


def weighted_mean(values: Array, weight: Array | None = None) -> float:
    """Return the mean of rows' values."""
    return float(np.mean(values) if weight is None else np.average(values, weights=weight))


Score = Callable[..., float]
"""Of true values, predictions and, where rows don't count alike, weights; greater is better."""


def score_function(problem: Problem, metric: str, threshold: float) -> Score:
    """Return a function of (codes, raw predictions, weights) to the metric, greater is better.

    Raw predictions are values of shape (n_rows,) or probabilities of shape (n_rows, n_classes).
    """

    def score(codes: Array, raw: Array, weight: Array | None = None) -> float:
        if problem.is_regression:
            return -regression_metrics(codes, raw, problem.quantile, weight)[metric]
        if metric == "log_loss":
            return -_log_loss(codes, raw, weight)
        if metric == "auc":
            return _auc(codes, raw, weight)
        predicted = (raw[:, 1] >= threshold).astype(int) if raw.shape[1] == 2 else raw.argmax(axis=1)
        if metric == "accuracy":
            return weighted_mean(predicted == codes, weight)
        return f1_score(codes, predicted, raw.shape[1], metric, weight)

    return score


def f1_score(
    codes: Array, predicted: Array, n_classes: int, metric: str, weight: Array | None = None
) -> float:
    """scikit-learn's f1 of class 1, or of the mean class among those present; a hundredth of its time."""
    counts = np.bincount(codes * n_classes + predicted, weight, n_classes**2).reshape(n_classes, n_classes)
    both = counts.sum(axis=0) + counts.sum(axis=1)
    scores = 2 * np.diag(counts) / np.where(both > 0, both, 1)
    return float(scores[1] if metric == "f1" else np.mean(scores[both > 0]))


def standard_error_of_difference(
    codes: Array,
    first: tuple[Score, Array],
    second: tuple[Score, Array],
    weight: Array | None = None,
) -> float:
    """Return the standard error of the difference of two scores on the same rows.

    By a delete-a-block jackknife, which works for any metric, f1 and auc included; rows come in random order.
    """
    blocks = np.arange(len(codes)) * JACKKNIFE_BLOCKS // len(codes)
    differences = []
    for block in range(JACKKNIFE_BLOCKS):
        keep = blocks != block
        some = None if weight is None else weight[keep]
        values = [score(codes[keep], raw[keep], some) for score, raw in (first, second)]
        differences.append(values[0] - values[1])
    n = len(differences)
    return float(np.sqrt((n - 1) / n * np.sum((np.array(differences) - np.mean(differences)) ** 2)))
