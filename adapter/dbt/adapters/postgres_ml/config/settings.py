"""The `settings` of a create_model: SPEC 2's dict, checked and turned into `Settings`."""

from __future__ import annotations

import math
from typing import Any

from dbt.adapters.postgres_ml.config import keys
from dbt.adapters.postgres_ml.config.values import boolean_of, hint, number_of, wrong_type

from postgres_ml.contract.config import Settings

# least, greatest, whether whole
LIMITS = {
    "max_cells": (1, math.inf, True),
    "max_runtime": (1, math.inf, False),
    "max_trials": (1, math.inf, True),
    "seed": (0, 2**32 - 1, True),
    "holdout": (0.01, 0.9, False),
    "min_rows": (10, math.inf, True),
    "keep_versions": (1, math.inf, True),
}
HOLDOUT_FORMS = "a fraction, {column: is_test}, or {time: sold_at, after: '2024-01-01'}"


def read_settings(found: Any, problems: list[str], notices: list[str]) -> Settings:
    """Return the settings; append what is wrong, and Redshift's keys that mean nothing here."""
    if not isinstance(found, dict):
        problems.append(wrong_type("settings", found, "a dict such as {max_runtime: 300}"))
        return Settings()
    known = (*keys.SETTINGS, *keys.REDSHIFT_SETTINGS)
    values: dict[str, Any] = {}
    for key, value in found.items():
        name = str(key).lower()
        if name in keys.REDSHIFT_SETTINGS:
            notices.append(name)
        elif name not in known:
            problems.append(f"settings: unknown key '{key}'{hint(name, known)}")
        elif name == "compute":
            _check_compute(value, problems)
        elif name == "refit":
            values[name] = boolean_of(value)
            if values[name] is None:
                problems.append(wrong_type("settings: refit", value, "true or false"))
        elif name == "holdout" and isinstance(value, dict):
            values |= _split(value, problems)
        else:
            values[name] = _number(name, value, problems)
    return Settings(**{name: value for name, value in values.items() if value is not None})


def _check_compute(value: Any, problems: list[str]) -> None:
    if str(value).lower() not in keys.COMPUTE:
        problems.append(f"settings: compute '{value}' is not one of {', '.join(keys.COMPUTE)}")
    elif str(value).lower() not in keys.SUPPORTED_COMPUTE:
        supported = ", ".join(keys.SUPPORTED_COMPUTE)
        problems.append(f"settings: 'compute: {value}' is not supported yet (supported: {supported})")


def _number(name: str, value: Any, problems: list[str]) -> float | int | None:
    number = number_of(value)
    low, high, whole = LIMITS[name]
    if number is None:
        wanted = HOLDOUT_FORMS if name == "holdout" else "a number"
        problems.append(wrong_type(f"settings: {name}", value, wanted))
        return None
    if not low <= number <= high or (whole and not (math.isfinite(number) and number == int(number))):
        kind = "a whole number" if whole else "a number"
        limits = f"of at least {low}" if high == math.inf else f"from {low} to {high}"
        problems.append(f"settings: {name} must be {kind} {limits}, found {value!r}")
        return None
    return int(number) if whole else number


def _split(found: dict[Any, Any], problems: list[str]) -> dict[str, str]:
    """Return the settings that a hold-out by column or by time is stored in."""
    given = {str(key).lower(): value for key, value in found.items()}
    if "before" in given:
        problems.append(
            "settings: holdout has no 'before': a model is judged on what comes after the rows it has seen; "
            "use {time: …, after: …}"
        )
        return {}
    if set(given) not in ({"column"}, {"time", "after"}):
        unknown = [key for key in given if key not in ("column", "time", "after")]
        likely = hint(unknown[0], ("column", "time", "after")) if unknown else ""
        problems.append(f"settings: holdout must be {HOLDOUT_FORMS}, found {found!r}{likely}")
        return {}
    for key in ("column", "time"):
        if key in given and (not isinstance(given[key], str) or not given[key].strip()):
            problems.append(wrong_type(f"settings: holdout: {key}", given[key], "the name of a column"))
            return {}
    return {f"holdout_{key}": str(value) for key, value in given.items()}
