"""Which create_model a `predict` means: the one that dbt's `ref` resolves to, by the same rules."""

from __future__ import annotations

from typing import Any

from dbt.adapters.postgres_ml.config.model import is_create_model, versioned_name
from dbt_common.exceptions import CompilationError


def referenced(
    manifest: Any, project: str, caller: dict[str, Any], name: str, package: str | None, v: Any
) -> Any:
    """Return the create_model that `ref(package, name, v=v)` in a node's code resolves to.

    Parameters
    ----------
    manifest : dbt's, of the whole project
    project : the root project's name
    caller : the node whose code calls, whose package is searched first
    name, package, v : as `ref` takes them; without v a versioned model's latest version

    Raises
    ------
    CompilationError
        There is no such node, or it is no create_model.
    """
    package_of_caller = caller.get("package_name", project)
    source = manifest.nodes.get(caller.get("unique_id"))
    node = manifest.resolve_ref(source, name, package, v, project, package_of_caller)
    if not is_create_model(node):
        raise _no_create_model(manifest, name if v is None else f"{name}, v={v}")
    return node


def node_of(manifest: Any, relation: Any) -> Any:
    """Return the create_model whose card is a relation; with --defer that of another target's schema.

    Raises
    ------
    CompilationError
        It is no create_model's card.
    """
    place = (relation.schema, relation.identifier)
    for node in filter(is_create_model, manifest.nodes.values()):
        deferred = getattr(node, "defer_relation", None)
        places = {(node.schema, node.alias)}
        if deferred is not None:
            places.add((deferred.schema, deferred.alias))
        if place in places:
            return node
    raise _no_create_model(manifest, relation.identifier)


def _no_create_model(manifest: Any, asked: str) -> CompilationError:
    found = sorted(versioned_name(node) for node in manifest.nodes.values() if is_create_model(node))
    names = ", ".join(found) or "none in this project"
    return CompilationError(f"predict('{asked}'): no create_model has that name; there are: {names}")
