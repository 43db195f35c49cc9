"""Dask's workers: reach them, compare versions, give them work, and notice when one is lost.

A function and its arguments go to one worker and no other, since the rows that it works on are there. So a
lost worker's results never come: whoever waits here asks the scheduler, once in a while, who is left.
Source: https://distributed.dask.org/en/stable/client.html
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import importlib.metadata
import logging
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from postgres_ml.contract.exceptions import TrainingProcessError
from postgres_ml.process.memory import used_bytes

TIMEOUTS = (TimeoutError, asyncio.TimeoutError, concurrent.futures.TimeoutError)  # three in Python 3.10
PATIENCE_S = 60.0  # for workers that start: each imports the libraries first
SETTLED_S = 2.0  # without a new worker, after which those that are there are all
POLL_S = 0.3
LEAVE_S = 1.5
COMPARED = ("dbt-postgres-ml", "xgboost", "xgboost-cpu", "scikit-learn", "pandas", "numpy")
TLS = tuple(
    f"DASK_DISTRIBUTED__COMM__TLS__{name}" for name in ("CA_FILE", "CLIENT__CERT", "CLIENT__KEY")
)  # environment variables
T = TypeVar("T")
EXTRA = "pip install 'dbt-postgres-ml[dask]'"


class LostWorkersError(Exception):
    """Workers are gone, and with them their rows.

    Parameters
    ----------
    addresses : theirs
    """

    def __init__(self, addresses: set[str]) -> None:
        super().__init__(", ".join(sorted(addresses)))
        self.addresses = addresses


@dataclass
class Cluster:
    """A scheduler and the workers that take part in this training.

    Parameters
    ----------
    client : distributed.Client
    where : the scheduler's address, or what stands for it
    workers : addresses of those that take part and are not lost
    n_threads : of one worker
    """

    client: Any
    where: str
    workers: list[str] = field(default_factory=list)
    n_threads: int = 1
    local: Any = None

    def submit(self, worker: str, function: Callable[..., Any], *given: Any) -> Any:
        """Return the future of a function on one worker; never done if that is lost.

        Raises
        ------
        TrainingProcessError
            The scheduler is gone.
        """
        from distributed.client import ClosedClientError

        try:
            return self.client.submit(
                function, *given, workers=[worker], allow_other_workers=False, pure=False, retries=0
            )
        except ClosedClientError as error:
            raise self._no_scheduler(error) from error

    def gather(self, futures: Sequence[Any]) -> list[Any]:
        """Return the results, in order.

        Raises
        ------
        LostWorkersError
            A worker of this training is gone.
        TrainingProcessError
            The scheduler is gone, or a function failed on a worker.
        """
        while self.ended(futures, "ALL_COMPLETED") is None:
            pass
        return self._results(futures)

    def ended(self, futures: Sequence[Any], when: str) -> set[Any] | None:
        """Return the futures that have ended, after a moment's wait; None where it is not yet so.

        It raises as `gather` does.

        Parameters
        ----------
        when : 'FIRST_COMPLETED' or 'ALL_COMPLETED'
        """
        from distributed import wait

        try:
            done: set[Any] | None = wait(list(futures), timeout=POLL_S, return_when=when).done
        except TIMEOUTS:
            done = None
        except concurrent.futures.CancelledError as error:  # what a lost connection makes of them
            self.settle()
            raise self._no_scheduler(error) from error
        self.check()
        return done

    def run(self, function: Callable[[], Any]) -> Any:
        """Return what a function of the library returns, which may hang where a worker is lost.

        It raises as `gather` does. The function is left alone then: what it waits for never comes, and its
        thread ends with the process.
        """
        found = on_its_own_thread(function)
        while not found.done():
            self.check()
            concurrent.futures.wait([found], timeout=POLL_S)
        if found.exception() is not None:
            self.settle()
        return found.result()

    def check(self) -> None:
        """Raise what `gather` does if the scheduler or a worker is gone."""
        try:
            alive = set(self.client.nthreads())
        except (OSError, *TIMEOUTS, ValueError) as error:
            raise self._no_scheduler(error) from error
        if self.client.status != "running":
            raise self._no_scheduler(None)
        lost = set(self.workers) - alive
        if lost:
            raise LostWorkersError(lost)

    def cancel(self, futures: Sequence[Any]) -> None:
        """Take tasks back: nobody waits for them."""
        if futures and self.client.status == "running":
            self.client.cancel(list(futures))

    def copy(self) -> Cluster:
        """Return the same cluster with workers of its own to lose."""
        return replace(self, workers=list(self.workers))

    def memory_left(self) -> int | None:
        """Return the bytes that the worker with the least has left for one more thing; None for no limit."""
        found = self.run(lambda: self.client.run(memory_left, workers=self.workers))
        return min((left for left in found.values() if left is not None), default=None)

    def close(self) -> None:
        """Leave the scheduler; end a cluster of this machine."""
        with contextlib.suppress(*TIMEOUTS, OSError):  # whoever doesn't answer ends with this process
            self.client.close(timeout=LEAVE_S)
            if self.local is not None:
                self.local.close(timeout=LEAVE_S)

    def _results(self, futures: Sequence[Any]) -> list[Any]:
        failed = next((future for future in futures if future.status != "finished"), None)
        if failed is not None:
            if failed.status != "error":
                self.settle()
                raise TrainingProcessError(f"Dask ended a task of this training ({failed.status})")
            raise failed.exception()
        found: list[Any] = self.client.gather(list(futures))
        return found

    def settle(self) -> None:
        """Raise what `gather` does, after a moment in which the scheduler may notice who is gone.

        A lost worker's peers fail before it does.
        """
        end = time.monotonic() + 5.0
        while time.monotonic() < end:
            self.check()
            time.sleep(POLL_S)

    def _no_scheduler(self, error: BaseException | None) -> TrainingProcessError:
        detail = f": {error}" if error and str(error) else ""
        return TrainingProcessError(
            f"the Dask scheduler {self.where} is gone{detail}. Nothing was published: start it, and "
            "build again"
        )


def connect(address: str, n_workers: int, memory: int | None) -> Cluster:
    """Return the scheduler's workers, or those of a cluster that is started on this machine.

    Parameters
    ----------
    address : of a scheduler, 'tcp://host:8786' or 'tls://host:8786'; '' starts workers here
    n_workers : to start here
    memory : bytes that these may take, each; None lets them take what there is

    Raises
    ------
    TrainingProcessError
        No scheduler or no worker answers, or its libraries are others.
    """
    from distributed import Client, LocalCluster

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # a worker that ends is told of here
    local = None
    if not address:
        local = LocalCluster(
            n_workers=n_workers, threads_per_worker=1, processes=True, dashboard_address=":0",
            memory_limit=memory or 0, silence_logs=logging.CRITICAL,
        )  # fmt: skip
    where = address or "of this machine"
    try:
        client = Client(local or address, timeout=20, set_as_default=True)  # `wait` knows no other
    except TypeError as error:  # what Dask raises where no certificate is named
        raise TrainingProcessError(
            f"the Dask scheduler {where} asks for TLS: {error}. Name certificates in Dask's configuration "
            f"({', '.join(TLS)})"
        ) from error
    except (OSError, *TIMEOUTS, ValueError) as error:
        raise TrainingProcessError(
            f"no Dask scheduler answers at {where} (profile: dask_scheduler): {error or type(error).__name__}"
        ) from error
    cluster = Cluster(client, where, local=local)
    cluster.workers = _await_workers(cluster, n_workers if local else 1)
    cluster.n_threads = min(client.nthreads()[worker] for worker in cluster.workers)
    _check_versions(cluster)
    return cluster


def _await_workers(cluster: Cluster, least: int) -> list[str]:
    """Return the workers' addresses as soon as no more of them come."""
    end = time.monotonic() + PATIENCE_S
    known: set[str] = set()
    since = time.monotonic()
    while True:
        cluster.check()
        found = set(cluster.client.nthreads())
        if found != known:
            known, since = found, time.monotonic()
        is_settled = time.monotonic() - since >= (0 if cluster.local else SETTLED_S)
        if len(known) >= least and is_settled:
            return sorted(known)
        if time.monotonic() > end:
            raise TrainingProcessError(
                f"the Dask scheduler {cluster.where} has no worker after {PATIENCE_S:.0f} s: start some "
                f"(`dask worker <address>`), with {EXTRA}"
            )
        time.sleep(POLL_S)


def memory_left(dask_worker: Any) -> int | None:
    """Return what a worker may still take, in bytes; None if it was given no limit."""
    limit = dask_worker.memory_manager.memory_limit
    return None if not limit else max(int(limit) - used_bytes(), 0)


def on_its_own_thread(function: Callable[..., T], *given: Any) -> concurrent.futures.Future[T]:
    """Call a function that may hang; its thread keeps no process alive that ends."""
    from distributed.threadpoolexecutor import ThreadPoolExecutor

    pool = ThreadPoolExecutor(1)  # Dask's: the standard library waits for the threads of its own
    found: concurrent.futures.Future[T] = pool.submit(function, *given)
    pool.shutdown(wait=False)
    return found


def waited_for() -> Callable[[], bool]:
    """Return what tells whether anybody still waits for the task of a worker that calls this.

    A thread can't be ended, and a build that was cancelled shouldn't keep the workers busy.
    """
    from distributed import get_worker

    worker = get_worker()
    tasks, key = worker.state.tasks, worker.get_current_task()

    def is_waited_for() -> bool:
        task = tasks.get(key)
        return task is not None and task.state != "cancelled"

    return is_waited_for


def versions() -> dict[str, str]:
    """Return what has to be the same on both sides: what is fitted there is read here."""
    found = {name: _version(name) for name in COMPARED}
    own = {"python": ".".join(platform.python_version_tuple()[:2])}
    return own | {name: version for name, version in found.items() if version is not None}


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _check_versions(cluster: Cluster) -> None:
    own = versions()
    answers = cluster.client.run(versions, workers=cluster.workers, on_error="return")
    problems = []
    for worker, found in answers.items():
        if isinstance(found, BaseException):
            problems.append(f"{worker}: {found}")
            continue
        names = [name for name in {**own, **found} if own.get(name) != found.get(name)]
        problems += [
            f"{worker}: {name} {found.get(name, 'is missing')}, here {own.get(name, 'none')}"
            for name in names
        ]
    if problems:
        shown = "\n  ".join(problems[:8])
        raise TrainingProcessError(
            f"Dask's workers have other libraries than dbt:\n  {shown}\nInstall the same there ({EXTRA})"
        )
