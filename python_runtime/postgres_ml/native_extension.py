"""Getting the procedural language `plmodel` into a database: as an extension, or from a packaged library.

Beside the flow: whoever publishes asks `is_available`, and calls `install` where it may. Where neither works
the runtime is sql, which needs nothing.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from postgres_ml.exceptions import PostgresMLError

LANGUAGE = "plmodel"
SCHEMA = "postgres_ml"


class NativeExtensionError(PostgresMLError):
    """The language plmodel can't be installed in this database: the text says what is missing."""


def is_available(cursor: Any) -> bool:
    """Return whether functions in language plmodel can be created in the cursor's database by its user."""
    cursor.execute(
        "select pg_catalog.has_language_privilege(oid, 'usage') from pg_catalog.pg_language "
        "where lanname = %s",
        (LANGUAGE,),
    )
    row = cursor.fetchone()
    return row is not None and bool(row[0])


def packaged_library(major: int) -> Path | None:
    """Return the library for a PostgreSQL major version that was built with this package, or None."""
    library = resources.files("postgres_ml") / "_native" / f"plmodel-{major}.so"
    return Path(str(library)) if library.is_file() else None


def install(cursor: Any, library: Path | None = None) -> None:
    """Create the language, or do nothing where it stands already.

    `create extension plmodel` where the server has it. Else the library, or the one in this package that fits
    the server's major version, is loaded by its path: for servers on this machine, such as the embedded one,
    and by a superuser. A language that was made so before is pointed to the library's present path.

    Parameters
    ----------
    library : absolute path of a library built for the server's major version, as the server sees it

    Raises
    ------
    NativeExtensionError
        Neither the extension nor a library is there.
    psycopg2.Error
        The user is no superuser, or the server can't read the library.
    """
    if _is_extension(cursor):
        return
    if library is None and not is_available(cursor) and _has_control_file(cursor):
        cursor.execute(f"create extension if not exists {LANGUAGE}")
        return
    major = cursor.connection.server_version // 10000
    library = library or packaged_library(major)
    if library is None:
        if is_available(cursor):
            return
        raise NativeExtensionError(
            f"the server has no extension {LANGUAGE} (run `make install` in extension/), and this package "
            f"was built without a library for PostgreSQL {major}"
        )
    _install_library(cursor, str(library))


def _is_extension(cursor: Any) -> bool:
    cursor.execute("select 1 from pg_catalog.pg_extension where extname = %s", (LANGUAGE,))
    return cursor.fetchone() is not None


def _has_control_file(cursor: Any) -> bool:
    cursor.execute("select 1 from pg_catalog.pg_available_extensions where name = %s", (LANGUAGE,))
    return cursor.fetchone() is not None


def _install_library(cursor: Any, library: str) -> None:
    cursor.execute(
        "select p.probin from pg_catalog.pg_language l join pg_catalog.pg_proc p on p.oid = l.lanplcallfoid "
        "where l.lanname = %s",
        (LANGUAGE,),
    )
    present = cursor.fetchone()
    if present is not None and present[0] == library:
        return
    # Two installations at once: the second waits here and then replaces like with like.
    cursor.execute("select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('plmodel.install'))")
    cursor.execute(f"create schema if not exists {SCHEMA}")
    cursor.execute(
        f"create or replace function {SCHEMA}.plmodel_call_handler() returns pg_catalog.language_handler "
        "language c as %s, 'plmodel_call_handler'",
        (library,),
    )
    cursor.execute(
        f"create or replace function {SCHEMA}.plmodel_validator(pg_catalog.oid) returns void "
        "language c strict as %s, 'plmodel_validator'",
        (library,),
    )
    cursor.execute(
        f"create or replace trusted language {LANGUAGE} handler {SCHEMA}.plmodel_call_handler "
        f"validator {SCHEMA}.plmodel_validator"
    )
