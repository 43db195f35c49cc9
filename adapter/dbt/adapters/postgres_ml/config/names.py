"""What a node says before its config is read: whether it is a create_model, its names, and its grants.

Every `dbt parse` imports this; the table of the config's keys is imported where a create_model is found.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: of the functions that users call, by role
SUFFIXES = {
    "predict": "",
    "probabilities": "_probabilities",
    "distances": "_distances",
    "is_anomaly": "_is_anomaly",
    "interval": "_interval",
    "explain": "_explain",
    "scorecard": "_scorecard",
}


def place_of(node: Any) -> tuple[str, str]:
    """Return the schema and the name that a node's relation has in the database.

    Where dbt's quoting policy leaves a name unquoted, Postgres folds it to lower case.
    """
    rendered = getattr(node, "relation_name", None) or ""
    alias = node.alias or node.name
    is_schema_quoted = not rendered or f'"{node.schema}".' in rendered
    is_alias_quoted = not rendered or rendered.endswith(f'"{alias}"')
    return (
        node.schema if is_schema_quoted or not node.schema else node.schema.lower(),
        alias if is_alias_quoted else alias.lower(),
    )


def versioned_name(node: Any) -> str:
    """Return a node's name, with dbt's version of it where it has one: `churn_v2`, as dbt's default alias."""
    version = getattr(node, "version", None)
    return str(node.name) if version is None else f"{node.name}_v{version}".replace(".", "_")


def default_function(node: Any) -> str:
    """Return the name of a node's prediction function where its config gives none."""
    return f"predict_{versioned_name(node)}"


def is_create_model(node: Any) -> bool:
    """Return whether a manifest's node is a model of this materialization."""
    config = getattr(node, "config", None)
    return (
        getattr(node, "resource_type", None) == "model"
        and getattr(config, "materialized", None) == "create_model"
    )


def meta_config(node: Any) -> Mapping[str, Any]:
    """Return the keys under `meta: {create_model: {…}}`, as dbt v2 wants them; empty without a dict."""
    meta = node.config.get("meta")
    found = meta.get("create_model") if isinstance(meta, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def config_value(node: Any, key: str) -> Any:
    """Return the value of one of this package's keys, directly in the config or under meta; None without."""
    value = node.config.get(key)
    return meta_config(node).get(key) if value is None else value


def grants_of(node: Any) -> dict[str, list[str]]:
    """Return the roles of `grants`, as the config writes them, by privilege in lower case."""
    grants = node.config.get("grants") or {}
    return {
        str(name).lower(): [found] if isinstance(found, str) else [str(role) for role in found]
        for name, found in grants.items()
    }


def execute_grantees(node: Any) -> list[str] | None:
    """Return the roles of `grants: {execute: [...]}`; None where the config doesn't say."""
    return grants_of(node).get("execute")
