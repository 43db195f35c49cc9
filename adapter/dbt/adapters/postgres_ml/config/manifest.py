"""All create_models of a project: each node's own config, and what they may not have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dbt.adapters.postgres_ml.config.dbt_docs import CARD_COLUMNS
from dbt.adapters.postgres_ml.config.names import SUFFIXES, is_create_model, place_of, versioned_name


def check_manifest(manifest: Any) -> list[str]:
    """Return every problem of every create_model in the manifest, each led by model name and file.

    Besides each node's own config: two functions of one name in a schema, those beside the prediction (such
    as `<function>_interval`) included, whether a model has them or not; and a function named like a relation
    there (Postgres would take both, dbt's relation cache would not).
    """
    nodes = list(getattr(manifest, "nodes", {}).values())
    relations = {
        place_of(node): versioned_name(node)
        for node in nodes
        if getattr(node, "resource_type", None) in ("model", "seed", "snapshot")
    }
    functions: dict[tuple[str, str], tuple[str, str]] = {}
    return [
        f"{node.name} ({node.original_file_path}): {problem}"
        for node in filter(is_create_model, nodes)
        for problem in (*_node_problems(node, functions, relations), *_column_tests(node, nodes))
    ]


def _column_tests(model: Any, nodes: list[Any]) -> Iterator[str]:
    """Yield tests of columns that the card, which is what dbt tests, doesn't have: those of the query."""
    for node in nodes:
        column = getattr(node, "column_name", None)
        if column and getattr(node, "attached_node", None) == model.unique_id and column not in CARD_COLUMNS:
            yield (
                f"test '{node.name}' is on column '{column}' of the training query, and dbt tests the "
                "model's card, which has no such column: put the test on the model that the query reads"
            )


def _node_problems(
    node: Any, functions: dict[tuple[str, str], tuple[str, str]], relations: dict[tuple[str, str], str]
) -> Iterator[str]:
    """Yield what is wrong with a node; add its functions to those seen.

    Parameters
    ----------
    functions : model and prediction function that each name belongs to, by schema and name
    """
    from dbt.adapters.postgres_ml.config.model import ConfigReader

    reader = ConfigReader(node)
    spec = reader.read()
    yield from reader.problems
    if spec is None:
        return
    place = (spec.schema, spec.function)
    names = [(spec.schema, spec.function + suffix) for suffix in SUFFIXES.values()]
    taken = next((name for name in names if name in functions), None)
    if taken is not None:
        yield _collision(spec.function, taken[1], *functions[taken])
    if place in relations and relations[place] != spec.name:
        yield f"function '{spec.function}' has the same name as the relation of {relations[place]}"
    for name in names:
        functions.setdefault(name, (spec.name, spec.function))


def _collision(function: str, name: str, model: str, other: str) -> str:
    """Return what is wrong with a function if `name`, its own or one beside it, is also of the other's."""
    if function == other:
        return f"function '{function}' is already the function of model {model}"
    return (
        f"function '{function}' and function '{other}' of model {model} would both take the name '{name}': "
        "set the config `function` of one to another name"
    )
