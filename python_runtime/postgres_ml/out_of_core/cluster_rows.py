"""Rows whose features are in the memory of Dask's workers.

Input: a table in the form of the snapshot, a cluster. Output: `ClusterRows`, which are asked what
`rows.LargeRows` are. Keys and labels come here, and with them the order, the hold-out and all checks are
those of a training in memory; features stay where they were read.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from postgres_ml.contract.column import Column
from postgres_ml.contract.exceptions import TrainingProcessError
from postgres_ml.features.problem import Problem
from postgres_ml.out_of_core import worker_read
from postgres_ml.out_of_core.cluster import Cluster, LostWorkersError
from postgres_ml.out_of_core.rows import (
    HOLDOUT,
    LEFT_OUT,
    TRAINING,
    Batch,
    Encode,
    Look,
    joined,
    look_at,
    spread_over,
)
from postgres_ml.out_of_core.worker_read import Source
from postgres_ml.snapshot.rows import Array, TrainingRows, arrange

PARTS_A_WORKER = 3
SPEED = 0.7  # of a thread among several: two workers were 1.7 times as fast as one
MOST_RESTARTS = 2  # after workers were lost
T = TypeVar("T")
Note = Callable[[str, str], None]


@dataclass(frozen=True)
class PartOfRows:
    """A worker's share.

    Parameters
    ----------
    worker : its address
    frame : future of the features
    ranks : ndarray of shape (n_rows,), the rows' places in the order of all keys
    """

    worker: str
    frame: Any
    ranks: Array


@dataclass
class ReadRows:
    """All rows, read.

    Parameters
    ----------
    index : the rows in the order of their keys, without features
    """

    cluster: Cluster
    features: tuple[Column, ...]
    index: TrainingRows
    parts: list[PartOfRows]
    note: Note

    def __len__(self) -> int:
        return len(self.index)


def read_rows(
    cluster: Cluster, source: Source, features: tuple[Column, ...], target: Column | None,
    weight: Column | None, seed: int, note: Note,
) -> ReadRows:  # fmt: skip
    """Have the workers read the table, each some ranges of its pages; the others read a lost worker's."""
    pages = worker_read.ranges(source.n_pages, PARTS_A_WORKER * len(cluster.workers))
    read: dict[tuple[int, int | None], tuple[str, Any]] = {}
    restarts = 0
    while True:
        for number, span in enumerate(pages):
            if span not in read:
                worker = cluster.workers[number % len(cluster.workers)]
                part = cluster.submit(worker, worker_read.read_part, source, span, features, target, weight)
                read[span] = worker, part
        try:
            marks = cluster.gather(
                [cluster.submit(worker, worker_read.marks_of, part) for worker, part in read.values()]
            )
            break
        except LostWorkersError as lost:
            restarts += 1
            _leave(cluster, lost, restarts)
            note(f"Dask worker {lost} was lost while it read: the others read its rows", "warning")
            read = {span: item for span, item in read.items() if item[0] in cluster.workers}
    found = [(worker, cluster.submit(worker, worker_read.frame_of, part)) for worker, part in read.values()]
    hashes = np.concatenate([item[0] for item in marks])
    columns = {name: np.concatenate([item[1][name] for item in marks]) for name in marks[0][1]}
    order, index = arrange(hashes, columns, seed)
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    ends = np.cumsum([len(item[0]) for item in marks])
    parts = [
        PartOfRows(worker, frame, some)
        for (worker, frame), some in zip(found, np.split(ranks, ends[:-1]), strict=True)
    ]
    cluster.gather([part.frame for part in parts])  # so that nothing needs what was read any longer
    return ReadRows(cluster, features, index, parts, note)


def _leave(cluster: Cluster, lost: LostWorkersError, n_restarts: int) -> None:
    cluster.workers = [worker for worker in cluster.workers if worker not in lost.addresses]
    if n_restarts > MOST_RESTARTS or not cluster.workers:
        raise TrainingProcessError(
            f"Dask worker {lost} was lost, after {n_restarts - 1} restarts of this training: nothing was "
            "published. See the workers' logs: most often they ran out of memory"
        )


@dataclass
class ClusterRows:
    """Labelled rows on the workers, as `LargeRows`; those of lost workers are lost.

    Parameters
    ----------
    read : all rows that were read
    sides : ndarray of shape (n_read_rows,), int8, by their order
    index : the rows that are not left out, without features
    n_restarts : of this training, after workers were lost
    """

    read: ReadRows
    sides: Array
    index: TrainingRows
    n_restarts: int = 0
    fits = ("xgboost",)  # model types

    @property
    def speed(self) -> float:
        """How many times as fast as on one thread boosting is."""
        cluster = self.read.cluster
        return max(1.0, SPEED * cluster.n_threads * len(cluster.workers))

    @cached_property
    def _places(self) -> Array:
        """Each read row's place in `index`, where it has one."""
        places: Array = np.cumsum(self.sides != LEFT_OUT) - 1
        return places

    def look(self) -> Look:
        """Return what one pass over the features of all rows tells."""

        def look() -> Look:
            cluster, features = self.read.cluster, self.read.features
            looks = [
                cluster.submit(part.worker, look_at, part.frame, self.sides[part.ranks], features)
                for part in self.read.parts
            ]
            return joined(iter(cluster.gather(looks)))

        return self.surviving(look)

    def map(
        self, function: Callable[[pd.DataFrame], T], sides: Sequence[int]
    ) -> Iterator[tuple[T, Array, Array | None]]:
        """Yield what the function returns of each part's rows on these sides, their labels and weights."""

        def compute() -> list[tuple[T, Array, Array | None]]:
            chosen = [(part, *self.chosen(part, sides)) for part in self.read.parts]
            chosen = [item for item in chosen if len(item[1])]
            cluster = self.read.cluster
            results = cluster.gather(
                [
                    cluster.submit(part.worker, worker_read.apply, part.frame, local, function)
                    for part, local, _ in chosen
                ]
            )
            return [
                (result, self.index.target[places], self._weight(places))
                for result, (_, _, places) in zip(results, chosen, strict=True)
            ]

        yield from self.surviving(compute)

    def batches(self, sides: Sequence[int]) -> Iterator[Batch]:
        """Yield the rows on these sides, one part's at a time, which come here."""
        for part in list(self.read.parts):
            local, places = self.chosen(part, sides)
            if len(local):
                future = self.read.cluster.submit(
                    part.worker, worker_read.apply, part.frame, local, worker_read.identity
                )
                (frame,) = self.read.cluster.gather([future])
                yield Batch(frame, self.index.target[places], self._weight(places))

    def sample(self, problem: Problem, n: int) -> tuple[TrainingRows, Array]:
        """Return about n rows in memory, and which of them are held out; see `LargeRows.sample`."""
        kept = np.flatnonzero(self.sides)
        spread = spread_over(problem, self.index.target, self.sides[kept], n)
        wanted = np.zeros(len(self.index), bool)
        wanted[spread] = True

        def take() -> tuple[TrainingRows, Array]:
            chosen = []
            for part in self.read.parts:
                local, places = self.chosen(part, (TRAINING, HOLDOUT))
                chosen.append((part, local[wanted[places]], places[wanted[places]]))
            cluster = self.read.cluster
            frames = cluster.gather(
                [
                    cluster.submit(part.worker, worker_read.apply, part.frame, local, worker_read.identity)
                    for part, local, _ in chosen
                ]
            )
            places = np.concatenate([item[2] for item in chosen])
            order = np.argsort(places)
            frame = pd.concat(frames, ignore_index=True).iloc[order].reset_index(drop=True)
            mask = np.zeros(len(self.index), bool)
            mask[places] = True
            rows = dataclasses.replace(self.index.take(mask), frame=frame)
            return rows, self.sides[kept[places[order]]] == HOLDOUT

        return self.surviving(take)

    def boost(
        self, estimator: Any, problem: Problem, encode: Encode, sides: Sequence[int], _: Path, seconds: float
    ) -> Any:
        """Return the estimator with trees learned from the rows of these sides."""
        from postgres_ml.out_of_core.cluster_boost import fit_on_workers

        return self.surviving(partial(fit_on_workers, self, estimator, problem, encode, sides, seconds))

    def count(self) -> tuple[int, int]:
        """Return how many rows there are, and how many of them are held out; without those lost."""
        sides = np.concatenate([self.sides[part.ranks] for part in self.read.parts])
        return int(np.count_nonzero(sides)), int(np.count_nonzero(sides == HOLDOUT))

    def remove(self) -> None:
        """Leave the cluster."""
        self.read.parts.clear()
        self.read.cluster.close()

    def chosen(self, part: PartOfRows, sides: Sequence[int]) -> tuple[Array, Array]:
        """Return the places of a part's rows on these sides, in the part and in `index`."""
        local = np.flatnonzero(np.isin(self.sides[part.ranks], sides))
        return local, self._places[part.ranks[local]]

    def surviving(self, compute: Callable[[], T]) -> T:
        """Return what is computed on all workers; where some are lost, on the rows of those that are left."""
        try:
            return compute()
        except LostWorkersError as lost:
            self._go_on_without(lost)
        return self.surviving(compute)

    def _go_on_without(self, lost: LostWorkersError) -> None:
        self.n_restarts += 1
        _leave(self.read.cluster, lost, self.n_restarts)
        before = self.count()[0]
        self.read.parts = [part for part in self.read.parts if part.worker not in lost.addresses]
        self.read.note(
            f"Dask worker {lost} was lost: the training goes on with the {self.count()[0]:,} of "
            f"{before:,} rows that the others hold",
            "warning",
        )

    def _weight(self, places: Array) -> Array | None:
        return None if self.index.weight is None else self.index.weight[places]
