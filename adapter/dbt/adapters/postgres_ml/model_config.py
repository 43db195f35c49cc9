"""A create_model node's config: checked as a whole, every problem at once, and turned into a TrainingSpec."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import Any

from dbt.adapters.postgres_ml import config_keys as keys

from postgres_ml import hyperparameters
from postgres_ml.exceptions import SpecError
from postgres_ml.spec import ProblemType, Settings, TrainingSpec

IDENTIFIER_BYTES = 63


@dataclass
class ConfigReader:
    """Reads one node's config and collects what is wrong with it.

    Attributes
    ----------
    problems : one sentence each, with the value found, the values allowed and the likely key
    notices : what is accepted and has no effect
    """

    node: Any
    problems: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def read(self) -> TrainingSpec | None:
        """Return the specification, or None where there are problems."""
        node, config = self.node, self.node.config
        self._check_keys()
        target = self._text("target")
        if target is None and not config.get("target"):
            self.problems.append("config 'target' is required: the column of the query to predict")
        auto = self._boolean("auto", True)
        problem_type = self._choice("problem_type", keys.PROBLEM_TYPES)
        model_types = self._model_types(auto)
        objective = self._objective(auto, problem_type, model_types)
        spec = {
            "name": node.name,
            "unique_id": node.unique_id,
            "database": node.database,
            "schema": node.schema,
            "function": self._function(),
            "target": target,
            "auto": auto,
            "model_types": model_types,
            "problem_type": problem_type,
            "objective": objective,
            "hyperparameters": self._hyperparameters(auto, model_types),
            "settings": self._settings(),
            "runtime": self._runtime(),
        }
        return None if self.problems else TrainingSpec(**spec)

    def _check_keys(self) -> None:
        known = (*keys.SUPPORTED_KEYS, *keys.PLANNED_KEYS)
        for key in self.node.config.extra:
            if key in keys.PLANNED_KEYS:
                self._unsupported(f"config '{key}'")
            elif key not in known:
                self.problems.append(
                    f"unknown config '{key}'{_hint(key, known)} (keys of your own belong under 'meta')"
                )
        for key, value in keys.ONLY_VALUE.items():
            found = self.node.config.get(key, value)
            if found != value:
                self._unsupported(f"config '{key}: {found}'", (value,))
        contract = getattr(self.node.config, "contract", None)
        if contract is not None and contract.enforced:
            self._unsupported("an enforced contract on a create_model")

    def _function(self) -> str:
        name = self._text("function") or f"predict_{self.node.name}"
        if len(name.encode()) + len("_probabilities") > IDENTIFIER_BYTES:
            self.problems.append(
                f"function '{name}' is too long: with '_probabilities' behind it Postgres allows "
                f"{IDENTIFIER_BYTES} bytes; set 'function' to a shorter name"
            )
        if name == (self.node.alias or self.node.name):
            self.problems.append(
                f"function '{name}' has the name of the model's own card view; leave 'function' out "
                f"for 'predict_{self.node.name}'"
            )
        return name

    def _model_types(self, auto: bool) -> tuple[str, ...]:
        found = self.node.config.get("model_type")
        if found is None:
            if not auto:
                self.problems.append(
                    f"'auto: false' needs a 'model_type' ({', '.join(keys.SUPPORTED_MODEL_TYPES)})"
                )
            return keys.SUPPORTED_MODEL_TYPES
        listed = found if isinstance(found, list | tuple) else [found]
        names = tuple(str(item).lower() for item in listed)
        if not auto and len(names) != 1:
            self.problems.append(f"'auto: false' needs one 'model_type', found {found!r}")
        for name in names:
            if name not in keys.MODEL_TYPES:
                self._not_allowed("model_type", name, keys.MODEL_TYPES)
            elif name not in keys.SUPPORTED_MODEL_TYPES:
                self._unsupported(f"model_type '{name}'", keys.SUPPORTED_MODEL_TYPES)
        return names

    def _objective(self, auto: bool, problem_type: str | None, model_types: tuple[str, ...]) -> str | None:
        found = self._text("objective")
        if found is None:
            return None
        name = keys.OBJECTIVE_SPELLINGS.get(found.lower(), found.lower())
        takes_xgboost = not auto and model_types == ("xgboost",)
        allowed = (*keys.AUTO_OBJECTIVES, *(keys.XGBOOST_OBJECTIVES if takes_xgboost else ()))
        if name not in allowed:
            reason = ""
            if name in keys.XGBOOST_OBJECTIVES:
                reason = "; an xgboost objective needs 'auto: false' and 'model_type: xgboost'"
            self._not_allowed("objective", found, allowed, reason)
        elif problem_type is not None:
            fits = keys.XGBOOST_OBJECTIVES.get(name) or ("regression" if name == "mse" else "classification")
            if fits not in problem_type or (name == "f1" and problem_type != "binary_classification"):
                self.problems.append(f"objective '{found}' does not fit problem_type '{problem_type}'")
        return name

    def _hyperparameters(self, auto: bool, model_types: tuple[str, ...]) -> dict[str, Any]:
        found = self.node.config.get("hyperparameters") or {}
        if not isinstance(found, dict):
            self._wrong_type("hyperparameters", found, "a dict such as {max_depth: 6}")
            return {}
        if found and auto:
            self.problems.append(
                "'hyperparameters' need 'auto: false'; with 'auto: true' they are chosen for you"
            )
        if "objective" in found:
            self.problems.append("'objective' is a config key of its own, not a hyperparameter")
        chosen = {str(key): value for key, value in found.items()}
        if not auto and len(model_types) == 1 and model_types[0] in keys.SUPPORTED_MODEL_TYPES:
            try:
                hyperparameters.check(model_types[0], chosen)
            except SpecError as error:
                self.problems.append(str(error))
        return chosen

    def _settings(self) -> Settings:
        found = self.node.config.get("settings") or {}
        if not isinstance(found, dict):
            self._wrong_type("settings", found, "a dict such as {max_runtime: 300}")
            return Settings()
        known = (*keys.SUPPORTED_SETTINGS, *keys.PLANNED_SETTINGS, *keys.REDSHIFT_SETTINGS)
        values: dict[str, Any] = {}
        for key, value in found.items():
            name = str(key).lower()
            if name in keys.REDSHIFT_SETTINGS:
                self.notices.append(name)
            elif name in keys.PLANNED_SETTINGS:
                self._unsupported(f"settings: '{name}'")
            elif name in keys.SUPPORTED_SETTINGS:
                values[name] = self._setting(name, value)
            else:
                self.problems.append(f"settings: unknown key '{key}'{_hint(name, known)}")
        return Settings(**{name: value for name, value in values.items() if value is not None})

    def _setting(self, name: str, value: Any) -> Any:
        if name == "refit":
            if not isinstance(value, bool):
                self._wrong_type("settings: refit", value, "true or false")
            return value
        if name == "holdout" and isinstance(value, dict):
            self._unsupported("settings: 'holdout' as a column or a point in time", ("a fraction",))
            return None
        number = _number(value)
        if number is None:
            self._wrong_type(f"settings: {name}", value, "a number")
            return None
        low, high, whole = {
            "max_cells": (1, float("inf"), True),
            "max_runtime": (1, float("inf"), False),
            "seed": (0, 2**32 - 1, True),
            "holdout": (0.01, 0.9, False),
            "min_rows": (10, float("inf"), True),
        }[name]
        if not low <= number <= high or (whole and number != int(number)):
            kind = "a whole number" if whole else "a number"
            limits = f"of at least {low}" if high == float("inf") else f"from {low} to {high}"
            self.problems.append(f"settings: {name} must be {kind} {limits}, found {value!r}")
            return None
        return int(number) if whole else number

    def _runtime(self) -> str:
        name = self._choice("runtime", keys.RUNTIMES) or "auto"
        if name not in keys.SUPPORTED_RUNTIMES:
            self._unsupported(f"runtime '{name}'", keys.SUPPORTED_RUNTIMES)
        return name

    def _choice(self, key: str, allowed: tuple[str, ...]) -> Any | ProblemType:
        found = self._text(key)
        if found is None:
            return None
        if found.lower() not in allowed:
            self._not_allowed(key, found, allowed)
            return None
        return found.lower()

    def _text(self, key: str) -> str | None:
        found = self.node.config.get(key)
        if found is not None and (not isinstance(found, str) or not found.strip()):
            self._wrong_type(key, found, "a text")
            return None
        return found

    def _boolean(self, key: str, default: bool) -> bool:
        found = self.node.config.get(key)
        if found is None:
            return default
        if isinstance(found, str) and found.lower() in ("on", "off", "true", "false"):
            return found.lower() in ("on", "true")
        if not isinstance(found, bool):
            self._wrong_type(key, found, "true or false")
            return default
        return found

    def _wrong_type(self, key: str, found: Any, wanted: str) -> None:
        self.problems.append(f"{key} must be {wanted}, found {type(found).__name__} {found!r}")

    def _not_allowed(self, key: str, found: str, allowed: tuple[str, ...], reason: str = "") -> None:
        self.problems.append(
            f"{key} '{found}' is not one of {', '.join(allowed)}{_hint(found.lower(), allowed)}{reason}"
        )

    def _unsupported(self, what: str, supported: tuple[str, ...] = ()) -> None:
        instead = f" (supported: {', '.join(supported)})" if supported else ""
        self.problems.append(f"{what} is not supported yet{instead}")


def _hint(found: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(found, known, 1)
    return f", did you mean '{near[0]}'?" if near else ""


def _number(value: Any) -> float | None:
    """Return the number that the value is or, as Redshift writes them, that its text spells."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def is_create_model(node: Any) -> bool:
    """Return whether a manifest's node is a model of this materialization."""
    config = getattr(node, "config", None)
    return (
        getattr(node, "resource_type", None) == "model"
        and getattr(config, "materialized", None) == "create_model"
    )


def check_manifest(manifest: Any) -> list[str]:
    """Return every problem of every create_model in the manifest, each led by model name and file.

    Besides each node's own config: two functions of one name in a schema, and a function named like a
    relation there (Postgres would take both, dbt's relation cache would not).
    """
    nodes = list(getattr(manifest, "nodes", {}).values())
    relations = {
        (node.schema, node.alias): node.name
        for node in nodes
        if getattr(node, "resource_type", None) in ("model", "seed", "snapshot")
    }
    functions: dict[tuple[str, str], str] = {}
    problems = []
    for node in filter(is_create_model, nodes):
        where = f"{node.name} ({node.original_file_path})"
        reader = ConfigReader(node)
        spec = reader.read()
        problems += [f"{where}: {problem}" for problem in reader.problems]
        if spec is None:
            continue
        place = (spec.schema, spec.function)
        if place in functions:
            problems.append(f"{where}: function '{spec.function}' is already that of {functions[place]}")
        if place in relations and relations[place] != node.name:
            problems.append(f"{where}: function '{spec.function}' has the name of model {relations[place]}")
        functions[place] = node.name
    return problems
