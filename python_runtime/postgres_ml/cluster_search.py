"""AUTO's candidates as futures on Dask's workers; the search itself stays in the training process.

Input: the rows to search on, in the training process. Output: what `search.fits.Fits` gives. Each worker gets
all of these rows once, and encodes them itself. A fit is handed to a worker when it has a thread free, so a
deadline is in seconds from then on, and none waits on a worker that is lost.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import threadpoolctl

from postgres_ml.contract.exceptions import TrainingProcessError
from postgres_ml.fit.candidates import Candidate
from postgres_ml.fit.task import Deadline
from postgres_ml.out_of_core.cluster import Cluster, LostWorkersError, waited_for
from postgres_ml.search.encoded_rows import EncodedRows
from postgres_ml.search.fits import ROUND, Found, Job, fit_or_reason

ATTEMPTS = 2  # of a fit whose worker was lost
OVERDUE_S = 30.0  # after its end, for which a fit is waited for: those of linear models take 20 s at most
LOST = "the Dask workers that fitted it were lost"
Note = Callable[[str, str], None]


class ClusterFits:
    """Fits on the workers' threads.

    Parameters
    ----------
    cluster : its workers; one that is lost here is left to be noticed by who has rows on it
    note : takes a text for people, and its level
    """

    def __init__(self, cluster: Cluster, note: Note) -> None:
        self.cluster, self.note = cluster.copy(), note
        self.n_at_once = cluster.n_threads * len(cluster.workers)
        self.round_size = max(ROUND, self.n_at_once)
        self._rows: Any = None
        self._n_scores = 0  # of stacked candidates that the workers have

    def run(
        self, encoded: EncodedRows, jobs: Sequence[Job], cut: Deadline, until: Callable[[], Deadline]
    ) -> list[Found]:
        """Return what each job gave, in their order.

        Raises
        ------
        TrainingProcessError
            The scheduler or the last worker is gone.
        """
        if len(encoded.scores) > self._n_scores:
            self._rows = None
        while self._rows is None:
            self._send(encoded)
        self._n_scores = len(encoded.scores)
        at_once = _Round(self, encoded, jobs, cut, until)
        try:
            while not at_once.is_over:
                at_once.go_on()
        finally:
            at_once.cancel()
        return at_once.results()

    def close(self) -> None:
        """Let the workers forget the rows."""
        self._rows = None

    def submit(self, worker: str, candidate: Candidate, split: int, seconds: float) -> Any:
        """Return the future of a fit on one worker."""
        return self.cluster.submit(worker, fit_on_worker, self._rows, candidate, split, seconds)

    def leave(self, lost: LostWorkersError) -> None:
        """Go on without these workers.

        Raises
        ------
        TrainingProcessError
            They were the last ones.
        """
        left = [worker for worker in self.cluster.workers if worker not in lost.addresses]
        self.cluster.workers = left
        if not left:
            raise TrainingProcessError(
                f"Dask worker {lost} was lost while candidates were fitted, and no other is left: nothing "
                "was published. See the workers' logs: most often they ran out of memory"
            )
        self.note(f"Dask worker {lost} was lost: the search goes on with {len(left)}", "warning")

    def _send(self, encoded: EncodedRows) -> None:
        """Send the rows to one worker, from which the others have them; not if a worker is lost meanwhile."""
        client, workers = self.cluster.client, self.cluster.workers
        send = partial(client.scatter, encoded, workers=workers, broadcast=True, hash=False)
        try:
            self._rows = self.cluster.run(send)
        except LostWorkersError as lost:
            self.leave(lost)


@dataclass
class _Round:
    """Jobs that are handed out as threads get free.

    Attributes
    ----------
    waiting : numbers of the jobs that no worker has
    running : number of the job and worker, by future
    found : by number
    n_lost : of each job, how often its worker was lost
    """

    fits: ClusterFits
    encoded: EncodedRows
    jobs: Sequence[Job]
    cut: Deadline
    until: Callable[[], Deadline]
    waiting: deque[int] = field(default_factory=deque)
    running: dict[Any, tuple[int, str]] = field(default_factory=dict)
    found: dict[int, Found] = field(default_factory=dict)
    n_lost: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.waiting.extend(range(len(self.jobs)))

    @property
    def is_over(self) -> bool:
        """Whether every job has its result."""
        return len(self.found) == len(self.jobs)

    def results(self) -> list[Found]:
        """Return them in the order of the jobs."""
        return [self.found[number] for number in range(len(self.jobs))]

    def go_on(self) -> None:
        """Hand out what there are threads for, and take in what has ended meanwhile.

        Raises
        ------
        TrainingProcessError
            The scheduler or the last worker is gone.
        """
        try:
            self._go_on()
        except LostWorkersError as lost:
            self.fits.leave(lost)
            self._give_back(lost.addresses)

    def cancel(self) -> None:
        """Take back what is running: nobody waits for it."""
        futures, self.running = list(self.running), {}
        self.fits.cluster.cancel(futures)

    def _go_on(self) -> None:
        cluster = self.fits.cluster
        cluster.check()
        if self.cut.left < -OVERDUE_S:
            self._end_late()
            return
        self._hand_out()
        if not self.running:
            return
        ended = cluster.ended(list(self.running), "FIRST_COMPLETED") or ()
        self._take([future for future in self.running if future in ended])

    def _give_back(self, addresses: set[str]) -> None:
        """Let others have what ran on workers that are lost; what was lost before has failed."""
        for future, (number, worker) in list(self.running.items()):
            if worker in addresses:
                self._lose(future, number)

    def _hand_out(self) -> None:
        busy = Counter(worker for _, worker in self.running.values())
        free = [worker for worker in self.fits.cluster.workers for _ in range(self._n_free(busy[worker]))]
        free.sort(key=lambda worker: busy[worker])
        splits = _splits(self.encoded)
        for worker in free:
            if not self.waiting:
                return
            number = self.waiting.popleft()
            candidate, split = self.jobs[number]
            if self.cut.passed:
                self.found[number] = "late"
                continue
            place = next(n for n, one in enumerate(splits) if one is split)
            future = self.fits.submit(worker, candidate, place, self.until().left)
            self.running[future] = number, worker

    def _n_free(self, n_busy: int) -> int:
        return max(self.fits.cluster.n_threads - n_busy, 0)

    def _take(self, ended: list[Any]) -> None:
        whole = [future for future in ended if future.status in ("finished", "error")]
        for future in set(ended) - set(whole):  # rows or result went with another worker
            self._lose(future, self.running[future][0])
        results = self.fits.cluster.run(partial(self.fits.cluster.client.gather, whole)) if whole else []
        for future, result in zip(whole, results, strict=True):
            number, _ = self.running.pop(future)
            self.found[number] = result

    def _lose(self, future: Any, number: int) -> None:
        del self.running[future]
        self.n_lost[number] += 1
        if self.n_lost[number] < ATTEMPTS:
            self.waiting.appendleft(number)
            return
        self.found[number] = LOST
        shown = self.jobs[number][0].shown
        self.fits.note(f"{shown} is left out: {LOST}, {ATTEMPTS} times", "warning")

    def _end_late(self) -> None:
        self.found |= dict.fromkeys(
            (number for number in range(len(self.jobs)) if number not in self.found), "late"
        )


def fit_on_worker(encoded: EncodedRows, candidate: Candidate, split: int, seconds: float) -> Found:
    """Return what a candidate's fit gives, on a worker.

    Parameters
    ----------
    split : its place among `_splits`
    seconds : that the fit may take from now on
    """
    threadpoolctl.threadpool_limits(1, user_api="blas")  # a worker's threads fit side by side
    until = Deadline(seconds, _clock())
    return fit_or_reason(encoded.task, candidate, encoded, _splits(encoded)[split], until)


def _splits(encoded: EncodedRows) -> tuple[Any, ...]:
    return (encoded.folds.look, *encoded.folds.splits)


def _clock() -> Callable[[], float]:
    """Return a clock on which every deadline has passed as soon as nobody waits for this task any longer."""
    is_waited_for = waited_for()
    return lambda: time.monotonic() if is_waited_for() else math.inf
