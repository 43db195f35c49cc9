"""The adapter: dbt-postgres, plus what macros ask of Python.

`build/materialization.py` has what the build of a node asks, `catalog/adapter.py` what is asked of stored
versions.

Methods are short on purpose; the work is in modules beside this one and in the package postgres_ml. They are
imported where they are used: `dbt parse` needs none of them, and pays for what is imported above.
"""

from __future__ import annotations

from typing import Any

from dbt.adapters.base import available
from dbt.adapters.base.impl import AdapterTrackingRelationInfo
from dbt.adapters.contracts.macros import MacroResolverProtocol
from dbt.adapters.contracts.relation import RelationType
from dbt.adapters.postgres_ml.build.materialization import MaterializationAdapter
from dbt.adapters.postgres_ml.catalog.adapter import CatalogAdapter
from dbt.adapters.postgres_ml.config.dbt_docs import describe_cards
from dbt.adapters.postgres_ml.config.manifest import check_manifest
from dbt.adapters.postgres_ml.config.names import (
    config_value,
    default_function,
    execute_grantees,
    is_create_model,
    place_of,
)
from dbt.adapters.postgres_ml.connections import PostgresMLConnectionManager
from dbt.adapters.postgres_ml.log import logger
from dbt_common.exceptions import DbtValidationError


class PostgresMLAdapter(MaterializationAdapter, CatalogAdapter):
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
        cursor = self._open_cursor()
        logger.debug(summary)
        with self.connections.exception_handler(summary):
            cursor.execute(sql)

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
    def execute_grantees(self, unique_id: str) -> list[str] | None:
        """Return who may execute a node's functions; None where its config doesn't say, or it is gone."""
        node = self.get_macro_resolver().nodes.get(unique_id)  # type: ignore[union-attr]  # as in _node
        return None if node is None else execute_grantees(node)

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
        # an alias may follow the target, and --defer means the other target's
        schema, model = resolve.place_of_relation(relation) if is_real else place_of(node)
        function = config_value(node, "function") or default_function(node)
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
