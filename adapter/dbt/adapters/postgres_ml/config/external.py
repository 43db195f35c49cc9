"""The config keys of a model that was made elsewhere: source, trust, endpoint, arguments, returns.

Each function returns the value and appends what is wrong to `problems`, one sentence each.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any
from urllib.parse import urlsplit

from dbt.adapters.postgres_ml.config.values import boolean_of, hint, number_of, wrong_type

from postgres_ml.contract.column import Column
from postgres_ml.contract.config import Endpoint
from postgres_ml.snapshot.copy import KINDS

#: files that can be a source, by suffix
SUFFIXES = (".joblib", ".pkl", ".pickle", ".skops", ".json", ".ubj", ".txt", ".onnx")
SPELLINGS = {
    **{"int": "integer", "int4": "integer", "int2": "smallint", "int8": "bigint"},
    **{"float": "double precision", "float8": "double precision", "double": "double precision"},
    **{"float4": "real", "decimal": "numeric", "dec": "numeric", "bool": "boolean"},
    **{"varchar": "character varying", "char": "character", "bpchar": "character", "string": "text"},
}
ARGUMENT_FORM = (
    "a text such as 'spend float8, state text', or a list such as [{spend: float8}, {state: text}]"
)
PROTOCOLS = ("mlflow", "kserve", "sagemaker")
ENDPOINT_KEYS = {
    "url": None,
    "protocol": "mlflow",
    "timeout": 10.0,
    "max_batch_rows": 1000,
    "retries": 2,
    "model": None,
    "secret": None,
    "region": None,
}
#: what only a training uses; a model made elsewhere has it behind itself
TRAINING_KEYS = ("auto", "model_type", "objective", "preprocessors", "hyperparameters")


def read_source(found: Any, problems: list[str]) -> str | None:
    """Return where the model is: an MLflow URI, or a path that begins at the dbt project."""
    if found is None:
        return None
    if not isinstance(found, str) or not found.strip():
        problems.append(wrong_type("source", found, "a text such as 'models:/churn@champion'"))
        return None
    source = found.strip()
    if source.startswith("models:/"):
        if not re.fullmatch(r"models:/[^/@]+(/\d+|@[\w.-]+)", source):
            problems.append(
                f"source '{source}' must name a version or an alias: 'models:/name/3' or 'models:/name@alias'"
            )
    elif source.startswith("runs:/"):
        if not re.fullmatch(r"runs:/[^/]+/.+", source):
            problems.append(f"source '{source}' must be 'runs:/<run id>/<artifact path>'")
    elif not source.lower().endswith(SUFFIXES):
        problems.append(
            f"source '{source}' is neither 'models:/…' nor 'runs:/…' nor a file ending in "
            + ", ".join(SUFFIXES)
        )
    return source


def read_arguments(found: Any, problems: list[str]) -> tuple[Column, ...]:
    """Return the function's arguments; () where the model's signature says them."""
    if found is None:
        return ()
    pairs: list[tuple[str, Any]] = []
    if isinstance(found, str):
        for part in filter(None, map(str.strip, re.split(r",(?![^(]*\))", found))):
            name, _, kind = part.partition(" ")
            pairs.append((name.strip('"'), kind))
    elif isinstance(found, dict) and len(found) > 1:  # dbt sorts its keys
        problems.append(f"arguments have an order, which a dict has not: write {ARGUMENT_FORM}")
        return ()
    elif isinstance(found, dict):
        pairs = [(str(name), kind) for name, kind in found.items()]
    elif isinstance(found, list) and all(isinstance(item, dict) and len(item) == 1 for item in found):
        pairs = [(str(name), kind) for item in found for name, kind in item.items()]
    else:
        problems.append(wrong_type("arguments", found, ARGUMENT_FORM))
        return ()
    columns = []
    for name, text in pairs:
        sql_type = type_of(text, f"arguments: {name}", problems)
        if sql_type is not None:
            columns.append(Column(name, sql_type, KINDS[sql_type]))
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        problems.append(f"arguments: a name stands there twice: {', '.join(names)}")
    return tuple(columns)


def type_of(found: Any, key: str, problems: list[str]) -> str | None:
    """Return the SQL type by the name that Postgres gives it, without length."""
    name = re.sub(r"\s*\(.*\)", "", str(found or "").strip().lower())
    name = SPELLINGS.get(name, name)
    if name in KINDS:
        return name
    known = (*KINDS, *SPELLINGS)
    problems.append(f"{key}: type '{found}' is not one of {', '.join(KINDS)}{hint(name, known)}")
    return None


def read_endpoint(found: Any, problems: list[str]) -> Endpoint | None:
    """Return the service that predicts."""
    if found is None:
        return None
    if isinstance(found, str):
        found = {"url": found}
    if not isinstance(found, dict):
        problems.append(wrong_type("endpoint", found, "a dict such as {url: 'https://host/invocations'}"))
        return None
    for key in found:
        if key not in ENDPOINT_KEYS:
            near = hint(str(key), tuple(ENDPOINT_KEYS))
            problems.append(f"endpoint: unknown key '{key}'{near}; the keys are {', '.join(ENDPOINT_KEYS)}")
    values: dict[str, Any] = {key: found.get(key, default) for key, default in ENDPOINT_KEYS.items()}
    if values["protocol"] not in PROTOCOLS:
        problems.append(f"endpoint: protocol '{values['protocol']}' is not one of {', '.join(PROTOCOLS)}")
    _check_url(values["url"], problems)
    for key, low, high, whole in (
        ("timeout", 0.1, 3600, False),
        ("max_batch_rows", 1, 1_000_000, True),
        ("retries", 0, 10, True),
    ):
        number = number_of(values[key])
        if number is None or not low <= number <= high or (whole and number != int(number)):
            kind = "a whole number" if whole else "a number"
            problems.append(f"endpoint: {key} must be {kind} from {low} to {high}, found {values[key]!r}")
            values[key] = ENDPOINT_KEYS[key]
        else:
            values[key] = int(number) if whole else number
    problems += [
        wrong_type(f"endpoint: {key}", values[key], "a text")
        for key in ("model", "secret", "region")
        if values[key] is not None and not isinstance(values[key], str)
    ]
    if values["protocol"] == "kserve" and not values["model"]:
        problems.append("endpoint: protocol kserve needs 'model', the name under which the server has it")
    return Endpoint(**{**values, "url": str(values["url"])})


def _check_url(url: Any, problems: list[str]) -> None:
    parts = urlsplit(url) if isinstance(url, str) else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        problems.append(f"endpoint: url must be an http or https address, found {url!r}")
    elif parts.username or parts.password:
        problems.append(
            "endpoint: a password has no place in the url, where everybody reads it: put it into the table "
            "postgres_ml.endpoint and name the row in 'secret'"
        )
    elif parts.scheme == "http" and not is_loopback(parts.hostname):
        problems.append(f"endpoint: url must be https, or http on this machine: found {url!r}")


def is_loopback(host: str) -> bool:
    """Return whether the host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_brought(config: Any, has_target: bool, problems: list[str]) -> dict[str, Any]:
    """Return the fields of TrainingSpec that say where a model comes from, checked against one another."""
    source = read_source(config.get("source"), problems)
    endpoint = read_endpoint(config.get("endpoint"), problems)
    trust = boolean_of(config.get("trust", False))
    arguments = read_arguments(config.get("arguments"), problems)
    returns = config.get("returns")
    brought = config.get("source") is not None or config.get("endpoint") is not None
    if trust is None:
        problems.append(wrong_type("trust", config.get("trust"), "true or false"))
    if source and endpoint:
        problems.append("'source' and 'endpoint' exclude each other: a model is published, or called")
    if brought:
        useless = [key for key in TRAINING_KEYS if config.get(key) is not None]
        if useless:
            reason = "a 'source'" if source else "an 'endpoint'"
            problems.append(f"{', '.join(useless)}: only a training has them, and {reason} isn't trained")
    elif config.get("trust") is not None:
        problems.append("'trust' belongs to a 'source': without one nothing is loaded")
    if endpoint and not arguments and not has_target:
        problems.append("an 'endpoint' needs 'arguments' (names and types), or a query that selects them")
    if endpoint and returns is None:
        problems.append("an 'endpoint' needs 'returns', the SQL type of its prediction")
    return {
        "source": source,
        "endpoint": endpoint,
        "trust": bool(trust),
        "arguments": arguments,
        "returns": None if returns is None else type_of(returns, "returns", problems),
    }
