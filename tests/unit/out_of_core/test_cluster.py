"""What is decided about Dask's workers without any: ranges of pages, versions, secrets, lost workers."""

from types import SimpleNamespace
from typing import Any

import pytest
from dbt.adapters.postgres_ml.build.dask import is_private
from postgres_ml.contract.exceptions import TrainingProcessError
from postgres_ml.out_of_core import cluster as clusters
from postgres_ml.out_of_core.cluster import Cluster, LostWorkersError
from postgres_ml.out_of_core.cluster_rows import _leave
from postgres_ml.out_of_core.worker_read import ranges


@pytest.mark.parametrize(("n_pages", "n"), [(100, 6), (5, 6), (1, 4), (0, 3), (7, 7)])
def test_ranges_cover_all_pages_once_and_the_last_is_open(n_pages: int, n: int) -> None:
    found = ranges(n_pages, n)
    assert found[0][0] == 0 and found[-1][1] is None and 1 <= len(found) <= n
    assert [after for _, after in found[:-1]] == [first for first, _ in found[1:]]
    assert all(first < after for first, after in found[:-1])


@pytest.mark.parametrize(
    ("scheduler", "is_so"),
    [
        ("", True), ("tls://far.example:8786", True), ("tcp://127.0.0.1:8786", True),
        ("tcp://localhost:1", True), ("tcp://[::1]:8786", True), ("tcp://far.example:8786", False),
        ("ws://far.example:8786", False), ("tcp://localhost.far.example:1", False),
    ],
)  # fmt: skip
def test_a_password_is_sent_encrypted_or_to_this_machine(scheduler: str, is_so: bool) -> None:
    assert is_private(scheduler) is is_so


class FakeClient:
    """A scheduler with these workers."""

    status = "running"

    def __init__(self, alive: list[str], versions: dict[str, Any]) -> None:
        self.alive, self.versions = alive, versions

    def nthreads(self) -> dict[str, int]:
        return dict.fromkeys(self.alive, 1)

    def run(self, *_: Any, **__: Any) -> dict[str, Any]:
        return self.versions


def test_a_lost_worker_is_noticed_and_a_lost_scheduler_named() -> None:
    found = Cluster(FakeClient(["a"], {}), "tcp://here", ["a", "b"])
    with pytest.raises(LostWorkersError, match="b"):
        found.check()
    found.client.status = "closed"
    with pytest.raises(TrainingProcessError, match="scheduler tcp://here is gone"):
        found.check()


def test_other_libraries_on_a_worker_are_named() -> None:
    own = clusters.versions()
    answers = {
        "a": own,
        "b": {**own, "xgboost-cpu": "0.1"},
        "c": ModuleNotFoundError("No module postgres_ml"),
    }
    with pytest.raises(TrainingProcessError) as caught:
        clusters._check_versions(Cluster(FakeClient([], answers), "here"))
    text = str(caught.value)
    assert "b: xgboost-cpu 0.1, here" in text and "c: No module" in text and "\n  a:" not in text


def test_a_training_restarts_twice_and_then_gives_up() -> None:
    cluster = SimpleNamespace(workers=["a", "b", "c", "d"])
    for number, address in enumerate("ab", 1):
        _leave(cluster, LostWorkersError({address}), number)  # type: ignore[arg-type]
    assert cluster.workers == ["c", "d"]
    with pytest.raises(TrainingProcessError, match="Dask worker c was lost, after 2 restarts"):
        _leave(cluster, LostWorkersError({"c"}), 3)  # type: ignore[arg-type]
    with pytest.raises(TrainingProcessError, match="nothing was published"):
        _leave(SimpleNamespace(workers=["x"]), LostWorkersError({"x"}), 1)  # type: ignore[arg-type]


def test_the_end_of_a_fit_is_the_librarys_or_that_of_a_worker() -> None:
    found = Cluster(FakeClient(["a"], {}), "here", ["a"])
    assert found.run(lambda: 5) == 5
    found.client.alive = []
    with pytest.raises(LostWorkersError):
        found.run(lambda: 1 / 0)
