"""How probabilities become labels, tuned for the metric on rows not learned from.

A threshold for two classes, multipliers for more. Both are kept only where they gain more than noise, and are
part of the pipeline, so that the function and the MLflow model have them too.
"""

from __future__ import annotations

import numpy as np

from postgres_ml.evaluate.metrics import Score, f1_score, standard_error_of_difference
from postgres_ml.features.problem import Problem
from postgres_ml.snapshot.rows import Array

PARTS = 5  # of the rows: what is tuned on four of them is judged on the fifth
ERRORS = 2.0  # standard errors by which labels have to become better
STEPS = np.linspace(-3, 3, 121)  # of a factor's natural logarithm: from a twentieth to twentyfold
MAX_WEIGHED = 64  # classes; 20,000 rows of 50 take 2 s, and the time grows with the square
MAX_PASSES = 4  # over the classes; three are enough for f1 to settle to the third digit


def has_threshold(problem: Problem) -> bool:
    """Return whether the probability from which class 1 is predicted is chosen for the metric."""
    return problem.metric in ("f1", "f1_macro") and len(problem.classes) == 2


def choose_threshold(
    codes: Array, probabilities: Array, metric: str = "f1", weight: Array | None = None
) -> float:
    """Return the probability from which class 1 is predicted, so that f1 is best on rows not trained on.

    0.5 unless another gains more than twice the gain's standard error; of the churn data's 700 positives a
    smaller gain is luck (out of fold +0.012, on the hold-out -0.03).

    Parameters
    ----------
    probabilities : ndarray of shape (n_rows, 2), out of fold
    metric : 'f1' or 'f1_macro'
    weight : how much each row counts; None counts all alike
    """
    if len(codes) < PARTS:
        return 0.5
    counts = np.ones(len(codes)) if weight is None else weight
    candidates = [
        _best_threshold(codes[part], probabilities[part, 1], metric, counts[part])
        for part in (np.arange(len(codes)) % PARTS != k for k in range(PARTS))
    ]
    # of five overlapping subsets: the maximum of one curve is ragged
    threshold = float(np.median(candidates))

    def f1(at: float) -> Score:
        return lambda c, p, w=None: f1_score(c, (p[:, 1] >= at).astype(np.int64), 2, metric, w)

    gain = f1(threshold)(codes, probabilities, weight) - f1(0.5)(codes, probabilities, weight)
    error = standard_error_of_difference(
        codes, (f1(threshold), probabilities), (f1(0.5), probabilities), weight
    )
    return threshold if gain > ERRORS * error else 0.5


def _best_threshold(codes: Array, probability: Array, metric: str, counts: Array) -> float:
    order = np.argsort(-probability, kind="stable")
    n, n_true = float(counts.sum()), float(counts[codes == 1].sum())
    taken = np.cumsum(counts[order])
    hits = np.cumsum(codes[order] * counts[order])
    scores = 2 * hits / (taken + n_true)
    if metric == "f1_macro":
        right = n - n_true - (taken - hits)  # true negatives
        false = n - taken + n - n_true
        scores = (scores + 2 * right / np.where(false > 0, false, 1)) / 2
    ordered = probability[order].astype(np.float64)
    last = np.append(ordered[1:] != ordered[:-1], True)  # rows of one probability fall on one side
    best = int(np.argmax(np.where(last, scores, -1.0)))
    following = ordered[best + 1] if best + 1 < len(ordered) else 0.0
    return float((ordered[best] + following) / 2)


def tunes_class_multipliers(problem: Problem) -> bool:
    """Return whether the metric makes it worthwhile to weigh classes."""
    return problem.metric == "f1_macro" and 2 < len(problem.classes) <= MAX_WEIGHED


def choose_class_multipliers(
    codes: Array, probabilities: Array, weight: Array | None = None
) -> tuple[float, ...]:
    """Return multipliers of the classes' probabilities, so that f1_macro is best on rows not trained on.

    The greatest product is the label. Empty, for the most likely class, unless labels of rows that the
    multipliers weren't tuned on gain more than twice the gain's standard error.

    Parameters
    ----------
    probabilities : ndarray of shape (n_rows, n_classes), out of fold; rows come in random order
    """
    n_rows, n_classes = probabilities.shape
    given = probabilities.astype(np.float64)
    part = np.arange(n_rows) % PARTS
    counts = np.ones(n_rows) if weight is None else weight
    logs = np.array([_best_logs(codes[part != k], given[part != k], counts[part != k]) for k in range(PARTS)])
    tuned = (given * np.exp(logs)[part]).argmax(axis=1)

    def f1(c: Array, predicted: Array, w: Array | None) -> float:
        return f1_score(c, predicted, n_classes, "f1_macro", w)

    likely = given.argmax(axis=1)
    gain = f1(codes, tuned, weight) - f1(codes, likely, weight)
    error = standard_error_of_difference(codes, (f1, tuned), (f1, likely), weight)
    if gain <= ERRORS * error:
        return ()
    mean = logs.mean(axis=0)
    return tuple(float(f"{factor:.4g}") for factor in np.exp(mean - mean.max()))


def _best_logs(codes: Array, probabilities: Array, counts: Array) -> Array:
    """Return the multipliers' logarithms of the best f1_macro on these rows; one class changes at a time."""
    n_rows, n_classes = probabilities.shape
    with np.errstate(divide="ignore"):
        plain = np.log(probabilities)
    logs, weighted, best = np.zeros(n_classes), plain.copy(), -1.0
    for _ in range(MAX_PASSES):
        before = best
        for k in range(n_classes):
            weighted[:, k] = -np.inf
            rival = weighted.argmax(axis=1)
            lead = weighted[np.arange(n_rows), rival] - plain[:, k]
            found = _f1_by_step(codes, rival, lead, k, counts, n_classes)
            # the step nearest to none among equals: a plateau's edge is an accident of single rows
            step = min(np.flatnonzero(found >= found.max() - 1e-12), key=lambda i: abs(STEPS[i]))
            logs[k], best = STEPS[step], float(found[step])
            weighted[:, k] = plain[:, k] + logs[k]
        if best <= before + 1e-4:
            break
    centred: Array = logs - logs.mean()
    return centred


def _f1_by_step(codes: Array, rival: Array, lead: Array, k: int, counts: Array, n_classes: int) -> Array:
    """Return f1_macro for each of `STEPS` as the logarithm of class k's factor, the others as they are.

    Parameters
    ----------
    rival : each row's best class but k
    lead : by how much the rival's score is above that of k without a factor
    counts : how much each row counts
    """
    n_steps = len(STEPS)
    # the first step at which the row is predicted as k
    first = np.searchsorted(STEPS, np.nan_to_num(lead, nan=np.inf), side="right")
    cell, size = first * n_classes + rival, (n_steps + 1) * n_classes
    # by rival: rows that k has taken up to this step, and those of them where the rival was right
    taken = np.bincount(cell, counts, size).reshape(-1, n_classes).cumsum(axis=0)
    right = np.bincount(cell, (codes == rival) * counts, size).reshape(-1, n_classes).cumsum(axis=0)
    predicted, hits = taken[-1] - taken[:n_steps], right[-1] - right[:n_steps]
    predicted[:, k] = taken[:n_steps].sum(axis=1)
    hits[:, k] = np.bincount(first, (codes == k) * counts, n_steps + 1).cumsum()[:n_steps]
    both = predicted + np.bincount(codes, counts, n_classes)
    values: Array = 2 * hits / np.where(both > 0, both, 1)
    mean: Array = values.sum(axis=1) / np.maximum((both > 0).sum(axis=1), 1)
    return mean
