"""Which model or relation the argument of an operation means, with the likely name for a misspelled one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

from dbt.adapters.postgres_ml.config.names import place_of, versioned_name
from dbt_common.exceptions import CompilationError


def find_model(name: str, nodes: Iterable[Any], published: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return the schema and identifier of the model that `name` means.

    Parameters
    ----------
    name : a create_model node's name (of a versioned model the latest, or `churn.v1`, `churn_v1`), or
        'schema.name' as in the catalog
    nodes : the project's create_model nodes
    published : (schema, name) of the models in the catalog

    Raises
    ------
    CompilationError
        No model, or several, or one that was never built; with the likely name.
    """
    schema, _, identifier = name.rpartition(".")
    if schema:
        schema, identifier = schema.strip('"'), identifier.strip('"')
        if (schema, identifier) in published:
            return {"schema": schema, "identifier": identifier}
    nodes = list(nodes)
    named = [node for node in nodes if is_called(node, name)]
    if len(named) > 1:
        options = " or ".join(".".join(place_of(node)) for node in named)
        raise CompilationError(f"several packages have a model {name}: say {options}")
    for node in named:
        schema, identifier = place_of(node)
        if (schema, identifier) in published:
            return {"schema": schema, "identifier": identifier}
        raise CompilationError(f"{name} is not built in schema {schema} yet: dbt build --select {name}")
    found = [pair for pair in published if pair[1] == name]
    if len(found) == 1:
        return {"schema": found[0][0], "identifier": name}
    if found:
        options = " or ".join(f"{schema}.{name}" for schema, _ in found)
        raise CompilationError(f"several schemas have a model {name}: say {options}")
    known = sorted(
        {versioned_name(node) for node in nodes} | {f"{schema}.{model}" for schema, model in published}
    )
    raise CompilationError(f"there is no model {name!r}{likely(name, known)}")


def find_relation(name: str, nodes: Iterable[Any]) -> str:
    """Return the name of a model, seed or snapshot of the project, or the text 'schema.table' itself.

    Raises
    ------
    CompilationError
        The name has no dot and the project has no such relation, or several packages have one.
    """
    nodes = [node for node in nodes if getattr(node, "relation_name", None)]
    found = sorted({str(node.relation_name) for node in nodes if is_called(node, name)})
    if len(found) > 1:
        raise CompilationError(f"several packages have a relation {name}: say {' or '.join(found)}")
    if found:
        return found[0]
    if "." in name:
        return name
    known = sorted({versioned_name(node) for node in nodes})
    raise CompilationError(f"there is no relation {name!r} in this project{likely(name, known)}")


def is_called(node: Any, name: str) -> bool:
    """Return whether a name means a node; a versioned node's bare name means its latest version."""
    version = getattr(node, "version", None)
    if version is None:
        return bool(node.name == name)
    if name == node.name:
        return bool(version == node.latest_version)
    return name in (f"{node.name}.v{version}", versioned_name(node))


def check_columns(relation: str, needed: Sequence[str], found: Sequence[str]) -> str:
    """Return an empty text if the relation has all columns.

    Raises
    ------
    CompilationError
        The relation does not exist, or columns are missing; with likely names.
    """
    if not found:
        raise CompilationError(f"{relation} does not exist")
    missing = [f"{name!r}{likely(name, found)}" for name in needed if name not in found]
    if missing:
        raise CompilationError(f"{relation} lacks columns that the model needs: {'; '.join(missing)}")
    return ""


def likely(name: str, known: Sequence[str]) -> str:
    """Return '; did you mean …?' or the names that there are."""
    close = difflib.get_close_matches(name, known, 1) or difflib.get_close_matches(
        name.rpartition(".")[2], [item.rpartition(".")[2] for item in known], 1
    )
    if close:
        full = next(item for item in known if item == close[0] or item.endswith("." + close[0]))
        return f"; did you mean {full!r}?"
    return f"; there are: {', '.join(known)}" if known else "; none is built yet"
