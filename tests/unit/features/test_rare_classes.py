"""Classes of few rows: where they go, what is said of them, and what can't be trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from postgres_ml.contract.config import Settings
from postgres_ml.contract.exceptions import TrainingDataError
from postgres_ml.evaluate.metrics import classification_metrics, score_function
from postgres_ml.features.problem import Problem, resolve
from postgres_ml.features.rare_classes import settle_split
from postgres_ml.fit.task import Deadline
from postgres_ml.preparation import prepare
from postgres_ml.process.report import Report
from postgres_ml.search.folds import ALWAYS_LEARNED, Folds
from postgres_ml.snapshot.rows import TrainingRows
from support.training import column, make_job, make_spec

TARGET = column("target", "text")


def problem_of(labels: np.ndarray) -> Problem:
    return resolve(make_spec(), TARGET, labels, [])


def settled(
    labels: list[str], held: list[int], *, is_marked: bool = False
) -> tuple[np.ndarray, np.ndarray, str]:
    """Return the masks of hold-out and unknown rows, and what was said."""
    target = np.array(labels, dtype=object)
    problem, messages, mask = problem_of(target), list[str](), np.zeros(len(labels), bool)
    mask[held] = True
    split = settle_split(problem, problem.encode(target), mask, TARGET, messages, is_marked=is_marked)
    return split.holdout, split.unknown, "\n".join(messages)


COMMON = ["a", "b"] * 10
"""Twenty rows of two classes; the tests hold out the first eight."""
EIGHT = list(range(8))


def test_a_class_without_two_rows_to_train_on_is_learned_and_not_held_out() -> None:
    holdout, _, said = settled([*COMMON, "x", "x", "y"], [*EIGHT, 20, 22])
    assert np.flatnonzero(holdout).tolist() == EIGHT
    assert "'x' (2 rows: 2 to train on, 0 in the hold-out), 'y' (1 row: 1 to train on" in said
    assert said.startswith('classes of "target" with few rows') and "merge small classes" in said


def test_a_class_that_no_row_of_is_held_out_trains_with_a_warning() -> None:
    holdout, _, said = settled([*COMMON, *"xxxxx"], EIGHT)
    assert (
        np.flatnonzero(holdout).tolist() == EIGHT and "'x' (5 rows: 5 to train on, 0 in the hold-out)" in said
    )


def test_classes_with_two_rows_on_each_side_are_not_spoken_of() -> None:
    assert settled(COMMON, EIGHT)[2] == ""


@pytest.mark.parametrize("held", [[], [20], [20, 21]])
def test_of_two_classes_each_has_a_row_on_both_sides(held: list[int]) -> None:
    holdout, _, said = settled([*"a" * 20, "b", "b"], [*EIGHT, *held])
    assert holdout[20:].sum() == 1 and "'b' (2 rows: 1 to train on, 1 in the hold-out)" in said


def test_of_two_classes_one_with_a_single_row_is_refused_with_its_count() -> None:
    with pytest.raises(
        TrainingDataError, match=r"too few of 'b' \(1 row: 1 to train on, 0 in the hold-out\)"
    ):
        settled([*"a" * 20, "b"], EIGHT)


def test_the_users_own_split_moves_no_row_and_leaves_out_what_can_not_be_learned() -> None:
    holdout, unknown, said = settled([*COMMON, "x", "x", "y"], [*EIGHT, 20, 21], is_marked=True)
    assert np.flatnonzero(holdout).tolist() == EIGHT and np.flatnonzero(unknown).tolist() == [20, 21]
    assert "left out, and never predicted: 'x' (2 rows: 0 to train on, 2 in the hold-out)" in said
    assert "'y' (1 row" in said
    with pytest.raises(TrainingDataError, match="a row to train on and one in the hold-out"):
        settled([*"a" * 20, "b", "b"], [*EIGHT, 20, 21], is_marked=True)
    with pytest.raises(TrainingDataError, match="the hold-out has no rows"):
        settled([*COMMON, "x"], [20], is_marked=True)


def test_classes_of_a_single_row_each_are_refused() -> None:
    with pytest.raises(
        TrainingDataError, match="a single row to train on, from which nothing can be learned"
    ):
        settled([*"abc", "a", "b"], [3, 4], is_marked=True)


def test_sides_of_less_than_two_rows_are_refused() -> None:
    regression = Problem("regression", "mse", "mse", np.array([]))
    with pytest.raises(TrainingDataError, match="7 training rows and 1 hold-out"):
        settle_split(regression, np.zeros(8), np.arange(8) < 1, column("target", "real"), [])


@given(
    counts=st.lists(st.integers(1, 12), min_size=3, max_size=9), seed=st.integers(0, 99), marked=st.booleans()
)
def test_every_class_is_known_to_every_fit(counts: list[int], seed: int, marked: bool) -> None:
    """Whatever the classes' sizes: no estimator of split or fold predicts a class that it never saw."""
    random = np.random.default_rng(seed)
    codes = random.permutation(np.repeat(np.arange(len(counts)), counts))
    target = np.array([f"c{code}" for code in codes], dtype=object)
    holdout = random.random(len(codes)) < 0.3
    problem = problem_of(target)
    try:
        split = settle_split(problem, codes, holdout, TARGET, [], is_marked=marked)
    except TrainingDataError:
        return
    known = set(codes[~split.holdout & ~split.unknown])
    assert set(codes[split.holdout]) <= known and (marked or known == set(range(len(counts))))
    if not marked:
        assert not split.unknown.any()
    training = np.flatnonzero(~split.holdout & ~split.unknown)
    learned = np.unique(codes[training], return_inverse=True)[1]
    rows = TrainingRows(pd.DataFrame({"x": learned}), learned, np.arange(len(learned), dtype=np.uint64), "")
    folds = Folds.of(rows, learned, stratified=True)
    for part in (folds.look, *folds.splits):
        assert set(learned[part.train]) == set(learned)
    assert ALWAYS_LEARNED not in folds.predicted
    counted = np.bincount(learned)
    assert len(folds.predicted) == counted[counted > 1].sum()


def test_the_warning_reaches_the_user_before_anything_is_trained(tmp_path: Path) -> None:
    target = np.array([*"abcde" * 40, *"ff", *"ggggg"], dtype=object)
    frame = pd.DataFrame({"x": np.random.default_rng(0).normal(size=len(target))})
    keys = np.sort(np.random.default_rng(1).integers(0, 2**64, len(target), dtype=np.uint64))
    order = np.random.default_rng(2).permutation(len(target))
    job = make_job(tmp_path, (column("x"),), TARGET, spec=make_spec(settings=Settings(min_rows=10)))
    lines: list[tuple[str, str]] = []
    report = Report(lambda level, text, fields=None: lines.append((level, text)))
    found = prepare(job, TrainingRows(frame, target[order], keys, ""), Deadline(60), report)
    assert set(found.training.target) == set("abcdefg") and len(found.task.problem.classes) == 7
    assert len(found.holdout) > 20
    (warning,) = (text for level, text in lines if level == "warning")
    assert "'f' (2 rows" in warning and "'g' (5 rows" in warning


def test_a_marked_hold_out_leaves_a_problem_of_the_classes_that_are_left(tmp_path: Path) -> None:
    target = np.array([*"ab" * 50, *"ccc"], dtype=object)
    split = np.r_[np.arange(100) % 3 == 0, [True] * 3].astype(np.int64)
    frame = pd.DataFrame({"x": np.random.default_rng(0).normal(size=103)})
    rows = TrainingRows(frame, target, np.arange(103, dtype=np.uint64), "", split)
    settings = Settings(min_rows=10, holdout_column="test")
    job = make_job(tmp_path, (column("x"),), TARGET, spec=make_spec(settings=settings))
    found = prepare(job, rows, Deadline(60), Report(lambda level, text, fields=None: None))
    assert found.task.problem.type == "binary_classification"
    assert len(found.rows) == len(found.training) + len(found.holdout) == 100


def test_metrics_of_rows_that_lack_classes_are_finite() -> None:
    probabilities = np.random.default_rng(0).dirichlet(np.ones(7), 50)
    for codes in (np.zeros(50, np.int64), np.arange(50) % 3):
        found = classification_metrics(codes, probabilities.argmax(axis=1), probabilities)
        assert all(np.isfinite(list(found.values())))
    binary = Problem("binary_classification", "auc", "auc", np.array(["n", "y"]))
    assert score_function(binary, "auc", 0.5)(np.zeros(50, np.int64), probabilities[:, :2]) == 0.5


@pytest.mark.parametrize("held", ["aaaaaccc", "bbbccc"])
def test_where_two_classes_are_left_to_learn_each_needs_a_row_held_out(held: str) -> None:
    labels = [*"ab" * 10, *held]
    with pytest.raises(
        TrainingDataError, match=r"two classes of .* have rows to train on, and each needs one"
    ):
        settled(labels, list(range(20, len(labels))), is_marked=True)


def test_where_two_classes_are_left_both_are_scored() -> None:
    labels = [*"ab" * 10, *"aabccc"]
    holdout, unknown, said = settled(labels, list(range(20, 26)), is_marked=True)
    assert np.flatnonzero(holdout).tolist() == [20, 21, 22] and unknown.sum() == 3 and "'c'" in said
