"""One server and one project for all faults: each fault starts from what the one before has left."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults_project import CATALOG_GATES, GATES, Project, Server
from postgres_ml import embedded
from support.embedded_servers import scratch


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One xdist worker runs them all: they share a server, and kill it."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("faults"))


@pytest.fixture(scope="session")
def faulty_server() -> Iterator[Server]:
    directory = scratch()
    server = Server(directory)
    server.ask(GATES)
    yield server
    embedded.stop(directory)
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def project(faulty_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose model has been published once."""
    made = Project(tmp_path_factory.mktemp("faults") / "project", faulty_server)
    build = made.build(generation=1)
    assert build.wait() == 0, build.output
    assert made.state()["generation"] == 1
    faulty_server.ask(CATALOG_GATES)
    return made
