"""Tests on a database: embedded servers, and dbt projects by the plugin `dbt_projects`."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.import_plugin("dbt_projects")
