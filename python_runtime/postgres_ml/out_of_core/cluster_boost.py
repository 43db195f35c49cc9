"""xgboost on Dask's workers, each of which bins its own rows: their histograms are added up in each round.

Input: rows on the workers, an estimator. Output: the estimator, fitted. What the workers do is in
`worker_boost`.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import xgboost

from postgres_ml.components.estimators import LabelEncodedClassifier
from postgres_ml.contract.exceptions import TrainingProcessError
from postgres_ml.features.problem import Problem
from postgres_ml.fit.stop import StopAtDeadline
from postgres_ml.out_of_core.boost import training_parameters, with_booster
from postgres_ml.out_of_core.cluster import POLL_S, Cluster
from postgres_ml.out_of_core.rows import Batch, Encode
from postgres_ml.out_of_core.worker_boost import Encoded, Growth, StopTogether, grow, start_tracker

if TYPE_CHECKING:
    import pandas as pd

    from postgres_ml.out_of_core.cluster_rows import ClusterRows
    from postgres_ml.snapshot.rows import Array

PEER_S = 60  # that a worker waits for another, which may be slow
TURN = "dbt-postgres-ml grows trees"
OUT_OF_TOUCH = re.compile(r"collective|socket|connection|timed? ?out|tracker", re.IGNORECASE)


def fit_on_workers(
    rows: ClusterRows, estimator: Any, problem: Problem, encode: Encode, sides: Sequence[int], seconds: float
) -> Any:
    """Return the estimator with trees learned from the rows on these sides.

    Raises
    ------
    LostWorkersError
        A worker is gone; the others' threads are free.
    TrainingProcessError
        The workers don't reach each other.
    xgboost.core.XGBoostError
        The library refuses a hyperparameter's value.
    """
    cluster = rows.read.cluster
    library = estimator.estimator if isinstance(estimator, LabelEncodedClassifier) else estimator
    growth = _growth(library, problem, cluster.n_threads, rows.index.weight is not None, seconds)
    with _turn(cluster):
        parts = _encoded(rows, encode, sides)
        futures = [
            cluster.submit(worker, grow, growth, group, *parts[worker])
            for worker, group in zip(parts, _group(cluster, len(parts)), strict=True)
        ]
        try:
            found = _gathered(cluster, futures)
        except BaseException:
            cluster.cancel(futures)  # which frees the threads of the workers that are left
            raise
    (booster,) = (one for one in found if one is not None)
    return with_booster(estimator, problem, booster)


def _growth(library: Any, problem: Problem, n_threads: int, is_weighted: bool, seconds: float) -> Growth:
    given = library.get_params()
    own = [one for one in given["callbacks"] or () if not isinstance(one, StopAtDeadline)]
    columns = {name: given.get(name) for name in ("feature_types", "feature_weights")}
    return Growth(
        parameters={**training_parameters(library, problem), "nthread": n_threads},
        rounds=library.get_num_boosting_rounds(),
        matrix={
            "missing": given["missing"],
            "max_bin": given["max_bin"],
            "enable_categorical": bool(given["enable_categorical"]),
            "nthread": n_threads,
        },
        columns={name: value for name, value in columns.items() if value is not None},
        is_weighted=is_weighted,
        callbacks=[*own, StopTogether(seconds)],
    )


@contextlib.contextmanager
def _turn(cluster: Cluster) -> Iterator[None]:
    """Grow the trees of one model at a time: two that have half of the threads each wait for each other.

    The scheduler takes the turn back from a training that was killed, half a minute later.
    """
    from distributed import Semaphore

    turn = Semaphore(max_leases=1, name=TURN)
    while not turn.acquire(timeout=POLL_S):
        cluster.check()
    try:
        yield
    finally:
        if cluster.client.status == "running":
            turn.release()


def _group(cluster: Cluster, n_workers: int) -> list[dict[str, Any]]:
    """Return what each worker is given to find the others: a tracker runs beside the scheduler."""
    import dask
    from distributed.comm import get_address_host

    named = dask.config.get("xgboost.scheduler_address", default=None)  # as xgboost's own interface reads it
    if named is None:
        host, port = get_address_host(cluster.client.scheduler.address), 0
    else:
        host, _, after = str(named).partition(":")
        port = int(after or 0)
    client = cluster.client
    given = cluster.run(partial(client.run_on_scheduler, start_tracker, n_workers, host, port))
    given = xgboost.collective.Config(retry=1, timeout=PEER_S).get_comm_config(given)
    return [{**given, "dmlc_task_id": f"{number:06}"} for number in range(n_workers)]


def _gathered(cluster: Cluster, futures: list[Any]) -> list[Any]:
    """Return what each worker has grown, or raise what the first that fails says: its peers wait for it.

    Of a lost worker its loss is told, and of one that failed its own error, not what its peers say of it.
    """
    pending = set(futures)
    while pending:
        done = cluster.ended(list(pending), "FIRST_COMPLETED") or set()
        pending -= done
        if all(future.status == "finished" for future in done):
            continue
        if any(_is_of_a_peer(future) for future in done):
            cluster.settle()
        ended = [future for future in futures if future.done() and future.status != "finished"]
        cause = next((future for future in ended if not _is_of_a_peer(future)), None)
        if cause is not None:
            return cluster.gather([cause])
        said = str(ended[0].exception())[:300]
        raise TrainingProcessError(
            f"Dask's workers lost touch while they grew trees: {said}. "
            "Nothing was published: see their logs and the network between them, and build again"
        )
    return cluster.gather(futures)


def _is_of_a_peer(future: Any) -> bool:
    """Return whether a task's error tells of the connection to another worker."""
    if future.status != "error":
        return False
    error = future.exception()
    return isinstance(error, xgboost.core.XGBoostError) and bool(OUT_OF_TOUCH.search(str(error)))


def _encoded(rows: ClusterRows, encode: Encode, sides: Sequence[int]) -> dict[str, list[Any]]:
    """Return futures of the encoded parts, by the worker that has them."""
    cluster = rows.read.cluster
    found: dict[str, list[Any]] = {}
    for part in rows.read.parts:
        local, places = rows.chosen(part, sides)
        if len(local):
            weight = None if rows.index.weight is None else rows.index.weight[places]
            compute = partial(encoded, encode, local, rows.index.target[places], weight)
            found.setdefault(part.worker, []).append(cluster.submit(part.worker, compute, part.frame))
    return found


def encoded(
    encode: Encode, local: Array, target: Array, weight: Array | None, frame: pd.DataFrame
) -> Encoded:
    """Return the matrix, labels and weights of some rows of a part, in single precision."""
    batch = Batch(frame.iloc[local].reset_index(drop=True), target, weight)
    matrix, label, scaled = encode(batch)
    ones = np.ones(len(local), np.float32) if scaled is None else np.asarray(scaled, np.float32)
    return np.asarray(matrix, np.float32), np.asarray(label, np.float32), ones
