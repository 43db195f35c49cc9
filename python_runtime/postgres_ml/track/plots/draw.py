"""Draws pictures as PNG files.

Input: `Picture`. Output: files in a folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from matplotlib.figure import Figure

from postgres_ml.track.plots import Picture
from postgres_ml.track.plots.anomalies import anomaly_scores
from postgres_ml.track.plots.classification import calibration, confusion, precision_recall, roc
from postgres_ml.track.plots.clusters import clusters
from postgres_ml.track.plots.importance import importance
from postgres_ml.track.plots.regression import predicted_vs_actual, residuals
from postgres_ml.track.plots.search_history import search_history
from postgres_ml.track.plots.style import DPI
from postgres_ml.track.plots.terms import pair_maps, term_curves

FUNCTIONS: dict[str, Callable[..., Figure]] = {
    "predicted_vs_actual": predicted_vs_actual,
    "residuals": residuals,
    "clusters": clusters,
    "anomaly_scores": anomaly_scores,
    "confusion_matrix": confusion,
    "roc": roc,
    "precision_recall": precision_recall,
    "calibration": calibration,
    "feature_importance": importance,
    "terms": term_curves,
    "pairs": pair_maps,
    "search_history": search_history,
}
"""By the picture's name, what draws it."""


def draw_all(pictures: Iterable[Picture], folder: Path) -> None:
    """Write the pictures into the folder, which is made: each under its name."""
    folder.mkdir(parents=True, exist_ok=True)
    for picture in pictures:
        figure = FUNCTIONS[picture.name](*picture.arguments)
        figure.savefig(folder / f"{picture.name}.png", dpi=DPI)
