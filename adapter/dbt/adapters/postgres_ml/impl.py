"""The adapter: dbt-postgres, plus what the create_model materialization and `predict` ask of Python.

Methods are short on purpose; the work is in `training` and in the package postgres_ml.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from dbt.adapters.base import available
from dbt.adapters.base.impl import AdapterTrackingRelationInfo
from dbt.adapters.contracts.macros import MacroResolverProtocol
from dbt.adapters.contracts.relation import RelationType
from dbt.adapters.events.logging import AdapterLogger
from dbt.adapters.postgres.impl import PostgresAdapter
from dbt.adapters.postgres_ml import operations, versions
from dbt.adapters.postgres_ml.catalog import read_versions
from dbt.adapters.postgres_ml.connections import PostgresMLConnectionManager
from dbt.adapters.postgres_ml.mlflow_alias import move_champion
from dbt.adapters.postgres_ml.model_config import check_manifest, execute_grantees, is_create_model
from dbt.adapters.postgres_ml.results import CreateModelResponse, kept_response, response
from dbt.adapters.postgres_ml.seed_rows import copy_rows, staging_type
from dbt_common.exceptions import CompilationError, DbtDatabaseError, DbtRuntimeError, DbtValidationError

from postgres_ml.exceptions import PostgresMLError
from postgres_ml.sql_names import part_name

logger = AdapterLogger("PostgresML")


class PostgresMLAdapter(PostgresAdapter):
    """Type `postgres_ml`."""

    ConnectionManager = PostgresMLConnectionManager
    connections: PostgresMLConnectionManager

    def __init__(self, config: Any, mp_context: Any) -> None:
        super().__init__(config, mp_context)
        self._trainings: dict[int, Any] = {}

    @classmethod
    def get_adapter_run_info(cls, config: Any) -> AdapterTrackingRelationInfo:
        """Return versions for dbt's own events.

        dbt derives the module to read them from out of the class name and would look for
        `dbt.adapters.postgresml`, after each node, and fail.
        """
        from dbt.adapters.__about__ import version as base_version
        from dbt.adapters.postgres_ml.__version__ import version

        return AdapterTrackingRelationInfo(  # type: ignore[abstract]  # its hash is inherited
            adapter_name=cls.type(),
            base_adapter_version=base_version,
            adapter_version=version,
            model_adapter_details=cls._get_adapter_specific_run_info(config),
        )

    def set_macro_resolver(self, macro_resolver: MacroResolverProtocol) -> None:
        """Check every create_model's config: dbt hands over the manifest here after each parse.

        Raises
        ------
        DbtValidationError
            With all problems of all models at once.
        """
        super().set_macro_resolver(macro_resolver)
        problems = check_manifest(macro_resolver)
        if problems:
            raise DbtValidationError("create_model configuration\n  " + "\n  ".join(problems))

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
    def store_artifact(self, model: dict[str, Any]) -> str:
        """Check the server's Python, store the packed pipeline and return its digest (runtime python)."""
        training = self._trainings[threading.get_ident()]
        with self._errors_of(model):
            sha256: str = training.store_artifact(self.connections.get_thread_connection().handle.cursor())
        return sha256

    @available.parse_none
    def check_endpoint(self, model: dict[str, Any]) -> None:
        """Check that the catalog allows the node's endpoint to be called."""
        training = self._trainings[threading.get_ident()]
        with self._errors_of(model):
            training.check_allowed(self.connections.get_thread_connection().handle.cursor())

    @available.parse_none
    def check_parity(self, model: dict[str, Any]) -> None:
        """Run the new function on the parity rows in the publishing transaction; raise on a difference."""
        from postgres_ml.parity import check_parity

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
                f"be marked as the champion: {error}"
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
    def execute_quietly(self, sql: str, summary: str) -> None:
        """Run a statement and log its summary: dbt logs whole statements, and a body can be megabytes."""
        connection = self.connections.get_thread_connection()
        if not connection.transaction_open:
            self.connections.begin()
        logger.debug(summary)
        with self.connections.exception_handler(summary):
            connection.handle.cursor().execute(sql)

    @available.parse_none
    def seed_staging_types(self, agate_table: Any) -> list[str | None]:
        """Return the type of each column of a seed's staging table; None is that of the seed's column."""
        return [staging_type(column.values()) for column in agate_table.columns]

    @available.parse_none
    def copy_seed_rows(self, table: str, agate_table: Any) -> str:
        """Copy a seed's rows into its staging table and return the statement."""
        connection = self.connections.get_thread_connection()
        with self.connections.exception_handler(f"copy {table}"):
            return copy_rows(connection.handle.cursor(), table, agate_table.rows)

    @available.parse_none
    def versions_to_keep(self, model: dict[str, Any]) -> int:
        """Return how many versions the catalog keeps of a node."""
        kept: int = self._training.spec.settings.keep_versions
        return kept

    @available.parse_none
    def stored_version(self, card: Any, version: int) -> dict[str, Any]:
        """Return a version from the catalog as the publishing macros take a TrainedModel."""
        cursor = self.connections.get_thread_connection().handle.cursor()
        return versions.read_stored(cursor, card.schema, card.identifier, version)

    @available.parse_none
    def version_to_serve(self, card: Any, version: int | None) -> dict[str, Any]:
        """Return the version that a rollback means, as `stored_version` does."""
        return versions.version_to_serve(self._open_cursor(), card.schema, card.identifier, version)

    @available.parse_none
    def move_champion(self, card: Any, stored: dict[str, Any]) -> None:
        """Move MLflow's alias `champion` to the version that serves; a store out of reach is a warning."""
        problem = move_champion(self.config, card.schema, stored)
        if problem:
            logger.warning(f"{card}: v{stored['version']} serves, but MLflow's champion stays: {problem}")

    @available.parse_none
    def execute_grantees(self, unique_id: str) -> list[str] | None:
        """Return who may execute a node's functions; None where its config doesn't say, or it is gone."""
        node = self.get_macro_resolver().nodes.get(unique_id)  # type: ignore[union-attr]  # as in _node
        return None if node is None else execute_grantees(node)

    @available.parse_none
    def pinned_function(self, function: dict[str, Any], suffix: str, version: int) -> dict[str, Any]:
        """Return the function with the name of a version's pinned copy."""
        name = part_name(function["name"], f"v{version}")
        return {**function, "name": name, "qualified": f"{self.quote(function['schema'])}.{self.quote(name)}"}

    @available.parse_none
    def pinned_version(self, schema: str, model: str, version: int) -> dict[str, Any]:
        """Return a version from the catalog with functions under names of their own."""
        return versions.pinned_copy(versions.read_stored(self._open_cursor(), schema, model, version), schema)

    @available.parse_none
    def cloned_version(self, source: Any, target_schema: str) -> dict[str, Any] | None:
        """Return the serving version of another schema's model for this one; None if there is none."""
        cursor = self._open_cursor()
        found = [v for v in read_versions(cursor, source.schema, source.identifier) if v.is_serving]
        if not found:
            return None
        stored = versions.read_stored(cursor, source.schema, source.identifier, found[0].version)
        functions = versions.cloned_functions(stored, source.schema, target_schema)
        return {**stored, "functions": functions, "functions_json": json.dumps(functions)}

    @available.parse_none
    def parity_query(self, card: Any) -> str:
        """Return a query that holds the serving function against its pipeline's predictions."""
        return versions.parity_query(self._open_cursor(), card.schema, card.identifier)

    @available.parse_none
    def orphaned_models(self) -> list[Any]:
        """Return the cards of the models in the project's schemas that no node makes any more."""
        credentials = self.config.credentials
        found = versions.orphaned(self._open_cursor(), self._nodes(), credentials.schema)
        return [
            self.Relation.create(
                database=credentials.database, schema=schema, identifier=name, type=RelationType.View
            )
            for schema, name in found
        ]

    def _open_cursor(self) -> Any:
        """Return a cursor in this thread's transaction, which begins here if none is open."""
        connection = self.connections.get_thread_connection()
        if not connection.transaction_open:
            self.connections.begin()
        return connection.handle.cursor()

    @available.parse_none
    def catalog_row(self, model: dict[str, Any], version: int) -> str:
        """Return the new version's row of postgres_ml.model_version as JSON."""
        row: str = self._training.catalog_row(version)
        return row

    @available.parse_none
    def prediction_function(self, relation: Any, name: str, suffix: str = "") -> dict[str, Any]:
        """Return a create_model's function: schema, name, and quoted names of it and its features' type.

        The schema is that of the relation `ref` gave, which follows --defer; in a unit test ref() is a CTE
        and the node's own schema counts.

        Raises
        ------
        CompilationError
            No create_model has that name.
        """
        node = self._create_model_node(name)
        is_real = relation.schema and not getattr(relation, "is_cte", False)
        schema = relation.schema if is_real else node.schema
        function = node.config.get("function") or f"predict_{node.name}"
        return {
            "schema": schema,
            "name": function + suffix,
            "qualified": f"{self.quote(schema)}.{self.quote(function + suffix)}",
            "features_type": f"{self.quote(schema)}.{self.quote(function + '_features')}",
            "model": node.alias,
            "grantees": execute_grantees(node),
        }

    @available.parse_none
    def operation_model(self, name: str, published: Any) -> dict[str, str]:
        """Return schema and identifier of the published model that a macro's argument means."""
        nodes = [node for node in self._nodes() if is_create_model(node)]
        return operations.find_model(name, nodes, [tuple(row) for row in published])

    @available.parse_none
    def operation_relation(self, name: str) -> str:
        """Return the relation that a macro's argument means: one of the project's, or the text itself."""
        return operations.find_relation(name, self._nodes())

    @available
    def operation_text(self, kind: str, *arguments: Any) -> str:
        """Return the text that an operation prints; `kind` is a function of `operations`."""
        text: str = operations.TEXTS[kind](*arguments)
        return text

    def pre_model_hook(self, config: Any) -> None:
        """Forget a training that an interrupted node left to this thread."""
        self._close_training()

    def post_model_hook(self, config: Any, context: Any) -> None:
        """End this thread's training; dbt calls this after every node, also after one that failed."""
        self._close_training()

    @property
    def _training(self) -> Any:
        """The training of this thread's node."""
        return self._trainings[threading.get_ident()]

    def _drive(self, node: Any, sql: str) -> Any:
        """Return what drives the node, by where its model comes from."""
        from dbt.adapters.postgres_ml.bringing import Bringing, Calling
        from dbt.adapters.postgres_ml.coding import Coding
        from dbt.adapters.postgres_ml.training import Training

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

    def _create_model_node(self, name: str) -> Any:
        found = [node for node in self._nodes() if is_create_model(node)]
        for node in found:
            if node.name == name:
                return node
        names = ", ".join(sorted(node.name for node in found)) or "none in this project"
        raise CompilationError(f"predict('{name}'): no create_model has that name; there are: {names}")

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
