"""dbt-tests-adapter's own tests on this adapter, or on plain dbt-postgres: CONFORMANCE_TYPE=postgres."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from postgres_ml.embedded import ServerAddress

TEST_USERS = ("dbt_test_user_1", "dbt_test_user_2", "dbt_test_user_3")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.import_plugin("support.dbt_projects")


@pytest.fixture(scope="class")
def conformance_target(server_target: dict[str, Any]) -> dict[str, Any]:
    """The tests' server, by the adapter that is under test."""
    return {**server_target, "type": os.environ.get("CONFORMANCE_TYPE", "postgres_ml")}


@pytest.fixture(scope="class")
def dbt_profile_target(conformance_target: dict[str, Any]) -> dict[str, Any]:
    return conformance_target


@pytest.fixture(scope="module")
def test_data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A path at which the test makes its own folder; dbt-tests-adapter's is one in the repository."""
    return tmp_path_factory.mktemp("data") / "data"


@pytest.fixture(scope="session")
def test_users(server: ServerAddress) -> Iterator[None]:
    """Three roles that are granted to, named where dbt-tests-adapter looks for them. The server keeps them."""
    connection = psycopg2.connect(host=server.host, port=server.port, user=server.user, dbname=server.dbname)
    with connection, connection.cursor() as cursor, pytest.MonkeyPatch.context() as environment:
        cursor.execute(
            "select pg_advisory_xact_lock(hashtext('dbt_test_user'))"
        )  # all xdist workers come here
        for user in TEST_USERS:
            cursor.execute("select 1 from pg_roles where rolname = %s", [user])
            if cursor.fetchone() is None:
                cursor.execute(f"create role {user}")
            environment.setenv(user.upper(), user)
        connection.commit()
        yield
    connection.close()
