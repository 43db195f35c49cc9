"""Tests on a database: embedded servers, and dbt projects by the plugin `support.dbt_projects`."""

import pytest
from support.debian_server import debian, debian_connection, debian_schema

__all__ = ["debian", "debian_connection", "debian_schema"]


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.import_plugin("support.dbt_projects")
