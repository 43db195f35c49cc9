"""The training of a job whose rows Dask's workers read: the pipeline, with another beginning.

Input: a job, and where its rows are. Output: `TrainedModel`. The search, and what explains, draws and checks
the model, run here on a sample; what takes all rows runs on the workers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from postgres_ml import pipeline, preparation
from postgres_ml.contract.exceptions import TrainingProcessError
from postgres_ml.contract.job import TrainingJob
from postgres_ml.contract.model import TrainedModel
from postgres_ml.fit.task import Deadline
from postgres_ml.out_of_core import worker_read
from postgres_ml.out_of_core.cluster import Cluster, LostWorkersError, connect
from postgres_ml.out_of_core.cluster_rows import ClusterRows, ReadRows, read_rows
from postgres_ml.out_of_core.plan import IN_MEMORY, LEAST_SAMPLED, MOST_SAMPLED, OVERHEAD, cap_of
from postgres_ml.out_of_core.worker_read import Source
from postgres_ml.process.memory import used_bytes
from postgres_ml.process.report import Relay, Report

VALUE_BYTES = 8


@dataclass(frozen=True)
class Sizes:
    """How many rows this process has in memory, as `out_of_core.plan.Sizes` says."""

    n_sampled: int
    n_fitting: int


def train(
    job: TrainingJob, run_id: str, relay: Relay, source: dict[str, Any], leaving: list[Callable[[], None]]
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
        leaving.append(partial(_drop, cluster, where))
        report.progress(
            f"Dask's workers ({cluster.where}) read the rows: {len(cluster.workers)} of "
            f"{cluster.n_threads} threads, from a table that is there until they have"
        )
        read = read_rows(
            cluster, where, job.features, job.target, job.weight, settings.seed,
            lambda text, level: report.note(text, level),  # type: ignore[arg-type]
        )  # fmt: skip
        _drop(cluster, where)
        leaving.clear()
        deadline = Deadline(settings.max_runtime)
        sizes = _sizes(job, read)
        rows_of = partial(ClusterRows, read)
        return preparation.prepare_large(job, read.index, rows_of, sizes, deadline, report), sizes

    try:
        return pipeline.train(job, run_id, relay, load)
    finally:
        leaving.clear()
        for cluster in clusters:
            cluster.close()


def _memory_of_each(job: TrainingJob) -> int | None:
    """Return what each worker of this machine may take."""
    cap = cap_of(job.spec.settings)
    return None if cap is None else cap // job.n_threads


def _sizes(job: TrainingJob, read: ReadRows) -> Sizes:
    """Return how many rows are kept here: as many as explain the model, or as memory holds to search on."""
    cap = cap_of(job.spec.settings)
    row = IN_MEMORY * VALUE_BYTES * (len(job.features) + 1)
    held = len(read) if cap is None else int((cap - used_bytes() - OVERHEAD) / row)
    return Sizes(min(MOST_SAMPLED, len(read)), max(min(held, len(read)), LEAST_SAMPLED))


def _drop(cluster: Cluster, source: Source) -> None:
    """Drop the table, by a worker: this process has no connection to the database."""
    with contextlib.suppress(LostWorkersError, TrainingProcessError):  # dbt drops it, or the next build
        cluster.gather([cluster.submit(cluster.workers[0], worker_read.drop_table, source)])
