"""Sixth step: how good predictions are.

Input: true values, labels predicted, probabilities. Output: metrics by name, and comparisons of candidates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn import metrics as sk
from sklearn.pipeline import Pipeline

from postgres_ml.clusters import evaluate_clusters
from postgres_ml.problem import Problem
from postgres_ml.training_data import Array

LOWER_IS_BETTER = frozenset({"mse", "rmse", "mae", "log_loss", "inertia"})
JACKKNIFE_BLOCKS = 20


def evaluate(problem: Problem, pipeline: Pipeline, frame: pd.DataFrame, codes: Array) -> dict[str, float]:
    """Return all metrics of a pipeline on rows.

    Parameters
    ----------
    codes : ndarray of shape (n_rows,); class codes or, for a regression, true values
    """
    if problem.is_regression:
        return regression_metrics(codes, pipeline.predict(frame))
    if problem.is_clustering:
        return evaluate_clusters(pipeline, frame)
    predicted = problem.encode(pipeline.predict(frame))
    scores = classification_metrics(codes, predicted, pipeline.predict_proba(frame))
    if not problem.has_probabilities:
        scores = {name: value for name, value in scores.items() if name not in ("auc", "log_loss")}
    return scores


def raw_predictions(problem: Problem, pipeline: Pipeline, frame: pd.DataFrame) -> Array:
    """Return predicted values of shape (n_rows,), or probabilities of shape (n_rows, n_classes).

    Of an estimator that knows no probabilities they are 1 for the predicted class, 0 for all others.
    """
    if problem.is_regression:
        return np.asarray(pipeline.predict(frame), dtype=np.float64)
    if problem.has_probabilities:
        return np.asarray(pipeline.predict_proba(frame), dtype=np.float64)
    one_hot: Array = np.eye(len(problem.classes))[problem.encode(pipeline.predict(frame))]
    return one_hot


def regression_metrics(truth: Array, predicted: Array) -> dict[str, float]:
    """Return mse, rmse, mae and r2."""
    mse = float(sk.mean_squared_error(truth, predicted))
    return {
        "mse": mse,
        "rmse": float(np.sqrt(mse)),
        "mae": float(sk.mean_absolute_error(truth, predicted)),
        "r2": float(sk.r2_score(truth, predicted)),
    }


def classification_metrics(codes: Array, predicted: Array, probabilities: Array) -> dict[str, float]:
    """Return the metrics of a classification.

    Of two classes, precision, recall and f1 are those of class 1, the later label in sorted order; of more,
    precision and recall are the classes' mean, and auc is the mean of one class against the rest.
    """
    binary = probabilities.shape[1] == 2
    average: dict[str, Any] = {"average": "binary" if binary else "macro", "zero_division": 0.0}
    scores = {
        "accuracy": sk.accuracy_score(codes, predicted),
        "f1_macro": sk.f1_score(codes, predicted, average="macro", zero_division=0.0),
        "auc": _auc(codes, probabilities),
        "log_loss": _log_loss(codes, probabilities),
        "precision": sk.precision_score(codes, predicted, **average),
        "recall": sk.recall_score(codes, predicted, **average),
    }
    if binary:
        scores["f1"] = sk.f1_score(codes, predicted, zero_division=0.0)
    return {name: float(value) for name, value in sorted(scores.items())}


def row_log_losses(codes: Array, probabilities: Array) -> Array:
    """Return -log of the probability of each row's true class, shape (n_rows,), float64."""
    given = probabilities[np.arange(len(codes)), codes].astype(np.float64)
    return np.asarray(-np.log(np.maximum(given, np.finfo(np.float64).eps)))


def _log_loss(codes: Array, probabilities: Array) -> float:
    """scikit-learn's, without its warning that single-precision probabilities don't sum to one in double."""
    return float(np.mean(row_log_losses(codes, probabilities)))


def _auc(codes: Array, probabilities: Array) -> float:
    """Area under the ROC curve; of several classes the mean of one against the rest, over classes present."""
    if probabilities.shape[1] == 2:
        return float(sk.roc_auc_score(codes, probabilities[:, 1]))
    present = [c for c in range(probabilities.shape[1]) if 0 < np.count_nonzero(codes == c) < len(codes)]
    return float(np.mean([sk.roc_auc_score(codes == c, probabilities[:, c]) for c in present]))


def score_function(problem: Problem, metric: str, threshold: float) -> Callable[[Array, Array], float]:
    """Return a function of (codes, raw predictions) to the metric, greater is better.

    Raw predictions are values of shape (n_rows,) or probabilities of shape (n_rows, n_classes).
    """

    def score(codes: Array, raw: Array) -> float:
        if problem.is_regression:
            return -regression_metrics(codes, raw)[metric]
        if metric == "log_loss":
            return -_log_loss(codes, raw)
        if metric == "auc":
            return _auc(codes, raw)
        predicted = (raw[:, 1] >= threshold).astype(int) if raw.shape[1] == 2 else raw.argmax(axis=1)
        if metric == "accuracy":
            return float(np.mean(predicted == codes))
        return _f1(codes, predicted, raw.shape[1], metric)

    return score


def _f1(codes: Array, predicted: Array, n_classes: int, metric: str) -> float:
    """scikit-learn's f1 of class 1, or of the mean class among those present; a hundredth of its time."""
    counts = np.bincount(codes * n_classes + predicted, minlength=n_classes**2).reshape(n_classes, n_classes)
    both = counts.sum(axis=0) + counts.sum(axis=1)
    scores = 2 * np.diag(counts) / np.maximum(both, 1)
    return float(scores[1] if metric == "f1" else np.mean(scores[both > 0]))


def has_threshold(problem: Problem) -> bool:
    """Return whether the probability from which class 1 is predicted is chosen for the metric."""
    return problem.metric in ("f1", "f1_macro") and len(problem.classes) == 2


def standard_error_of_difference(
    codes: Array,
    first: tuple[Callable[[Array, Array], float], Array],
    second: tuple[Callable[[Array, Array], float], Array],
) -> float:
    """Return the standard error of the difference of two scores on the same rows.

    By a delete-a-block jackknife, which works for any metric, f1 and auc included; rows come in random order.
    """
    blocks = np.arange(len(codes)) * JACKKNIFE_BLOCKS // len(codes)
    differences = []
    for block in range(JACKKNIFE_BLOCKS):
        keep = blocks != block
        values = [score(codes[keep], raw[keep]) for score, raw in (first, second)]
        differences.append(values[0] - values[1])
    n = len(differences)
    return float(np.sqrt((n - 1) / n * np.sum((np.array(differences) - np.mean(differences)) ** 2)))


def choose_threshold(codes: Array, probabilities: Array, metric: str = "f1") -> float:
    """Return the probability from which class 1 is predicted, so that f1 is best on rows not trained on.

    0.5 unless another gains more than twice the gain's standard error; of the churn data's 700 positives a
    smaller gain is luck (out of fold +0.012, on the hold-out -0.03).

    Parameters
    ----------
    probabilities : ndarray of shape (n_rows, 2), out of fold
    metric : 'f1' or 'f1_macro'
    """
    candidates = [
        _best_threshold(codes[part], probabilities[part, 1], metric)
        for part in (np.arange(len(codes)) % 5 != k for k in range(5))
    ]
    threshold = float(
        np.median(candidates)
    )  # of five overlapping subsets: the maximum of one curve is ragged

    def f1(at: float) -> Callable[[Array, Array], float]:
        return lambda c, p: _f1(c, (p[:, 1] >= at).astype(np.int64), 2, metric)

    gain = f1(threshold)(codes, probabilities) - f1(0.5)(codes, probabilities)
    error = standard_error_of_difference(codes, (f1(threshold), probabilities), (f1(0.5), probabilities))
    return threshold if gain > 2 * error else 0.5


def _best_threshold(codes: Array, probability: Array, metric: str) -> float:
    order = np.argsort(-probability, kind="stable")
    n, n_true = len(codes), int(codes.sum())
    taken = np.arange(1, n + 1)
    hits = np.cumsum(codes[order])
    scores = 2 * hits / (taken + n_true)
    if metric == "f1_macro":
        right = n - n_true - (taken - hits)  # true negatives
        scores = (scores + 2 * right / np.maximum(n - taken + n - n_true, 1)) / 2
    ordered = probability[order].astype(np.float64)
    last = np.append(ordered[1:] != ordered[:-1], True)  # rows of one probability fall on one side
    best = int(np.argmax(np.where(last, scores, -1.0)))
    following = ordered[best + 1] if best + 1 < len(ordered) else 0.0
    return float((ordered[best] + following) / 2)
