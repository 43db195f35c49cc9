"""ROC, precision-recall, calibration, confusion matrix."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import (
    auc,
    average_precision_score,
    confusion_matrix,
    precision_recall_curve,
    roc_curve,
)

from postgres_ml.features.problem import Problem
from postgres_ml.snapshot.rows import Array
from postgres_ml.track.plots.style import (
    BLUE,
    DARK,
    GREY,
    ORANGE,
    PALETTE,
    dress,
    legend,
    new_axes,
    new_figure,
    note,
    short,
)

MAX_CURVES = 6
MAX_CONFUSION_CLASSES = 15
MAX_CELL_CLASSES = 12  # more cells are too small for a share beside the count
N_GROUPS = 10


def roc(problem: Problem, codes: Array, probabilities: Array, threshold: float) -> Figure:
    """Return ROC curves: of the positive class, or of each against the rest."""
    figure, axes = new_axes("ROC on the hold-out", "false positive rate", "true positive rate")
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="guessing (area 0.50)")
    for color, number in zip(PALETTE, _curve_classes(problem, codes), strict=False):
        truth, score = codes == number, probabilities[:, number]
        x, y, _ = roc_curve(truth, score)
        name = f"{short(problem.labels[number])} (area {auc(x, y):.3f})"
        axes.plot(x, y, color=color, linewidth=2, label=name)
        if len(problem.classes) == 2:
            said = score >= threshold
            at = np.mean(said[~truth]), np.mean(said[truth])
            axes.plot(*at, "o", color=ORANGE, markersize=8, label=f"the model's threshold, {threshold:.3g}")
    _unit_square(axes)
    legend(axes, loc="lower right")
    _say_left_out(axes, problem)
    return figure


def precision_recall(problem: Problem, codes: Array, probabilities: Array, threshold: float) -> Figure:
    """Return precision over recall: of the positive class, or of each against the rest."""
    figure, axes = new_axes("Precision and recall on the hold-out", "recall", "precision")
    for color, number in zip(PALETTE, _curve_classes(problem, codes), strict=False):
        truth, score = codes == number, probabilities[:, number]
        y, x, _ = precision_recall_curve(truth, score, drop_intermediate=True)
        name = (
            f"{short(problem.labels[number])} (average precision {average_precision_score(truth, score):.3f})"
        )
        # the last point, of precision 1 without any prediction, is a convention and no result
        axes.plot(x[:-1], y[:-1], color=color, linewidth=2, label=name)
        if len(problem.classes) == 2:
            share, said = float(np.mean(truth)), score >= threshold
            axes.axhline(share, color=GREY, linewidth=1, linestyle="--", label=f"guessing ({share:.3f})")
            if said.any():
                at = np.mean(said[truth]), np.mean(truth[said])
                axes.plot(
                    *at, "o", color=ORANGE, markersize=8, label=f"the model's threshold, {threshold:.3g}"
                )
    _unit_square(axes)
    legend(axes, loc="lower left")
    _say_left_out(axes, problem)
    return figure


def _curve_classes(problem: Problem, codes: Array) -> list[int]:
    """Return the positive class, or the most frequent of the classes that the hold-out has."""
    if len(problem.classes) == 2:
        return [1]
    counts = np.bincount(codes, minlength=len(problem.classes))
    frequent = [int(number) for number in np.argsort(-counts, kind="stable")[:MAX_CURVES]]
    return sorted(number for number in frequent if 0 < counts[number] < len(codes))


def _say_left_out(axes: object, problem: Problem) -> None:
    if len(problem.classes) > MAX_CURVES:
        note(axes, f"the {MAX_CURVES} most frequent of {len(problem.classes)} classes, each against the rest")


def _unit_square(axes: object) -> None:
    axes.set_xlim(-0.01, 1.01)  # type: ignore[attr-defined]  # matplotlib has no types
    axes.set_ylim(-0.01, 1.03)  # type: ignore[attr-defined]


def calibration(problem: Problem, codes: Array, probabilities: Array) -> Figure:
    """Return how often predictions of a probability come true, by tenths of the rows, over a histogram."""
    binary = len(problem.classes) == 2
    score = probabilities[:, 1] if binary else probabilities.max(axis=1)
    hit = codes == 1 if binary else codes == probabilities.argmax(axis=1)
    of = f"of {short(problem.labels[1])!r}" if binary else "of the predicted class"
    figure = new_figure("Calibration on the hold-out", (6.0, 5.2))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    dress(above, "", "share that came true")
    above.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="as often as predicted")
    groups = np.array_split(np.argsort(score, kind="stable"), min(N_GROUPS, len(score)))
    means, shares = [score[g].mean() for g in groups], [hit[g].mean() for g in groups]
    # of a group that came true in none of n rows, the true share can still be 1 in n
    errors = [np.sqrt(max(s * (1 - s), 1 / len(g)) / len(g)) for s, g in zip(shares, groups, strict=True)]
    label = "tenths of the rows, ± one standard error"
    above.errorbar(means, shares, errors, fmt="o-", color=BLUE, linewidth=2, elinewidth=1, label=label)
    _unit_square(above)
    legend(above, loc="lower right")
    dress(below, f"predicted probability {of}", "rows")
    below.hist(score, bins=np.linspace(0, 1, 31), color=BLUE)
    return figure


def confusion(problem: Problem, codes: Array, predicted: Array) -> Figure:
    """Return the confusion matrix: rows are true classes, shades and percentages are shares of the row."""
    labels, codes, predicted = _frequent(problem, codes, predicted)
    n = len(labels)
    counts = confusion_matrix(codes, predicted, labels=range(n))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = max(3.4, 1.6 + (0.75 if n <= MAX_CELL_CLASSES else 0.55) * n)
    figure, axes = new_axes("Confusion matrix on the hold-out", "predicted", "true", (size + 1.2, size))
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        text = f"{count:,}" if n > MAX_CELL_CLASSES else f"{count:,}\n{shares[row, column]:.0%}"
        color = "white" if shares[row, column] > 0.5 else DARK if count else GREY
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=9)
    long = n > 4 or max(map(len, labels)) > 10
    axes.set_xticks(range(n), labels, rotation=40 if long else 0, ha="right" if long else "center")
    axes.set_yticks(range(n), labels)
    return figure


def _frequent(problem: Problem, codes: Array, predicted: Array) -> tuple[list[str], Array, Array]:
    """Return labels and codes of the most frequent classes, and of all others together."""
    labels = [short(label) for label in problem.labels]
    if len(labels) <= MAX_CONFUSION_CLASSES:
        return labels, codes, predicted
    counts = np.bincount(codes, minlength=len(labels))
    kept = sorted(np.argsort(-counts, kind="stable")[: MAX_CONFUSION_CLASSES - 1].tolist())
    place = np.full(len(labels), len(kept))
    place[kept] = np.arange(len(kept))
    others = f"{len(labels) - len(kept)} others"
    return [*(labels[number] for number in kept), others], place[codes], place[predicted]
