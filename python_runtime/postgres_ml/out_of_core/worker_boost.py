"""What Dask's workers do to grow trees together, each on its own rows: histograms are added up in each round.

Input: the parts of the rows that a worker holds, encoded. Output: the booster, from one of them. xgboost's
own Dask interface isn't taken: where a worker dies before the group has met, the others wait at a socket
for ever, and with them the worker's thread. Here what may hang has a thread of its own, which can be left.
Source: https://xgboost.readthedocs.io/en/stable/python/python_api.html#module-xgboost.collective
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost
from xgboost.collective import CommunicatorContext
from xgboost.tracker import RabitTracker

from postgres_ml.out_of_core.cluster import on_its_own_thread, waited_for
from postgres_ml.snapshot.rows import Array

POLL_S = 0.2
Encoded = tuple[Array, Array, Array]  # matrix, labels and weights of a part, in single precision


class LeftError(Exception):
    """Nobody waits for the trees any longer: a worker was lost, or the build was cancelled."""


@dataclass(frozen=True)
class Growth:
    """What to grow.

    Parameters
    ----------
    parameters : of `xgboost.train`
    rounds : how many
    matrix : of `xgboost.QuantileDMatrix`, but its data
    columns : of each of its parts, but the rows: types and weights of features
    is_weighted : False if all rows count alike
    callbacks : of each round
    """

    parameters: dict[str, Any]
    rounds: int
    matrix: dict[str, Any]
    columns: dict[str, Any]
    is_weighted: bool
    callbacks: list[xgboost.callback.TrainingCallback]


class _Parts(xgboost.DataIter):  # type: ignore[misc]
    """What xgboost reads a worker's parts from, again and again."""

    def __init__(self, parts: Sequence[Encoded], growth: Growth) -> None:
        super().__init__()
        self._parts, self._growth = parts, growth
        self._at = 0

    def reset(self) -> None:
        self._at = 0

    def next(self, input_data: Callable[..., Any]) -> bool:
        if self._at == len(self._parts):
            return False
        matrix, label, weight = self._parts[self._at]
        given = {"weight": weight} if self._growth.is_weighted else {}
        input_data(data=matrix, label=label, **given, **self._growth.columns)
        self._at += 1
        return True


class StopTogether(xgboost.callback.TrainingCallback):  # type: ignore[misc]
    """Ends boosting after some seconds, on all workers after the same round: they agree on it.

    Each has a clock of its own, and one that stopped alone would leave the others waiting.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.started = 0.0

    def before_training(self, model: Any) -> Any:
        """Begin to count."""
        self.started = time.monotonic()
        return model

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Return whether to stop."""
        late = np.array([time.monotonic() - self.started >= self.seconds], dtype=np.int32)
        return bool(xgboost.collective.allreduce(late, xgboost.collective.Op.MAX)[0])


class _StopWhenLeft(xgboost.callback.TrainingCallback):  # type: ignore[misc]
    """Ends boosting on this worker alone: the others are left as well, or gone."""

    def __init__(self, left: threading.Event) -> None:
        super().__init__()
        self.left = left

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Return whether to stop."""
        return self.left.is_set()


def start_tracker(n_workers: int, host: str, port: int) -> dict[str, Any]:
    """Start what a group meets at, in the scheduler's process; return what its members are given.

    It ends when they have ended. One whose members are lost stays until the scheduler ends: it is a thread
    that sleeps.

    Parameters
    ----------
    host, port : that workers reach it at; 0 for any port
    """
    tracker = RabitTracker(n_workers=n_workers, host_ip=host, port=port, sortby="task")
    tracker.start()
    threading.Thread(target=tracker.wait_for, daemon=True).start()
    return dict(tracker.worker_args())


def grow(growth: Growth, group: dict[str, Any], *parts: Encoded) -> xgboost.Booster | None:
    """Return the booster of all workers' rows, on the first of them; None on the others: a task of Dask's.

    It raises as `grow_while` does.
    """
    return grow_while(waited_for(), growth, group, list(parts))


def grow_while(
    is_waited_for: Callable[[], bool], growth: Growth, group: dict[str, Any], parts: list[Encoded]
) -> xgboost.Booster | None:
    """Return the booster, as `grow` does, as long as somebody waits for it.

    Parameters
    ----------
    parts : emptied, if nobody does

    Raises
    ------
    LeftError
        Nobody does.
    xgboost.core.XGBoostError
        The library refuses a value, or has lost touch with another worker.
    """
    left = threading.Event()
    found = on_its_own_thread(_grown, growth, group, parts, left)
    while not wait([found], timeout=POLL_S).done:
        if not is_waited_for():
            left.set()
            parts.clear()  # the thread may stay for ever, the rows must not
            raise LeftError
    return found.result()


def _grown(
    growth: Growth, group: dict[str, Any], parts: list[Encoded], left: threading.Event
) -> xgboost.Booster | None:
    with CommunicatorContext(**group), xgboost.config_context(verbosity=0):
        matrix = xgboost.QuantileDMatrix(_Parts(parts, growth), **growth.matrix)
        callbacks = [*growth.callbacks, _StopWhenLeft(left)]
        booster = xgboost.train(growth.parameters, matrix, growth.rounds, callbacks=callbacks)
        return booster if xgboost.collective.get_rank() == 0 else None
