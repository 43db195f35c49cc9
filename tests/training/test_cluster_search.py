"""AUTO's candidates on Dask's workers: the search is the one of this process, whatever becomes of a worker."""

from __future__ import annotations

import dataclasses
import itertools
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client
from postgres_ml.cluster_search import LOST, ClusterFits
from postgres_ml.contract.config import Settings
from postgres_ml.contract.exceptions import TrainingProcessError
from postgres_ml.features.feature_columns import FeatureColumns
from postgres_ml.features.problem import resolve
from postgres_ml.fit.candidates import Candidate
from postgres_ml.fit.task import Deadline, Task
from postgres_ml.out_of_core.cluster import Cluster, LostWorkersError, connect
from postgres_ml.search import search
from postgres_ml.search.encoded_rows import EncodedRows
from postgres_ml.search.fits import Job
from postgres_ml.search.fold_fit import FoldFit
from postgres_ml.snapshot.rows import load
from support.dask_cluster import DaskProcesses, dask_processes
from support.training import CHURN_COLUMNS, CHURN_TARGET, Recorder, churn_rows, make_spec, write_snapshot

PATIENCE_S = 60.0
MANY = 20_000  # rows on which a long job takes minutes


def encoded_rows(folder: Path, n: int = 600, **settings: Any) -> EncodedRows:
    """Return a search's rows."""
    path = folder / "snapshot.bin"
    write_snapshot(path, churn_rows(n))
    rows = load(path, CHURN_COLUMNS, CHURN_TARGET)
    spec = make_spec(settings=Settings(**settings))
    columns = FeatureColumns(("calls", "minutes"), ("plan",))
    task = Task(spec, resolve(spec, CHURN_TARGET, rows.target, []), columns, 1, Deadline(600))
    return EncodedRows(task, rows)


def long_jobs(encoded: EncodedRows, n: int, depth: int = 3) -> list[Job]:
    """Return fits of 3,000 rounds: a second of them on 600 rows, minutes with deep trees on 20,000."""
    given = {"learning_rate": 0.0001, "max_depth": depth}
    names = [f"long {number}" for number in range(n)]
    return [(Candidate(name, "xgboost", given, "codes"), encoded.folds.splits[0]) for name in names]


@pytest.fixture
def encoded(tmp_path: Path) -> EncodedRows:
    return encoded_rows(tmp_path)


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskProcesses]:
    with dask_processes(tmp_path_factory.mktemp("dask"), 2) as found:
        with Client(found.address, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=PATIENCE_S)
        yield found


@pytest.fixture
def cluster(processes: DaskProcesses) -> Iterator[Cluster]:
    found = connect(processes.address, 2, None)
    yield found
    found.close()


@pytest.mark.parametrize(("model_type", "n_trials"), [("linear_learner", 7), ("xgboost", 2)])
def test_the_search_is_the_one_of_this_process(
    tmp_path: Path, cluster: Cluster, model_type: str, n_trials: int
) -> None:
    """Linear models beyond the portfolio, as Optuna proposes them."""
    rows = encoded_rows(tmp_path, max_trials=n_trials, seed=3)
    rows.task = dataclasses.replace(
        rows.task, spec=dataclasses.replace(rows.task.spec, model_types=(model_type,))
    )
    told = Recorder()
    fits = ClusterFits(cluster, lambda text, level: told(level, text))
    assert (fits.n_at_once, fits.round_size) == (2, 4)
    near = search(rows.task, rows.rows, lambda text, fields: None)
    far = search(rows.task, rows.rows, lambda text, fields: None, fits)
    assert len(far.trials) == n_trials and told.lines == []
    for one, other in zip(near.trials, far.trials, strict=True):
        assert (one.candidate, one.state, one.loss, one.score, one.n_trees, one.threshold) == (
            other.candidate, other.state, other.loss, other.score, other.n_trees, other.threshold,
        )  # fmt: skip
    assert (near.candidate, near.n_trees, near.members) == (far.candidate, far.n_trees, far.members)
    for one, other in zip(near.fold_fits, far.fold_fits, strict=True):
        frame = rows.rows.frame
        predicted = [fit.estimator.predict_proba(fit.columns.transform(frame)) for fit in (one, other)]
        assert np.array_equal(*predicted)


def test_what_a_library_refuses_is_a_reason_and_what_is_late_never_begins(
    encoded: EncodedRows, cluster: Cluster
) -> None:
    fits = ClusterFits(cluster, Recorder())
    job = Candidate("wrong", "xgboost", {"learning_rate": 0.1, "max_depth": -3}, "codes"), encoded.folds.look
    (refused,) = fits.run(encoded, [job], Deadline(60), lambda: Deadline(60))
    assert isinstance(refused, str) and "max_depth" in refused
    assert fits.run(encoded, [job] * 3, Deadline(0), lambda: Deadline(60)) == ["late"] * 3


def test_the_end_of_a_fit_is_that_of_the_worker_s_clock(tmp_path: Path, cluster: Cluster) -> None:
    encoded = encoded_rows(tmp_path, MANY)
    fits = ClusterFits(cluster, Recorder())
    (found,) = fits.run(encoded, long_jobs(encoded, 1, depth=12), Deadline(60), lambda: Deadline(1.0))
    assert isinstance(found, FoldFit) and found.is_cut and 1.0 <= found.seconds < 60


def test_a_lost_worker_costs_its_fit_which_another_begins_again(
    encoded: EncodedRows, processes: DaskProcesses
) -> None:
    processes.add_worker()
    with Client(processes.address, set_as_default=False) as client:
        client.wait_for_workers(3, timeout=PATIENCE_S)
        cluster = connect(processes.address, 3, None)
        told = Recorder()
        fits = ClusterFits(cluster, lambda text, level: told(level, text))
        killer = threading.Thread(target=kill_last, args=(client, processes))
        killer.start()
        found = fits.run(encoded, long_jobs(encoded, 3), Deadline(600), lambda: Deadline(600))
        killer.join()
        assert all(isinstance(item, FoldFit) for item in found)
        assert "was lost: the search goes on with 2" in told.text and LOST not in told.text
        assert len(cluster.workers) == 3
        with pytest.raises(LostWorkersError):  # who has rows there has to hear of it
            cluster.check()
        cluster.close()


@pytest.mark.exhaustive
def test_a_training_that_is_killed_does_not_keep_the_workers_busy(
    tmp_path: Path, processes: DaskProcesses
) -> None:
    code = f"""
    import sys
    sys.path.insert(0, {str(Path(__file__).parent)!r})
    sys.path.insert(0, {str(Path(__file__).parents[1])!r})
    from pathlib import Path
    from test_cluster_search import *
    encoded = encoded_rows(Path({str(tmp_path)!r}), 20_000)
    fits = ClusterFits(connect({processes.address!r}, 2, None), print)
    fits.run(encoded, long_jobs(encoded, 2, depth=12), Deadline(600), lambda: Deadline(600))
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)])
    with Client(processes.address, set_as_default=False) as client:
        try:
            wait_for(lambda: sum(n_running(client).values()) == 2)
        finally:
            process.kill()
            process.wait()
        killed = time.monotonic()
        wait_for(lambda: not any(n_running(client).values()))
        assert time.monotonic() - killed < 20


def test_a_scheduler_that_is_lost_is_named(tmp_path: Path, processes: DaskProcesses) -> None:
    """The last one: it ends the fixture's scheduler."""
    encoded = encoded_rows(tmp_path, MANY)
    cluster = connect(processes.address, 2, None)
    fits = ClusterFits(cluster, Recorder())
    timer = threading.Timer(3, processes.scheduler.kill)
    timer.start()
    with pytest.raises(TrainingProcessError, match=f"scheduler {processes.address} is gone"):
        fits.run(encoded, long_jobs(encoded, 4, depth=12), Deadline(600), lambda: Deadline(600))
    cluster.close()


def test_a_fit_whose_workers_are_lost_twice_has_failed(
    encoded: EncodedRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distributed.wait", never)
    told = Recorder()
    fits = ClusterFits(
        Cluster(DyingWorkers(["a", "b", "c"]), "here", ["a", "b", "c"]), lambda *said: told(*said[::-1])
    )
    (found,) = fits.run(encoded, long_jobs(encoded, 1), Deadline(60), lambda: Deadline(60))
    assert (
        found == LOST and told.text.splitlines()[-1] == f"boosted trees, depth 3 is left out: {LOST}, 2 times"
    )
    with pytest.raises(TrainingProcessError, match=r"Dask worker c was lost .* no other is left"):
        fits.run(encoded, long_jobs(encoded, 1), Deadline(60), lambda: Deadline(60))


class DyingWorkers:
    """A scheduler whose workers go as soon as they have a task."""

    status = "running"

    def __init__(self, alive: list[str]) -> None:
        self.alive, self.n, self.cancelled = alive, itertools.count(), list[str]()

    def cancel(self, futures: list[str]) -> None:
        self.cancelled += futures

    def scatter(self, data: Any, **_: Any) -> Any:
        return data

    def nthreads(self) -> dict[str, int]:
        return dict.fromkeys(self.alive, 1)

    def submit(self, *_: Any, workers: list[str], **__: Any) -> str:
        self.alive.remove(workers[0])
        return f"future {next(self.n)}"


def never(*_: Any, **__: Any) -> None:
    raise TimeoutError


def n_running(client: Client) -> dict[int, int]:
    """Return how many threads each worker has at work, by process id."""
    return dict(client.run(lambda dask_worker: (os.getpid(), len(dask_worker.state.executing))).values())


def wait_for(is_so: Any) -> None:
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.1)


def kill_last(client: Client, processes: DaskProcesses) -> None:
    """Kill the last worker as soon as it fits."""
    wait_for(lambda: n_running(client).get(processes.workers[-1].pid))
    processes.workers[-1].kill()
