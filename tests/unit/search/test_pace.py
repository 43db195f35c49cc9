"""What a processor second takes on the clock, and what the budget makes of it."""

from __future__ import annotations

import numpy as np
import pytest
from postgres_ml.features.feature_columns import FeatureColumns
from postgres_ml.features.problem import Problem
from postgres_ml.fit.candidates import Candidate
from postgres_ml.fit.task import Deadline, Task
from postgres_ml.search.budget import Budget
from postgres_ml.search.fold_fit import FoldFit
from postgres_ml.search.pace import Pace
from postgres_ml.search.plan import Plan
from support.training import make_spec

BOOSTED = Candidate("xgboost r89", "xgboost", {"learning_rate": 0.0878})


def fit_of(seconds: float, cpu_s: float) -> FoldFit:
    return FoldFit(np.empty(0, np.float32), 1, 1.0, seconds, cpu_s, cpu_s)


def budget_of(seconds: float) -> Budget:
    problem = Problem("binary_classification", "f1", "f1", np.array(["no", "yes"], dtype=object))
    deadline = Deadline(seconds, lambda: 0.0)
    return Budget(Task(make_spec(), problem, FeatureColumns(("x",), ()), 2, deadline, False), 5, 1.25)


def test_a_second_is_a_second_before_anything_is_known_and_never_less() -> None:
    pace = Pace()
    assert pace.slowness == 1.0
    pace.note(1.0, 1.5)  # a library that used two cores
    assert pace.slowness == 1.0


def test_a_short_fit_that_was_interrupted_says_little_among_longer_ones() -> None:
    pace = Pace()
    pace.note(2.0, 2.0)
    pace.note(0.1, 0.01)
    assert pace.slowness == pytest.approx(2.1 / 2.01, abs=0.01)


def test_what_begins_beside_the_search_is_soon_known_and_soon_forgotten() -> None:
    pace = Pace()
    for _ in range(30):
        pace.note(1.0, 1.0)
    for _ in range(20):
        pace.note(2.0, 1.0)
    assert pace.slowness == pytest.approx(2.0, abs=0.05)
    for _ in range(30):
        pace.note(1.0, 1.0)
    assert pace.slowness == pytest.approx(1.0, abs=0.1)


def test_all_estimates_grow_with_what_runs_beside_the_search() -> None:
    alone, beside = budget_of(60), budget_of(60)
    for budget in (alone, beside):
        budget.note_unit(BOOSTED, 0.01, encoding_s=0.1)
    beside.note_pace(fit_of(3.0, 1.0))
    assert beside.expected_s(BOOSTED) == pytest.approx(3 * alone.expected_s(BOOSTED))
    for budget in (alone, beside):
        budget.note_cost(BOOSTED, 2.0, 1.5)
    assert (alone.expected_s(BOOSTED), beside.expected_s(BOOSTED)) == (2.0, pytest.approx(6.0))
    assert alone.plan(8_000) == Plan(5)
    assert beside.plan(8_000) != Plan(5)
