"""The scores in plain words: what a person who knows SQL and not machine learning can take from them.

Input: `Fitted`. Output: sentences.
"""

from __future__ import annotations

import numpy as np

from postgres_ml.evaluate.anomalies import threshold
from postgres_ml.evaluate.gates import LOWER_IS_BETTER, NEUTRAL
from postgres_ml.evaluate.metrics import weighted_mean
from postgres_ml.publish.fitted import Fitted
from postgres_ml.snapshot.rows import Array

OVERFIT = {"accuracy": 0.05, "f1": 0.08, "f1_macro": 0.08, "auc": 0.05, "r2": 0.05}
MEANINGS = {
    "accuracy": "share of rows whose label is predicted correctly",
    "f1": "balance of precision and recall, from 0 to 1",
    "f1_macro": "mean of the f1 of each class, all classes weighted equally",
    "auc": "how often a row of the class ranks above a row of another; 0.5 is guessing",
    "log_loss": "how wrong the probabilities are; 0 is perfect",
    "precision": "of the rows predicted to be in the class, the share that are",
    "recall": "of the rows in the class, the share that are found",
    "mse": "mean of the squared errors",
    "rmse": "typical error in the target's unit; large errors count more",
    "mae": "mean error in the target's unit",
    "r2": "share of the target's variance that is explained; 0 is guessing the mean",
    "pinball": "mean error, where values above the predicted quantile count quantile_alpha times and those "
    "below 1 - quantile_alpha times",
    "interval_coverage": "share of true values in their interval; it should be near what was asked",
    "interval_width": "mean width of the intervals, in the target's unit",
    "inertia": "sum of the squared distances to the clusters' centres",
    "anomaly_share": "share of rows that the model calls anomalies; it should be near contamination",
    "score_mean": "mean score; where all rows score about 0.5, none stands out",
    "score_median": "score that half of the rows exceed",
    "score_p95": "score that one row in 20 exceeds",
    "score_p99": "score that one row in 100 exceeds",
    "score_max": "score of the most unusual row",
    "silhouette": "how well the clusters are separated: 1 is best, 0 is not at all",
}


def number(value: float) -> str:
    """Return five significant digits, without exponent where a person would write none; a dash for NaN."""
    if value != value:
        return "–"
    return _digits(value, 5)


def _digits(value: float, digits: int) -> str:
    return f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:,.{digits}g}"


def meaning(metric: str) -> str:
    """Return what the metric measures, and which direction is better."""
    if metric.startswith("own_"):
        return "returned by the Python model's own code; not measured on the hold-out"
    if metric in NEUTRAL:
        return MEANINGS[metric]
    direction = "lower is better" if metric in LOWER_IS_BETTER else "higher is better"
    return f"{MEANINGS[metric]} ({direction})"


def reading(fitted: Fitted) -> list[str]:
    """Return what the scores on the hold-out say, in sentences."""
    problem = fitted.task.problem
    if problem.is_clustering:
        return _of_clusters(fitted)
    if problem.is_anomaly_detection:
        return _of_anomalies(fitted)
    codes = problem.encode(fitted.holdout.target)
    predicted = fitted.evaluated.predict(fitted.holdout.frame)
    if problem.is_regression:
        sentences = _of_regression(fitted, codes, np.asarray(predicted, dtype=np.float64))
    elif len(problem.classes) == 2:
        sentences = _of_two_classes(fitted, codes, problem.encode(predicted))
    else:
        sentences = _of_classes(fitted, codes, problem.encode(predicted))
    if fitted.task.spec.weight is not None:
        sentences.append(
            f"Means and shares weigh each row by {fitted.task.spec.weight}, as the metrics do; numbers "
            "of rows, medians and plots count all rows alike."
        )
    return [*sentences, *_gap(fitted)]


def _of_regression(fitted: Fitted, truth: Array, predicted: Array) -> list[str]:
    errors, weight = np.abs(truth - predicted), fitted.holdout.weight
    sizes = (
        weighted_mean(errors, weight),
        np.median(errors),
        np.quantile(errors, 0.9),
        weighted_mean(np.abs(truth - weighted_mean(truth, weight)), weight),
    )
    mean, median, tenth, guess = (_digits(float(size), 3) for size in sizes)
    return [
        f"On {len(truth):,} rows that the model never saw, predictions are off by {mean} on average: half "
        f"by less than {median}, one in ten by more than {tenth}.",
        f"Predicting the mean for every row would be off by {guess} on average. The model explains "
        f"{fitted.evaluation.metrics['r2']:.1%} of the target's variance.",
    ]


def _of_two_classes(fitted: Fitted, codes: Array, predicted: Array) -> list[str]:
    first, second = (f"'{label}'" for label in fitted.task.problem.labels)
    said, real = int(np.count_nonzero(predicted == 1)), int(np.count_nonzero(codes == 1))
    hits = int(np.count_nonzero((predicted == 1) & (codes == 1)))
    found = f"It predicts {second} for {said:,} of them and is right for {hits:,}"
    share = f" ({hits / said:.0%})" if said else ""
    recall = f" {hits / real:.0%}" if real else " none"
    return [
        _accuracy(fitted, codes, predicted),
        f"{found}{share}. Of the {real:,} rows that really are {second} it finds{recall}; the other "
        f"{real - hits:,} it takes for {first}.",
    ]


def _of_classes(fitted: Fitted, codes: Array, predicted: Array) -> list[str]:
    labels = fitted.task.problem.labels
    present = [k for k in range(len(labels)) if np.any(codes == k)]
    recalls = {labels[k]: float(np.mean(predicted[codes == k] == k)) for k in present}
    best, worst = max(recalls, key=lambda name: recalls[name]), min(recalls, key=lambda name: recalls[name])
    found = (
        f"It recognizes '{best}' best ({recalls[best]:.0%} of its rows) and '{worst}' least well "
        f"({recalls[worst]:.0%})."
    )
    if recalls[best] == recalls[worst]:
        found = f"It finds {recalls[best]:.0%} of the rows of every label."
    return [_accuracy(fitted, codes, predicted), found]


def _accuracy(fitted: Fitted, codes: Array, predicted: Array) -> str:
    """Return the accuracy, how sure it is with so few rows (two standard errors), and that of guessing."""
    n, share = len(codes), weighted_mean(predicted == codes, fitted.holdout.weight)
    margin = 2 * np.sqrt(max(share * (1 - share), 1 / n) / n)  # of n rows all right, one in n may be wrong
    unsure = f" (give or take {margin * 100:.0f} points, with so few rows)" if margin > 0.02 else ""
    return (
        f"On {n:,} rows that it never saw, the model predicts the right label for {share:.1%}{unsure}. "
        f"{_baseline(fitted, codes)}"
    )


def _baseline(fitted: Fitted, codes: Array) -> str:
    counts = np.bincount(codes, fitted.holdout.weight, len(fitted.task.problem.classes))
    frequent = int(np.argmax(counts))
    label = fitted.task.problem.labels[frequent]
    share = counts[frequent] / counts.sum()
    return f"Always saying '{label}', the most frequent label, would be right for {share:.1%}."


def _of_clusters(fitted: Fitted) -> list[str]:
    k = len(np.asarray(fitted.pipeline[-1].cluster_centers_))
    silhouette = fitted.evaluation.metrics.get("silhouette")
    if silhouette is None:
        return [f"{k} clusters."]
    apart = "well apart" if silhouette > 0.5 else "hardly apart"
    if 0.25 < silhouette <= 0.5:
        apart = "apart with some overlap"
    return [
        f"{k} clusters, {apart}: the silhouette is {silhouette:.2f} on rows that were not used to form them."
    ]


def _of_anomalies(fitted: Fitted) -> list[str]:
    found, limit = fitted.evaluation.metrics, threshold(fitted.evaluated)
    told = "It says of no row that it is an anomaly: the config gives no contamination."
    if limit is not None:
        chosen = fitted.choice.candidate.parameters["contamination"]
        source = "as in scikit-learn"
        if chosen != "auto":
            source = f"the score that {chosen:.2%} of the training rows exceed"
        share = f"{found['anomaly_share']:.2%}"
        told = f"{share} of them exceed {_digits(limit, 4)}, {source}, and are called anomalies."
    return [
        "The score says how easily random splits of the columns tell a row apart from the others: near 1 it "
        "is an anomaly, well below 0.5 it is ordinary, and where all rows score about 0.5 none stands out.",
        f"On {len(fitted.holdout):,} rows that the model never saw, half score below "
        f"{_digits(found['score_median'], 3)} and one in 100 above {_digits(found['score_p99'], 3)}. {told}",
        "Nobody told the model which rows are anomalies, so it is not known how many of them it finds: look "
        "at the most unusual rows below.",
    ]


def _gap(fitted: Fitted) -> list[str]:
    """Return a remark where the training rows are predicted much better than the hold-out."""
    for metric, allowed in OVERFIT.items():
        here, there = fitted.evaluation.metrics.get(metric), fitted.evaluation.train_metrics.get(metric)
        if here is not None and there is not None and there - here > allowed:
            return [
                f"On the training rows its {metric} is {_digits(there, 3)}, on new rows "
                f"{_digits(here, 3)}: expect the figures of the hold-out. More rows usually "
                "narrow the gap."
            ]
    return []
