"""The plots of a training are drawn whatever it found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from postgres_ml.explain import Explanation
from postgres_ml.features.problem import Problem
from postgres_ml.fit.candidates import Candidate
from postgres_ml.fit.trial import Trial
from postgres_ml.track.plots import draw as plots


@pytest.mark.parametrize(
    "labels", [["no", "yes"], ["a$b_", "$$", "ümläut", "x" * 60], [str(i) for i in range(25)]]
)
def test_plots_draw_any_labels(labels: list[str], tmp_path: Path) -> None:
    n = len(labels)
    kind = "binary_classification" if n == 2 else "multiclass_classification"
    problem = Problem(kind, "accuracy", "accuracy", np.array(labels, dtype=object))
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.ones(n), 200)
    codes = np.arange(200) % n
    explained = tuple(labels[1:] if n == 2 else labels)
    values = random.normal(size=(len(explained), 9, 30))
    names = tuple(f"feature ${k}" for k in range(30))
    explanation = Explanation("tree_shap", "log-odds", explained, names, values, np.zeros(len(explained)))
    figures = [
        plots.roc(problem, codes, probabilities, 0.4),
        plots.precision_recall(problem, codes, probabilities, 0.4),
        plots.calibration(problem, codes, probabilities),
        plots.confusion(problem, codes, probabilities.argmax(axis=1)),
        plots.importance(explanation),
    ]
    draw(figures, tmp_path)


@pytest.mark.parametrize("outlier", [0.0, 1e9, -1e9])
@pytest.mark.parametrize("spread", [0.1, 3.0])
def test_plots_draw_any_numbers(outlier: float, spread: float, tmp_path: Path) -> None:
    truth = np.exp(np.random.default_rng(0).normal(size=100) * spread)
    truth[0] += outlier
    predicted = truth.mean() + np.zeros(100)
    draw([plots.predicted_vs_actual(truth, truth[::-1]), plots.residuals(truth, predicted)], tmp_path)


@pytest.mark.parametrize("n_encoded", [1, 5])
def test_clusters_are_drawn_in_one_dimension_and_more(n_encoded: int, tmp_path: Path) -> None:
    space = np.random.default_rng(0).normal(size=(60, n_encoded))
    draw([plots.clusters(space, np.arange(60) % 11, 12)], tmp_path)


@pytest.mark.parametrize("spread", [0.0, 0.1])
@pytest.mark.parametrize("threshold", [None, 0.3, 0.5, 0.9])
def test_scores_of_anomalies_are_drawn_wherever_the_threshold_is(
    spread: float, threshold: float | None, tmp_path: Path
) -> None:
    scores = 0.5 + spread * np.random.default_rng(0).normal(size=60)
    figure = plots.anomaly_scores(scores, threshold)
    bars = [bar.get_height() for bar in figure.axes[0].patches]
    assert figure.axes[0].get_ylim()[1] > max(bars) and sum(bars) == len(scores)
    draw([figure], tmp_path)


def test_the_search_is_drawn_with_what_was_dropped_and_chosen(tmp_path: Path) -> None:
    candidates = [Candidate(f"c{k}", "xgboost" if k % 2 else "linear_learner") for k in range(6)]
    nothing = np.zeros(0)
    trials = [
        Trial(candidate, 0.5, loss, 0, 0, 0.5, 1.0, nothing, nothing, finished_s=k, state=state)
        for k, (candidate, loss, state) in enumerate(
            zip(
                candidates,
                [0.7, 0.4, 99.0, 0.3, np.nan, 0.5],
                ["done"] * 3 + ["done", "failed", "pruned"],
                strict=True,
            )
        )
    ]
    figure = plots.search_history(trials, [candidates[3]], "log_loss")
    (axes,) = figure.axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["linear_learner", "xgboost", "dropped after the first fold", "best so far", "chosen"]
    draw([figure], tmp_path)


def draw(figures: list[Figure], tmp_path: Path) -> None:
    for number, figure in enumerate(figures):
        path = tmp_path / f"{number}.png"
        figure.savefig(path)
        assert path.read_bytes().startswith(b"\x89PNG")
