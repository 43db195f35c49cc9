"""The server that tests run on: a throw-away embedded one, or any other by POSTGRES_ML_TEST_DSN.

All xdist workers share it. Tests keep apart by schema. A server that can't be had is an error, never a skip.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extensions
import pytest
from postgres_ml import embedded
from postgres_ml.embedded import ServerAddress, binaries, cluster
from postgres_ml.embedded.account import choose
from postgres_ml.embedded.layout import locate
from psycopg2 import sql
from support import faults_summary
from support.embedded_servers import scratch

DIRECTORY = pytest.StashKey[Path]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the texts under tests/golden")


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):  # an xdist worker
        config.stash[DIRECTORY] = Path(config.workerinput["server_directory"])
    else:
        config.stash[DIRECTORY] = scratch()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["server_directory"] = str(node.config.stash[DIRECTORY])


def pytest_unconfigure(config: pytest.Config) -> None:
    directory = config.stash.get(DIRECTORY, None)
    if directory is not None and not hasattr(config, "workerinput"):
        for place in (directory, place_of_system_server(config)):
            if place.exists():
                embedded.stop(place)
                shutil.rmtree(place)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    faults_summary.write(terminalreporter)


def place_of_system_server(config: pytest.Config) -> Path:
    directory = config.stash[DIRECTORY]
    return directory.with_name(f"{directory.name}-system")


@pytest.fixture(scope="session")
def system_directory(pytestconfig: pytest.Config) -> Path:
    """Where a server of the system's own PostgreSQL goes, for tests that start one; all xdist workers share it."""
    return place_of_system_server(pytestconfig)


@pytest.fixture(scope="session")
def server(pytestconfig: pytest.Config) -> ServerAddress:
    """Where the tests' server is. A password in POSTGRES_ML_TEST_DSN reaches clients as PGPASSWORD."""
    if dsn := os.environ.get("POSTGRES_ML_TEST_DSN"):
        with psycopg2.connect(dsn) as probe:
            info = probe.info
            if info.password:
                os.environ["PGPASSWORD"] = info.password
            return ServerAddress(host=info.host, port=info.port, user=info.user, dbname=info.dbname)
    return embedded.ensure(pytestconfig.stash[DIRECTORY], linger=5.0, durability="off")


@pytest.fixture(scope="session")
def pristine_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of an embedded server that has never run: a copy takes a tenth of initdb's time."""
    layout = locate(tmp_path_factory.mktemp("pristine"))
    found = binaries.find()
    account, found = choose(layout.root, layout.data, found)
    cluster.create(layout, account, found, durability="off")
    return layout.data


@pytest.fixture
def connection(server: ServerAddress) -> Iterator[psycopg2.extensions.connection]:
    """A new connection in autocommit mode."""
    made = psycopg2.connect(host=server.host, port=server.port, user=server.user, dbname=server.dbname)
    made.autocommit = True
    yield made
    made.close()


@pytest.fixture
def schema(server: ServerAddress) -> Iterator[str]:
    """The name of a new schema, which is dropped with all that is in it afterwards."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    made = psycopg2.connect(host=server.host, port=server.port, user=server.user, dbname=server.dbname)
    made.autocommit = True
    try:
        with made.cursor() as cursor:
            cursor.execute(sql.SQL("create schema {}").format(sql.Identifier(name)))
            yield name
            cursor.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(name)))
    finally:
        made.close()
