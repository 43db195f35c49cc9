"""One node being built: what is fixed before it is planned, and what depends on the kind of model.

This class builds a model that is trained on the node's query. Its subclasses build models of Python code
(`python_model`), from elsewhere (`external`) and behind a service (`endpoint`), and forecasts (`forecast`).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from dbt.adapters.postgres_ml.build.job import node_directory
from dbt.adapters.postgres_ml.catalog.read import StoredVersion
from dbt.adapters.postgres_ml.config.dbt_contract import check_contract
from dbt.adapters.postgres_ml.config.names import place_of
from dbt.adapters.postgres_ml.config.node import read_spec
from dbt.adapters.postgres_ml.connections import PostgresMLConnectionManager
from dbt.adapters.postgres_ml.log import logger

from postgres_ml.contract.column import Column, as_arguments
from postgres_ml.contract.config import TrainingSpec
from postgres_ml.contract.exceptions import SpecError, TrainingDataError
from postgres_ml.contract.job import OtherRelation
from postgres_ml.features.transformer_rules import check_columns
from postgres_ml.process.progress import Progress
from postgres_ml.snapshot import digest as digests
from postgres_ml.snapshot.copy import (
    SnapshotSummary,
    copy_snapshot,
    describe_query,
    split_target,
    weight_of,
)

WRITERS = {"warning": "warn_or_error", "library": "warning"}
"""The logger's method of a level, where it has another name."""


@dataclass(frozen=True)
class TrainingQuery:
    """What the training reads.

    Parameters
    ----------
    sql : the query of the rows
    columns : its columns, the target and the split's column included
    features, target : the function's arguments, and what it predicts; None of a clustering
    weight : the column that says how much a row counts; None counts all alike
    code : of a dbt model in Python, as dbt compiled it; None of one in SQL
    relation, others : of such a model the relation whose rows it trains on, and what else it reads
    """

    sql: str
    columns: tuple[Column, ...]
    features: tuple[Column, ...]
    target: Column | None
    code: str | None = None
    relation: str = ""
    others: tuple[OtherRelation, ...] = ()
    weight: Column | None = None


class NodeBuild:
    """The build of one create_model node. Only its progress changes: phases return values of their own.

    Parameters
    ----------
    node : the node, as the manifest has it
    sql : its compiled code
    config : dbt's runtime config (project, profile, threads)
    connections : whose thread connection reads the snapshot, and whose `cancelled` stops the training

    Attributes
    ----------
    progress : how far it is, which the console shows
    """

    trains_here = True
    is_remote = False

    def __init__(self, node: Any, sql: str, config: Any, connections: PostgresMLConnectionManager) -> None:
        self.node, self.sql, self.config, self.connections = node, sql, config, connections
        self.spec: TrainingSpec = read_spec(node, config.credentials)
        self.directory = node_directory(config, node)
        self.progress = Progress()

    @property
    def function(self) -> str:
        """The prediction function's name, with its schema."""
        return f"{self.spec.schema}.{self.spec.function}"

    @property
    def place(self) -> tuple[str, str]:
        """The card's schema and name in the database."""
        return place_of(self.node)

    def cursor(self) -> Any:
        """Return a cursor in this thread's transaction, which begins here if none is open."""
        return self.connections.cursor()

    def open_cursor(self) -> Any:
        """Return a cursor of this thread's connection, which begins no transaction."""
        return self.connections.get_thread_connection().handle.cursor()

    def log(self, level: str, text: str, fields: dict[str, Any] | None = None) -> None:
        """Write a line to dbt's log, led by the model's name: threads interleave.

        In logs of format JSON `data.args` is the name, the line and the fields, an object.

        Parameters
        ----------
        level : of `process.report`; a line of progress is only noted, and shown when it is time for it

        Raises
        ------
        EventCompilationError
            The line is a warning, and dbt runs with `--warn-error`.
        """
        if level == "progress":
            self.progress.take(fields or {})
            return
        if level == "warning":
            self.progress.n_warnings += 1
        if level != "debug":
            self.progress.said()
        write = getattr(logger, WRITERS.get(level, level))
        write("{0}: {1}", self.spec.name, text, {"model": self.spec.unique_id, **(fields or {})})

    def describe(self, cursor: Any) -> TrainingQuery:
        """Return the query and its columns, which fit the config.

        Raises
        ------
        TrainingDataError
            The query's columns can't be trained on.
        SpecError
            The config names columns that the query lacks, or can't use.
        """
        return self.describe_query(cursor, self.sql)

    def describe_query(self, cursor: Any, sql: str) -> TrainingQuery:
        """Return a query and its columns; raises as `describe` does."""
        settings = self.spec.settings
        columns = describe_query(cursor, sql, settings)
        weight = weight_of(columns, self.spec.weight)
        features, target = split_target(columns, self.spec.target, settings.split_column, self.spec.weight)
        problems = check_columns(self.spec.preprocessors, features)
        problems += check_contract(cursor, self.node, columns)
        if problems:
            raise SpecError("; ".join(problems))
        return TrainingQuery(sql, columns, features, target, weight=weight)

    def measure(self, cursor: Any, query: TrainingQuery) -> tuple[int, int]:
        """Return the digest of the rows, and how many there are."""
        return digests.measure(cursor, query.sql, query.columns, self.spec.settings)

    @functools.cached_property
    def identity(self) -> dict[str, Any]:
        """What a new version follows from besides query, rows and config; nothing, for a training.

        It is asked before the node's transaction begins: a model from elsewhere asks MLflow, for seconds.
        """
        return {}

    def session_identity(self, cursor: Any, query: TrainingQuery) -> dict[str, Any]:
        """Return what a new version follows from that the session decides; nothing, for most kinds."""
        return {}

    def copy_rows(self, cursor: Any, query: TrainingQuery) -> SnapshotSummary | None:
        """Copy the rows into the folder of the training; None where there are none to copy.

        Raises
        ------
        TrainingDataError
            There is no row to learn from.
        """
        summary = copy_snapshot(
            cursor, query.sql, query.features, query.target, self.directory / "snapshot.bin",
            self.spec.settings, self.spec.problem_type, query.weight,
        )  # fmt: skip
        if summary.n_rows_query and summary.n_null_target == summary.n_rows_query and query.target:
            raise TrainingDataError(
                f'target "{query.target.name}" is NULL in all {summary.n_rows_query:,} rows of the query: '
                "a join that finds nothing does that, or a column of labels that are yet to come"
            )
        return summary

    def rows_source(self) -> dict[str, Any] | None:
        """Return where others than the training process read the rows; None where they are copied."""
        return None

    def end(self) -> None:
        """Remove what the build has made in the database for itself."""

    def lacking(self) -> list[str]:
        """Return what a training of this kind needs and does not find here, one sentence each."""
        return []

    def fits(self, query: TrainingQuery, serving: StoredVersion) -> bool:
        """Return whether the function that serves has the name and the signature that are asked for."""
        if serving.function_name != self.spec.function:
            return False
        # a version of an earlier release has the query's own types
        features = query.features
        fitting = [[[c.name, c.sql_type] for c in columns] for columns in (as_arguments(features), features)]
        return serving.summary["arguments"] in fitting

    def job_fields(self, cursor: Any, query: TrainingQuery) -> dict[str, Any]:
        """Return what this kind of build tells the training process besides what every one does."""
        return {}

    def job_spec(self) -> TrainingSpec:
        """Return the specification as the training process needs it."""
        return self.spec
