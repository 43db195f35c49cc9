"""The setting `holdout`: a fraction of the rows, or the column that says which rows are held out."""

from __future__ import annotations

from typing import Any

from dbt.adapters.postgres_ml.config.kinds import CAPITALS, Kind, Number, Schema
from dbt.adapters.postgres_ml.config.values import hint, wrong_type
from typing_extensions import override

from postgres_ml.contract.config import Settings

FRACTION = Number(0.01, 0.9)
#: the forms, as YAML, and the rows that each holds out
FORMS = {
    "0.2": "that fraction of the rows, 0.01 to 0.9, chosen by a hash of each row's content",
    "{column: is_test}": "the rows where the column, boolean or 0 and 1, is true",
    "{time: sold_at, after: '2024-01-01'}": "the rows whose date or timestamp is that or later",
}
FORM = "a fraction, {column: is_test}, or {time: sold_at, after: '2024-01-01'}"
SPLIT_KEYS = ("column", "time", "after")


class Holdout(Kind):
    """Read as a fraction, or as a dict of the `Settings` that name the column."""

    @override
    def read(self, where: str, found: Any, problems: list[str]) -> float | dict[str, str] | None:
        if isinstance(found, dict):
            return _read_split(where, found, problems)
        if isinstance(found, str) and FRACTION.read(where, found, []) is None:
            problems.append(wrong_type(where, found, FORM))
            return None
        fraction: float | None = FRACTION.read(where, found, problems)
        return fraction

    @property
    @override
    def words(self) -> str:
        return "a fraction or a dict"

    @override
    def schema(self) -> Schema:
        name = {"type": "string", "pattern": r"\S"}
        _, column, time = FORMS.values()
        by_column = {"column": {**name, "description": f"Hold out {column}."}}
        by_time = {
            "time": {**name, "description": f"Hold out {time}."},
            "after": {
                "description": "The first value that is held out: a number, or a date or time in ISO 8601, "
                "in UTC where it has no offset."
            },
        }
        splits = [
            {
                "type": "object",
                "properties": properties,
                "required": list(properties),
                "additionalProperties": False,
            }
            for properties in (by_column, by_time)
        ]
        in_capitals = {
            "type": "object",
            "properties": {**by_column, **by_time},
            "patternProperties": CAPITALS,
            "additionalProperties": False,
            "not": {"propertyNames": {"pattern": "^[^A-Z]*$"}},
        }
        return {"anyOf": [*FRACTION.schema()["anyOf"], *splits, in_capitals]}


def settings_of(values: dict[str, Any]) -> Settings:
    """Return the settings of a section's values: `holdout` has several forms."""
    known = {name: value for name, value in values.items() if name != "holdout"}
    holdout = values.get("holdout", Settings.holdout)
    return Settings(**known, **(holdout if isinstance(holdout, dict) else {"holdout": holdout}))


def _read_split(where: str, found: dict[Any, Any], problems: list[str]) -> dict[str, str] | None:
    given = {str(key).lower(): value for key, value in found.items()}
    if "before" in given:
        problems.append(
            f"{where} has no 'before': a model is evaluated on rows later than those it was trained on; "
            "use {time: …, after: …}"
        )
        return None
    if set(given) not in ({"column"}, {"time", "after"}):
        unknown = [key for key in given if key not in SPLIT_KEYS]
        likely = hint(unknown[0], SPLIT_KEYS) if unknown else ""
        problems.append(f"{where} must be {FORM}, found {found!r}{likely}")
        return None
    for key in ("column", "time"):
        if key in given and (not isinstance(given[key], str) or not given[key].strip()):
            problems.append(wrong_type(f"{where}: {key}", given[key], "the name of a column"))
            return None
    return {f"holdout_{key}": str(value) for key, value in given.items()}
