"""Functions that the catalog keeps, before they become statements again: rollback, pin, restore, clone.

Whoever may publish into a schema may write the catalog's rows of its models, and somebody with more rights
may publish them again. So a row is data: what it says is held against what this package generates, types are
read by Postgres itself, and nothing of it reaches a statement but as a literal, a quoted name or a word of
ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, get_args

import psycopg2
from dbt.adapters.postgres_ml.config.names import SUFFIXES
from dbt_common.exceptions import CompilationError

from postgres_ml.contract import json_file
from postgres_ml.contract.model import (
    ENDPOINT_OPTIONS,
    PYTHON_OPTIONS,
    STABLE_OPTIONS,
    FunctionBody,
    Role,
)
from postgres_ml.contract.sql_names import IDENTIFIER_BYTES, is_part_of
from postgres_ml.publish.by_name import by_name
from postgres_ml.snapshot.copy import Cursor

# The schema's owner, and whether functions of these names are somebody else's, which he could not replace
OWNER = """
select pg_get_userbyid(n.nspowner), current_setting('role'),
    n.nspowner <> (select r.oid from pg_roles as r where r.rolname = current_user)
    and pg_has_role(n.nspowner, 'member')
    and not exists (
        select from pg_proc as p
        where p.pronamespace = n.oid and p.proname = any(%s::name[]) and p.proowner <> n.nspowner
    )
from pg_namespace as n
where n.nspname = %s
"""

#: what create function may say, by language
OPTIONS = {
    "sql": (FunctionBody.options,),
    "plpgsql": (FunctionBody.options, STABLE_OPTIONS),
    "plmodel": (FunctionBody.options,),
    "plpython3u": (PYTHON_OPTIONS, ENDPOINT_OPTIONS),
}
QUALIFIED = re.compile(r'"((?:[^"]|"")+)"\."((?:[^"]|"")+)"')


def check_functions(
    cursor: Cursor, functions: Any, schema: str, function: str, what: str
) -> list[dict[str, Any]]:
    """Return functions of a catalog row with types as Postgres writes them.

    Parameters
    ----------
    schema, function : where the version's prediction function belongs, unquoted
    what : the version, for the error

    Raises
    ------
    CompilationError
        This package writes no such functions.
    """
    try:
        bodies = [_shape(body) for body in functions]
        types = _types(cursor, {name for body in bodies for name in _types_of(body)})
        checked = [_checked(body, schema, function, types) for body in bodies]
        if [body["role"] for body in checked].count("predict") != 1:
            raise ValueError("there has to be one function that predicts")
    except (ValueError, TypeError, KeyError, AttributeError, psycopg2.Error) as error:
        lacks = "a function lacks " if isinstance(error, KeyError) else ""
        raise refusal(what, f"{lacks}{error}") from error
    return checked


def check_types(cursor: Cursor, names: Iterable[str], what: str) -> dict[str, str]:
    """Return types of a catalog row as Postgres writes them, by what the row says.

    Raises
    ------
    CompilationError
        One is no type.
    """
    try:
        return _types(cursor, set(names))
    except (ValueError, TypeError, psycopg2.Error) as error:
        raise refusal(what, str(error)) from error


def check_name(name: str, what: str) -> str:
    """Return a name of a catalog row, which dbt writes into statements between double quotes.

    Raises
    ------
    CompilationError
        It could end the quotes.
    """
    if '"' in name or not name.isprintable():
        raise refusal(what, f"{name!r} is no name that dbt-postgres-ml publishes")
    return name


def refusal(what: str, why: str) -> CompilationError:
    """Return the error of a row that nobody of this package wrote."""
    return CompilationError(
        f"postgres_ml.model_version has a row of {what} that dbt-postgres-ml did not write: "
        f"{' '.join(why.split())}. Nothing was changed. Delete the row, and build the model again"
    )


def _shape(body: Any) -> dict[str, Any]:
    """Return a body whose fields have the types of `FunctionBody`."""
    texts = {name: body[name] for name in ("role", "name", "returns", "language", "body")}
    texts["options"] = body.get("options") or FunctionBody.options
    pairs = {name: [_pair(item) for item in body.get(name) or []] for name in ("arguments", "composite")}
    if not all(isinstance(value, str) for value in texts.values()) or texts["role"] not in get_args(Role):
        raise ValueError(f"a function's role is {texts['role']!r}")
    padded, singles = ([str(name) for name in body.get(field) or []] for field in ("padded", "singles"))
    columns = [_pair(item) for item in body.get("columns") or []]
    defaults = [_whole(item) for item in body.get("defaults") or []]
    return {**texts, **pairs, "padded": padded, "singles": singles, "columns": columns, "defaults": defaults}


def _whole(item: Any) -> int:
    if not isinstance(item, int) or isinstance(item, bool):
        raise TypeError(f"an argument's default is {item!r}")
    return item


def _pair(item: Any) -> list[str]:
    name, kind = item
    if not isinstance(name, str) or not isinstance(kind, str):
        raise TypeError(f"an argument is {item!r}")
    return [name, kind]


def _types_of(body: dict[str, Any]) -> list[str]:
    """Return the texts that name types; a composite type's own may not exist yet."""
    arguments = body["composite"] or body["arguments"]
    return [body["returns"], *(kind for _, kind in arguments), *(kind for _, kind in body["columns"])]


def _types(cursor: Cursor, names: set[str]) -> dict[str, str]:
    """Return format_type() of each; to_regtype reads one type name and nothing else."""
    cursor.execute("savepoint postgres_ml_types")
    try:
        cursor.execute(
            "select name, pg_catalog.format_type(pg_catalog.to_regtype(name), null) "
            "from pg_catalog.unnest(%s::text[]) as name",
            (sorted(names),),
        )
        found: dict[str, str | None] = dict(cursor.fetchall())
    finally:
        cursor.execute("rollback to savepoint postgres_ml_types; release savepoint postgres_ml_types")
    for name, kind in found.items():
        if kind is None or kind == "-":
            raise ValueError(f"{name!r} is no type")
    # `character` alone is bpchar to a function, and character(1) to a cast
    return {name: "character" if name == "character" else str(kind) for name, kind in found.items()}


def _checked(body: dict[str, Any], schema: str, function: str, types: dict[str, str]) -> dict[str, Any]:
    name, language, options = body["name"], body["language"], body["options"]
    if options not in OPTIONS.get(language, ()):
        raise ValueError(f"function {name} is in language {language!r} with options {options!r}")
    suffix = SUFFIXES.get(body["role"])
    if suffix is None:
        is_own = any(is_part_of(name, function + own) for own in SUFFIXES.values())
    else:
        is_own = name == function + suffix
    if not is_own or len(name.encode()) > IDENTIFIER_BYTES:
        raise ValueError(f"function {name!r} is not named after {function!r}")
    if body["composite"]:
        [[argument, kind]] = body["arguments"]
        found = QUALIFIED.fullmatch(kind)
        if found is None or found[1].replace('""', '"') != schema:
            raise ValueError(f"function {name} takes {kind!r}, which is no type of schema {schema}")
        arguments = [[argument, kind]]
        composite = [[attribute, types[kind]] for attribute, kind in body["composite"]]
    else:
        arguments, composite = [[a, types[kind]] for a, kind in body["arguments"]], []
    columns = [[column, types[kind]] for column, kind in body["columns"]]
    if len(body["defaults"]) > len(arguments) or bool(columns) != (types[body["returns"]] == "record"):
        raise ValueError(f"function {name} returns {body['returns']!r} with columns {columns!r}")
    returns = types[body["returns"]]
    return {
        **body, "arguments": arguments, "composite": composite, "returns": returns, "columns": columns
    }  # fmt: skip


def by_name_overloads(
    schema: str, functions: Iterable[FunctionBody | dict[str, Any]]
) -> tuple[FunctionBody, ...]:
    """Return the overloads that take jsonb, of new functions or of checked ones of the catalog."""
    bodies = [
        body if isinstance(body, FunctionBody) else json_file.from_json(FunctionBody, json.dumps(body))
        for body in functions
    ]
    return by_name(bodies, schema)


def become_schema_owner(cursor: Cursor, schema: str, functions: Iterable[dict[str, Any]]) -> str:
    """Let the schema's owner create functions of the catalog, if the role may become him; return who was.

    A function in an untrusted language is created by the role itself: only superusers may, and only they can
    have written such a row.

    Returns
    -------
    The role to become again, as `set role` takes it; empty where nothing changed.
    """
    bodies = list(functions)
    if any(body["language"] == "plpython3u" for body in bodies):
        return ""
    cursor.execute(OWNER, ([body["name"] for body in bodies], schema))
    [(owner, was, may_become)] = cursor.fetchall()
    if not may_become:
        return ""
    become(cursor, owner)
    return str(was)


def become(cursor: Cursor, role: str) -> None:
    """Set the role until the transaction ends."""
    cursor.execute("select set_config('role', %s, true)", (role,))
