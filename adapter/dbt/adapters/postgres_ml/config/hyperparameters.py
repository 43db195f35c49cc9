"""The key `hyperparameters`: a dict, or Redshift's DEFAULT EXCEPT clause."""

from __future__ import annotations

import math
from typing import Any

from dbt.adapters.postgres_ml.config.kinds import (
    CAPITALS,
    NUMBER_PATTERN,
    Kind,
    Schema,
    listed,
    one_of_any_case,
)
from dbt.adapters.postgres_ml.config.values import wrong_type
from typing_extensions import override

from postgres_ml.fit import hyperparameters
from postgres_ml.fit.hyperparameters import Hyperparameter

#: how Redshift writes them: nothing, or names with values in quotes
CLAUSE: Schema = {"type": "string", "pattern": r"^\s*[Dd][Ee][Ff][Aa][Uu][Ll][Tt]\b"}
#: what a value may be, by the kind of the hyperparameter; its limits go into the braces
KIND_WORDS = {
    "int": "a whole number{}",
    "float": "a number{}",
    "bool": "`true`, `false`",
    "text": "a string",
    "layers": "whole numbers{} such as `'64,32'`",
    "auto_int": "a whole number{}, or `auto`",
    "auto_float": "a number{}, or `auto`",
    "share": "a whole number{}, or a fraction of all up to `1.0`",
    "auto_share": "a whole number{}, a fraction of all up to `1.0`, or `auto`",
    "columns": "a dict by column names such as `{{spend: 1}}`, or a list",
}


class Hyperparameters(Kind):
    """Read as a dict: which names and values are allowed depends on the model type, and is checked there."""

    @override
    def read(self, where: str, found: Any, problems: list[str]) -> dict[str, Any] | None:
        if isinstance(found, str):
            found = hyperparameters.read_clause(found)
        if isinstance(found, dict):
            return {str(name): value for name, value in found.items()}
        problems.append(wrong_type(where, found, "a dict such as {max_depth: 6}"))
        return None

    @property
    @override
    def words(self) -> str:
        return "a dict such as `{max_depth: 6}`, or Redshift's `DEFAULT EXCEPT (max_depth '6')`"

    @override
    def schema(self) -> Schema:
        return {"anyOf": [{"type": "object"}, CLAUSE]}


def allowed(known: Hyperparameter) -> str:
    """Return the values that a hyperparameter takes, in Markdown."""
    if not known.library_name:
        return "anything, without effect"
    if known.one_of:
        return listed(known.one_of)
    has_limits = not math.isinf(known.low) or not math.isinf(known.high)
    of = "of " if known.limits.startswith("at least") else ""
    return KIND_WORDS[known.kind].format(f" {of}{known.limits}" if has_limits else "")


def rows(model_type: str) -> list[tuple[str, Hyperparameter]]:
    """Return the hyperparameters of a model type, each with its names in Markdown: synonyms share a row."""
    synonyms: dict[Hyperparameter, list[str]] = {}
    for name, known in hyperparameters.KNOWN[model_type].items():
        synonyms.setdefault(known, []).append(name)
    return [(listed(names), known) for known, names in synonyms.items()]


def schema_of(model_type: str) -> Schema:
    """Return the JSON schema of a model type's hyperparameters; xgboost passes unknown names on."""
    known = hyperparameters.KNOWN[model_type]
    names: Schema = {
        "type": "object",
        "properties": {name: _value_schema(parameter) for name, parameter in known.items()},
        "patternProperties": CAPITALS,
        "additionalProperties": model_type == "xgboost",
    }
    return {"anyOf": [names, CLAUSE, {"$ref": "#/$defs/jinja"}]}


def _value_schema(known: Hyperparameter) -> Schema:
    return {
        "description": f"Values: {allowed(known)}.",
        "anyOf": [*_alternatives(known), {"$ref": "#/$defs/jinja"}],
    }


def _alternatives(known: Hyperparameter) -> list[Schema]:
    if known.kind == "bool":
        one: list[Schema] = one_of_any_case(({"type": "boolean"},), ("true", "false"))["anyOf"]
        return one
    if known.kind == "text":
        if not known.one_of:
            return [{}]
        spellings = tuple(hyperparameters.SPELLINGS)
        return [{"enum": list(known.one_of)}, *one_of_any_case((), spellings)["anyOf"]]
    if known.kind == "columns":
        return [{"type": ["object", "array", "string"]}]
    if known.kind == "layers":
        return [{"type": ["integer", "string"]}, {"type": "array", "items": {"type": ["integer", "string"]}}]
    auto: list[Schema] = [{"const": "auto"}] if known.kind.startswith("auto_") else []
    number: Schema = {"type": "number" if known.kind.endswith("float") else "integer"}
    if not math.isinf(known.low):
        number["exclusiveMinimum" if known.above else "minimum"] = known.low
    if not math.isinf(known.high):
        number["maximum"] = known.high
    fraction: list[Schema] = []
    if known.kind.endswith("share"):
        fraction = [{"type": "number", "exclusiveMinimum": 0, "maximum": 1}]
    return [number, *fraction, {"type": "string", "pattern": NUMBER_PATTERN}, *auto]
