"""The training of a job whose rows Dask's workers read: the pipeline, with another beginning.

Input: a job, and where its rows are. Output: `TrainedModel`. What explains, draws and checks the model runs
here on a sample; the candidates of a search, and what takes all rows, are fitted on the workers.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from postgres_ml import pipeline, preparation
from postgres_ml.cluster_search import ClusterFits
from postgres_ml.contract.exceptions import TrainingProcessError
from postgres_ml.contract.job import ROWS_READ, TrainingJob
from postgres_ml.contract.model import TrainedModel
from postgres_ml.fit.task import Deadline
from postgres_ml.out_of_core import worker_read
from postgres_ml.out_of_core.cluster import Cluster, LostWorkersError, connect
from postgres_ml.out_of_core.cluster_rows import ClusterRows, ReadRows, read_rows
from postgres_ml.out_of_core.plan import (
    IN_MEMORY,
    LEAST_SAMPLED,
    MOST_SAMPLED,
    OVERHEAD,
    auto_bytes,
    cap_of,
)
from postgres_ml.out_of_core.worker_read import Source
from postgres_ml.preparation import Prepared
from postgres_ml.process.memory import used_bytes
from postgres_ml.process.report import Relay, Report

VALUE_BYTES = 8
MOST = 2**40  # rows, where neither this process nor the workers have a limit


@dataclass(frozen=True)
class Sizes:
    """How many rows this process has in memory, as `out_of_core.plan.Sizes` says."""

    n_sampled: int
    n_fitting: int


def train(
    job: TrainingJob,
    run_id: Callable[[], str],
    relay: Relay,
    source: dict[str, Any],
    leaving: list[Callable[[], None]],
) -> TrainedModel:
    """Train on the workers; return what is to be published.

    Parameters
    ----------
    source : fields of `worker_read.Source`
    leaving : gets what is to be done if this process has to end before

    Raises
    ------
    PostgresMLError
        As `pipeline.train` says; no scheduler, no worker, other libraries there, workers lost too often.
    """
    clusters: list[Cluster] = []

    def load(job: TrainingJob, _: Path, report: Report) -> pipeline.Loaded:
        # dbt sizes n_threads by the cores of this machine, which a cluster of its own may have all
        settings = job.spec.settings
        cluster = connect(job.dask_scheduler, job.n_threads, _memory_of_each(job))
        clusters.append(cluster)
        where = Source(**source)
        if where.copy:
            leaving.append(partial(_drop, cluster, where))
        report.progress(
            f"Dask's workers ({cluster.where}) read the rows: {len(cluster.workers)} of "
            f"{cluster.n_threads} threads, from {_table_text(where)}"
        )
        read = read_rows(
            cluster, where, job.features, job.target, job.weight, settings.seed,
            lambda text, level: report.note(text, level),  # type: ignore[arg-type]
        )  # fmt: skip
        report.progress(f"Dask's workers have read {len(read):,} rows", {"level": "debug", ROWS_READ: True})
        if where.copy:
            _drop(cluster, where)
        leaving.clear()
        deadline = Deadline(settings.max_runtime)
        sizes = _sizes(job, read)
        rows_of = partial(ClusterRows, read)
        prepared = preparation.prepare_large(job, read.index, rows_of, sizes, deadline, report)
        return _searching(prepared, cluster, report), sizes

    try:
        return pipeline.train(job, run_id, relay, load)
    finally:
        leaving.clear()
        for cluster in clusters:
            cluster.close()


def _searching(prepared: Prepared, cluster: Cluster, report: Report) -> Prepared:
    """Return it with the workers as the place where AUTO's candidates are fitted."""
    if not prepared.task.spec.auto:
        return prepared
    fits = ClusterFits(cluster, lambda text, level: report.note(text, level))  # type: ignore[arg-type]
    (n, n_held), n_all = (len(prepared.rows), len(prepared.holdout)), prepared.counts[0]
    some = f", on {n - n_held:,} of the rows to train on: as many as a process holds" if n < n_all else ""
    report.progress(f"AUTO fits {fits.n_at_once} candidates at once on Dask's workers{some}")
    return dataclasses.replace(prepared, fits=fits)


def _memory_of_each(job: TrainingJob) -> int | None:
    """Return what each worker of this machine may take."""
    cap = cap_of(job.spec.settings)
    return None if cap is None else cap // job.n_threads


def _sizes(job: TrainingJob, read: ReadRows) -> Sizes:
    """Return how many rows are kept here: as many as explain the model, or as memory holds to search on.

    Those to search on are in the memory of each worker as well, beside its own rows.
    """
    cap = cap_of(job.spec.settings)
    left = [None if cap is None else cap - used_bytes()]
    if job.spec.auto:
        with contextlib.suppress(LostWorkersError):  # who asks for its rows next sees to that
            left.append(read.cluster.memory_left())
    row = IN_MEMORY * VALUE_BYTES * (len(job.features) + 1)
    if job.spec.auto:
        n_texts = sum(column.kind == "text" for column in job.features)  # of how many values isn't known yet
        row += auto_bytes(job.spec, len(job.features) - n_texts, n_texts, read.cluster.n_threads)
    held = min((int((n_bytes - OVERHEAD) / row) for n_bytes in left if n_bytes is not None), default=MOST)
    return Sizes(min(MOST_SAMPLED, len(read)), max(held, LEAST_SAMPLED))


def _table_text(source: Source) -> str:
    return "a copy that is there until they have" if source.copy else f"{source.table} itself"


def _drop(cluster: Cluster, source: Source) -> None:
    """Drop the copy, by a worker: this process has no connection to the database."""
    with contextlib.suppress(LostWorkersError, TrainingProcessError):  # dbt drops it, or the next build
        cluster.gather([cluster.submit(cluster.workers[0], worker_read.drop_copy, source)])
