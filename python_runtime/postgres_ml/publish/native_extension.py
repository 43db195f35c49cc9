"""Getting the procedural language `plmodel` into a database: as an extension, or from a packaged library.

Beside the flow: the adapter calls `provide` before a model is trained that may use runtime native. Where the
language can't be had the runtime is sql, which needs nothing. Standard library only.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from postgres_ml.embedded.files import own_name

LANGUAGE = "plmodel"
SCHEMA = "postgres_ml"


def provide(cursor: Any, directory: Path | None = None) -> str:
    """Have the language in the cursor's database; return '' once it is there, and else why it can't be.

    A server that offers the extension gets `create extension plmodel`, if the user may. The embedded server,
    whose installation is left alone, loads the library that was built with this package.

    Parameters
    ----------
    directory : of the embedded server, whose data directory is `data` in it; None for any other server

    Raises
    ------
    psycopg2.Error
        The connection is lost, or its transaction was aborted before.
    """
    if not _exists(cursor) and _is_offered(cursor):
        if not _may_create_extension(cursor):
            return (
                f"the server has the extension {LANGUAGE}, and user {_user(cursor)} may not create it: let a "
                f"superuser run `create extension {LANGUAGE}` in this database"
            )
        _take_turns(cursor)
        cursor.execute(f"create extension if not exists {LANGUAGE}")
    elif directory is not None and not _is_extension(cursor):
        major = cursor.connection.server_version // 10000
        library = packaged_library(major)
        if library is not None:
            install_library(cursor, place_library(library, directory))
        elif not _exists(cursor):
            return (
                f"this installation has no library {LANGUAGE} for PostgreSQL {major}, because no C compiler "
                "was there when it was built"
            )
    if not _exists(cursor):
        return f"the server has no extension {LANGUAGE}"
    if not is_available(cursor):
        return f"user {_user(cursor)} has no usage privilege on language {LANGUAGE}"
    return ""


def renew(cursor: Any, directory: Path | None) -> None:
    """Point an embedded server's language at the library of this release; one query where it points there.

    Parameters
    ----------
    directory : of the embedded server; None for any other server, whose administrator installs what it has
    """
    library = packaged_library(cursor.connection.server_version // 10000) if directory else None
    if library is None or directory is None:
        return
    place = place_library(library, directory)
    if _present_library(cursor) != place and not _is_extension(cursor):
        install_library(cursor, place)


def is_at_hand(cursor: Any, directory: Path | None) -> bool:
    """Return whether a training now could publish in this runtime; an extension has to be created already."""
    if directory is not None and packaged_library(cursor.connection.server_version // 10000) is not None:
        return True
    return is_available(cursor)


def is_available(cursor: Any) -> bool:
    """Return whether functions in language plmodel can be created in the cursor's database by its user."""
    return _is_true(
        cursor,
        "select pg_catalog.has_language_privilege(oid, 'usage') from pg_catalog.pg_language "
        "where lanname = %s",
    )


def packaged_library(major: int) -> Path | None:
    """Return the library for a PostgreSQL major version that was built with this package, or None."""
    library = resources.files("postgres_ml") / "_native" / f"plmodel-{major}.so"
    return Path(str(library)) if library.is_file() else None


def place_library(library: Path, directory: Path) -> str:
    """Copy a library into an embedded server's directory; return its path as the server's processes see it.

    The server may run as a user who can't read this package, and the package may go before the data does. The
    path is relative to the data directory, which is where the server's processes work, so that it stays true
    when the directory is moved. It is the same for every release: a session that has the library of an
    earlier one keeps that, and couldn't load a second one beside it.
    """
    content, target = library.read_bytes(), directory / f"{LANGUAGE}.so"
    if not target.exists() or target.read_bytes() != content:
        partial = own_name(target)  # dbt's threads may come here at the same time
        partial.write_bytes(content)
        partial.chmod(0o644)
        partial.replace(target)
    return f"../{target.name}"


def install_library(cursor: Any, library: str) -> None:
    """Create the language from a shared library, or point it there; does nothing where it does already.

    Parameters
    ----------
    library : built for the server's major version; its path as the server sees it

    Raises
    ------
    psycopg2.Error
        The user is no superuser, or the server can't load the library.
    """
    if _present_library(cursor) == library:
        return
    _take_turns(cursor)
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


def _present_library(cursor: Any) -> str | None:
    cursor.execute(
        "select p.probin from pg_catalog.pg_language l join pg_catalog.pg_proc p on p.oid = l.lanplcallfoid "
        "where l.lanname = %s",
        (LANGUAGE,),
    )
    row = cursor.fetchone()
    return None if row is None else str(row[0])


def _exists(cursor: Any) -> bool:
    return _is_true(cursor, "select true from pg_catalog.pg_language where lanname = %s")


def _is_extension(cursor: Any) -> bool:
    return _is_true(cursor, "select true from pg_catalog.pg_extension where extname = %s")


def _is_offered(cursor: Any) -> bool:
    return _is_true(cursor, "select true from pg_catalog.pg_available_extensions where name = %s")


def _may_create_extension(cursor: Any) -> bool:
    """The extension is a trusted one: the right to create in the database is enough."""
    return _is_true(
        cursor,
        "select r.rolsuper or v.trusted and pg_catalog.has_database_privilege(current_database(), 'create') "
        "from pg_catalog.pg_available_extensions e "
        "join pg_catalog.pg_available_extension_versions v "
        "on v.name = e.name and v.version = e.default_version "
        "join pg_catalog.pg_roles r on r.rolname = current_user where e.name = %s",
    )


def _is_true(cursor: Any, query: str) -> bool:
    cursor.execute(query, (LANGUAGE,))
    row = cursor.fetchone()
    return row is not None and bool(row[0])


def _user(cursor: Any) -> str:
    cursor.execute("select current_user")
    return str(cursor.fetchone()[0])


def _take_turns(cursor: Any) -> None:
    """Two installations at once: the second waits here until the first is committed, and finds it made."""
    cursor.execute("select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('plmodel.install'))")
