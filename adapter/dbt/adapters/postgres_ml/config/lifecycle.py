"""The config keys that say when a model is trained and when the result is published.

Each function returns the value and the problems found, one sentence each, as `model_config` reports them.
"""

from __future__ import annotations

import difflib
import re
from typing import Any

from postgres_ml.contract.config import Gate

METRICS = (
    *("accuracy", "f1", "f1_macro", "auc", "log_loss", "precision", "recall"),
    *("mse", "rmse", "mae", "r2", "inertia", "silhouette"),
)
#: how the names of metrics begin that a dbt model in Python returns
OWN_METRICS = "own_"
RETRAIN = ("on_change", "always", "never")
UNIT_SECONDS = {"minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
COMPARISON = re.compile(r"\s*(>=|<=|>|<)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*", re.IGNORECASE)
GATE_FORM = "a comparison such as '>= 0.6', or {threshold: '>= 0.6', severity: warn}"


def read_gates(found: Any) -> tuple[tuple[Gate, ...], list[str]]:
    """Return the gates of `{metric: '>= 0.6', …}`; `severity` among the keys is that of all of them."""
    if found is None:
        return (), []
    if not isinstance(found, dict):
        return (), [f"gates must be a dict such as {{f1: '>= 0.6'}}, found {type(found).__name__} {found!r}"]
    gates, problems = list[Gate](), list[str]()
    general = found.get("severity", "error")
    for key, value in found.items():
        if key == "severity":
            problems += _severity_problems("gates: severity", value)
            continue
        metric = str(key).lower().replace("f1macro", "f1_macro")
        if metric not in METRICS and not metric.startswith(OWN_METRICS):
            near = difflib.get_close_matches(metric, METRICS, 1, 0.5)
            hint = f", did you mean '{near[0]}'?" if near else f": the metrics are {', '.join(METRICS)}"
            problems.append(f"gates: unknown metric '{key}'{hint}")
            continue
        threshold = value.get("threshold") if isinstance(value, dict) else value
        severity = value.get("severity", general) if isinstance(value, dict) else general
        extra = sorted(set(value) - {"threshold", "severity"}) if isinstance(value, dict) else []
        parsed = COMPARISON.fullmatch(str(threshold))
        if parsed is None or extra:
            problems.append(f"gates: {key} must be {GATE_FORM}, found {value!r}")
            continue
        if isinstance(value, dict) and "severity" in value:
            problems += _severity_problems(f"gates: severity of {key}", severity)
        gates.append(Gate(metric, parsed[1], float(parsed[2]), severity))  # type: ignore[arg-type]
    return tuple(gates), problems


def _severity_problems(what: str, found: Any) -> list[str]:
    return [] if found in ("error", "warn") else [f"{what} must be error or warn, found {found!r}"]


def read_retrain(found: Any) -> tuple[str | float, list[str]]:
    """Return the policy's name, or for `{after: '7 days'}` the seconds."""
    form = f"one of {', '.join(RETRAIN)} or {{after: '7 days'}}"
    if found is None:
        return "on_change", []
    if isinstance(found, str) and found.lower() in RETRAIN:
        return found.lower(), []
    if isinstance(found, dict) and set(found) == {"after"}:
        parsed = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(minute|hour|day|week)s?\s*", str(found["after"]))
        if parsed is not None:
            return float(parsed[1]) * UNIT_SECONDS[parsed[2]], []
        return "on_change", [
            f"retrain: after must be a number of minutes, hours, days or weeks such as '7 days', "
            f"found {found['after']!r}"
        ]
    return "on_change", [f"retrain must be {form}, found {found!r}"]
