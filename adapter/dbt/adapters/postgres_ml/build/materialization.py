"""The part of the adapter that builds one create_model node: what the materialization asks of Python.

Methods are short on purpose; the work is in `training` and in the package postgres_ml.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from dbt.adapters.base import available
from dbt.adapters.events.logging import AdapterLogger
from dbt.adapters.postgres.impl import PostgresAdapter
from dbt.adapters.postgres_ml.build.response import CreateModelResponse, kept_response, response
from dbt.adapters.postgres_ml.connections import PostgresMLConnectionManager
from dbt.flags import get_flags
from dbt_common.exceptions import DbtDatabaseError, DbtRuntimeError

from postgres_ml.contract.exceptions import PostgresMLError

logger = AdapterLogger("PostgresML")


class BuildingAdapter(PostgresAdapter):
    """dbt-postgres, and the methods of a node's build; a thread builds one node at a time."""

    connections: PostgresMLConnectionManager

    def __init__(self, config: Any, mp_context: Any) -> None:
        super().__init__(config, mp_context)
        self._trainings: dict[int, Any] = {}

    @available.parse_none
    def plan_model(self, model: dict[str, Any], sql: str, full_refresh: bool, is_empty: bool) -> Any:
        """Return the Plan of a node's build: train, publish, keep…; nothing is read but a digest."""
        with self._errors_of(model):
            training = self._drive(self._node(model["unique_id"]), sql)
            self._trainings[threading.get_ident()] = training
            return training.plan(full_refresh, is_empty)

    @available.parse_none
    def take_snapshot(self, model: dict[str, Any]) -> None:
        """Start the training process, copy the rows: one consistent read."""
        with self._errors_of(model):
            self._training.take_snapshot()

    @available.parse_none
    def train_model(self, model: dict[str, Any], recover: bool = False) -> Any:
        """Return the TrainedModel of this thread's snapshot, or that of an earlier build."""
        with self._errors_of(model):
            return self._training.recover() if recover else self._training.train()

    @available.parse_none
    def stub_model(self, model: dict[str, Any]) -> Any:
        """Return the TrainedModel that `--empty` publishes."""
        return self._training.stub()

    @available.parse_none
    def is_refused(self, model: dict[str, Any]) -> bool:
        """Return whether gates keep the trained model from being published; raise where they say so."""
        with self._errors_of(model):
            refused: bool = self._training.is_refused()
            return refused

    @available.parse_none
    def check_not_overtaken(self, model: dict[str, Any], newest: int) -> None:
        """Raise if another build published since this one decided what to do."""
        with self._errors_of(model):
            self._training.check_not_overtaken(newest)

    @available.parse_none
    def begin_publication(self) -> None:
        """Begin the transaction in which the node publishes, its second."""
        self.connections.begin_again()

    @available.parse_none
    def begin_if_idle(self) -> None:
        """Begin the transaction of an operation; in a node's own does nothing."""
        self.connections.begin_if_idle()

    @available.parse_none
    def store_artifact(self, model: dict[str, Any]) -> str:
        """Check the server's Python, store the packed pipeline and return its digest (runtime python)."""
        training = self._trainings[threading.get_ident()]
        with self._errors_of(model):
            sha256: str = training.store_artifact(self.connections.get_thread_connection().handle.cursor())
        return sha256

    @available.parse_none
    def check_endpoint(self, model: dict[str, Any]) -> Any:
        """Check that the catalog allows the node's endpoint to be called; return its scored TrainedModel.

        None without a query that has a target, and of a version from the catalog, which nothing trains.
        """
        training = self._trainings.get(threading.get_ident())
        if training is None:  # a rollback
            return None
        with self._errors_of(model):
            cursor = self.connections.get_thread_connection().handle.cursor()
            training.check_allowed(cursor)
            return training.evaluate(cursor)

    @available.parse_none
    def check_parity(self, model: dict[str, Any]) -> None:
        """Run the new function on the parity rows in the publishing transaction; raise on a difference."""
        from postgres_ml.verify.parity import check_parity

        training = self._training
        if not training.trained.parity_file:  # an endpoint's answers are its own
            return
        with self._errors_of(model):
            cursor = self.connections.get_thread_connection().handle.cursor()
            training.log("info", check_parity(cursor, training.spec, training.trained).message)

    @available.parse_none
    def finish_training(self, model: dict[str, Any], version: int) -> None:
        """Mark the MLflow run as published; called after the commit.

        A failure is a warning: the function serves, and the nodes that use it must not be skipped.
        """
        try:
            self._training.published(version)
        except PostgresMLError as error:
            logger.warning(
                f"{model['name']}: version {version} is published and serves, but its MLflow run could not "
                f"be marked as the champion, which the next build does: {' '.join(str(error).split())}"
            )

    @available.parse_none
    def create_model_response(self, model: dict[str, Any], version: int) -> CreateModelResponse:
        """Return what the console and run_results.json show of a publication."""
        training = self._training
        return response(training.trained, f"{training.spec.schema}.{training.spec.function}", version)

    @available.parse_none
    def kept_model_response(self, model: dict[str, Any]) -> CreateModelResponse:
        """Return what the console and run_results.json show of a build that published nothing new."""
        training = self._training
        return kept_response(training.the_plan, training.spec, training.refusal)

    @available.parse_none
    def versions_to_keep(self, model: dict[str, Any]) -> int:
        """Return how many versions the catalog keeps of a node."""
        kept: int = self._training.spec.settings.keep_versions
        return kept

    @available.parse_none
    def catalog_row(self, model: dict[str, Any], version: int) -> str:
        """Return the new version's row of postgres_ml.model_version as JSON."""
        row: str = self._training.catalog_row(version)
        return row

    def pre_model_hook(self, config: Any) -> None:
        """Forget a training that an interrupted node left to this thread."""
        self._close_training()

    def post_model_hook(self, config: Any, context: Any) -> None:
        """End this thread's training; dbt calls this after every node, also after one that failed.

        With --fail-fast a failed model ends the other trainings: dbt itself notices a failure when it takes
        the next node from its queue, and that may have none until one of these trainings is done.
        """
        self._close_training()
        if sys.exc_info()[0] is not None and getattr(get_flags(), "FAIL_FAST", False):
            self.connections.cancelled.set()

    @property
    def _training(self) -> Any:
        """The training of this thread's node."""
        return self._trainings[threading.get_ident()]

    def _drive(self, node: Any, sql: str) -> Any:
        """Return what drives the node, by where its model comes from."""
        from dbt.adapters.postgres_ml.build.external import Bringing, Calling
        from dbt.adapters.postgres_ml.build.python_model import Coding
        from dbt.adapters.postgres_ml.build.trained import Training

        kind: Any = (
            Calling if node.config.get("endpoint") else Bringing if node.config.get("source") else Training
        )
        if node.language == "python":
            kind = Coding
        return kind(node, sql, self.config, self.connections)

    def _close_training(self) -> None:
        training = self._trainings.pop(threading.get_ident(), None)
        if training is not None:
            training.close()

    def _node(self, unique_id: str) -> Any:
        resolver = self.get_macro_resolver()
        return resolver.nodes[unique_id]  # type: ignore[union-attr]  # at run time it is the manifest

    def _nodes(self) -> list[Any]:
        return list(self.get_macro_resolver().nodes.values())  # type: ignore[union-attr]  # as in _node

    @contextmanager
    def _errors_of(self, model: dict[str, Any]) -> Iterator[None]:
        """Turn the runtime's errors into dbt's, led by the model's name, and end the open transaction."""
        try:
            yield
        except PostgresMLError as error:
            self.connections.rollback_if_open()
            raise DbtRuntimeError(f"{model['name']}: {error}") from error
        except DbtRuntimeError:
            self.connections.rollback_if_open()
            raise
        except psycopg2.Error as error:
            self.connections.rollback_if_open()
            raise DbtDatabaseError(f"{model['name']}: {str(error).strip()}") from error
