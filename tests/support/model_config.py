"""Nodes with a config, as dbt hands them over, and what the config's reader and schema say about them."""

from __future__ import annotations

from types import SimpleNamespace

import jsonschema
from dbt.adapters.postgres_ml.config import json_schema
from dbt.adapters.postgres_ml.config import model as config_model

VALIDATOR = jsonschema.Draft7Validator(json_schema.schema())


class Config:
    """Stands in for dbt's NodeConfig: attributes for core's keys, `extra` for all others."""

    materialized = "create_model"
    contract = SimpleNamespace(enforced=False)

    def __init__(self, **extra):
        self.extra = extra

    def get(self, key, default=None):
        return self.extra.get(key, getattr(self, key, default))


def node(name="churn", schema="ml", **config):
    return SimpleNamespace(
        name=name,
        alias=name,
        unique_id=f"model.shop.{name}",
        database="d",
        schema=schema,
        original_file_path=f"models/{name}.sql",
        resource_type="model",
        config=Config(**config),
    )


class ConfigReader(config_model.ConfigReader):
    """The reader, which holds the schema for editors against itself: that never refuses what dbt accepts."""

    def read(self):
        spec = super().read()
        if not self.problems:
            assert schema_errors(self.node.config.extra) == []
        return spec


def problems(**config):
    reader = ConfigReader(node(**config))
    assert (reader.read() is None) == bool(reader.problems)
    return reader.problems


def schema_errors(config):
    """Return what an editor says about a create_model of this config."""
    model = {"name": "m", "config": {"materialized": "create_model", **config}}
    return [error.message for error in VALIDATOR.iter_errors({"models": [model]})]
