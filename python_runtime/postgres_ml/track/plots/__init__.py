"""Pictures of how the evaluated pipeline does on the hold-out, as PNG files.

Input: `Fitted`. Output: files in a folder.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from postgres_ml.evaluate.anomalies import threshold as anomaly_threshold
from postgres_ml.evaluate.clusters import encoded
from postgres_ml.publish.fitted import Fitted
from postgres_ml.search.losses import loss_name
from postgres_ml.track.plots.anomalies import anomaly_scores
from postgres_ml.track.plots.classification import calibration, confusion, precision_recall, roc
from postgres_ml.track.plots.clusters import clusters
from postgres_ml.track.plots.importance import importance
from postgres_ml.track.plots.regression import predicted_vs_actual, residuals
from postgres_ml.track.plots.search_history import search_history
from postgres_ml.track.plots.style import DPI
from postgres_ml.track.plots.terms import pair_maps, term_curves


def draw_all(fitted: Fitted, folder: Path) -> list[Path]:
    """Write the problem type's plots into the folder and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in figures(fitted).items():
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=DPI)
    return paths


def figures(fitted: Fitted) -> dict[str, Figure]:
    """Return the problem type's plots by name."""
    problem, frame = fitted.task.problem, fitted.holdout.frame
    codes = problem.encode(fitted.holdout.target)
    drawn: dict[str, Figure] = {}
    if problem.is_regression:
        predicted = np.asarray(fitted.evaluated.predict(frame), dtype=np.float64)
        drawn["predicted_vs_actual"] = predicted_vs_actual(codes, predicted)
        drawn["residuals"] = residuals(codes, predicted)
    elif problem.is_clustering:
        space, last = encoded(fitted.evaluated, frame), fitted.evaluated[-1]
        drawn["clusters"] = clusters(space, last.predict(space), last.n_clusters)
    elif problem.is_anomaly_detection:
        drawn["anomaly_scores"] = anomaly_scores(
            fitted.evaluated.predict(frame), anomaly_threshold(fitted.evaluated)
        )
    else:
        drawn["confusion_matrix"] = confusion(problem, codes, problem.encode(fitted.evaluated.predict(frame)))
        if problem.has_probabilities:
            probabilities = fitted.evaluated.predict_proba(frame)
            threshold = fitted.choice.threshold or 0.5
            drawn["roc"] = roc(problem, codes, probabilities, threshold)
            drawn["precision_recall"] = precision_recall(problem, codes, probabilities, threshold)
            drawn["calibration"] = calibration(problem, codes, probabilities)
    if fitted.explanation is not None:
        drawn["feature_importance"] = importance(fitted.explanation)
    if fitted.scorecard is not None and fitted.scorecard.terms:
        sizes = {len(term.axes) for term in fitted.scorecard.terms}
        drawn |= {"terms": term_curves(fitted.scorecard)} if 1 in sizes else {}
        drawn |= {"pairs": pair_maps(fitted.scorecard)} if 2 in sizes else {}
    choice = fitted.choice
    if any(trial.state == "done" for trial in choice.trials):
        chosen = [choice.candidate, *(member.candidate for member in choice.members)]
        drawn["search_history"] = search_history(choice.trials, chosen, loss_name(fitted.task))
    return drawn
