"""Older versions of a model: which one a rollback means, pinned copies, models that no node makes now."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable
from typing import Any

from dbt.adapters.postgres_ml.catalog.read import LAYOUT, STUB
from dbt.adapters.postgres_ml.catalog.row import STUB_RUNTIME
from dbt.adapters.postgres_ml.catalog.stored_functions import check_functions, check_name, check_types
from dbt.adapters.postgres_ml.config.names import place_of
from dbt_common.exceptions import CompilationError

from postgres_ml.contract import json_file
from postgres_ml.contract.column import Column
from postgres_ml.contract.model import FunctionBody
from postgres_ml.contract.sql_names import identifier, part_name, text
from postgres_ml.snapshot.copy import Cursor
from postgres_ml.verify.parity import Predictor, compare_sql, sample_sql

STORED = ("version", "function_name", "runtime", "metric", "score", "state", "mlflow_run_id", "dbt_unique_id")


def read_stored(cursor: Cursor, schema: str, model: str, version: int) -> dict[str, Any]:
    """Return what publishing a version again takes, as the publishing macros read a TrainedModel.

    Raises
    ------
    CompilationError
        The catalog doesn't keep that version; names those that it keeps.
    """
    cursor.execute(
        f"""select {", ".join(STORED)}, functions::text from postgres_ml.model_version
        where model_schema = %s and model_name = %s and version = %s""",
        (schema, model, version),
    )
    rows = cursor.fetchall()
    if not rows:
        raise CompilationError(f"{schema}.{model} has no v{version}; {_kept(cursor, schema, model)}")
    *values, functions = rows[0]
    stored = dict(zip(STORED, values, strict=True))
    what = f"{schema}.{model} v{version}"
    function = check_name(stored["function_name"], what)
    return {**stored, "functions": check_functions(cursor, json.loads(functions), schema, function, what)}


def version_to_serve(cursor: Cursor, schema: str, model: str, version: int | None) -> dict[str, Any]:
    """Return the version that a rollback means: the one asked for, or the newest before the serving one.

    Raises
    ------
    CompilationError
        There is no such version, it serves already, it is a stub, or its function has another name.
    """
    cursor.execute(
        """select version, function_name from postgres_ml.model_version
        where model_schema = %s and model_name = %s and is_serving""",
        (schema, model),
    )
    serving, function = cursor.fetchall()[0]
    if version is None:
        cursor.execute(
            """select max(version) from postgres_ml.model_version
            where model_schema = %s and model_name = %s and version < %s
                and state <> 'STUB' and runtime <> 'stub'""",
            (schema, model, serving),
        )
        version = cursor.fetchall()[0][0]
        if version is None:
            raise CompilationError(
                f"{schema}.{model}: no version before v{serving} is kept (settings: keep_versions)"
            )
    if int(version) == serving:
        raise CompilationError(f"{schema}.{model}: v{serving} serves already")
    stored = read_stored(cursor, schema, model, int(version))
    if stored["state"] == STUB or stored["runtime"] == STUB_RUNTIME:  # which was READY once rolled back to
        raise CompilationError(
            f"{schema}.{model}: v{version} is a stub, which predicts NULL for every row; "
            f"{_trained(cursor, schema, model)}"
        )
    if stored["function_name"] != function:
        raise CompilationError(
            f"{schema}.{model}: v{version} was published as function {stored['function_name']}, v{serving} "
            f"as {function}; set the config `function` back and build instead"
        )
    return stored


def _kept(cursor: Cursor, schema: str, model: str) -> str:
    cursor.execute(
        """select string_agg('v' || version, ', ' order by version) from postgres_ml.model_version
        where model_schema = %s and model_name = %s""",
        (schema, model),
    )
    kept = cursor.fetchall()[0][0]
    return f"the catalog keeps {kept} (settings: keep_versions)" if kept else "the catalog has none of it"


def _trained(cursor: Cursor, schema: str, model: str) -> str:
    cursor.execute(
        """select string_agg('v' || version, ', ' order by version) from postgres_ml.model_version
        where model_schema = %s and model_name = %s and not is_serving and runtime is distinct from 'stub'""",
        (schema, model),
    )
    trained = cursor.fetchall()[0][0]
    return f"versions to serve: {trained}" if trained else "no other version is kept: build instead"


def pinned_copy(stored: dict[str, Any], schema: str) -> dict[str, Any]:
    """Return the version with functions of its own names: `<function>__v3` and, for its parts, `…__v3_0`.

    The functions call each other by qualified name, which no later publication then replaces, and name so
    the composite type that functions of more than 100 features take.
    """
    pin = f"v{stored['version']}"
    names = {body["name"]: _pinned_name(body, index, pin) for index, body in enumerate(stored["functions"])}
    prefix = f"{identifier(schema)}."
    replaced = {f"{prefix}{identifier(old)}(": f"{prefix}{identifier(new)}(" for old, new in names.items()}
    for body in stored["functions"]:
        if body["composite"]:
            kind = body["arguments"][0][1]
            replaced[kind] = prefix + identifier(pinned_type(_unquoted(kind.removeprefix(prefix)), pin))
    functions = [{**body, "name": names[body["name"]]} for body in _renamed(stored["functions"], replaced)]
    return {**stored, "functions": functions}


def pinned_type(name: str, pin: str) -> str:
    """Return the name of a pinned version's composite type."""
    return part_name(name, pin)


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"')


def _renamed(functions: Iterable[dict[str, Any]], replaced: dict[str, str]) -> list[dict[str, Any]]:
    """Return functions whose bodies and arguments name other functions and types."""
    renamed = []
    for body in functions:
        definition = body["body"]
        for before, after in replaced.items():
            definition = definition.replace(before, after)
        arguments = [[name, replaced.get(kind, kind)] for name, kind in body["arguments"]]
        renamed.append({**body, "body": definition, "arguments": arguments})
    return renamed


def _pinned_name(body: dict[str, Any], index: int, pin: str) -> str:
    return part_name(body["name"], f"{pin}_{index}" if body["role"] == "part" else pin)


def cloned_functions(stored: dict[str, Any], source: str, target: str) -> list[dict[str, Any]]:
    """Return a version's functions for another schema: they and their types call each other by schema.

    Parameters
    ----------
    source, target : schemas, unquoted
    """
    names = [body["name"] for body in stored["functions"]]
    types = {body["arguments"][0][1] for body in stored["functions"] if body["composite"]}
    old, new = f"{identifier(source)}.", f"{identifier(target)}."
    replaced = {f"{old}{identifier(name)}(": f"{new}{identifier(name)}(" for name in names}
    replaced |= {name: new + name.removeprefix(old) for name in types}
    return _renamed(stored["functions"], replaced)


def compare_parity_rows(cursor: Cursor, schema: str, model: str) -> dict[str, Any] | None:
    """Return n_rows, n_different and the greatest difference of the serving version on the rows it keeps.

    None where it keeps none, or is not published yet: `dbt compile` comes before the first build, too.
    """
    cursor.execute(LAYOUT)
    exists, layout = cursor.fetchall()[0]
    if not exists or layout < 2:
        return None
    cursor.execute(
        """select functions::text, features::text, return_type, problem_type, function_name
        from postgres_ml.model_version
        where model_schema = %s and model_name = %s and is_serving and parity_rows is not null""",
        (schema, model),
    )
    rows = cursor.fetchall()
    if not rows:
        return None
    stored, features, return_type, problem_type, function = rows[0]
    what = f"{schema}.{model}"
    functions = check_functions(cursor, json.loads(stored), schema, check_name(function, what), what)
    columns = tuple(Column(**column) for column in json.loads(features))
    check_types(cursor, [return_type, *(column.sql_type for column in columns)], what)
    bodies = tuple(json_file.from_json(FunctionBody, json.dumps(body)) for body in functions)
    where = f"v.model_schema = {text(schema)} and v.model_name = {text(model)} and v.is_serving"
    sample = sample_sql("postgres_ml.model_version", where, len(columns))
    cursor.execute(compare_sql(schema, Predictor(columns, bodies, return_type, problem_type), sample))
    n_rows, n_different, difference, _ = cursor.fetchall()[0]
    return {"n_rows": n_rows, "n_different": n_different, "difference": difference or 0.0}


def orphaned(
    cursor: Cursor, nodes: Iterable[Any], default_schema: str, packages: Container[str]
) -> list[tuple[str, str]]:
    """Return (schema, name) of the models in these nodes' schemas that this project made and makes no more.

    Parameters
    ----------
    nodes : of the project, of every kind: models in schemas that none of them uses are somebody else's
    default_schema : the target's, which is the project's even when no node is in it any more
    packages : the project and those installed in it; what another project or a worker built stays theirs
    """
    nodes = list(nodes)
    cursor.execute("select to_regclass('postgres_ml.model_version') is not null")
    if not cursor.fetchall()[0][0]:
        return []
    cursor.execute(
        """select distinct on (model_schema, model_name) model_schema, model_name, dbt_unique_id
        from postgres_ml.model_version order by model_schema, model_name, is_serving desc, version desc"""
    )
    schemas = {place_of(node)[0] for node in nodes} | {default_schema}
    made = {place_of(node) for node in nodes if node.config.materialized == "create_model"}
    found = [
        (schema, name)
        for schema, name, unique_id in cursor.fetchall()
        if schema in schemas and (schema, name) not in made and _package(unique_id) in packages
    ]
    return [(schema, check_name(name, f"{schema}.{name}")) for schema, name in found]


def _package(unique_id: str) -> str:
    """Return the package of a node: `shop` of `model.shop.price`; empty where that is no node's id."""
    return next(iter(unique_id.split(".")[1:2]), "")
