"""Rows whose features are not in this process's memory, and what is asked of them part by part.

Input: `snapshot.on_disk.StoredRows`, and what `preparation` has settled of the labels. Output: `LargeRows`.
The functions at the end take a part's frame: each way to hold the parts calls the same ones.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from postgres_ml.contract.column import Column
from postgres_ml.features.column_facts import ColumnFacts, add_counts, count_texts, facts_of, merged
from postgres_ml.features.problem import Problem
from postgres_ml.snapshot.on_disk import StoredRows
from postgres_ml.snapshot.rows import Array, TrainingRows, spread_part

LEFT_OUT, TRAINING, HOLDOUT = 0, 1, 2
"""Sides of a row: neither learned nor scored, learned from, or held out."""


@dataclass(frozen=True)
class Batch:
    """Some rows in memory.

    Parameters
    ----------
    frame, target, weight : as `TrainingRows` has them
    """

    frame: pd.DataFrame
    target: Array
    weight: Array | None


Encode = Callable[[Batch], tuple[Any, Any, Any]]
"""From a batch to its matrix, its class codes or values, and its weights or None."""
T = TypeVar("T")


@dataclass(frozen=True)
class Look:
    """What one pass over all rows tells.

    Parameters
    ----------
    facts : of each column
    counts : of each text column, by side, the number of rows of each category
    """

    facts: dict[str, ColumnFacts]
    counts: dict[str, dict[int, Counter[str | None]]]

    def of_sides(self, name: str, sides: Sequence[int]) -> Counter[str | None]:
        """Return the number of rows of each category of a text column on these sides."""
        total: Counter[str | None] = Counter()
        for side in sides:
            add_counts(total, self.counts[name].get(side, Counter()))
        return total


@dataclass(frozen=True)
class LargeRows:
    """Labelled rows, sorted by their keys, whose features are on disk.

    Parameters
    ----------
    stored : all rows that were read
    sides : ndarray of shape (n_stored_rows,), int8: `TRAINING`, `HOLDOUT` or `LEFT_OUT`
    index : the rows that are not left out, without features
    """

    stored: StoredRows
    sides: Array
    index: TrainingRows
    fits = ("xgboost", "linear_learner")  # model types
    speed = 1.0

    def look(self) -> Look:
        """Return what one pass over the features of all rows tells."""
        features = self.stored.features
        return joined(look_at(frame, self.sides[part], features) for part, frame in self.stored.frames())

    def map(
        self, function: Callable[[pd.DataFrame], T], sides: Sequence[int]
    ) -> Iterator[tuple[T, Array, Array | None]]:
        """Yield what the function returns of each file's rows on these sides, their labels and weights."""
        for batch in self.batches(sides):
            yield function(batch.frame), batch.target, batch.weight

    def boost(
        self, estimator: Any, problem: Problem, encode: Encode, sides: Sequence[int], cache: Path, _: float
    ) -> Any:
        """Return the estimator with trees learned from the rows of these sides."""
        from postgres_ml.out_of_core.boost import fit_boosting

        return fit_boosting(estimator, problem, lambda: self.batches(sides), encode, cache)

    def batches(self, sides: Sequence[int]) -> Iterator[Batch]:
        """Yield the rows on these sides, one file's at a time, in the order of their keys."""
        start = 0
        for part, frame in self.stored.frames():
            of_file = self.sides[part]
            kept = of_file[of_file != LEFT_OUT]
            places = start + np.flatnonzero(np.isin(kept, sides))
            start += len(kept)
            weight = None if self.index.weight is None else self.index.weight[places]
            if len(places):
                yield Batch(chosen(frame, of_file, sides), self.index.target[places], weight)

    def sample(self, problem: Problem, n: int) -> tuple[TrainingRows, Array]:
        """Return about n rows in memory, and which of them are held out.

        They are evenly spread over the classes and sides, of each of which there are two at least.
        """
        kept = np.flatnonzero(self.sides)
        spread = spread_over(problem, self.index.target, self.sides[kept], n)
        some = self.stored.take(kept[spread])
        rows = dataclasses.replace(some, target=self.index.target[spread])
        return rows, self.sides[kept[spread]] == HOLDOUT

    def count(self) -> tuple[int, int]:
        """Return how many rows there are, and how many of them are held out."""
        return len(self.index), int(np.count_nonzero(self.sides == HOLDOUT))

    def remove(self) -> None:
        """Remove the files."""
        self.stored.remove()


def spread_over(problem: Problem, target: Array, sides: Array, n: int) -> Array:
    """Return the increasing places of about n rows, evenly spread over classes and sides.

    Parameters
    ----------
    target, sides : of the rows that are not left out
    """
    codes = problem.encode(target) if problem.is_classification else np.zeros(len(sides), np.int64)
    return spread_part(2 * codes + (sides == HOLDOUT), min(n / max(len(sides), 1), 1.0))


def chosen(frame: pd.DataFrame, of_part: Array, sides: Sequence[int]) -> pd.DataFrame:
    """Return a part's rows on these sides."""
    mask = np.isin(of_part, sides)
    return frame if mask.all() else frame[mask].reset_index(drop=True)


def look_at(frame: pd.DataFrame, sides: Array, features: Sequence[Column]) -> Look:
    """Return what is known of a part of the rows; those that are left out are looked at, and not counted."""
    facts, counts = {}, {}
    for column in features:
        values = frame[column.name]
        facts[column.name] = facts_of(column, values, n_distinct=0)  # counted below
        if column.kind == "text":
            counts[column.name] = {side: count_texts(values[sides == side]) for side in (TRAINING, HOLDOUT)}
    return Look(facts, counts)


def joined(looks: Iterator[Look]) -> Look:
    """Return what all parts tell together."""
    facts: list[dict[str, ColumnFacts]] = []
    counts: dict[str, dict[int, Counter[str | None]]] = {}
    for part in looks:
        facts.append(part.facts)
        for name, by_side in part.counts.items():
            for side, counted in by_side.items():
                add_counts(counts.setdefault(name, {}).setdefault(side, Counter()), counted)
    totals = {name: sum(by_side.values(), Counter()) for name, by_side in counts.items()}
    return Look(merged(facts, totals), counts)
