"""From a plan to a result: the snapshot, the training process, and what came of it, each a value.

A training process is the one thing here that changes; `Closing` ends it when the node ends, whatever happens.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbt.adapters.postgres_ml.build.endpoint import EndpointBuild
from dbt.adapters.postgres_ml.build.job import empty_directory, make_job
from dbt.adapters.postgres_ml.build.lock import lock_folder
from dbt.adapters.postgres_ml.build.node import NodeBuild
from dbt.adapters.postgres_ml.build.plan import BuildPlan, champion_of
from dbt.adapters.postgres_ml.build.runtimes import lacking_runtimes
from dbt.adapters.postgres_ml.build.stub import stub_model
from dbt.adapters.postgres_ml.build.unpublished import UnpublishedResult
from dbt.adapters.postgres_ml.catalog.read import read_champion
from dbt.adapters.postgres_ml.catalog.search_path import trusted_path

from postgres_ml.contract.exceptions import TrainingDataError
from postgres_ml.contract.model import TrainedModel
from postgres_ml.process.parent import TrainingProcess
from postgres_ml.process.progress import duration
from postgres_ml.snapshot.digest import Digest
from postgres_ml.snapshot.encoding import server_encoding
from postgres_ml.snapshot.file import remove_rows

WORTH_TELLING_S = 0.5  # of a phase
ABANDONED = "the dbt node failed or was cancelled before its function was published"


@dataclass(frozen=True)
class Snapshot:
    """The rows of a training, copied, and the process that waits to train on them.

    Parameters
    ----------
    expected : what the training follows from: the rows that were copied, not those that the plan saw
    lacking : for each runtime that the server can't run, why not
    """

    plan: BuildPlan
    expected: Digest
    lacking: dict[str, str]
    process: TrainingProcess


@dataclass(frozen=True)
class Result:
    """A trained, loaded or declared model that is to be published.

    Parameters
    ----------
    changes : why this version was made, for the catalog
    origin : what it follows from, a `Digest` as JSON with the runtimes that were lacking; None of a stub
    process : that holds the MLflow run open; None where there is no run, or none was opened yet
    """

    plan: BuildPlan
    trained: TrainedModel
    changes: str
    origin: dict[str, Any] | None = None
    process: TrainingProcess | None = None

    @property
    def build(self) -> NodeBuild:
        """The node."""
        return self.plan.build


class Closing(contextlib.ExitStack):
    """What has to end when the node ends: the lock of its folder, the training process."""

    def lock(self, build: NodeBuild) -> None:
        """Wait until no other build of the node runs, and keep others waiting.

        Raises
        ------
        TrainingCancelledError
            While another build of this model was waited for.
        """
        held = lock_folder(
            build.node.name,
            build.directory,
            lambda: _wait_for_other(build),
            build.connections.cancelled.is_set,
        )
        self.callback(held.release)

    def start(self, process: TrainingProcess) -> TrainingProcess:
        """Start a training process, which ends with the node at the latest."""
        self.callback(_abandon, process)
        process.start()
        return process


def _wait_for_other(build: NodeBuild) -> None:
    build.log("info", "another build of this model is running; waiting for it")
    build.progress.begin("wait")


def _abandon(process: TrainingProcess) -> None:
    """End the process if the build stopped before the publication; its result stays."""
    if process.is_running:
        process.abandon(ABANDONED)
    remove_rows(Path(process.job.directory))


def take_snapshot(plan: BuildPlan, closing: Closing) -> Snapshot:
    """Start the training process and, while it imports its libraries, copy the query's rows for it.

    The process is not waited for here, where the transaction is open: a role's timeout would end that.

    Raises
    ------
    StorageError, TrainingProcessError
        The folder can't be written, or the process not started.
    """
    build = plan.build
    build.progress.begin("snapshot")
    closing.callback(build.end)
    empty_directory(build.node, build.directory)
    lacking = lacking_runtimes(build.cursor(), build.spec.runtime, build.config.credentials.embedded)
    fields = build.job_fields(build.cursor(), plan.query)
    fields["encoding"] = server_encoding(build.cursor().connection)
    process = closing.start(_process(plan, lacking=lacking, champion_file=_champion_file(plan), **fields))
    expected = plan.decision.expected
    summary = build.copy_rows(build.cursor(), plan.query)
    rows = ""
    if summary is not None:
        sampled = f", sampled from {summary.n_rows_query:,} (settings: max_cells)" if summary.sampled else ""
        rows = f", on a snapshot of {summary.n_rows:,} rows x {len(plan.query.columns)} columns{sampled}"
        # others may have come in since the plan
        expected = dataclasses.replace(expected, data=summary.digest, n_rows=summary.n_rows_query)
    UnpublishedResult(build.directory).note_origin(
        build.spec, expected, champion_of(build.spec, plan.serving), plan.newest
    )
    what = "training" if build.trains_here else f"publishing {build.spec.source}"
    build.log("info", f"{what}: {plan.reason_of_training(expected)}{rows}")
    return Snapshot(plan, expected, lacking, process)


def train(snapshot: Snapshot) -> Result:
    """Return what the training process makes of the snapshot; no transaction is open meanwhile.

    Raises
    ------
    TrackingError
        MLflow can't be written.
    PostgresMLError
        As the training process reports it.
    """
    build = snapshot.plan.build
    build.progress.begin("start")
    trained = snapshot.process.train(build.rows_source())
    build.log("info", _time_text(trained, build), {"seconds": trained.seconds})
    return _result(snapshot.plan, trained, snapshot.expected, snapshot.lacking, snapshot.process)


def recover(plan: BuildPlan, closing: Closing) -> Result:
    """Return the result of an earlier build; tell MLflow of it, if that build could not.

    Raises
    ------
    TrackingError
        MLflow can't be written now either.
    TrainingDataError
        The result is gone.
    """
    process = None
    unpublished = UnpublishedResult(plan.build.directory)
    trained = unpublished.read()
    if trained is None:
        raise TrainingDataError("the result of the earlier build is gone: build again, which trains it")
    if trained.run is not None and not trained.run.is_tracked:
        process = resume(plan, closing)
        plan.build.progress.begin("start")
        trained = unpublished.at_home(process.train())
    plan.build.log("info", "nothing is trained: an earlier build did, and could not publish it; now it is")
    return _result(plan, trained, plan.decision.expected, {}, process)


def _time_text(trained: TrainedModel, build: NodeBuild) -> str:
    """Return what each phase took; the short ones in one sum."""
    long = {name: seconds for name, seconds in trained.seconds.items() if seconds >= WORTH_TELLING_S}
    rest = sum(trained.seconds.values()) - sum(long.values())
    parts = [f"{name} {seconds:.1f} s" for name, seconds in long.items()]
    if rest >= 0.05 or not parts:
        parts.append(f"{'the rest' if parts else 'all'} {rest:.1f} s")
    done = "trained" if build.trains_here else "loaded"
    return f"{done} in {duration(sum(trained.seconds.values()))}: {', '.join(parts)}"


def declare(plan: BuildPlan, build: EndpointBuild) -> Result:
    """Return the functions that call a service: nothing is trained, and nothing known of its model."""
    return _result(plan, build.model_of(plan.query), plan.decision.expected, {}, None)


def resume(plan: BuildPlan, closing: Closing) -> TrainingProcess:
    """Start the process that goes on where an earlier build stopped: MLflow has to be told."""
    return closing.start(_process(plan, resumes=True))


def stub(plan: BuildPlan) -> Result:
    """Return what `--empty` publishes."""
    build, query = plan.build, plan.query
    trained = stub_model(build.spec, query.features, query.target)
    nothing = "returns no rows" if build.spec.is_forecast else "predicts NULL"
    build.log("info", f"--empty: a stub, which {nothing} ({trained.summary.problem_type})")
    return Result(plan, trained, plan.reason)


def _result(
    plan: BuildPlan,
    trained: TrainedModel,
    expected: Digest,
    lacking: dict[str, str],
    process: TrainingProcess | None,
) -> Result:
    origin = {**dataclasses.asdict(expected), "lacking": sorted(lacking)}
    return Result(plan, trained, plan.reason_of_training(expected), origin, process)


def _process(plan: BuildPlan, **job_fields: Any) -> TrainingProcess:
    build, query = plan.build, plan.query
    job = make_job(
        build.config, build.job_spec(), query.sql, build.directory, query.features, query.target, query.weight
    )
    job = dataclasses.replace(
        job, code=query.code, relation=query.relation, others=query.others, **job_fields
    )
    return TrainingProcess(job, build.log, build.connections.cancelled.is_set)


def _champion_file(plan: BuildPlan) -> str:
    """Write the serving version for the training to compare with; empty where there is nothing to do."""
    build, serving = plan.build, plan.serving
    if build.spec.promote == "always" or serving is None or serving.digest is None:
        return ""
    path = build.directory / "champion.json"
    cursor = build.cursor()
    with trusted_path(cursor):
        champion = read_champion(cursor, *build.place)
    path.write_text(json.dumps(champion), encoding="utf-8")
    return str(path)
