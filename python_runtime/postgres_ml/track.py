"""Tenth step: the training as an MLflow run. With `tracking_store` and `registration` what imports mlflow.

Input: the job, then `Fitted`. Output: one run: parameters, metrics, trials, dataset, tags, artifacts, the
pipeline as a logged model, and after the publication a registered version with the alias `champion`.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy.exc
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from postgres_ml import registration, tracking_store
from postgres_ml.exceptions import StorageError, TrackingError
from postgres_ml.redact import without_secrets
from postgres_ml.results import Fitted
from postgres_ml.spec import Column, TrainingJob

if TYPE_CHECKING:
    import pandas as pd

MAX_PARAM_LENGTH = 6000  # MLflow's limit
METRICS_IN_BATCH = 1000  # MLflow's limit
CHAMPION = "champion"

for _name in ("mlflow", "alembic"):  # notices about schema versions and the like
    logging.getLogger(_name).setLevel(logging.WARNING)


def registered_name(job: TrainingJob) -> str:
    """Return the registered model's name, '<schema>.<model>': what the card's view is called."""
    return _registered(f"{job.spec.schema}.{job.spec.name}")


def _registered(name: str) -> str:
    return name.replace("/", "_").replace(":", "_")  # MLflow's separators


class TrackedRun:
    """One MLflow run, from its start to its end.

    Parameters
    ----------
    client, run_id : of an open run
    """

    def __init__(self, job: TrainingJob, client: MlflowClient, run_id: str) -> None:
        self.job, self.client, self.run_id = job, client, run_id
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
            tags = {"mlflow.source.name": job.spec.unique_id, "mlflow.source.type": "JOB", **job.tags}
            run = client.create_run(experiment, run_name=job.spec.name, tags=tags)
        return cls(job, client, run.info.run_id)

    @classmethod
    def resume(cls, job: TrainingJob) -> TrackedRun:
        """Take up the run of a training that came to its result and was not published.

        Raises
        ------
        TrackingError
            The tracking store can't be reached or written.
        """
        with _errors(job):
            client, _ = tracking_store.open_experiment(job.tracking_uri, job.experiment)
            run = cls(job, client, job.resumed_run_id)
        run.model_uri = job.resumed_model_uri
        return run

    def log(self, fitted: Fitted, folder: Path) -> str:
        """Log everything about the training and return the pipeline's URI.

        Parameters
        ----------
        folder : its files become the run's artifacts

        Raises
        ------
        TrackingError, StorageError
        """
        with _errors(self.job):
            self._log_values(fitted)
            self.client.log_artifacts(self.run_id, str(folder))
        has_probabilities = fitted.task.problem.has_probabilities
        self.log_model(
            fitted.pipeline, fitted.job.features, fitted.return_type, has_probabilities, fitted.holdout.frame
        )
        return self.model_uri

    def log_model(
        self, model: Any, columns: Sequence[Column], returns: str, has_probabilities: bool, rows: pd.DataFrame
    ) -> None:
        """Log what the function predicts with; its publication registers it.

        Parameters
        ----------
        columns, returns : the function's arguments, and the type of the prediction
        rows : the first ones become the model's example

        Raises
        ------
        TrackingError, StorageError
        """
        with _errors(self.job):
            self.model_uri = registration.log_model(
                self.run_id, model, columns, returns, has_probabilities, rows.head(3)
            )

    def log_brought(self, parameters: dict[str, str], metrics: dict[str, float]) -> None:
        """Log where a brought model is from, and its metrics.

        Raises
        ------
        TrackingError
        """
        now = int(time.time() * 1000)
        with _errors(self.job):
            self.client.log_batch(
                self.run_id,
                metrics=[Metric(name, value, now, 0) for name, value in metrics.items()],
                params=[Param(name, value[:MAX_PARAM_LENGTH]) for name, value in parameters.items()],
                tags=[RunTag("function", f"{self.job.spec.schema}.{self.job.spec.function}")],
            )

    def _log_values(self, fitted: Fitted) -> None:
        now = int(time.time() * 1000)
        train = {f"train_{name}": value for name, value in fitted.train_metrics.items()}
        metrics = [Metric(k, v, now, 0) for k, v in (fitted.metrics | train).items()]
        params = [Param(k, str(v)[:MAX_PARAM_LENGTH]) for k, v in parameters(fitted).items()]
        tags = [
            RunTag("function", f"{self.job.spec.schema}.{self.job.spec.function}"),
            RunTag("mlflow.loggedArtifacts", json.dumps([{"path": "trials.json", "type": "table"}])),
        ]
        self.client.log_batch(self.run_id, metrics=metrics, params=params, tags=tags)
        searched = search_metrics(fitted, now)
        for start in range(0, len(searched), METRICS_IN_BATCH):
            self.client.log_batch(self.run_id, metrics=searched[start : start + METRICS_IN_BATCH])
        source = json.dumps({"database": self.job.spec.database, "query": self.job.query})
        profile = json.dumps({"num_rows": len(fitted.rows), "num_elements": fitted.rows.frame.size})
        columns = [{"name": c.name, "type": c.sql_type} for c in self.job.columns]
        dataset = Dataset(
            self.job.spec.name, fitted.rows.digest, "sql", source, json.dumps({"columns": columns}), profile
        )
        self.client.log_inputs(
            self.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])]
        )

    def publish(self, version: int, details: dict[str, str]) -> None:
        """Register the pipeline as a version of the registered model, its champion, and end the run.

        Raises
        ------
        TrackingError
        """
        name = registered_name(self.job)
        with _errors(self.job):
            with contextlib.suppress(MlflowException):  # it exists already
                self.client.create_registered_model(name, description=f"dbt model {self.job.spec.unique_id}")
            tags = {"function_version": str(version), **details}
            if self.model_uri:
                number = self._version_of(name, tags)
                self.client.set_registered_model_alias(name, CHAMPION, number)
                tags = {**tags, "model_version": number}
            for key, value in tags.items():
                self.client.set_tag(self.run_id, key, value)
            if self.job.resumed_run_id:
                for key in ("reason", "refused"):
                    with contextlib.suppress(MlflowException):  # it has none
                        self.client.delete_tag(self.run_id, key)
            self.client.set_terminated(self.run_id, "FINISHED")

    def _version_of(self, name: str, tags: dict[str, str]) -> str:
        """Return the number of the registered version that is published; a source may be one already."""
        own = f"models:/{name}/"
        if self.model_uri.startswith(own):
            return self.model_uri.removeprefix(own)
        made = self.client.create_model_version(
            name, self.model_uri, self.run_id, tags=tags, await_creation_for=0
        )
        return str(made.version)

    def refuse(self, reason: str) -> None:
        """End the run as FINISHED with the tag `refused`: it is trained and not published.

        Raises
        ------
        TrackingError
        """
        with _errors(self.job):
            self.client.set_tag(self.run_id, "refused", reason[:5000])
            self.client.set_terminated(self.run_id, "FINISHED")

    def end(self, status: str, reason: str) -> None:
        """End the run as FAILED or KILLED, with the reason as a tag.

        Raises
        ------
        TrackingError
        """
        with _errors(self.job):
            self.client.set_tag(self.run_id, "reason", reason[:5000])
            self.client.set_terminated(self.run_id, status)


def move_champion(tracking_uri: str, model: str, run_id: str) -> None:
    """Give the alias `champion` to the registered version that a run made.

    Parameters
    ----------
    model : '<schema>.<model>'; MLflow's separators in it are replaced as when it was registered

    Raises
    ------
    TrackingError
        The store can't be reached, or has no such version.
    """
    name = _registered(model)
    try:
        client = MlflowClient(tracking_store.driver_uri(tracking_uri))
        versions = client.search_model_versions(f"run_id = '{run_id}'")
        found = [version for version in versions if version.name == name]
        if not found:
            raise TrackingError(f"run {run_id} has no registered version of {name}")
        client.set_registered_model_alias(name, CHAMPION, found[0].version)
    except (MlflowException, sqlalchemy.exc.SQLAlchemyError, OSError) as error:
        raise TrackingError(f"MLflow can't be used: {error}") from error


def parameters(fitted: Fitted) -> dict[str, Any]:
    """Return the run's parameters: what was configured, and what was chosen."""
    spec, choice, problem = fitted.job.spec, fitted.choice, fitted.task.problem
    settings = {
        f"settings.{name}": getattr(spec.settings, name) for name in ("max_cells", "holdout", "seed", "refit")
    }
    return {
        "target": spec.target,
        "auto": spec.auto,
        "problem_type": problem.type,
        "objective": problem.objective,
        "model_type": choice.candidate.model_type,
        "candidate": choice.candidate.name,
        "n_rows": len(fitted.rows),
        "n_holdout": len(fitted.holdout),
        "n_features": len(fitted.job.features),
        "n_nodes": fitted.generated.n_nodes,
        "runtime": fitted.runtime.name,
        **settings,
        **fitted.hyperparameters,
    }


def search_metrics(fitted: Fitted, now: int) -> list[Metric]:
    """Return the search as two metrics that MLflow draws: each candidate's loss, and the least so far.

    Parameters
    ----------
    now : milliseconds since 1970
    """
    losses = [trial.loss for trial in fitted.choice.trials if trial.state == "done"]
    return [
        Metric(name, value, now, step)
        for name, values in (
            ("search_loss", losses),
            ("search_least_loss", list(itertools.accumulate(losses, min))),
        )
        for step, value in enumerate(values, start=1)
    ]


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
    text = without_secrets(str(error).strip()) or type(error).__name__
    return f"MLflow at {uri} can't be used: {text}\nCheck mlflow_tracking_uri in the profile."
