"""The keys `gates` and `retrain`: when a new version is published, and when a model is trained."""

from __future__ import annotations

import math
import re
from typing import Any

from dbt.adapters.postgres_ml.config.kinds import (
    CAPITALS,
    Kind,
    Schema,
    capitalized,
    listed,
    one_of_any_case,
)
from dbt.adapters.postgres_ml.config.values import unknown_key, wrong_type
from typing_extensions import override

from postgres_ml.contract.config import Gate
from postgres_ml.evaluate.gates import METRICS_BY_PROBLEM, OWN_METRICS

METRICS = tuple(dict.fromkeys(name for names in METRICS_BY_PROBLEM.values() for name in names))
COMPARISON = re.compile(r"\s*(>=|<=|>|<)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*")
GATE_FORM = "a comparison such as '>= 0.6', or {threshold: '>= 0.6', severity: warn}"
SEVERITIES = {
    "error": "the node fails",
    "warn": "the node passes with a warning",
}
GATE_FORMS = {
    "{f1: '>= 0.6'}": "a comparison for each metric: `>=`, `>`, `<=` or `<` and a number",
    "{f1: {threshold: '>= 0.6', severity: warn}}": "the same, with the severity of this gate",
    "{f1: '>= 0.6', severity: warn}": "one severity for all gates; `error` by default",
}

RETRAIN = {
    "on_change": "when the rows, the query, the config or a library changed since the newest version",
    "always": "in every build",
    "never": "once; later builds say what has changed since and keep the version",
}
RETRAIN_AFTER = "when the newest version is older than that: minutes, hours, days or weeks"
UNIT_SECONDS = {"minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
AGE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(minute|hour|day|week)s?\s*")


class Gates(Kind):
    """Conditions on metrics, and the severity of all of them: read as a tuple of `Gate`."""

    @override
    def read(self, where: str, found: Any, problems: list[str]) -> tuple[Gate, ...] | None:
        if not isinstance(found, dict):
            problems.append(wrong_type(where, found, "a dict such as {f1: '>= 0.6'}"))
            return None
        general = found.get("severity", "error")
        problems += _severity_problems(f"{where}: severity", general)
        read = (
            _read_gate(where, str(name), value, general, problems)
            for name, value in found.items()
            if name != "severity"
        )
        return tuple(gate for gate in read if gate is not None)

    @property
    @override
    def words(self) -> str:
        return "a dict such as `{f1: '>= 0.6'}`"

    @override
    def schema(self) -> Schema:
        severity = {
            "enum": list(SEVERITIES),
            "description": " ".join(f"{name}: {what}." for name, what in SEVERITIES.items()),
        }
        comparison = {"type": "string", "pattern": f"^{COMPARISON.pattern}$"}
        detailed = {
            "type": "object",
            "properties": {"threshold": comparison, "severity": severity},
            "required": ["threshold"],
            "additionalProperties": False,
        }
        gate = {
            "description": f"{capitalized(GATE_FORM)}.",
            "anyOf": [comparison, detailed, {"$ref": "#/$defs/jinja"}],
        }
        return {
            "type": "object",
            "properties": {**dict.fromkeys(METRICS, gate), "severity": severity},
            "patternProperties": {f"^{OWN_METRICS}": gate, **CAPITALS},
            "additionalProperties": False,
        }


def _read_gate(where: str, name: str, found: Any, general: Any, problems: list[str]) -> Gate | None:
    metric = name.lower().replace("f1macro", "f1_macro")
    if metric not in METRICS and not metric.startswith(OWN_METRICS):
        problems.append(unknown_key(where, name, METRICS, "metric"))
        return None
    detailed = found if isinstance(found, dict) else {"threshold": found}
    parsed = COMPARISON.fullmatch(str(detailed.get("threshold")))
    is_number = parsed is not None and math.isfinite(float(parsed[2]))
    if parsed is None or not is_number or set(detailed) - {"threshold", "severity"}:
        problems.append(f"{where}: {name} must be {GATE_FORM}, found {found!r}")
        return None
    if "severity" in detailed:
        problems += _severity_problems(f"{where}: severity of {name}", detailed["severity"])
    operator: Any = parsed[1]
    return Gate(metric, operator, float(parsed[2]), detailed.get("severity", general))


def _severity_problems(what: str, found: Any) -> list[str]:
    return (
        [] if found in tuple(SEVERITIES) else [f"{what} must be {' or '.join(SEVERITIES)}, found {found!r}"]
    )


class Retrain(Kind):
    """A policy's name, or an age: read as the name or as seconds."""

    @override
    def read(self, where: str, found: Any, problems: list[str]) -> str | float | None:
        if isinstance(found, str) and found.lower() in RETRAIN:
            return found.lower()
        if not isinstance(found, dict) or set(found) != {"after"}:
            problems.append(
                f"{where} must be one of {', '.join(RETRAIN)} or {{after: '7 days'}}, found {found!r}"
            )
            return None
        parsed = AGE.fullmatch(str(found["after"]))
        if parsed is None:
            problems.append(
                f"{where}: after must be a number of minutes, hours, days or weeks such as '7 days', "
                f"found {found['after']!r}"
            )
            return None
        return float(parsed[1]) * UNIT_SECONDS[parsed[2]]

    @property
    @override
    def words(self) -> str:
        return f"{listed(RETRAIN)}, `{{after: '7 days'}}`"

    @override
    def schema(self) -> Schema:
        names = tuple({"const": name, "description": f"Train {when}."} for name, when in RETRAIN.items())
        age = {"type": "string", "pattern": f"^{AGE.pattern}$", "description": f"Train {RETRAIN_AFTER}."}
        after = {
            "type": "object",
            "properties": {"after": age},
            "required": ["after"],
            "additionalProperties": False,
        }
        return {"anyOf": [*one_of_any_case(names, RETRAIN)["anyOf"], after]}
