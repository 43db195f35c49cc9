"""The card, the plots and the frame reader: what a person sees, and what MLflow's users call."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from postgres_ml.components.frame_reader import FrameReader
from postgres_ml.explain import Explanation
from postgres_ml.features.problem import Problem
from postgres_ml.fit.candidates import Candidate
from postgres_ml.fit.trial import Trial
from postgres_ml.track import plots
from postgres_ml.track.card import pages, readings
from postgres_ml.track.card.pages import Section
from postgres_ml.track.plots import style

READER = FrameReader(names=("x", "word"), texts=("word",))


@pytest.mark.parametrize(
    "numbers",
    [
        pd.Series([1, 0, 2]),
        pd.Series([True, False, None]),
        pd.Series([Decimal("1"), None, Decimal("2")]),
        pd.Series([1, None, 2], dtype="Int64"),
        pd.Series([1.0, np.nan, 2.0], dtype="float32"),
    ],
)
def test_numbers_of_any_driver_become_doubles(numbers: pd.Series) -> None:
    read = READER.transform(pd.DataFrame({"other": [0, 0, 0], "word": ["a"] * 3, "x": numbers}))
    assert list(read) == ["x", "word"] and read["x"].dtype == np.float64
    wanted = [np.nan if pd.isna(v) else float(v) for v in numbers]
    assert np.array_equal(read["x"].to_numpy(), wanted, equal_nan=True)


@pytest.mark.parametrize("dtype", ["object", "str", "category"])
def test_missing_text_is_none_whatever_it_was(dtype: str) -> None:
    words = pd.Series(["a", None, "b"], dtype=object)
    if dtype != "str":
        words = words.astype(dtype)
    elif pd.__version__ >= "3":
        words = words.astype("str")
    else:
        words = words.astype("string")
    read = READER.transform(pd.DataFrame({"x": [1.0] * 3, "word": words}))
    assert read["word"].tolist() == ["a", None, "b"] and read["word"].dtype == object


def test_a_column_that_is_not_given_is_missing() -> None:
    read = READER.transform(pd.DataFrame({"unused": [1, 2]}))
    assert read["x"].isna().all() and read["word"].tolist() == [None, None]


def test_the_card_shows_text_as_it_is_in_both_forms(tmp_path: Path) -> None:
    picture = tmp_path / "roc.png"
    picture.write_bytes(b"png")
    parts = [
        Section("Labels", rows=[("label", "n"), ("<b>|x|", "1,000")], images=[(picture, "caption <i>")]),
        Section("Notes", texts=["a & b"], items=["a *star* and a `tick`"]),
        Section("Query", codes=[("sql", "select '```' as \"$$\"")], is_folded=True),
    ]
    markdown = pages.markdown("ml.churn", "lead", parts)
    assert "| &lt;b&gt;\\|x\\| | 1,000 |" in markdown
    assert "- a \\*star\\* and a \\`tick\\`" in markdown
    assert "````sql\nselect '```'" in markdown and "![caption &lt;i&gt;](plots/roc.png)" in markdown
    page = pages.to_html("ml.churn", "lead", parts)
    assert "<td>&lt;b&gt;|x|</td><td class=number>1,000</td>" in page
    assert "base64,cG5n" in page and "<b>" not in page and "<i>" not in page
    assert "<p>a &amp; b</p>" in page and "<details><summary><h2>Query" in page


def test_a_few_outliers_do_not_squeeze_a_picture() -> None:
    values = np.append(np.linspace(0, 1, 999), 1e6)
    low, high = style.limits(values)
    assert -0.2 < low < 0 and 1 < high < 1.3
    assert style.limits(np.linspace(0, 1, 10)) == (-0.03, 1.03) and style.limits(np.ones(3)) == (0, 2)


def test_long_names_keep_their_ends() -> None:
    assert style.short("sales_in_the_last_30_days", 14) == "sales_in_…days"
    assert style.short("a$b\n") == r"a\$b " and style.short("") == "''"


def test_numbers_on_the_card_are_short() -> None:
    assert [readings.number(v) for v in (0.884615384, 303402.6911, 12.0, 0.0, float("nan"))] == [
        "0.88462",
        "303,403",
        "12",
        "0",
        "–",
    ]


@pytest.mark.parametrize("value", [0.5, -1e6, 5.04e-05, 2e300, float("nan")])
def test_numbers_on_the_card_are_aligned(value: float) -> None:
    page = pages.to_html("", "", [pages.Section("a", rows=[("n",), (readings.number(value),)])])
    assert page.count("class=number") == 2


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
