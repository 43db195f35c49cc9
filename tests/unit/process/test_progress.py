"""Lines about a build: never more than five seconds apart, progress never less than two, and readable."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from postgres_ml.process.progress import LEAST_S, MOST_S, PHASES, Progress, duration, figure
from postgres_ml.process.report import USUAL_S

SEARCH = {"phase": "search", "best": "boosted trees, depth 3", "metric": "f1", "score": 0.80512, "trials": 3}


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_whatever_happens_lines_keep_their_distance() -> None:
    clock, draw = Clock(), random.Random(0)
    progress, said = Progress(clock), [clock.now]
    progress.begin("start")
    for _ in range(4_000):
        clock.now += 0.25
        if draw.random() < draw.choice([0.0, 0.02, 0.9]):
            progress.take({**SEARCH, "phase": draw.choice(list(PHASES)), "trials": draw.randint(1, 9)})
        if progress.due:
            assert progress.line()[0]
            said.append(clock.now)
    gaps = [after - before for before, after in itertools.pairwise(said)]
    assert min(gaps) >= LEAST_S and max(gaps) <= MOST_S + 0.25 <= 5
    assert clock.now - said[-1] <= 5


def test_a_line_of_another_kind_counts_as_well() -> None:
    clock = Clock()
    progress = Progress(clock)
    progress.begin("load")
    clock.now += 1.9
    assert not progress.due
    progress.said()
    clock.now += 1.9
    assert not progress.due
    clock.now += 0.1
    assert progress.due


def test_what_comes_before_the_first_phase_is_not_silent_either() -> None:
    clock = Clock()
    progress = Progress(clock)
    clock.now += MOST_S
    assert progress.due and progress.shown() == "preparing the build, 4 s so far"


def test_a_search_tells_candidates_the_best_score_and_an_estimate_that_counts_down() -> None:
    clock = Clock()
    progress = Progress(clock)
    progress.take({**SEARCH, "seconds_left": 40.0})
    clock.now += 5
    text, fields = progress.line()
    assert text == "search, 3 candidates done, best f1 0.8051 (boosted trees, depth 3), about 35 s left"
    assert fields == {**SEARCH, "seconds_left": 35.0, "seconds_so_far": 5.0}
    clock.now += 60  # the estimate was wrong
    assert progress.shown().endswith("(boosted trees, depth 3), 65 s so far")


@pytest.mark.parametrize(
    ("given", "ends"),
    [({"phase": "start"}, "3 s so far"), ({"phase": "refit"}, "about 17 s left")],
)
def test_the_estimate_of_a_training_ends_with_it(given: dict[str, Any], ends: str) -> None:
    clock = Clock()
    progress = Progress(clock)
    progress.take({**SEARCH, "seconds_left": 20.0})
    progress.take(given)
    clock.now += 3
    assert progress.shown() == f"{PHASES[given['phase']]}, {ends}"


def test_every_phase_that_is_estimated_has_a_name_for_people() -> None:
    assert USUAL_S.keys() <= PHASES.keys()


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.80512, "0.8051"), (2066.9, "2,067"), (123456.7, "123,500"), (0.00012345, "0.0001234"), (1.0, "1")],
)
def test_figures_have_four_digits(value: float, text: str) -> None:
    assert figure(value) == text


def test_durations_are_rounded_to_what_an_estimate_can_say() -> None:
    assert [duration(s) for s in (0.4, 99, 100, 3600, 6000)] == [
        "0 s",
        "99 s",
        "2 min",
        "60 min",
        "1 h 40 min",
    ]
