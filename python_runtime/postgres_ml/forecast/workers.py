"""Runs what is to be fitted for many series on the cores that a training may use.

What is computed does not depend on how many processes there are, unless time runs out.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

WORTH_S = 8.0  # CPU seconds from which processes are started: each imports the libraries, in 2 s
CHUNKS = 8  # per process: the last ones to end wait for little


def run(
    work: Callable[..., Any], jobs: Sequence[tuple[Any, ...]], n_processes: int, expected_s: float
) -> list[Any]:
    """Return work(*job) of each job, in their order.

    Parameters
    ----------
    work : a function of a module; it returns what can be pickled
    expected_s : CPU seconds of all jobs
    """
    if n_processes < 2 or expected_s < WORTH_S or len(jobs) < 2:
        return [work(*job) for job in jobs]
    size = max(1, len(jobs) // (CHUNKS * n_processes))
    # spawned: this process has threads, which a fork would stop wherever they are
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(n_processes, len(jobs)), context) as pool:
        return list(pool.map(_call, ((work, job) for job in jobs), chunksize=size))


def _call(asked: tuple[Callable[..., Any], tuple[Any, ...]]) -> Any:
    work, job = asked
    return work(*job)
