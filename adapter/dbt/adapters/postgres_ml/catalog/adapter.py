"""The part of the adapter that macros ask about the catalog: stored versions, functions, who owns them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dbt.adapters.base import available
from dbt.adapters.contracts.relation import RelationType
from dbt.adapters.postgres_ml.config.names import place_of
from dbt.adapters.postgres_ml.log import logger
from dbt.adapters.postgres_ml.session import SessionAdapter

if TYPE_CHECKING:
    from postgres_ml.contract.model import FunctionBody


class CatalogAdapter(SessionAdapter):
    """dbt-postgres, and the catalog of models.

    The modules of this folder are imported where they are used: `dbt parse` needs none of them.
    """

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
    def pinned_function(
        self, function: dict[str, Any], suffix: str, version: int, published_as: str | None = None
    ) -> dict[str, Any]:
        """Return the function with the name of a version's pinned copy.

        Parameters
        ----------
        function : as `prediction_function` returns it, whose name ends in the suffix
        published_as : the function's name when the version was published, if it has another one now
        """
        from dbt.adapters.postgres_ml.catalog import versions

        from postgres_ml.contract.sql_names import part_name

        name, features_type = function["name"], function["features_type_name"]
        if published_as is not None:
            name, features_type = published_as + suffix, f"{published_as}_features"
        name = part_name(name, f"v{version}")
        features_type = versions.pinned_type(features_type, f"v{version}")
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
        """Return the cards of the project's models that no node makes any more."""
        from dbt.adapters.postgres_ml.catalog import versions

        credentials = self.config.credentials
        packages = self.config.load_dependencies().keys()
        found = versions.orphaned(self._open_cursor(), self._nodes(), credentials.schema, packages)
        return [
            self.Relation.create(
                database=credentials.database, schema=schema, identifier=name, type=RelationType.View
            )
            for schema, name in found
        ]
