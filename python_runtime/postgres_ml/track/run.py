"""The training as an MLflow run; `champion`, `registered_model` and `store` import mlflow as well.

Input: the job, then the files of `run_record`. Output: one run: parameters, metrics, trials, dataset, tags,
artifacts, the pipeline as a logged model; after the publication a registered version, its alias `champion`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import traceback
from collections.abc import Iterator
from pathlib import Path

import mlflow
import sqlalchemy.exc
from mlflow.entities import Dataset, DatasetInput, InputTag, LifecycleStage, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.tracking import MlflowClient

from postgres_ml.contract.exceptions import StorageError, TrackingError
from postgres_ml.contract.job import TrainingJob
from postgres_ml.contract.model import RunReference, TrainedModel, registered_name
from postgres_ml.contract.redact import without_secrets
from postgres_ml.process.lines import FAILURES
from postgres_ml.process.report import Relay
from postgres_ml.track import registered_model
from postgres_ml.track import store as tracking_store
from postgres_ml.track.champion import crown, mark_published
from postgres_ml.track.drawing import CARDS, PLOTS, draw_pending
from postgres_ml.track.run_record import RunRecord, read_model

MAX_PARAM_LENGTH = 6000  # MLflow's limit
METRICS_IN_BATCH = 1000  # MLflow's limit

for _name in ("mlflow", "alembic"):  # notices about schema versions and the like
    logging.getLogger(_name).setLevel(logging.WARNING)


class TrackedRun:
    """One MLflow run, from its start to its end.

    Parameters
    ----------
    client, run_id : of an open run
    is_resumed : whether an earlier build began it

    Attributes
    ----------
    model_uri : of the pipeline logged in it; empty before that
    """

    def __init__(self, job: TrainingJob, client: MlflowClient, run_id: str, is_resumed: bool = False) -> None:
        self.job, self.client, self.run_id, self.is_resumed = job, client, run_id, is_resumed
        self.model_uri = ""

    @classmethod
    def open(cls, job: TrainingJob) -> TrackedRun:
        """Create the experiment if need be, and start a run in it.

        Raises
        ------
        TrackingError
            The tracking store can't be reached or written.
        """
        with _errors(job):
            client, experiment = tracking_store.open_experiment(job.tracking_uri, job.experiment)
            return cls(job, client, _create_run(job, client, experiment))

    @classmethod
    def resume(cls, job: TrainingJob, reference: RunReference) -> TrackedRun:
        """Take up the run of a training that came to its result and was not published.

        A run that the store no longer has, and that was not logged completely, is begun anew; so is one that
        was not begun, for a store that didn't answer.

        Raises
        ------
        TrackingError
            The tracking store can't be reached or written.
        """
        run_id = reference.run_id
        with _errors(job):
            client, experiment = tracking_store.open_experiment(job.tracking_uri, job.experiment)
            if not run_id or not (reference.is_tracked or _is_open_to_logging(client, run_id)):
                run_id = _create_run(job, client, experiment)
        run = cls(job, client, run_id, is_resumed=True)
        run.model_uri = reference.model_uri or ""
        return run

    def log(self, trained: TrainedModel, directory: Path) -> str:
        """Log everything about the training but what is drawn later; return the model's URI.

        Parameters
        ----------
        directory : the job's, with what `run_record` wrote into it

        Raises
        ------
        TrackingError, StorageError
        """
        record = RunRecord.read(directory)
        with self._reachable():
            self._log_values(record)
            if (directory / "artifacts").exists():
                self.client.log_artifacts(self.run_id, str(directory / "artifacts"))
            self.model_uri = record.model_uri or self._log_model(trained, record.has_probabilities, directory)
        return self.model_uri

    def log_drawn(self, artifacts: Path) -> None:
        """Log plots and card.

        Raises
        ------
        TrackingError, StorageError
        """
        with self._reachable():
            self.client.log_artifacts(self.run_id, str(artifacts / PLOTS), PLOTS)
            for name in CARDS:
                self.client.log_artifact(self.run_id, str(artifacts / name))

    def _log_values(self, record: RunRecord) -> None:
        metrics = [Metric(name, value, record.time, 0) for name, value in record.metrics.items()]
        params = [Param(name, value[:MAX_PARAM_LENGTH]) for name, value in record.parameters.items()]
        tags = [RunTag("function", f"{self.job.spec.schema}.{self.job.spec.function}")]
        if record.dataset:
            table = json.dumps([{"path": "trials.json", "type": "table"}])
            tags.append(RunTag("mlflow.loggedArtifacts", table))
        self.client.log_batch(self.run_id, metrics=metrics, params=params, tags=tags)
        searched = [Metric(name, value, record.time, step) for name, value, step in record.searched]
        for start in range(0, len(searched), METRICS_IN_BATCH):
            self.client.log_batch(self.run_id, metrics=searched[start : start + METRICS_IN_BATCH])
        if record.dataset:
            used = DatasetInput(Dataset(*record.dataset), [InputTag("mlflow.data.context", "training")])
            self.client.log_inputs(self.run_id, [used])

    def _log_model(self, trained: TrainedModel, has_probabilities: bool, directory: Path) -> str:
        model, rows = read_model(directory)
        # MLflow puts a model that is logged by a run's id alone into its default experiment, whose folder is
        # wherever the process that made the store happened to stand
        mlflow.set_experiment(experiment_id=self.client.get_run(self.run_id).info.experiment_id)
        return registered_model.log_model(
            self.run_id, model, trained.summary.features, trained.summary.return_type, has_probabilities, rows
        )

    def publish(self, version: int, details: dict[str, str]) -> None:
        """Register the pipeline as a version of the registered model, its champion, and end the run.

        Raises
        ------
        TrackingError
        """
        name = registered_name(self.job.spec.schema, self.job.spec.name)
        tags = {"function_version": str(version), **details}
        with self._reachable():
            if self.model_uri:
                tags |= crown(self.client, name, self.run_id, self.model_uri, tags)
            mark_published(self.client, self.run_id, tags, self.is_resumed)

    def refuse(self, reason: str) -> None:
        """End the run as FINISHED with the tag `refused`: it is trained and not published.

        Raises
        ------
        TrackingError
        """
        with self._reachable():
            self.client.set_tag(self.run_id, "refused", reason[:5000])
            self.client.set_terminated(self.run_id, "FINISHED")

    def end(self, status: str, reason: str) -> None:
        """End the run as FAILED or KILLED, with the reason as a tag.

        Raises
        ------
        TrackingError
        """
        with self._reachable():
            self.client.set_tag(self.run_id, "reason", reason[:5000])
            self.client.set_terminated(self.run_id, status)

    @contextlib.contextmanager
    def _reachable(self) -> Iterator[None]:
        """Ask first whether the store is still there: MLflow would wait for it, as long as an hour."""
        with _errors(self.job):
            tracking_store.connect(self.job.tracking_uri)
            yield


def draw(run: TrackedRun, directory: Path, relay: Relay) -> None:
    """Draw and log what a training left to be drawn; what fails is a warning, for the function is trained.

    Parameters
    ----------
    directory : the job's
    """
    try:
        if draw_pending(directory):
            run.log_drawn(directory / "artifacts")
    except FAILURES as error:
        relay("debug", traceback.format_exc())
        text = " ".join(str(error).split()) or type(error).__name__
        relay("library", f"the MLflow run has no plots and no card: {text}")


def _create_run(job: TrainingJob, client: MlflowClient, experiment: str) -> str:
    tags = {"mlflow.source.name": job.spec.unique_id, "mlflow.source.type": "JOB", **job.tags}
    run_id: str = client.create_run(experiment, run_name=job.spec.name, tags=tags).info.run_id
    return run_id


def _is_open_to_logging(client: MlflowClient, run_id: str) -> bool:
    """Return whether the store has the run, and not as a deleted one."""
    try:
        stage: str = client.get_run(run_id).info.lifecycle_stage
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise
        return False
    return stage == str(LifecycleStage.ACTIVE)


@contextlib.contextmanager
def _errors(job: TrainingJob) -> Iterator[None]:
    """Turn what MLflow raises into an error that names the store and the cure."""
    try:
        yield
    except (MlflowException, sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        raise TrackingError(_unreachable(job, error)) from error
    except OSError as error:
        if error.errno is None:  # requests' errors are OSErrors
            raise TrackingError(_unreachable(job, error)) from error
        raise StorageError(f"MLflow's files can't be written: {error}") from error


def _unreachable(job: TrainingJob, error: Exception) -> str:
    uri = without_secrets(job.tracking_uri)
    # SQLAlchemy's errors go on with the statement and its parameters, MLflow's with the server's page
    text = next(iter(without_secrets(str(error)).strip().splitlines()), type(error).__name__)
    return f"MLflow at {uri} can't be used: {text}\nCheck mlflow_tracking_uri in the profile."
