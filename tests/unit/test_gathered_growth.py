"""What a training on Dask's workers says if one of them fails: what that one says, and not its peers."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import xgboost
from postgres_ml.contract.exceptions import TrainingProcessError
from postgres_ml.out_of_core.cluster import LostWorkersError
from postgres_ml.out_of_core.cluster_boost import _gathered

TOUCH = xgboost.core.XGBoostError("[collective] Failed to recv from ring prev: connection reset")


@dataclass(eq=False)
class Task:
    """A future of Dask's, which ends when the cluster is asked so many times."""

    after: int
    error: Exception | None = None
    value: object = None
    status: str = "pending"

    def done(self) -> bool:
        return self.status != "pending"

    def exception(self) -> Exception | None:
        return self.error


@dataclass
class FakeCluster:
    tasks: list[Task]
    lost: set[str] = field(default_factory=set)
    asked: int = 0

    def ended(self, futures, when):
        self.asked += 1
        assert self.asked < 20, "waits for ever"
        for task in self.tasks:
            if self.asked >= task.after:
                task.status = "error" if task.error else "finished"
        return {task for task in futures if task.done()} or None

    def gather(self, futures):
        for task in futures:
            if task.error is not None:
                raise task.error
        return [task.value for task in futures]

    def settle(self):
        self.ended((), "")  # others end meanwhile
        if self.lost:
            raise LostWorkersError(self.lost)


def test_all_results_in_order():
    tasks = [Task(4, value="a"), Task(1), Task(2)]
    assert _gathered(FakeCluster(tasks), tasks) == ["a", None, None]


def test_one_that_fails_is_not_waited_for_by_the_others():
    tasks = [Task(1_000), Task(2, MemoryError("8 GB"))]
    with pytest.raises(MemoryError, match="8 GB"):
        _gathered(FakeCluster(tasks), tasks)


def test_the_own_error_counts_though_a_peers_comes_first():
    tasks = [Task(2, TOUCH), Task(3, MemoryError("8 GB")), Task(1_000)]
    with pytest.raises(MemoryError, match="8 GB"):
        _gathered(FakeCluster(tasks), tasks)


def test_a_lost_worker_is_told_of():
    tasks = [Task(1, TOUCH), Task(1_000)]
    with pytest.raises(LostWorkersError):
        _gathered(FakeCluster(tasks, {"tcp://w:1"}), tasks)


def test_a_network_between_workers_that_fails_is_an_error():
    tasks = [Task(1, TOUCH), Task(1_000)]
    with pytest.raises(TrainingProcessError, match=r"lost touch .* connection reset\. Nothing was published"):
        _gathered(FakeCluster(tasks), tasks)
