"""One create_model node being built: its job, its training process, and what came of it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psycopg2
from dbt.adapters.events.logging import AdapterLogger
from dbt.adapters.postgres_ml.connections import PostgresMLConnectionManager, project_root
from dbt.adapters.postgres_ml.model_config import ConfigReader
from dbt.adapters.postgres_ml.shown import shown_details
from dbt_common.exceptions import DbtRuntimeError, DbtValidationError
from dbt_common.invocation import get_invocation_id

from postgres_ml import native_extension, server_python, snapshot
from postgres_ml.exceptions import ArtifactError, SpecError
from postgres_ml.spec import Column, TrainedModel, TrainingJob, TrainingSpec
from postgres_ml.training_process import TrainingProcess
from postgres_ml.transformer_chains import check_columns

logger = AdapterLogger("PostgresML")


class Training:
    """Drives one node: snapshot, training process, publication's outcome.

    Parameters
    ----------
    node : the node, as the manifest has it
    sql : its compiled query
    config : dbt's runtime config (project, profile, threads)
    connections : whose thread connection reads the snapshot, and whose `cancelled` stops the training
    """

    def __init__(self, node: Any, sql: str, config: Any, connections: PostgresMLConnectionManager) -> None:
        self.node, self.sql, self.config, self.connections = node, sql, config, connections
        self.spec = self._read_spec()
        self.directory = self._fresh_directory()
        self.process: TrainingProcess | None = None
        self.trained: TrainedModel | None = None
        self.is_published = False

    def take_snapshot(self) -> None:
        """Start the training process and, while it imports its libraries, copy the query's rows for it.

        Raises
        ------
        TrainingDataError, TrackingError
            The query's columns can't be trained on, or MLflow can't be written.
        """
        connection = self.connections.get_thread_connection()
        if not connection.transaction_open:
            self.connections.begin()
        cursor = connection.handle.cursor()
        settings = self.spec.settings
        columns = snapshot.describe_query(cursor, self.sql, settings)
        features, target = snapshot.split_target(columns, self.spec.target, settings.split_column)
        problems = check_columns(self.spec.preprocessors, features)
        if problems:
            raise SpecError("; ".join(problems))
        self.process = TrainingProcess(
            self._job(features, target, self._lacking(cursor)), self.log, self.connections.cancelled.is_set
        )
        self.process.start()
        summary = snapshot.copy_snapshot(
            cursor,
            self.sql,
            features,
            target,
            self.directory / "snapshot.csv",
            settings,
            self.spec.problem_type,
        )
        sampled = f", sampled from {summary.n_rows_query:,} (settings: max_cells)" if summary.sampled else ""
        self.log("info", f"snapshot of {summary.n_rows:,} rows x {len(columns)} columns{sampled}")
        self.process.wait_ready()

    def train(self) -> TrainedModel:
        """Return what the training process made of the snapshot.

        Raises
        ------
        PostgresMLError
            As the training process reports it.
        """
        assert self.process is not None, "take_snapshot comes first"
        self.trained = self.process.train()
        return self.trained

    def store_artifact(self, cursor: Any) -> str:
        """Store the packed pipeline in the catalog, if the server's Python can run it; return its digest.

        Raises
        ------
        ArtifactError
            Another Python or other libraries there, or a file that isn't what the training wrote.
        """
        assert self.trained is not None and self.trained.artifact is not None, "runtime python only"
        artifact = self.trained.artifact
        server_python.check(cursor, artifact, self.config.credentials.server_python_path)
        content = Path(artifact.path).read_bytes()
        if hashlib.sha256(content).hexdigest() != artifact.sha256:
            raise ArtifactError(f"{artifact.path} has been changed since the training: its digest differs")
        cursor.execute(
            "insert into postgres_ml.artifact (sha256, content) values (%s, %s) on conflict do nothing",
            (artifact.sha256, psycopg2.Binary(content)),
        )
        return artifact.sha256

    def catalog_row(self, version: int) -> str:
        """Return the row of postgres_ml.model_version as JSON, keyed by column."""
        assert self.trained is not None, "train comes first"
        spec, trained = self.spec, self.trained
        arguments = next(body.arguments for body in trained.functions if body.role == "predict")
        signature = ", ".join(f"{name} {kind}" for name, kind in arguments)
        same_name = ("problem_type", "model_type", "objective", "metric", "score", "metrics", "train_metrics")
        counts = ("n_rows", "n_holdout", "n_features", "n_nodes", "est_rows_per_s")
        row = {
            "model_schema": spec.schema,
            "model_name": self.node.alias,
            "version": version,
            "state": "READY",
            "is_serving": True,
            "trained_at": datetime.now(timezone.utc).isoformat(),
            "function_name": spec.function,
            "signature": f"({signature}) returns {trained.return_type}",
            "runtime": trained.runtime,
            "mlflow_run_id": trained.mlflow_run_id,
            "mlflow_model_uri": trained.mlflow_model_uri,
            "dbt_unique_id": spec.unique_id,
            "dbt_invocation_id": get_invocation_id(),
            "functions": [dataclasses.asdict(body) for body in trained.functions],
            **{name: getattr(trained, name) for name in (*same_name, *counts)},
            **shown_details(spec, trained, self.sql),
        }
        return json.dumps(row, ensure_ascii=False)

    def published(self, version: int) -> None:
        """Tell the training process, which marks the run in MLflow."""
        assert self.process is not None and self.trained is not None, "train comes first"
        self.is_published = True
        try:
            self.process.published(version, {"function": f"{self.spec.schema}.{self.spec.function}"})
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    def close(self) -> None:
        """End the training process if the build stopped before the publication."""
        if self.process is not None and not self.is_published:
            self.process.abandon("the dbt node failed or was cancelled before its function was published")
            (self.directory / "snapshot.csv").unlink(missing_ok=True)

    def log(self, level: str, text: str, fields: dict[str, Any] | None = None) -> None:
        """Write a line to dbt's log, led by the model's name: threads interleave.

        In logs of format JSON `data.args` is the name, the line and the fields, an object.
        """
        getattr(logger, level)(
            "{0}: {1}", self.spec.name, text, {"model": self.spec.unique_id, **(fields or {})}
        )

    def _read_spec(self) -> TrainingSpec:
        reader = ConfigReader(self.node)
        spec = reader.read()
        if spec is None:
            raise DbtValidationError(f"{self.node.name}: " + "; ".join(reader.problems))
        if self.config.credentials.autocommit:
            raise DbtValidationError(
                f"{spec.name}: a model is published in one transaction, and the profile says "
                "`autocommit: true`; remove that, or use a target without it for models that train"
            )
        if reader.notices:
            logger.info(
                f"{spec.name}: settings {', '.join(reader.notices)} are Amazon Redshift's; "
                "they mean nothing on Postgres"
            )
        for text in reader.warnings:
            logger.warning(f"{spec.name}: {text}")
        return spec

    def _fresh_directory(self) -> Path:
        directory: Path = (
            project_root(self.config) / self.config.target_path / "postgres_ml" / self.node.unique_id
        )
        try:
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(parents=True)
        except OSError as error:
            raise DbtRuntimeError(
                f"{self.node.name}: training needs the folder {directory}: {error.strerror}"
            ) from error
        return directory

    def _lacking(self, cursor: Any) -> dict[str, str]:
        """Return why the server can't run a runtime that the config allows; installs the language plmodel."""
        reason = server_python.lacking(cursor)
        lacking = {"python": reason} if reason else {}
        if reason and self.spec.runtime == "python":
            raise SpecError(f"runtime python: {reason}")
        if self.spec.runtime not in ("auto", "native"):
            return lacking
        directory = self.config.credentials.embedded
        reason = native_extension.provide(cursor, Path(directory) if directory else None)
        if reason and self.spec.runtime == "native":
            raise SpecError(f"runtime native: {reason}; runtime: auto takes sql then")
        return {**({"native": reason} if reason else {}), **lacking}

    def _job(
        self, features: tuple[Column, ...], target: Column | None, lacking: dict[str, str]
    ) -> TrainingJob:
        credentials = self.config.credentials
        root = project_root(self.config)
        return TrainingJob(
            spec=self.spec,
            features=features,
            target=target,
            directory=str(self.directory),
            tracking_uri=credentials.mlflow_tracking_uri or f"sqlite:///{root / 'mlflow.db'}",
            experiment=credentials.mlflow_experiment or self.config.project_name,
            tags={
                "dbt.unique_id": self.spec.unique_id,
                "dbt.invocation_id": get_invocation_id(),
                "dbt.target": self.config.target_name,
                "dbt.compiled_sql_sha256": hashlib.sha256(self.sql.encode()).hexdigest(),
                **git_commit(root),
            },
            query=self.sql,
            # dbt trains `threads` models at once: they share the cores
            n_threads=max(1, (os.cpu_count() or 1) // self.config.threads),
            lacking=lacking,
            server_python_path=credentials.server_python_path,
        )


def git_commit(folder: Path) -> dict[str, str]:
    """Return the tag that names the checkout's commit; empty outside of git."""
    git = shutil.which("git")
    if git is None:
        return {}
    command = [git, "-C", str(folder), "rev-parse", "HEAD"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return {"git.commit": answer.stdout.strip()} if answer.returncode == 0 else {}
