"""Fixtures: the language plmodel on the tests' server."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import psycopg2
import psycopg2.errors
import psycopg2.extensions
import pytest
from postgres_ml.embedded import ServerAddress
from postgres_ml.publish import native_extension

from support import debian_server

ROOT = Path(__file__).parents[2]


def load_builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_library", ROOT / "extension" / "build_library.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["build_library"] = module
    spec.loader.exec_module(module)
    return module


DATABASE = "plmodel_tests"


@pytest.fixture(scope="session")
def server(server: ServerAddress) -> ServerAddress:
    """A database of its own on the tests' server: the language is there in it, and not in the others'."""
    made = psycopg2.connect(host=server.host, port=server.port, user=server.user, dbname=server.dbname)
    made.autocommit = True
    with made.cursor() as cursor:
        cursor.execute("select 1 from pg_database where datname = %s", (DATABASE,))
        if cursor.fetchone() is None:
            # another worker may make it at the same time
            with contextlib.suppress(psycopg2.errors.DuplicateDatabase, psycopg2.errors.UniqueViolation):
                cursor.execute(f"create database {DATABASE}")
    made.close()
    return dataclasses.replace(server, dbname=DATABASE)


def headers_of(builder: ModuleType, major: int) -> Path:
    """Return the include directory of a server; the package that has it is installed where that is allowed."""

    def found() -> Path | None:
        headers: dict[int, Path] = builder.server_headers()
        return headers.get(major)

    if found() is None and debian_server.may_install():
        debian_server.install_packages([f"postgresql-server-dev-{major}"], lambda: found() is not None)
    headers = found()
    if headers is None:
        pytest.skip(f"no headers of PostgreSQL {major}: install postgresql-server-dev-{major}")
    return headers


@pytest.fixture(scope="session")
def plmodel(server: ServerAddress, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Have the language on the server: as an extension, or built from the sources in this checkout.

    A machine without a compiler is one the product supports (with runtime sql), so only there it skips.
    """
    with psycopg2.connect(host=server.host, port=server.port, user=server.user, dbname=server.dbname) as made:
        made.autocommit = True
        with made.cursor() as cursor:
            cursor.execute("select 1 from pg_available_extensions where name = 'plmodel'")
            if cursor.fetchone():
                assert native_extension.provide(cursor) == ""
                return
            builder = load_builder()
            if builder.compiler() is None:
                pytest.skip("no C compiler, and the server has no extension plmodel")
            major = made.server_version // 10000
            headers = headers_of(builder, major)
            # one place for all xdist workers: each would else point the language to its own library
            sources = b"".join(file.read_bytes() for file in sorted(builder.SOURCES.glob("*/*.[ch]")))
            digest = hashlib.sha256(sources).hexdigest()[:16]
            library = tmp_path_factory.getbasetemp().parent / f"plmodel-{digest}" / f"plmodel-{major}.so"
            if not library.exists():
                building = library.with_suffix(f".{id(made)}")
                builder.build(headers, building)
                building.rename(library)
            library.parent.chmod(0o755)
            native_extension.install_library(cursor, str(library))


@pytest.fixture
def native(plmodel: None, connection: psycopg2.extensions.connection) -> psycopg2.extensions.cursor:
    """A cursor of a server that has the language."""
    return connection.cursor()
