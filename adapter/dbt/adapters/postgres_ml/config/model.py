"""A create_model node's config: checked as a whole, every problem at once, and turned into a TrainingSpec."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dbt.adapters.postgres_ml.config import keys
from dbt.adapters.postgres_ml.config.external import read_brought
from dbt.adapters.postgres_ml.config.lifecycle import read_gates, read_retrain
from dbt.adapters.postgres_ml.config.preprocessors import read_preprocessors
from dbt.adapters.postgres_ml.config.settings import read_settings
from dbt.adapters.postgres_ml.config.values import boolean_of, hint, wrong_type

from postgres_ml.contract.config import ProblemType, TrainingSpec
from postgres_ml.contract.exceptions import SpecError
from postgres_ml.contract.sql_names import IDENTIFIER_BYTES
from postgres_ml.fit import hyperparameters
from postgres_ml.fit.hyperparameters import read_clause


@dataclass
class ConfigReader:
    """Reads one node's config and collects what is wrong with it.

    Attributes
    ----------
    problems : one sentence each, with the value found, the values allowed and the likely key
    notices : keys that are accepted and have no effect
    warnings : sentences to say when the model is built
    """

    node: Any
    problems: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def read(self) -> TrainingSpec | None:
        """Return the specification, or None where there are problems."""
        node, config = self.node, self.node.config
        self._check_keys()
        model_types, auto = self._model_types()
        target = self._target(model_types)
        problem_type = self._choice("problem_type", keys.PROBLEM_TYPES)
        objective = self._objective(auto, problem_type, model_types)
        if objective in keys.XGBOOST_OBJECTIVES:
            problem_type = problem_type or keys.XGBOOST_OBJECTIVES[objective]
        if model_types == ("kmeans",):
            problem_type = "clustering"
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
            "preprocessors": read_preprocessors(config.get("preprocessors"), self.problems),
            "hyperparameters": self._hyperparameters(auto, model_types),
            "settings": read_settings(config.get("settings") or {}, self.problems, self.notices),
            "runtime": self._runtime(),
            "explain": self._boolean("explain", False),
            **read_brought(config, bool(target), self.problems),
            "promote": self._choice("promote", keys.PROMOTE) or "always",
        }
        self._check_split_column(spec)
        spec["gates"], problems = read_gates(config.get("gates"))
        spec["retrain"], more = read_retrain(config.get("retrain"))
        self.problems += problems + more
        return None if self.problems else TrainingSpec(**spec)

    def _target(self, model_types: tuple[str, ...]) -> str | None:
        target = self._text("target")
        if model_types == ("kmeans",):
            if target is not None:
                self.problems.append(
                    f"kmeans has no 'target' (found '{target}'): clusters are found, not predicted; "
                    "leave the column out of the query too"
                )
            for key in ("problem_type", "objective"):
                if self.node.config.get(key) is not None:
                    self.problems.append(f"kmeans has no '{key}'")
            return None
        is_brought = any(self.node.config.get(key) is not None for key in ("source", "endpoint"))
        is_python = getattr(self.node, "language", "sql") == "python"
        if target is None and not self.node.config.get("target") and not is_brought and not is_python:
            self.problems.append("config 'target' is required: the column of the query to predict")
        return target

    def _check_split_column(self, spec: dict[str, Any]) -> None:
        split = spec["settings"].split_column
        if split is None:
            return
        if split == spec["target"]:
            self.problems.append(f"settings: holdout: '{split}' is the target")
        for item in spec["preprocessors"] or ():
            if split in item.columns:
                self.problems.append(
                    f"preprocessors: '{split}' says which rows are held out and is no feature"
                )

    def _check_keys(self) -> None:
        known = (*keys.SUPPORTED_KEYS, *keys.PLANNED_KEYS)
        for key in self.node.config.extra:
            if str(key).lower() in keys.REDSHIFT_SETTINGS:
                self.notices.append(str(key).lower())
            elif key in keys.PLANNED_KEYS:
                self._unsupported(f"config '{key}'")
            elif key not in known:
                self.problems.append(
                    f"unknown config '{key}'{hint(key, known)} (keys of your own belong under 'meta')"
                )

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
        for what, text in (("function", name), ("schema", self.node.schema), ("alias", self.node.alias)):
            # dbt writes '"' ~ name ~ '"', and looks for relations with `ilike '<schema>'`
            if text and ('"' in text or not text.isprintable() or (what == "schema" and "'" in text)):
                self.problems.append(
                    f"{what} {text!r} holds a quote or a control character, which dbt puts into SQL as it "
                    "is; choose another name"
                )
        return name

    def _model_types(self) -> tuple[tuple[str, ...], bool]:
        """Return the model types, and auto: kmeans, which auto never compares, turns its default to false."""
        found = self.node.config.get("model_type")
        listed = found if isinstance(found, list | tuple) else [] if found is None else [found]
        names = tuple(str(item).lower() for item in listed)
        auto = self._boolean("auto", names != ("kmeans",))
        n_known = sum(self._is_model_type(name, auto) for name in names)  # each says what is wrong with it
        if auto:
            return names or keys.AUTO_MODEL_TYPES, auto
        if found is None:
            self.problems.append(f"'auto: false' needs a 'model_type' ({', '.join(keys.MODEL_TYPES)})")
        elif n_known == len(names) != 1:
            self.problems.append(f"'auto: false' needs one 'model_type', found {found!r}")
        return names, auto

    def _is_model_type(self, name: str, auto: bool) -> bool:
        if name not in keys.MODEL_TYPES:
            self._not_allowed("model_type", name, keys.MODEL_TYPES)
        elif auto and name == "kmeans":
            self.problems.append("model_type 'kmeans' needs 'auto: false'")
        elif auto and name not in keys.AUTO_MODEL_TYPES:
            self._unsupported(f"model_type '{name}' with 'auto: true'", keys.AUTO_MODEL_TYPES)
        return name in keys.MODEL_TYPES

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
        if isinstance(found, str):
            found = read_clause(found)
        if not isinstance(found, dict):
            self.problems.append(wrong_type("hyperparameters", found, "a dict such as {max_depth: 6}"))
            return {}
        if found and auto:
            self.problems.append(
                "'hyperparameters' need 'auto: false'; with 'auto: true' they are chosen for you"
            )
        chosen = {str(key): value for key, value in found.items()}
        if not auto and len(model_types) == 1 and model_types[0] in keys.MODEL_TYPES:
            try:
                self.warnings += hyperparameters.check(model_types[0], chosen).warnings
            except SpecError as error:
                self.problems.append(str(error))
        return chosen

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
            self.problems.append(wrong_type(key, found, "a text"))
            return None
        return found

    def _boolean(self, key: str, default: bool) -> bool:
        found = self.node.config.get(key)
        if found is None:
            return default
        value = boolean_of(found)
        if value is None:
            self.problems.append(wrong_type(key, found, "true or false"))
            return default
        return value

    def _not_allowed(self, key: str, found: str, allowed: tuple[str, ...], reason: str = "") -> None:
        self.problems.append(
            f"{key} '{found}' is not one of {', '.join(allowed)}{hint(found.lower(), allowed)}{reason}"
        )

    def _unsupported(self, what: str, supported: tuple[str, ...] = ()) -> None:
        instead = f" (supported: {', '.join(supported)})" if supported else ""
        self.problems.append(f"{what} is not supported yet{instead}")


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


def execute_grantees(node: Any) -> list[str] | None:
    """Return the roles of `grants: {execute: [...]}`; None where the config doesn't say."""
    grants = {str(key).lower(): value for key, value in (node.config.get("grants") or {}).items()}
    found = grants.get("execute")
    if found is None:
        return None
    return [found] if isinstance(found, str) else list(found)
