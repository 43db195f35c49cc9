"""Where a search's fits run: in threads of this process, or elsewhere (`cluster_search`).

Input: candidates and splits. Output: what each fit gave, or why it gave nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from postgres_ml.fit.candidates import Candidate
from postgres_ml.fit.task import Deadline, Task
from postgres_ml.search.encoded_rows import EncodedRows
from postgres_ml.search.fold_fit import FoldFit, fit_split
from postgres_ml.search.folds import Split

ROUND = 4  # candidates in a round: fixed, so that the number of this machine's cores changes nothing
Job = tuple[Candidate, Split]
Found = FoldFit | str
"""A fit, or why there is none: 'late' where the time was over before it began."""


class Fits(Protocol):
    """Runs fits of candidates on splits of the rows.

    Attributes
    ----------
    n_at_once : fits that run side by side
    round_size : candidates to be proposed at once
    """

    n_at_once: int
    round_size: int

    def run(
        self, encoded: EncodedRows, jobs: Sequence[Job], cut: Deadline, until: Callable[[], Deadline]
    ) -> list[Found]:
        """Return what each job gave, in their order; the first ones begin first.

        Parameters
        ----------
        cut : after which none begins
        until : asked when a fit begins, says when it has to end
        """

    def close(self) -> None:
        """Begin none of the fits that wait; forget the rows."""


class LocalFits:
    """Fits in threads of this process: the libraries compute outside of Python's lock."""

    def __init__(self, n_threads: int) -> None:
        self.n_at_once, self.round_size = max(1, n_threads), ROUND
        self._pool = ThreadPoolExecutor(self.n_at_once)

    def run(
        self, encoded: EncodedRows, jobs: Sequence[Job], cut: Deadline, until: Callable[[], Deadline]
    ) -> list[Found]:
        """Return what each job gave, in their order."""

        def fit(candidate: Candidate, split: Split) -> Found:
            return "late" if cut.passed else fit_or_reason(encoded.task, candidate, encoded, split, until())

        futures = [self._pool.submit(fit, *job) for job in jobs]
        return [future.result() for future in futures]

    def close(self) -> None:
        """Wait for the fits that have begun."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def fit_or_reason(
    task: Task, candidate: Candidate, encoded: EncodedRows, split: Split, until: Deadline
) -> Found:
    """Return a fit with its encoding, or why there is none: the libraries refuse it, or time cut it short."""
    try:
        fitted = fit_split(task, candidate, encoded, split, until)
    except ValueError as error:  # scikit-learn's, NumPy's and xgboost's XGBoostError
        return str(error).strip().splitlines()[0]
    if fitted.is_cut and candidate.model_type == "additive":
        return "late"  # its last bags would be of a single tree, and those of a fit on all rows would not be
    columns, words = encoded.columns(candidate.encoding), encoded.words(candidate.encoding, split)
    return dataclasses.replace(fitted, columns=columns, words=words)
