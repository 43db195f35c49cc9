"""Pictures of how the evaluated pipeline does on the hold-out, as PNG files.

Input: `Fitted`. Output: files in a folder. Figures are drawn without pyplot, which keeps global state.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix, precision_recall_curve, roc_curve

from postgres_ml.problem import Problem
from postgres_ml.results import Fitted
from postgres_ml.training_data import Array

BLUE, ORANGE, GREY = "#2f6690", "#d1603d", "#9aa5b1"
PALETTE = (BLUE, ORANGE, "#3a7d44", "#8e5572", "#c59b08", "#16697a", "#7a5195", "#5c4d3c")
MAX_CURVES = 8
MAX_POINTS = 3_000
MAX_CONFUSION_CLASSES = 20
MAX_BARS = 20


def draw_all(fitted: Fitted, folder: Path) -> list[Path]:
    """Write the problem type's plots into the folder and return their paths."""
    problem, frame = fitted.task.problem, fitted.holdout.frame
    codes = problem.encode(fitted.holdout.target)
    figures: dict[str, Figure] = {}
    if problem.is_regression:
        predicted = np.asarray(fitted.evaluated.predict(frame), dtype=np.float64)
        figures["predicted_vs_actual"] = predicted_vs_actual(codes, predicted)
        figures["residuals"] = residuals(codes, predicted)
    else:
        predicted = problem.encode(fitted.evaluated.predict(frame))
        figures["confusion_matrix"] = confusion(problem, codes, predicted)
        if problem.has_probabilities:
            probabilities = fitted.evaluated.predict_proba(frame)
            figures["roc"] = curves(problem, codes, probabilities, "roc")
            figures["precision_recall"] = curves(problem, codes, probabilities, "precision_recall")
            figures["calibration"] = calibration(problem, codes, probabilities)
    if fitted.explanation is not None:
        figures["feature_importance"] = importance(fitted.explanation.importance, fitted.explanation.unit)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in figures.items():
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=110)
    return paths


def _axes(title: str, x: str, y: str, size: tuple[float, float] = (5.6, 4.4)) -> tuple[Figure, Any]:
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=12, loc="left")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e5e9ed", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def curves(problem: Problem, codes: Array, probabilities: Array, kind: str) -> Figure:
    """Return ROC or precision-recall curves: of the positive class, or of each against the rest."""
    if kind == "roc":
        figure, axes = _axes("ROC on the hold-out", "false positive rate", "true positive rate")
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
    else:
        figure, axes = _axes("Precision and recall on the hold-out", "recall", "precision")
    numbers = [1] if len(problem.classes) == 2 else range(min(len(problem.classes), MAX_CURVES))
    for color, number in zip(PALETTE, numbers, strict=False):
        truth, score = codes == number, probabilities[:, number]
        if kind == "roc":
            x, y, _ = roc_curve(truth, score)
        else:
            y, x, _ = precision_recall_curve(truth, score)
        axes.plot(
            x, y, color=color, linewidth=2, label=_short(problem.labels[number]), drawstyle="steps-post"
        )
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.03)
    axes.legend(frameon=False, fontsize=9, loc="lower right" if kind == "roc" else "lower left")
    return figure


def calibration(problem: Problem, codes: Array, probabilities: Array) -> Figure:
    """Return how often predictions of a probability come true, in ten groups of equal size."""
    binary = len(problem.classes) == 2
    score = probabilities[:, 1] if binary else probabilities.max(axis=1)
    hit = codes == 1 if binary else codes == probabilities.argmax(axis=1)
    of = f"of {_short(problem.labels[1])!r}" if binary else "of the predicted class"
    figure, axes = _axes("Calibration on the hold-out", f"predicted probability {of}", "share that came true")
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
    groups = np.array_split(np.argsort(score, kind="stable"), min(10, len(score)))
    axes.plot(
        [score[g].mean() for g in groups], [hit[g].mean() for g in groups], "o-", color=BLUE, linewidth=2
    )
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    return figure


def confusion(problem: Problem, codes: Array, predicted: Array) -> Figure:
    """Return the confusion matrix: rows are true classes, shades are shares of the row."""
    n = min(len(problem.classes), MAX_CONFUSION_CLASSES)
    keep = (codes < n) & (predicted < n)
    counts = confusion_matrix(codes[keep], predicted[keep], labels=range(n))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = max(4.0, 1.4 + 0.55 * n)
    figure, axes = _axes("Confusion matrix on the hold-out", "predicted", "true", (size + 0.8, size))
    axes.grid(visible=False)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        color = "white" if shares[row, column] > 0.5 else "#24323d"
        axes.text(column, row, f"{count:,}", ha="center", va="center", color=color, fontsize=9)
    labels = [_short(label) for label in problem.labels[:n]]
    axes.set_xticks(range(n), labels, rotation=45 if n > 4 else 0, ha="right" if n > 4 else "center")
    axes.set_yticks(range(n), labels)
    return figure


def predicted_vs_actual(truth: Array, predicted: Array) -> Figure:
    """Return predictions over true values."""
    figure, axes = _axes("Predicted and actual values on the hold-out", "actual", "predicted")
    axes.scatter(truth[:MAX_POINTS], predicted[:MAX_POINTS], s=9, alpha=0.35, color=BLUE, linewidths=0)
    ends = [float(min(truth.min(), predicted.min())), float(max(truth.max(), predicted.max()))]
    axes.plot(ends, ends, color=ORANGE, linewidth=1.2)
    return figure


def residuals(truth: Array, predicted: Array) -> Figure:
    """Return errors over predictions."""
    figure, axes = _axes("Errors on the hold-out", "predicted", "actual − predicted")
    x, y = predicted[:MAX_POINTS], (truth - predicted)[:MAX_POINTS]
    axes.scatter(x, y, s=9, alpha=0.35, color=BLUE, linewidths=0)
    axes.axhline(0, color=ORANGE, linewidth=1.2)
    return figure


def importance(values: dict[str, float], unit: str) -> Figure:
    """Return bars of the columns' mean absolute SHAP values, greatest on top."""
    top = list(values.items())[:MAX_BARS]
    title, x = "What predictions depend on", f"mean |SHAP value|, {unit}"
    figure, axes = _axes(title, x, "", (6.4, 1.3 + 0.28 * max(len(top), 3)))
    axes.barh([_short(name, 28) for name, _ in top], [rise for _, rise in top], color=BLUE, height=0.7)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    return figure


def _short(text: str, limit: int = 18) -> str:
    """Return the text without what matplotlib would read as mathematics, cut to the limit."""
    plain = text.replace("$", r"\$").replace("\n", " ") or "''"
    return plain if len(plain) <= limit else plain[: limit - 1] + "…"
