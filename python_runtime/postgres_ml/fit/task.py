"""What every fit of a training has in common, and when it has to end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from postgres_ml.contract.config import TrainingSpec
from postgres_ml.features.feature_columns import FeatureColumns
from postgres_ml.features.problem import Problem
from postgres_ml.snapshot.rows import Array, TrainingRows


class Deadline:
    """The end of `max_runtime`, on the wall clock.

    Parameters
    ----------
    seconds : from now on
    clock : seconds that only grow
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds, self.clock = seconds, clock
        self.end = clock() + seconds

    @property
    def left(self) -> float:
        """Seconds left; negative when it has passed."""
        return self.end - self.clock()

    @property
    def passed(self) -> bool:
        """Whether no new work should begin."""
        return self.left <= 0

    def before(self, seconds: float) -> Deadline:
        """Return the deadline so many seconds earlier; one that has passed if there aren't as many left."""
        if seconds <= 0:
            return self
        return Deadline(max(self.left - seconds, 0.0), self.clock)

    def part(self, share: float) -> Deadline:
        """Return the deadline at which this share of the time left will have passed."""
        return Deadline(share * max(self.left, 0.0), self.clock)


def weights(rows: TrainingRows) -> dict[str, Array]:
    """Return what a pipeline with a step `estimator` is fitted with; nothing where rows count alike."""
    return {} if rows.weight is None else {"estimator__sample_weight": rows.weight}


@dataclass(frozen=True)
class Task:
    """What every fit of a training has in common.

    Parameters
    ----------
    columns : the columns that are used
    n_threads : cores to use
    deadline : of search, evaluation and refit together
    is_sql : whether the function will be SQL, where each tree node and weight costs time in every call
    """

    spec: TrainingSpec
    problem: Problem
    columns: FeatureColumns
    n_threads: int
    deadline: Deadline
    is_sql: bool = True
