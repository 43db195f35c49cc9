"""The JSON schema of a create_model's config in dbt's YAML, for editors.

`python -m dbt.adapters.postgres_ml.config.json_schema` prints the path of the file that the package ships;
with a path behind it, the schema is written there. `make docs-tables` rewrites the shipped file.

The schema judges keys and values one by one. Rules between keys are left to `dbt parse`, since a file need
not hold the whole config: other keys may stand in the model's own `config()` or in dbt_project.yml.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dbt.adapters.postgres_ml.config import dbt_keys, keys
from dbt.adapters.postgres_ml.config.hyperparameters import schema_of
from dbt.adapters.postgres_ml.config.kinds import (
    Schema,
    one_of_any_case,
)
from dbt.adapters.postgres_ml.config.section import description, value_schema

SHIPPED = Path(__file__).with_name("create_model.schema.json")
#: any expression, which dbt renders when it parses the project, and null, which leaves a key out
JINJA: Schema = {"type": ["string", "null"], "pattern": r"\{\{|\{%"}
IS_CREATE_MODEL: Schema = {"const": "create_model"}


def config_schema() -> Schema:
    """Return the schema of the dict `config` of a create_model: keys of this package and of dbt."""
    of_dbt: dict[str, Schema] = {key.name: {"description": description(key)} for key in dbt_keys.DBT.keys}
    of_dbt["meta"] |= {"properties": {"create_model": {"$ref": "#/$defs/meta"}}}
    ignored = {"description": "Amazon Redshift's: accepted, without effect on Postgres."}
    return {
        "type": "object",
        "properties": {
            **{key.name: value_schema(key) for key in keys.MODEL.keys},
            **{name: of_dbt.get(name, {"description": "dbt's own."}) for name in dbt_keys.DBT_KEYS},
            **{name: {"description": "A tool's around dbt."} for name in dbt_keys.TOOL_KEYS},
            **{name: ignored for name in keys.REDSHIFT_SETTINGS if name not in dbt_keys.DBT_KEYS},
        },
        "additionalProperties": False,
        "allOf": [_hyperparameters_of(model_type) for model_type in keys.EXPLICIT_MODEL_TYPES],
    }


def meta_schema() -> Schema:
    """Return the schema of the dict below `meta: create_model`: this package's keys alone."""
    names = (*keys.MODEL.names, *(name for name in keys.REDSHIFT_SETTINGS if name not in dbt_keys.DBT_KEYS))
    at = "#/$defs/config/properties/"
    return {
        "type": "object",
        "properties": {name: {"$ref": f"{at}{name}"} for name in names},
        "additionalProperties": False,
    }


def _hyperparameters_of(model_type: str) -> Schema:
    one = one_of_any_case(({"const": model_type},), (model_type,))
    return _if(
        {"model_type": one},
        {"properties": {"hyperparameters": schema_of(model_type)}},
    )


def _if(properties: Schema, then: Schema) -> Schema:
    return {"if": {"properties": properties, "required": list(properties)}, "then": then}


def schema() -> dict[str, Any]:
    """Return the schema of a file: properties of models, or dbt_project.yml.

    Models of other materializations, and everything that isn't a model, are left alone.
    """
    config = {"$ref": "#/$defs/config"}
    create_model = {**IS_CREATE_MODEL, "description": "Train a model on the query, publish it as a function."}
    materialized: Schema = {"anyOf": [create_model, {}]}
    in_model = {
        "properties": {"config": {"properties": {"materialized": materialized}}},
        **_if(
            {"config": {**_is_create_model("materialized"), "type": "object"}},
            {"properties": {"config": config}},
        ),
    }
    # a file of properties has a list below `models`, dbt_project.yml a dict of folders
    folders: Schema = {"if": {"type": "object"}, "then": {"$ref": "#/$defs/folder"}}
    in_project = {
        "properties": {"+materialized": materialized},
        "patternProperties": {"^[^+]": folders},
        **_if({"+materialized": IS_CREATE_MODEL}, {"$ref": "#/$defs/folder_config"}),
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$comment": "dbt-postgres-ml: models with `materialized: create_model`",
        "type": "object",
        "properties": {"models": {"items": {"$ref": "#/$defs/model"}, **folders}},
        "$defs": {
            "model": {"type": "object", **in_model},
            "folder": in_project,
            "folder_config": _folder_config(),
            "config": config_schema(),
            "meta": meta_schema(),
            "jinja": JINJA,
        },
    }


def _is_create_model(name: str) -> Schema:
    return {"properties": {name: IS_CREATE_MODEL}, "required": [name]}


def _folder_config() -> Schema:
    """Return the schema of a folder's keys in dbt_project.yml, each with a plus sign."""
    names = [name for name in config_schema()["properties"] if "-" not in name]
    at = "#/$defs/config/properties/"
    return {
        "properties": {f"+{name}": {"$ref": f"{at}{name}"} for name in names},
        "propertyNames": {"anyOf": [{"enum": [f"+{name}" for name in names]}, {"pattern": "^(?!\\+)|-"}]},
    }


def text() -> str:
    """Return the shipped file's content."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str]) -> None:
    """Print the shipped file's path, or write the schema to the paths given."""
    for path in map(Path, arguments):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text(), encoding="utf-8")
    if not arguments:
        sys.stdout.write(f"{SHIPPED}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
