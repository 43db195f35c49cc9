"""A dict of known keys, each a row of the config table: how it is read, and its JSON schema."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dbt.adapters.postgres_ml.config.kinds import CAPITALS, Kind, Schema, capitalized
from dbt.adapters.postgres_ml.config.values import unknown_key, wrong_type
from typing_extensions import override


@dataclass(frozen=True)
class Key:
    """One row of the config table.

    Parameters
    ----------
    meaning : a phrase that completes "<name> is …", in Markdown; pages, editors and errors share it
    details : whole sentences that follow it on pages and in editors
    default : what holds where the key is left out
    default_words : the same in Markdown, where it is no plain value
    redshift : the clause of Amazon Redshift's CREATE MODEL
    values : the values allowed, in Markdown, where the kind's own words don't say enough
    see : link target, from docs/, of what explains more
    spellings : other names that are read, in lower case
    is_required : whether the dict that holds the key needs it
    """

    name: str
    kind: Kind
    meaning: str
    details: str = ""
    default: Any = None
    default_words: str = ""
    redshift: str = ""
    values: str = ""
    see: str = ""
    spellings: tuple[str, ...] = ()
    is_required: bool = False


@dataclass(frozen=True)
class Section(Kind):
    """A dict of known keys, in any case: read as a dict of the values that are given and allowed.

    Parameters
    ----------
    example : of the dict, for the error about another type
    ignored : keys that are accepted without effect
    shorthand : the key whose value may stand in the dict's place, if it is a string; '' for none
    """

    keys: tuple[Key, ...]
    example: str
    ignored: tuple[str, ...] = ()
    shorthand: str = ""

    def __getitem__(self, name: str) -> Key:
        return next(key for key in self.keys if key.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        """The keys' names, without those that are ignored."""
        return tuple(key.name for key in self.keys)

    @override
    def read(self, where: str, found: Any, problems: list[str]) -> dict[str, Any] | None:
        if self.shorthand and isinstance(found, str):
            found = {self.shorthand: found}
        if not isinstance(found, Mapping):
            problems.append(wrong_type(where, found, f"a dict such as {self.example}"))
            return None
        by_name = {name: key for key in self.keys for name in (key.name, *key.spellings)}
        given: dict[str, Any] = {}
        unknown = []
        for name, value in found.items():
            key = by_name.get(str(name).lower())
            if key is not None:
                given[key.name] = value
            elif str(name).lower() not in self.ignored:
                unknown.append(str(name))
        problems += [unknown_key(where, name, self.names) for name in unknown]
        if not unknown:  # which may be a misspelling of what is required
            problems += [
                f"{where}: '{key.name}' is required: {key.meaning}"
                for key in self.keys
                if key.is_required and given.get(key.name) is None
            ]
        return self.read_values(f"{where}: ", given, problems)

    def read_values(self, lead: str, given: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
        """Return the values that are allowed, of keys that are known; None stands for a key left out."""
        values: dict[str, Any] = {}
        for key in self.keys:
            found = given.get(key.name)
            if found is not None:
                values[key.name] = key.kind.read(f"{lead}{key.name}", found, problems)
        return {name: value for name, value in values.items() if value is not None}

    @property
    @override
    def words(self) -> str:
        return f"a dict such as `{self.example}`"

    @override
    def schema(self) -> Schema:
        properties = {name: value_schema(key) for key in self.keys for name in (key.name, *key.spellings)}
        unused = {"description": "Amazon Redshift's: accepted, without effect on Postgres."}
        one: Schema = {
            "type": "object",
            "properties": properties | dict.fromkeys(self.ignored, unused),
            "patternProperties": CAPITALS,
            "additionalProperties": False,
        }
        required = [key.name for key in self.keys if key.is_required and not key.spellings]
        if required:  # under its own name, unless a key in capitals may be the one
            one |= {"if": {"propertyNames": {"pattern": "^[^A-Z]*$"}}, "then": {"required": required}}
        return {"anyOf": [one, self[self.shorthand].kind.schema()]} if self.shorthand else one


def value_schema(key: Key) -> Schema:
    """Return the JSON schema of a key's value: its kind's, a Jinja expression, or null for a key left out."""
    schema = key.kind.schema()
    alternatives = schema["anyOf"] if set(schema) == {"anyOf"} else [schema]
    described: Schema = {"description": description(key)}
    if key.default is not None:
        described["default"] = key.default
    return {**described, "anyOf": [*alternatives, {"$ref": "#/$defs/jinja"}]}


def description(key: Key) -> str:
    """Return what an editor shows for the key."""
    default = key.default_words or ("" if key.default is None else f"`{spelled(key.default)}`")
    parts = [f"{capitalized(key.meaning)}.", key.details, f"Values: {key.values or key.kind.words}."]
    parts += [f"Default: {default}." if default else "", f"Redshift: {key.redshift}." if key.redshift else ""]
    text = " ".join(part for part in parts if part)
    return re.sub(r"\[([^]]+)\]\([^)]*\)", r"\1", text)  # links lead to places on the page


def spelled(value: Any) -> str:
    """Return a plain value as YAML spells it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
