"""Pytest plugin of the tests that run dbt: the fixtures of dbt-tests-adapter, on the tests' server.

A dbt project is what a class's fixtures `models`, `seeds`, `project_config_update` … say; `project` writes it, in
a schema of its own. The folders that need this load it in their conftest.py. The root conftest.py does not: it
imports dbt, and the unit tests would start in 6 s instead of 2.5.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extensions
import pytest
import yaml
from dbt.adapters.factory import reset_adapters
from dbt.tests.fixtures.project import *  # noqa: F403  # a plugin's fixtures are the names in its module
from dbt_common.behavior_flags import BehaviorFlagRendered
from postgres_ml import embedded
from postgres_ml.embedded import ServerAddress


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a class's tests on one xdist worker: its project is made once, its tests follow on one another."""
    for item in items:
        is_of_project = isinstance(item, pytest.Function) and item.cls and "project" in item.fixturenames
        if is_of_project and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.rsplit("::", 1)[0]))


@pytest.fixture(scope="session", autouse=True)
def behavior_flags_without_stack() -> Iterator[None]:
    """Each adapter that dbt makes asks inspect.stack() who made it, for the text of a warning.

    That looks through all modules loaded, and a test worker has thousands: 95 % of the time of the dbt tests.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BehaviorFlagRendered, "_default_source", staticmethod(lambda: "tests"))
        yield


@pytest.fixture(scope="class", autouse=True)
def no_adapter_is_left() -> None:
    """Forget the adapter that another test's dbt registered in this process: it would go on with its profile."""
    reset_adapters()


@pytest.fixture(scope="class")
def dbt_project_yml(project_root: Any, project_config_update: dict[str, Any] | str | None) -> dict[str, Any]:
    """The fixture of dbt-tests-adapter, in a project whose generic tests have `arguments` with dbt-core 1.10 too."""
    flags = {"send_anonymous_usage_stats": False, "require_generic_test_arguments_property": True}
    config: dict[str, Any] = {"name": "test", "profile": "test", "flags": flags}
    changes = project_config_update or {}
    config |= yaml.safe_load(changes) if isinstance(changes, str) else changes
    (Path(project_root) / "dbt_project.yml").write_text(yaml.safe_dump(config))
    return config


@pytest.fixture(scope="class")
def dbt_profile_target(server_target: dict[str, Any]) -> dict[str, Any]:
    """The target of profiles.yml; the fixture `dbt_profile_data` adds the schema."""
    return server_target


@pytest.fixture(scope="class")
def server_target(server: ServerAddress) -> dict[str, Any]:
    """A target on the tests' server, for classes that vary it."""
    return {
        "type": "postgres_ml",
        "host": server.host,
        "port": server.port,
        "user": server.user,
        "password": os.environ.get("PGPASSWORD", ""),
        "dbname": server.dbname,
        "threads": 2,
    }


class EmbeddedProfile:
    """Mixin of a test class whose profile says `embedded:`, so that dbt starts the server."""

    @pytest.fixture(scope="class")
    def dbt_profile_target(self) -> Iterator[dict[str, Any]]:
        # not in pytest's folders: those of root are closed to the account that the server then runs under
        directory = Path(tempfile.mkdtemp(prefix="pgml-test-", dir="/tmp"))
        yield {"type": "postgres_ml", "embedded": str(directory), "linger": 5, "threads": 2}
        embedded.stop(directory)
        shutil.rmtree(directory)


@pytest.fixture(scope="class")
def server_connection(server: ServerAddress) -> Iterator[psycopg2.extensions.connection]:
    """A class's own connection in autocommit mode, to see what dbt really committed."""
    made = psycopg2.connect(host=server.host, port=server.port, user=server.user, dbname=server.dbname)
    made.autocommit = True
    yield made
    made.close()


@pytest.fixture(scope="class")
def logs_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where dbt writes dbt.log; dbt-tests-adapter's own fixture would write into the repository."""
    directory = str(tmp_path_factory.mktemp("logs"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DBT_LOG_PATH", directory)
        yield directory
