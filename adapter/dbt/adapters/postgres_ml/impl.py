"""The adapter: dbt-postgres, plus what macros ask of Python; `building` has what a node's build asks.

Methods are short on purpose; the work is in modules beside this one and in the package postgres_ml. They are
imported where they are used: `dbt parse` needs none of them, and pays for what is imported above.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dbt.adapters.base import available
from dbt.adapters.base.impl import AdapterTrackingRelationInfo
from dbt.adapters.contracts.macros import MacroResolverProtocol
from dbt.adapters.contracts.relation import RelationType
from dbt.adapters.postgres_ml.build.materialization import MaterializationAdapter
from dbt.adapters.postgres_ml.config.dbt_docs import describe_cards
from dbt.adapters.postgres_ml.config.manifest import check_manifest
from dbt.adapters.postgres_ml.config.names import (
    default_function,
    execute_grantees,
    is_create_model,
    place_of,
)
from dbt.adapters.postgres_ml.connections import PostgresMLConnectionManager
from dbt.adapters.postgres_ml.log import logger
from dbt_common.exceptions import DbtValidationError

if TYPE_CHECKING:
    from postgres_ml.contract.model import FunctionBody


class PostgresMLAdapter(MaterializationAdapter):
    """Type `postgres_ml`."""

    ConnectionManager = PostgresMLConnectionManager

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
        """Check and describe every create_model: dbt hands over the manifest here after each parse.

        Raises
        ------
        DbtValidationError
            With all problems of all models at once.
        """
        super().set_macro_resolver(macro_resolver)
        problems = check_manifest(macro_resolver)
        if problems:
            raise DbtValidationError("create_model configuration\n  " + "\n  ".join(problems))
        describe_cards(macro_resolver)

    def _get_one_catalog(self, *arguments: Any, **options: Any) -> Any:
        """Return the relations of a schema for `dbt docs generate`, with what their models are worth."""
        from dbt.adapters.postgres_ml.catalog import docs_stats

        table = super()._get_one_catalog(*arguments, **options)
        return docs_stats.with_stats(table, docs_stats.read_cards(self._open_cursor()))

    def _get_one_catalog_by_relations(self, *arguments: Any, **options: Any) -> Any:
        """Return the given relations for `dbt docs generate`, with what their models are worth."""
        from dbt.adapters.postgres_ml.catalog import docs_stats

        table = super()._get_one_catalog_by_relations(*arguments, **options)
        return docs_stats.with_stats(table, docs_stats.read_cards(self._open_cursor()))

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
    def execute_exclusively(self, sql: str, relations: list[Any]) -> None:
        """Run statements that lock relations exclusively; fail soon where another session holds one."""
        from dbt.adapters.postgres_ml.catalog.exclusive_lock import execute_exclusively

        logger.debug(sql)
        cursor = self._open_cursor()
        with self.connections.exception_handler(sql):
            execute_exclusively(cursor, sql, [str(relation) for relation in relations])

    @available.parse_none
    def trust_only_catalog(self) -> str:
        """Let names mean Postgres's own until the transaction ends; return the search_path that was."""
        from dbt.adapters.postgres_ml.catalog.search_path import set_search_path

        self.connections.begin_if_idle()
        return set_search_path(self._open_cursor())

    @available.parse_none
    def restore_search_path(self, path: str) -> None:
        """Set the search_path that `trust_only_catalog` returned."""
        from dbt.adapters.postgres_ml.catalog.search_path import set_search_path

        set_search_path(self._open_cursor(), path)

    @available.parse_none
    def renew_dependents(self, card: Any, functions: list[Any]) -> list[str]:
        """Reindex what calls functions that changed; return a warning for each other thing that holds values.

        Parameters
        ----------
        functions : names, unquoted
        """
        from dbt.adapters.postgres_ml.catalog.dependents import renew_dependents
        from dbt.adapters.postgres_ml.config.model import reindexes

        node = next(filter(lambda n: place_of(n) == (card.schema, card.identifier), self._nodes()), None)
        return renew_dependents(
            self._open_cursor(),
            card.schema,
            [str(name) for name in functions],
            node is None or reindexes(node),
        )

    @available.parse_none
    def seed_staging_types(self, agate_table: Any) -> list[str | None]:
        """Return the type of each column of a seed's staging table; None is that of the seed's column."""
        from dbt.adapters.postgres_ml.seeds import staging_type

        return [staging_type(column.values()) for column in agate_table.columns]

    @available.parse_none
    def copy_seed_rows(self, table: str, agate_table: Any) -> str:
        """Copy a seed's rows into its staging table and return the statement."""
        from dbt.adapters.postgres_ml.seeds import copy_rows

        connection = self.connections.get_thread_connection()
        with self.connections.exception_handler(f"copy {table}"):
            return copy_rows(connection.handle.cursor(), table, agate_table.rows)

    @available.parse_none
    def stored_version(self, card: Any, version: int) -> dict[str, Any]:
        """Return a version from the catalog as the publishing macros take a TrainedModel."""
        from dbt.adapters.postgres_ml.catalog import versions

        cursor = self.connections.get_thread_connection().handle.cursor()
        return versions.read_stored(cursor, card.schema, card.identifier, version)

    @available.parse_none
    def version_to_serve(self, card: Any, version: int | None) -> dict[str, Any]:
        """Return the version that a rollback means, as `stored_version` does."""
        from dbt.adapters.postgres_ml.catalog import versions

        return versions.version_to_serve(self._open_cursor(), card.schema, card.identifier, version)

    @available.parse_none
    def move_champion(self, card: Any, stored: dict[str, Any]) -> None:
        """Move MLflow's alias `champion` to the version that serves; a store out of reach is a warning."""
        self._move_champion(card.schema, card.identifier, stored["version"])

    @available.parse_none
    def repair_champion(self, plan: Any) -> None:
        """Move MLflow's alias where the publication could not; MLflow is asked only then.

        Parameters
        ----------
        plan : the BuildPlan of a node that keeps the version that serves
        """
        if plan.serving.is_champion is False:
            schema, model = plan.build.place
            self._move_champion(schema, model, plan.serving.version)

    def _move_champion(self, schema: str, model: str, version: int) -> None:
        from dbt.adapters.postgres_ml.catalog.champion import move_champion

        problem = move_champion(self.config, self._answering_cursor, schema, model, version)
        if problem:
            logger.warning(
                f"{schema}.{model}: v{version} serves, and MLflow's champion stays until a build moves it: "
                f"{problem}"
            )

    @available.parse_none
    def execute_grantees(self, unique_id: str) -> list[str] | None:
        """Return who may execute a node's functions; None where its config doesn't say, or it is gone."""
        node = self.get_macro_resolver().nodes.get(unique_id)  # type: ignore[union-attr]  # as in _node
        return None if node is None else execute_grantees(node)

    @available.parse_none
    def pinned_function(self, function: dict[str, Any], suffix: str, version: int) -> dict[str, Any]:
        """Return the function with the name of a version's pinned copy."""
        from dbt.adapters.postgres_ml.catalog import versions

        from postgres_ml.contract.sql_names import part_name

        name = part_name(function["name"], f"v{version}")
        features_type = versions.pinned_type(function["features_type_name"], f"v{version}")
        schema = self.quote(function["schema"])
        return {
            **function,
            "name": name,
            "qualified": f"{schema}.{self.quote(name)}",
            "features_type": f"{schema}.{self.quote(features_type)}",
        }

    @available.parse_none
    def pinned_version(self, schema: str, model: str, version: int) -> dict[str, Any]:
        """Return a version from the catalog with functions under names of their own."""
        from dbt.adapters.postgres_ml.catalog import versions

        return versions.pinned_copy(versions.read_stored(self._open_cursor(), schema, model, version), schema)

    @available.parse_none
    def cloned_version(self, source: Any, target_schema: str) -> dict[str, Any] | None:
        """Return the serving version of another schema's model for this one; None if there is none."""
        from dbt.adapters.postgres_ml.catalog import versions
        from dbt.adapters.postgres_ml.catalog.read import read_versions

        cursor = self._open_cursor()
        found = [v for v in read_versions(cursor, source.schema, source.identifier) if v.is_serving]
        if not found:
            return None
        stored = versions.read_stored(cursor, source.schema, source.identifier, found[0].version)
        functions = versions.cloned_functions(stored, source.schema, target_schema)
        return {**stored, "functions": functions, "functions_json": json.dumps(functions)}

    @available.parse_none
    def check_tested_model(self, test: dict[str, Any], name: str) -> None:
        """Check that a generic test of this package stands on a create_model.

        Raises
        ------
        CompilationError
            It stands on another node.
        """
        from dbt.adapters.postgres_ml.operations import resolve

        resolve.tested_model(self.get_macro_resolver(), test, name)

    @available.parse_none
    def compare_parity_rows(self, test: dict[str, Any]) -> dict[str, Any] | None:
        """Hold the serving function against its pipeline's predictions; None where no rows are kept of it.

        Parameters
        ----------
        test : the node of the test prediction_parity

        Raises
        ------
        CompilationError
            The test stands on no create_model.
        """
        from dbt.adapters.postgres_ml.catalog import versions
        from dbt.adapters.postgres_ml.catalog.search_path import trusted_path
        from dbt.adapters.postgres_ml.operations import resolve

        schema, model = place_of(resolve.tested_model(self.get_macro_resolver(), test, "prediction_parity"))
        self.connections.begin_if_idle()
        cursor = self._open_cursor()
        with trusted_path(cursor):
            return versions.compare_parity_rows(cursor, schema, model)

    @available.parse_none
    def card_of(self, relation: Any) -> Any:
        """Return the card's relation by the names it has in the database, whatever dbt's quoting policy."""
        from dbt.adapters.postgres_ml.operations import resolve

        schema, identifier = resolve.place_of_relation(relation)
        return self.Relation.create(
            database=relation.database, schema=schema, identifier=identifier, type=RelationType.View
        )

    @available.parse_none
    def grantee_names(self, grantees: list[str]) -> list[str]:
        """Return roles of a config as `grant … to` takes them: quoted where they have to be."""
        from dbt.adapters.postgres_ml.config import grants

        return grants.grantee_names(self._open_cursor(), grantees)

    @available.parse_none
    def become_schema_owner(self, schema: str, functions: list[dict[str, Any]]) -> str:
        """Let the schema's owner create a stored version's functions; return who was, if that changed."""
        from dbt.adapters.postgres_ml.catalog import stored_functions

        return stored_functions.become_schema_owner(self._open_cursor(), schema, functions)

    @available.parse_none
    def by_name_overloads(self, schema: str, functions: list[Any]) -> tuple[FunctionBody, ...]:
        """Return the functions that take the features of these as jsonb."""
        from dbt.adapters.postgres_ml.catalog import stored_functions

        return stored_functions.by_name_overloads(schema, functions)

    @available.parse_none
    def become(self, role: str) -> None:
        """Set the role until the transaction ends."""
        from dbt.adapters.postgres_ml.catalog import stored_functions

        stored_functions.become(self._open_cursor(), role)

    @available.parse_none
    def check_catalog_types(self, what: str, names: list[str]) -> None:
        """Check that texts of the catalog name types: they are written into a query."""
        from dbt.adapters.postgres_ml.catalog import stored_functions

        stored_functions.check_types(self._open_cursor(), names, what)

    @available.parse_none
    def orphaned_models(self) -> list[Any]:
        """Return the cards of the models in the project's schemas that no node makes any more."""
        from dbt.adapters.postgres_ml.catalog import versions

        credentials = self.config.credentials
        found = versions.orphaned(self._open_cursor(), self._nodes(), credentials.schema)
        return [
            self.Relation.create(
                database=credentials.database, schema=schema, identifier=name, type=RelationType.View
            )
            for schema, name in found
        ]

    def _answering_cursor(self) -> Any:
        """Return a cursor outside of a transaction, of a new connection if the server has ended this one."""
        self.connections.reconnect_if_lost()
        return self.connections.get_thread_connection().handle.cursor()

    def _open_cursor(self) -> Any:
        """Return a cursor in this thread's transaction, which begins here if none is open."""
        connection = self.connections.get_thread_connection()
        if not connection.transaction_open:
            self.connections.begin()
        return connection.handle.cursor()

    @available.parse_none
    def prediction_function(
        self, relation: Any, caller: dict[str, Any], reference: dict[str, Any], suffix: str = ""
    ) -> dict[str, Any]:
        """Return a create_model's function: schema, name, and quoted names of it and its features' type.

        The schema is that of the relation `ref` gave, which follows --defer; in a unit test ref() is a CTE
        and the node's own schema counts.

        Parameters
        ----------
        relation : what `ref` gave
        caller : the node whose code calls `ref`
        reference : what `ref` was asked for: name, package and v; empty where only the relation is known

        Raises
        ------
        CompilationError
            That is no create_model.
        """
        from dbt.adapters.postgres_ml.operations import resolve

        manifest = self.get_macro_resolver()
        if reference:
            node = resolve.referenced(manifest, self.config.project_name, caller, **reference)
        else:
            node = resolve.node_of(manifest, relation)
        is_real = relation.schema and not getattr(relation, "is_cte", False)
        schema, model = place_of(node)
        if is_real:
            schema = resolve.place_of_relation(relation)[0]
        function = node.config.get("function") or default_function(node)
        return {
            "schema": schema,
            "name": function + suffix,
            "qualified": f"{self.quote(schema)}.{self.quote(function + suffix)}",
            "features_type_name": f"{function}_features",
            "features_type": f"{self.quote(schema)}.{self.quote(function + '_features')}",
            "model": model,
            "grantees": execute_grantees(node),
        }

    @available.parse_none
    def operation_model(self, name: str, published: Any) -> dict[str, str]:
        """Return schema and identifier of the published model that a macro's argument means."""
        from dbt.adapters.postgres_ml.catalog import stored_functions
        from dbt.adapters.postgres_ml.operations import find

        nodes = [node for node in self._nodes() if is_create_model(node)]
        found = find.find_model(name, nodes, [tuple(row) for row in published])
        return {key: stored_functions.check_name(value, name) for key, value in found.items()}

    @available.parse_none
    def operation_relation(self, name: str) -> str:
        """Return the relation that a macro's argument means: one of the project's, or the text itself."""
        from dbt.adapters.postgres_ml.operations import find

        return find.find_relation(name, self._nodes())

    @available
    def operation_text(self, kind: str, *arguments: Any) -> str:
        """Return the text that an operation prints; `kind` is a function of `operations`."""
        from dbt.adapters.postgres_ml.operations import reports

        text: str = reports.TEXTS[kind](*arguments)
        return text
