"""Which kind of build a node needs, by where its model comes from and what it predicts."""

from __future__ import annotations

from typing import Any

from dbt.adapters.postgres_ml.build.dask import DaskBuild
from dbt.adapters.postgres_ml.build.endpoint import EndpointBuild
from dbt.adapters.postgres_ml.build.external import ExternalModelBuild
from dbt.adapters.postgres_ml.build.forecast import ForecastBuild
from dbt.adapters.postgres_ml.build.node import NodeBuild
from dbt.adapters.postgres_ml.build.python_model import PythonModelBuild
from dbt.adapters.postgres_ml.config.forecast import is_forecast
from dbt.adapters.postgres_ml.config.names import config_value
from dbt.adapters.postgres_ml.connections import PostgresMLConnectionManager


def build_of(node: Any, sql: str, config: Any, connections: PostgresMLConnectionManager) -> NodeBuild:
    """Return the build of a node.

    Parameters
    ----------
    node : as the manifest has it
    sql : its compiled code, SQL or Python
    config : dbt's runtime config

    Raises
    ------
    DbtValidationError
        The node's config is wrong.
    """
    if node.language == "python":
        return PythonModelBuild(node, sql, config, connections)
    if config_value(node, "endpoint"):
        return EndpointBuild(node, sql, config, connections)
    if config_value(node, "source"):
        return ExternalModelBuild(node, sql, config, connections)
    if is_forecast(node):
        return ForecastBuild(node, sql, config, connections)
    build = NodeBuild(node, sql, config, connections)
    if build.spec.settings.compute == "dask":
        return DaskBuild(node, sql, config, connections)
    return build
