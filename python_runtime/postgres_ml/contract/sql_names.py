"""Names and texts in SQL, and Postgres's limits on functions: what everything that writes SQL agrees on.

Imports nothing but the standard library: `dbt parse` loads it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from postgres_ml.contract.exceptions import SpecError

Pairs = tuple[tuple[str, str], ...]

IDENTIFIER_BYTES = 63  # NAMEDATALEN - 1
LONGEST_FUNCTION_BYTES = IDENTIFIER_BYTES - len("_probabilities")
MAX_ARGUMENTS = 100  # FUNC_MAX_ARGS

# Keywords of the grammar: the parser itself qualifies them with pg_catalog.
_KEYWORD_TYPES = frozenset(
    {
        "smallint", "integer", "bigint", "numeric", "real", "double precision", "boolean",
        "character varying", "timestamp without time zone", "timestamp with time zone",
        "time without time zone", "time with time zone",
    }
)  # fmt: skip
_CATALOG_TYPES = {"text": "pg_catalog.text", "date": "pg_catalog.date", "jsonb": "pg_catalog.jsonb"}


def identifier(name: str) -> str:
    """Return the name, quoted."""
    return '"' + name.replace('"', '""') + '"'


def readable_identifier(name: str) -> str:
    """Return the name as one would write it in SQL: quoted only where it has to be (keywords aside)."""
    is_plain = name.isascii() and name.isidentifier() and name == name.lower()
    return name if is_plain else identifier(name)


def text(value: str) -> str:
    """Return a text literal that reads the same whatever standard_conforming_strings says."""
    quoted = value.replace("'", "''")
    return f"'{quoted}'" if "\\" not in value else "E'" + quoted.replace("\\", "\\\\") + "'"


def type_name(sql_type: str) -> str:
    """Return the type as SQL text that no search_path redirects, without a length.

    `sql_type` is as format_type() prints it: a type of a user's schema is qualified there already, unless
    its schema stood in the search_path then.
    """
    if sql_type == "character":
        return "pg_catalog.bpchar"  # `character` would mean character(1)
    if sql_type in _KEYWORD_TYPES:
        return sql_type
    return _CATALOG_TYPES.get(sql_type, sql_type)


def part_name(function: str, suffix: str) -> str:
    """Return `<function>__<suffix>`, cut and made unique by a hash where it would exceed 63 bytes."""
    name = f"{function}__{suffix}"
    if len(name.encode()) <= IDENTIFIER_BYTES:
        return name
    digest = hashlib.md5(function.encode(), usedforsecurity=False).hexdigest()[:8]
    room = IDENTIFIER_BYTES - len(f"_{digest}__{suffix}")
    return f"{function.encode()[:room].decode(errors='ignore')}_{digest}__{suffix}"


def helper_name(function: str, suffix: str) -> str:
    r"""Return the name of a part that users don't call: `_<function>__<suffix>`.

    `\df ml.predict*` lists what is called, and no parts.
    """
    return part_name(f"_{function}", suffix)


def is_part_of(name: str, function: str) -> bool:
    """Return whether a part of the function can have that name, by today's prefix or by none as in 0.1.0."""
    return _is_derived(name, function) or _is_derived(name, f"_{function}")


def _is_derived(name: str, function: str) -> bool:
    """Return whether `part_name(function, …)` can be that name, so that it is of no other function."""
    if name.startswith(f"{function}__"):
        return True
    digest = hashlib.md5(function.encode(), usedforsecurity=False).hexdigest()[:8]
    start, found, _ = name.partition(f"_{digest}__")
    cut = IDENTIFIER_BYTES - len(name.encode())  # a letter of up to four bytes may not have fitted
    return bool(found) and function.startswith(start) and 0 <= cut < 4


def check_function_name(function: str) -> None:
    """Check that the names derived from a prediction function's can be told apart.

    Raises
    ------
    SpecError
        The name is so long that Postgres would cut `<function>_probabilities`.
    """
    n_bytes = len(function.encode())
    if n_bytes > LONGEST_FUNCTION_BYTES:
        raise SpecError(
            f'function "{function}": the name may have {LONGEST_FUNCTION_BYTES} bytes, it has {n_bytes}'
        )


def function_arguments(schema: str, function: str, columns: Sequence[tuple[str, str]]) -> tuple[Pairs, Pairs]:
    """Return a prediction function's arguments, and the attributes of their composite type if they need one.

    Parameters
    ----------
    columns : (name, SQL type) of the features; above 100 of them the one argument is `features`, of the
        composite type `<function>_features`
    """
    given = tuple(columns)
    if len(given) <= MAX_ARGUMENTS:
        return given, ()
    return (("features", f"{identifier(schema)}.{identifier(f'{function}_features')}"),), given
