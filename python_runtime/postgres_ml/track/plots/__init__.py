"""What plots of a training show: how the evaluated pipeline does on the hold-out, and more.

Input: `Fitted`. Output: pictures, which `draw` makes PNG files of, where there is one in another process.
What is here needs no matplotlib.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from postgres_ml.evaluate.anomalies import threshold as anomaly_threshold
from postgres_ml.evaluate.clusters import encoded
from postgres_ml.publish.fitted import Fitted
from postgres_ml.search.losses import loss_name


@dataclass(frozen=True)
class Picture:
    """A plot that is not drawn yet.

    Parameters
    ----------
    name : of the file, and of the function of `draw` that draws it
    arguments : what that takes
    """

    name: str
    arguments: tuple[Any, ...]


def pictures(fitted: Fitted) -> list[Picture]:
    """Return the problem type's plots, in the card's order."""
    found = _of_holdout(fitted)
    if fitted.explanation is not None:
        # the formulas behind exact values are not shown, and can be large
        found["feature_importance"] = (dataclasses.replace(fitted.explanation, exact=None),)
    if fitted.scorecard is not None and fitted.scorecard.terms:
        sizes = {len(term.axes) for term in fitted.scorecard.terms}
        found |= {"terms": (fitted.scorecard,)} if 1 in sizes else {}
        found |= {"pairs": (fitted.scorecard,)} if 2 in sizes else {}
    choice = fitted.choice
    if any(trial.state == "done" for trial in choice.trials):
        chosen = [choice.candidate, *(member.candidate for member in choice.members)]
        found["search_history"] = (choice.trials, chosen, loss_name(fitted.task))
    return [Picture(name, arguments) for name, arguments in found.items()]


def _of_holdout(fitted: Fitted) -> dict[str, tuple[Any, ...]]:
    """Return what is shown of the predictions on the hold-out."""
    problem, frame, evaluated = fitted.task.problem, fitted.holdout.frame, fitted.evaluated
    codes = problem.encode(fitted.holdout.target)
    if problem.is_regression:
        predicted = np.asarray(evaluated.predict(frame), dtype=np.float64)
        return {"predicted_vs_actual": (codes, predicted), "residuals": (codes, predicted)}
    if problem.is_clustering:
        space, last = encoded(evaluated, frame), evaluated[-1]
        return {"clusters": (space, last.predict(space), last.n_clusters)}
    if problem.is_anomaly_detection:
        return {"anomaly_scores": (evaluated.predict(frame), anomaly_threshold(evaluated))}
    found: dict[str, tuple[Any, ...]] = {
        "confusion_matrix": (problem, codes, problem.encode(evaluated.predict(frame)))
    }
    if problem.has_probabilities:
        probabilities = evaluated.predict_proba(frame)
        threshold = fitted.choice.threshold or 0.5
        found["roc"] = (problem, codes, probabilities, threshold)
        found["precision_recall"] = (problem, codes, probabilities, threshold)
        found["calibration"] = (problem, codes, probabilities)
    return found
