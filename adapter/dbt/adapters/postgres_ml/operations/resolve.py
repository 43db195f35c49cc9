"""Which create_model a `predict` means: the one that dbt's `ref` resolves to, by the same rules."""

from __future__ import annotations

from typing import Any

from dbt.adapters.postgres_ml.config.forecast import is_forecast
from dbt.adapters.postgres_ml.config.names import is_create_model, place_of, versioned_name
from dbt_common.exceptions import CompilationError

#: generic tests that compare distributions of features or of predictions
OF_FEATURES = ("feature_drift", "prediction_drift")


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
    place = place_of_relation(relation)
    for node in filter(is_create_model, manifest.nodes.values()):
        deferred = getattr(node, "defer_relation", None)
        places = {place_of(node)}
        if deferred is not None:
            places.add(place_of(deferred))
        if place in places:
            return node
    raise _no_create_model(manifest, relation.identifier)


def tested_model(manifest: Any, test: dict[str, Any], name: str) -> Any:
    """Return the create_model that a generic test stands on.

    Raises
    ------
    CompilationError
        It stands on another node, or on a forecast that it says nothing of.
    """
    node = manifest.nodes.get(test.get("attached_node"))
    if is_create_model(node):
        if name in OF_FEATURES and is_forecast(node):
            raise CompilationError(
                f"the test {name} compares rows with those of a training, and the forecast {node.name} has "
                "no "
                "features: test its scores by model_metric, its values by prediction_parity"
            )
        return node
    where = getattr(node, "name", "no model")
    raise CompilationError(
        f"the test {name} reads what is known of a create_model, and {where} is none: put it under the "
        "create_model whose predictions it is about, and name other relations in its arguments"
    )


def place_of_relation(relation: Any) -> tuple[str, str]:
    """Return the schema and the name of a relation in the database: unquoted ones are folded."""
    policy = relation.quote_policy
    schema, identifier = str(relation.schema), str(relation.identifier)
    return (
        schema if policy.schema else schema.lower(),
        identifier if policy.identifier else identifier.lower(),
    )


def _no_create_model(manifest: Any, asked: str) -> CompilationError:
    found = sorted(versioned_name(node) for node in manifest.nodes.values() if is_create_model(node))
    names = ", ".join(found) or "none in this project"
    return CompilationError(f"predict('{asked}'): no create_model has that name; there are: {names}")
