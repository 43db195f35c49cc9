"""dbt adapter `postgres_ml`: dbt-postgres plus the `create_model` materialization."""

from dbt.adapters.base import AdapterPlugin
from dbt.adapters.postgres_ml.connections import PostgresMLConnectionManager
from dbt.adapters.postgres_ml.credentials import PostgresMLCredentials
from dbt.adapters.postgres_ml.impl import PostgresMLAdapter
from dbt.include import postgres_ml

__all__ = ["Plugin", "PostgresMLAdapter", "PostgresMLConnectionManager", "PostgresMLCredentials"]

Plugin = AdapterPlugin(
    adapter=PostgresMLAdapter,  # type: ignore[arg-type]  # as every adapter: the protocol is wider
    credentials=PostgresMLCredentials,
    include_path=postgres_ml.PACKAGE_PATH,
    dependencies=["postgres"],
    # The default name is that of the include folder; dbt finds the package by this one.
    project_name="dbt_postgres_ml",
)
