"""One create_model node being built: what is to be done, its training process, and what came of it."""

from __future__ import annotations

import dataclasses
import json
import shutil
from typing import Any

import psycopg2
from dbt.adapters.events.logging import AdapterLogger
from dbt.adapters.postgres_ml.__version__ import version as package_version
from dbt.adapters.postgres_ml.build.gates import find_refusal, say_refusal
from dbt.adapters.postgres_ml.build.job import empty_directory, make_job, node_directory
from dbt.adapters.postgres_ml.build.lock import lock_folder
from dbt.adapters.postgres_ml.build.plan import (
    Candidate,
    Plan,
    Planner,
    check_not_overtaken,
    reason_of_training,
)
from dbt.adapters.postgres_ml.build.runtimes import lacking_runtimes, renew_runtime, store_artifact
from dbt.adapters.postgres_ml.build.stub import stub_model
from dbt.adapters.postgres_ml.catalog import champion as mlflow_alias
from dbt.adapters.postgres_ml.catalog import read as catalog
from dbt.adapters.postgres_ml.catalog.row import catalog_row
from dbt.adapters.postgres_ml.config.dbt_contract import check_contract
from dbt.adapters.postgres_ml.config.node import read_spec
from dbt.adapters.postgres_ml.connections import PostgresMLConnectionManager

from postgres_ml.contract import file_lock
from postgres_ml.contract.config import TrainingSpec
from postgres_ml.contract.exceptions import SpecError
from postgres_ml.contract.job import OtherRelation
from postgres_ml.contract.model import TrainedModel
from postgres_ml.evaluate.gates import Refusal
from postgres_ml.features.transformer_rules import check_columns
from postgres_ml.process.parent import TrainingProcess
from postgres_ml.snapshot import copy as snapshot
from postgres_ml.snapshot import digest as digests
from postgres_ml.snapshot.digest import Digest

logger = AdapterLogger("PostgresML")


class Training:
    """Drives one node: plan, snapshot, training process, publication's outcome.

    Parameters
    ----------
    node : the node, as the manifest has it
    sql : its compiled query
    config : dbt's runtime config (project, profile, threads)
    connections : whose thread connection reads the snapshot, and whose `cancelled` stops the training
    """

    code: str | None = None  # of a dbt model in Python, as what follows
    relation: str = ""
    others: tuple[OtherRelation, ...] = ()

    def __init__(self, node: Any, sql: str, config: Any, connections: PostgresMLConnectionManager) -> None:
        self.node, self.sql, self.config, self.connections = node, sql, config, connections
        self.spec = read_spec(node, config.credentials)
        self.directory = node_directory(config, node)
        self.candidate = Candidate(self.directory)
        self.process: TrainingProcess | None = None
        self.trained: TrainedModel | None = None
        self.refusal: Refusal | None = None
        self.is_finished = False
        self.lacking: dict[str, str] = {}
        self._lock: file_lock.FileLock | None = None

    def plan(self, full_refresh: bool, is_empty: bool) -> Plan:
        """Return what this build does, from the query's columns, the catalog and, if need be, its rows.

        Raises
        ------
        TrainingDataError
            The query's columns can't be trained on.
        TrainingCancelledError
            While another build of this model was waited for.
        """
        self._lock = lock_folder(
            self.node.name,
            self.directory,
            lambda: self.log("info", "another build of this model is running; waiting for it"),
            self.connections.cancelled.is_set,
        )
        cursor = self._cursor()
        self._describe(cursor)
        versions = catalog.read_versions(cursor, self.spec.schema, self.node.alias)
        expected = Digest(
            data=0,
            n_rows=0,
            query=digests.query_digest(self.sql),
            columns={column.name: column.sql_type for column in self.columns},
            config=digests.training_config(self.spec) | self._identity(),
            versions=digests.versions(package_version),
        )
        planner = Planner(cursor, self.spec, self.features, versions, expected, self.candidate, self._measure)
        is_brought = bool(self.spec.source or self.spec.endpoint)  # they need no rows to be published
        self.the_plan = planner.plan(full_refresh=full_refresh, is_empty=is_empty and not is_brought)
        self.newest, self.expected = planner.newest, planner.expected
        serving = self.the_plan.serving
        if not self.the_plan.publishes and serving is not None:
            said = renew_runtime(cursor, self.spec.runtime, serving, self.config.credentials.embedded)
            if said:
                self.log("info", said)
        return self.the_plan

    def _describe(self, cursor: Any) -> None:
        """Find out the query's columns, and check that the config fits them."""
        settings = self.spec.settings
        self.columns = snapshot.describe_query(cursor, self.sql, settings)
        self.features, self.target = snapshot.split_target(
            self.columns, self.spec.target, settings.split_column
        )
        problems = check_columns(self.spec.preprocessors, self.features)
        problems += check_contract(cursor, self.node, self.columns)
        if problems:
            raise SpecError("; ".join(problems))

    def _identity(self) -> dict[str, Any]:
        """Return what a new version follows from besides query, rows and config; nothing, for a training."""
        return {}

    def _measure(self, cursor: Any) -> tuple[int, int]:
        """Return the digest of the query's rows, and how many there are."""
        return digests.measure(cursor, self.sql, self.columns, self.spec.settings)

    def _job_spec(self) -> TrainingSpec:
        """Return the specification as the training process needs it."""
        return self.spec

    def take_snapshot(self) -> None:
        """Start the training process and, while it imports its libraries, copy the query's rows for it.

        Raises
        ------
        TrackingError
            MLflow can't be written.
        """
        empty_directory(self.node, self.directory)
        self.lacking = self._lacking(self._cursor())
        self._start(lacking=self.lacking)
        assert self.process is not None
        summary = self._copy_rows(self._cursor())
        sampled = f", sampled from {summary.n_rows_query:,} (settings: max_cells)" if summary.sampled else ""
        self.log("info", f"snapshot of {summary.n_rows:,} rows x {len(self.columns)} columns{sampled}")
        # the rows that were copied, not those that the plan saw: others may have come in between
        self.expected = dataclasses.replace(self.expected, data=summary.digest, n_rows=summary.n_rows_query)
        self.candidate.write(self.spec, self.expected)
        self.log("info", f"training: {self.why}")
        self.process.wait_ready()

    def _copy_rows(self, cursor: Any) -> snapshot.SnapshotSummary:
        """Copy the query's rows into the folder of the training."""
        return snapshot.copy_snapshot(
            cursor, self.sql, self.features, self.target, self.directory / "snapshot.bin",
            self.spec.settings, self.spec.problem_type,
        )  # fmt: skip

    @property
    def why(self) -> str:
        """Why this version is trained: what changed since the newest one."""
        return reason_of_training(self.the_plan, self.newest, self.expected)

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
        """Store the packed pipeline in the catalog and return its digest."""
        assert self.trained is not None and self.trained.artifact is not None, "runtime python only"
        return store_artifact(cursor, self.trained.artifact, self.config.credentials.server_python_path)

    def recover(self) -> TrainedModel:
        """Return the result of an earlier build; tell MLflow of it, if that build could not.

        Raises
        ------
        TrackingError
            MLflow can't be written now either.
        """
        self.trained = self.candidate.read()
        if not self.trained.is_tracked:
            self._start(resumes=True)
            assert self.process is not None
            self.process.wait_ready()
            self.trained = self.process.train()
        return self.trained

    def is_refused(self) -> bool:
        """Return whether the candidate may not be published; if so, mark it in MLflow and say why.

        Its files stay, for a build with other gates.

        Raises
        ------
        GateError
            The gate is one of severity error, or nothing serves that could be kept.
        SpecError
            A gate names a metric that the model hasn't.
        """
        assert self.trained is not None, "train comes first"
        serving = self.the_plan.serving
        if self.spec.promote == "if_better" and self.trained.champion_note:
            self.log("info", self.trained.champion_note)
        self.refusal = find_refusal(self.spec, self.trained, serving)
        if self.refusal is None:
            if self.process is None:  # recovered: MLflow has to be told of the publication
                self._start(resumes=True)
            return False
        if self.process is not None:
            self.process.refuse(self.refusal.text)
            self.is_finished = True
        self.log("warning", say_refusal(self.refusal, serving, self.trained.mlflow_run_id))
        return True

    def check_not_overtaken(self, newest: int) -> None:
        """Check that the newest version is still the one that this build was planned with."""
        check_not_overtaken(self.the_plan, newest)

    def catalog_row(self, version: int) -> str:
        """Return the row of postgres_ml.model_version as JSON, keyed by column."""
        assert self.trained is not None, "train comes first"
        row = catalog_row(self.spec, self.trained, self.sql)
        lineage: dict[str, Any] = {"digest": None, "changes": self.the_plan.reason}
        if self.the_plan.action != "stub":
            digest = {**dataclasses.asdict(self.expected), "lacking": sorted(self.lacking)}
            lineage = {"digest": digest, "changes": self.why}
        place = {"model_schema": self.spec.schema, "model_name": self.node.alias, "version": version}
        return json.dumps({**row, **place, **lineage}, ensure_ascii=False)

    def stub(self) -> TrainedModel:
        """Return what `--empty` publishes."""
        self.trained = stub_model(self.spec, self.features, self.target)
        self.log("info", f"--empty: a stub, which predicts NULL ({self.trained.problem_type})")
        return self.trained

    def published(self, version: int) -> None:
        """Tell the training process, which marks the run in MLflow; note in the catalog that it has."""
        assert self.process is not None and self.trained is not None, "train comes first"
        self.is_finished = True
        try:
            self.process.published(version, {"function": f"{self.spec.schema}.{self.spec.function}"})
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)
        try:
            cursor = self.connections.get_thread_connection().handle.cursor()
            mlflow_alias.note_champion(cursor, self.spec.schema, self.node.alias, version)
        except psycopg2.Error as error:  # the next build asks MLflow once more
            self.log("debug", f"the catalog doesn't know of MLflow's champion: {error}")

    def close(self) -> None:
        """End the training process if the build stopped before the publication; its result stays."""
        if self.process is not None and not self.is_finished:
            self.process.abandon("the dbt node failed or was cancelled before its function was published")
            for path in self.directory.glob("snapshot*.bin"):
                path.unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.release()

    def log(self, level: str, text: str, fields: dict[str, Any] | None = None) -> None:
        """Write a line to dbt's log, led by the model's name: threads interleave.

        In logs of format JSON `data.args` is the name, the line and the fields, an object.
        """
        getattr(logger, level)(
            "{0}: {1}", self.spec.name, text, {"model": self.spec.unique_id, **(fields or {})}
        )

    def _champion_file(self) -> str:
        """Write the serving version for the training to compare with; empty where there is nothing to do."""
        serving = self.the_plan.serving
        if self.spec.promote == "always" or serving is None or serving.digest is None:
            return ""
        path = self.directory / "champion.json"
        champion = catalog.read_champion(self._cursor(), self.spec.schema, self.node.alias)
        path.write_text(json.dumps(champion), encoding="utf-8")
        return str(path)

    def _lacking(self, cursor: Any) -> dict[str, str]:
        return lacking_runtimes(cursor, self.spec.runtime, self.config.credentials.embedded)

    def _start(self, lacking: dict[str, str] | None = None, resumes: bool = False) -> None:
        job = make_job(self.config, self._job_spec(), self.sql, self.directory, self.features, self.target)
        # one that resumes has been compared already, and no transaction is open then
        champion_file = "" if resumes else self._champion_file()
        job = dataclasses.replace(job, lacking=lacking or {}, champion_file=champion_file, resumes=resumes)
        job = dataclasses.replace(job, code=self.code, relation=self.relation, others=self.others)
        self.process = TrainingProcess(job, self.log, self.connections.cancelled.is_set)
        self.process.start()

    def _cursor(self) -> Any:
        connection = self.connections.get_thread_connection()
        if not connection.transaction_open:
            self.connections.begin()
        return connection.handle.cursor()
