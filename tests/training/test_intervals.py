"""Intervals: how they are calibrated, when they are scaled, and whether they cover what was asked."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
from postgres_ml.contract.config import Settings
from postgres_ml.contract.exceptions import SpecError, TrainingDataError
from postgres_ml.evaluate import intervals
from postgres_ml.features.feature_columns import choose_columns
from postgres_ml.features.problem import check_interval, resolve
from postgres_ml.fit import configured
from postgres_ml.fit.choice import Choice, OutOfFold
from postgres_ml.fit.task import Deadline, Task
from postgres_ml.search import search
from postgres_ml.snapshot.rows import TrainingRows
from support.training import column, make_spec

COLUMNS = (column("x"), column("kind", "text"))


def drawn(n: int, seed: int, spread: float = 8.0) -> TrainingRows:
    """Rows whose errors are `spread` times as large in kind b as in kind a."""
    random = np.random.default_rng(seed)
    x, kind = random.normal(size=n), random.choice(np.array(["a", "b"], dtype=object), n)
    noise = random.normal(size=n) * np.where(kind == "b", spread, 1.0)
    frame = pd.DataFrame({"x": x, "kind": pd.Series(kind, dtype=object)})
    frame.loc[::20, "x"] = np.nan
    return TrainingRows(frame, 3 * x + noise, np.arange(n, dtype=np.uint64), "0")


def task_for(rows: TrainingRows, level: float, **changes: Any) -> Task:
    defaults: dict[str, Any] = {"auto": False, "model_types": ("linear_learner",), "interval": level}
    spec = make_spec("target", **(defaults | changes))
    problem = resolve(spec, column("target"), rows.target, [])
    return Task(spec, problem, choose_columns(COLUMNS, rows, []), 1, Deadline(60))


def calibrated(level: float, seed: int, spread: float = 8.0) -> tuple[Any, intervals.Interval]:
    training, holdout = drawn(400, seed, spread), drawn(200, seed + 1000, spread)
    task = task_for(training, level)
    choice = Choice(configured.configured_candidate(task.spec, task.problem))
    pipeline = configured.fit(task, choice.candidate, training)
    return pipeline, intervals.calibrate(task, choice, pipeline, training, holdout)


def bounds_of(interval: intervals.Interval, pipeline: Any, frame: pd.DataFrame) -> np.ndarray[Any, Any]:
    scales = [None] * len(frame) if interval.scale is None else interval.scale.predict(frame).tolist()
    predicted = pipeline.predict(frame).tolist()
    return np.array([interval.bounds(p, s) for p, s in zip(predicted, scales, strict=True)])


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_fresh_rows_are_covered_as_asked_and_the_card_knows(level: float) -> None:
    covered, on_card = [], []
    for seed in range(12):
        pipeline, interval = calibrated(level, seed)
        fresh = drawn(2000, seed + 5000)
        lower, upper = bounds_of(interval, pipeline, fresh.frame).T
        covered.append(np.mean((lower <= fresh.target) & (fresh.target <= upper)))
        on_card.append(interval.coverage)
    # a hold-out of 200 rows varies by 2 to 4 points; the mean of twelve by 1
    assert abs(np.mean(covered) - level) < 0.03
    assert abs(np.mean(on_card) - level) < 0.03


def test_intervals_are_scaled_where_errors_differ_and_only_there() -> None:
    _, scaled = calibrated(0.9, 0)
    assert scaled.scale is not None and scaled.least < scaled.most
    widths = {
        kind: np.ptp(
            scaled.bounds(0.0, float(scaled.scale.predict(pd.DataFrame({"x": [0.0], "kind": [kind]}))[0]))
        )
        for kind in "ab"
    }
    assert widths["b"] > 3 * widths["a"]
    _, even = calibrated(0.9, 0, spread=1.0)
    assert even.scale is None and even.factor == even.constant
    assert np.ptp(even.bounds(7.0, None)) == pytest.approx(2 * even.constant)


def test_bounds_keep_to_the_limits_and_a_refused_row_has_the_widest() -> None:
    _, interval = calibrated(0.9, 0)
    assert interval.bounds(1.0, None) == interval.bounds(1.0, 1e9) == interval.bounds(1.0, interval.most)
    assert interval.bounds(1.0, -5.0) == interval.bounds(1.0, interval.least)


def test_groups_are_tenths_of_the_prediction() -> None:
    _, interval = calibrated(0.9, 0)
    assert [group.n_rows for group in interval.groups] == [20] * 10
    assert all(one.high <= two.low for one, two in zip(interval.groups, interval.groups[1:], strict=False))
    assert np.mean([group.coverage for group in interval.groups]) == pytest.approx(interval.coverage)
    assert np.mean([group.width for group in interval.groups]) == pytest.approx(interval.width)


@pytest.mark.parametrize(("n", "level", "place"), [(9, 0.9, 9), (10, 0.9, 10), (19, 0.9, 18), (99, 0.5, 50)])
def test_the_quantile_counts_the_row_to_come(n: int, level: float, place: int) -> None:
    errors = np.random.default_rng(0).permutation(n) + 1.0
    assert intervals.quantile(errors, level) == place


def test_too_few_rows_for_the_share_are_refused() -> None:
    intervals.check_enough(0.9, 9)
    with pytest.raises(TrainingDataError, match=r"needs at least 9 rows .* there are 8: add rows, hold out"):
        intervals.check_enough(0.9, 8)
    with pytest.raises(TrainingDataError, match="needs at least 999 rows"):
        intervals.check_enough(0.999, 100)


def test_a_target_of_classes_is_refused() -> None:
    rows = TrainingRows(
        pd.DataFrame({"x": np.arange(40.0)}), np.arange(40) % 2, np.arange(40, dtype=np.uint64), ""
    )
    spec = make_spec("target", interval=0.9)
    problem = resolve(spec, column("target", "integer"), rows.target, [])
    with pytest.raises(SpecError, match=r"makes a binary_classification: .*predict_probabilities\(\)"):
        check_interval(spec, problem)


def test_autos_folds_tell_where_errors_are_large() -> None:
    training, holdout = drawn(300, 0), drawn(100, 1)
    changes: dict[str, Any] = {"auto": True, "settings": Settings(max_trials=1, min_rows=10)}
    task = task_for(training, 0.9, **changes)
    choice = search(task, training, lambda text, fields: None)
    assert choice.out_of_fold is not None
    assert (
        np.array_equal(choice.out_of_fold.rows, np.arange(300)) and len(choice.out_of_fold.predicted) == 300
    )
    errors = np.square(choice.out_of_fold.predicted - training.target).mean()
    assert errors == pytest.approx(choice.loss, rel=1e-5), "each row is beside its own prediction"
    linear = task_for(training, 0.9)
    candidate = configured.configured_candidate(linear.spec, linear.problem)
    evaluated = configured.fit(linear, candidate, training)
    few = holdout.take(np.arange(100) < 40)
    by_folds = intervals.calibrate(task, choice, evaluated, training, few)
    assert by_folds.n_rows == 40 and by_folds.scale is not None
    part = dataclasses.replace(choice, out_of_fold=OutOfFold(np.arange(5), np.zeros(5, np.float32)))
    assert intervals.calibrate(task, part, evaluated, training, few).scale is None, "too few errors"
    without = dataclasses.replace(choice, out_of_fold=None)
    assert intervals.calibrate(task, without, evaluated, training, few).scale is None


def test_nobody_asks_nothing_is_kept() -> None:
    rows = drawn(200, 0)
    changes: dict[str, Any] = {
        "auto": True,
        "settings": Settings(max_trials=1, min_rows=10),
        "interval": None,
    }
    assert search(task_for(rows, 0.9, **changes), rows, lambda text, fields: None).out_of_fold is None
