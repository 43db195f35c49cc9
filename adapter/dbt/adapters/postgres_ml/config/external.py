"""The keys of a model made elsewhere, and the rules between them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from dbt.adapters.postgres_ml.config.kinds import Kind, Schema, capitalized, listed
from dbt.adapters.postgres_ml.config.values import hint, wrong_type
from typing_extensions import override

from postgres_ml.contract.column import Column
from postgres_ml.snapshot.copy import KINDS

#: files that can be a source, by suffix, and what each is
SUFFIXES = {
    ".joblib": "scikit-learn",
    ".pkl": "scikit-learn",
    ".pickle": "scikit-learn",
    ".skops": "scikit-learn",
    ".json": "xgboost",
    ".ubj": "xgboost",
    ".txt": "lightgbm",
    ".onnx": "ONNX",
}
SOURCE_FORMS = {
    "models:/churn/3": "a version of a model in MLflow's registry",
    "models:/churn@champion": "the version that an alias of MLflow's registry points to",
    "models:/churn/latest": "the newest version, or with a stage's name the newest of that stage",
    "models:/m-<model id>": "a logged model, as MLflow 3's `log_model` returns it",
    "runs:/<run id>/<artifact path>": "a model among the artifacts of an MLflow run",
    "mlflow-artifacts:/<path>": "a model's folder on MLflow's server; also `s3://…`, `gs://…` and the like",
    "ml/churn.joblib": "a file; a relative path begins at the dbt project",
    "ml/churn": "a folder that MLflow saved; a relative path begins at the dbt project",
}
#: the forms of `models:/`, as MLflow reads them: a version, `latest` or a stage; an alias; a logged model
REGISTERED = r"models:/([^/@]+/[^/@]+|[^/@]+@[^/@]+|m-[0-9a-f]+)"
RUN = r"runs:/[^/]+/.+"
#: beginnings of what MLflow resolves or downloads; everything else is a path
MLFLOW = re.compile(
    r"models:|runs:|mlflow-artifacts:|file:|dbfs:|(s3|gs|wasbs|abfss|hdfs|r2)://", re.IGNORECASE
)
#: where MLflow downloads a model's folder from
STORED = r"(mlflow-artifacts:|file:|dbfs:|(s3|gs|wasbs|abfss|hdfs|r2):/)/.+"
FOLDER = r"[^:]*/[^.:/]*"
SPELLINGS = {
    **{"int": "integer", "int4": "integer", "int2": "smallint", "int8": "bigint"},
    **{"float": "double precision", "float8": "double precision", "double": "double precision"},
    **{"float4": "real", "decimal": "numeric", "dec": "numeric", "bool": "boolean"},
    **{"varchar": "character varying", "char": "character", "bpchar": "character", "string": "text"},
    **{"timestamp": "timestamp without time zone", "timestamptz": "timestamp with time zone"},
    **{"time": "time without time zone", "timetz": "time with time zone"},
}
ARGUMENT_FORM = (
    "a string such as 'spend float8, state text', or a list such as [{spend: float8}, {state: text}]"
)
#: what only a training uses
TRAINING_KEYS = ("auto", "model_type", "objective", "preprocessors", "hyperparameters", "interval", "weight")


class Source(Kind):
    """Where a trained model is: an MLflow URI, or a path that begins at the dbt project."""

    @override
    def read(self, where: str, found: Any, problems: list[str]) -> str | None:
        if not isinstance(found, str) or not found.strip():
            problems.append(wrong_type(where, found, "a string such as 'models:/churn@champion'"))
            return None
        source = found.strip()
        if source.startswith("models:"):
            form = REGISTERED
            wanted = (
                "must name a version or an alias, or a logged model: 'models:/name/3', "
                "'models:/name/latest', 'models:/name@alias' or 'models:/m-<model id>'"
            )
        elif source.startswith("runs:"):
            form, wanted = RUN, "must be 'runs:/<run id>/<artifact path>'"
        else:
            form = rf"{STORED}|{FOLDER}|.*({'|'.join(map(re.escape, SUFFIXES))})"
            wanted = (
                f"is neither 'models:/…' nor 'runs:/…' nor a file ending in {', '.join(SUFFIXES)} "
                "nor a folder that MLflow saved"
            )
        if re.fullmatch(form, source, re.IGNORECASE):
            return source
        problems.append(f"{where} '{source}' {wanted}")
        return None

    @property
    @override
    def words(self) -> str:
        uris = listed(("models:/…", "runs:/…"))
        return f"{uris}, a file ending in {listed(SUFFIXES)}, or a folder of MLflow's"

    @override
    def schema(self) -> Schema:
        suffixes = "|".join(rf"\{suffix}" for suffix in SUFFIXES)
        forms = rf"{REGISTERED}|{RUN}|{STORED}|{FOLDER}|(?!models:|runs:).*({suffixes})"
        return {"type": "string", "pattern": f"^({forms})$", "examples": list(SOURCE_FORMS)}


class SqlType(Kind):
    """A type that arguments and predictions can have: read as Postgres names it, without length."""

    @override
    def read(self, where: str, found: Any, problems: list[str]) -> str | None:
        name = " ".join(re.sub(r"\(.*?\)", " ", str(found).lower()).split())
        name = SPELLINGS.get(name, name)
        if name in KINDS:
            return name
        likely = hint(name, (*KINDS, *SPELLINGS))
        problems.append(f"{where}: type '{found}' is not one of {', '.join(KINDS)}{likely}")
        return None

    @property
    @override
    def words(self) -> str:
        return "a SQL type"

    @override
    def schema(self) -> Schema:
        names = sorted({*KINDS, *SPELLINGS})
        with_length = {"type": "string", "pattern": r"\(|[A-Z]"}
        return {"anyOf": [{"enum": names}, with_length]}


class Arguments(Kind):
    """The function's arguments, names and types: read as a tuple of columns."""

    @override
    def read(self, where: str, found: Any, problems: list[str]) -> tuple[Column, ...] | None:
        pairs = self._pairs(where, found, problems)
        columns = []
        for name, text in pairs:
            sql_type = SqlType().read(f"{where}: {name}", text or "", problems)
            if sql_type is not None:
                columns.append(Column(name, sql_type, KINDS[sql_type]))
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            problems.append(f"{where}: each name may be given only once, found {', '.join(names)}")
        return tuple(columns)

    def _pairs(self, where: str, found: Any, problems: list[str]) -> list[tuple[str, Any]]:
        """Return names and types, in their order."""
        if isinstance(found, str):
            parts = filter(None, map(str.strip, re.split(r",(?![^(]*\))", found)))
            split = (part.partition(" ") for part in parts)
            return [(name.strip('"'), sql_type) for name, _, sql_type in split]
        if isinstance(found, dict) and len(found) > 1:
            problems.append(
                f"{where} must keep their order, and dbt sorts the keys of a dict: write {ARGUMENT_FORM}"
            )
            return []
        items = [found] if isinstance(found, dict) else found
        if isinstance(items, list) and all(isinstance(item, dict) and len(item) == 1 for item in items):
            return [(str(name), sql_type) for item in items for name, sql_type in item.items()]
        problems.append(wrong_type(where, found, ARGUMENT_FORM))
        return []

    @property
    @override
    def words(self) -> str:
        return "`'spend float8, state text'` or `[{spend: float8}, {state: text}]`"

    @override
    def schema(self) -> Schema:
        one = {
            "type": "object",
            "additionalProperties": SqlType().schema(),
            "minProperties": 1,
            "maxProperties": 1,
        }
        return {
            "anyOf": [
                {"type": "string", "pattern": r"\S\s+\S", "description": f"{capitalized(ARGUMENT_FORM)}."},
                {"type": "array", "items": one},
                one,
            ]
        }


class Url(Kind):
    """The address of a service: https, or http on this machine, and without a password."""

    @override
    def read(self, where: str, found: Any, problems: list[str]) -> str | None:
        parts = _split_url(found)
        if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
            problems.append(f"{where} must be an http or https address, found {found!r}")
        elif parts.username or parts.password:
            problems.append(
                f"{where} must not contain a user name or password, because everyone who sees the project or "
                "the function can read them: put them into the table postgres_ml.endpoint and name the row "
                "in 'secret'"
            )
        elif parts.query or parts.fragment:
            problems.append(
                f"{where} must end with its path, because everyone who can see the function can read it and "
                "what follows a '?' is not sent: put a key into the headers of postgres_ml.endpoint's secret"
            )
        elif {".", ".."} & {unquote(segment) for segment in parts.path.split("/")}:
            problems.append(
                f"{where} must be the address itself, without '.' and '..' in its path: a secret is sent to "
                f"what begins with its url_prefix, found {found!r}"
            )
        elif parts.scheme == "http" and not is_loopback(parts.hostname):
            problems.append(f"{where} must be https, or http on this machine: found {found!r}")
        else:
            return str(found)
        return None

    @property
    @override
    def words(self) -> str:
        return "an https address, or http on this machine"

    @override
    def schema(self) -> Schema:
        return {"type": "string", "pattern": r"^https?://[^/?#@\s]+(/[^?#\s]*)?$"}


def _split_url(found: Any) -> SplitResult | None:
    try:
        parts = urlsplit(found) if isinstance(found, str) else None
        return parts if parts is None or parts.port is None or parts.port else None
    except ValueError:  # a bracket that is not closed, or a port that is none
        return None


def is_loopback(host: str) -> bool:
    """Return whether the host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def external_problems(given: Mapping[str, Any], values: Mapping[str, Any], returns_meaning: str) -> list[str]:
    """Return what is wrong with the keys of a model made elsewhere beside one another, one sentence each.

    Parameters
    ----------
    given : the config's keys as they were found
    values : those of them that are allowed, as they were read
    returns_meaning : of the key `returns`, which an endpoint requires
    """
    problems = []
    if "source" in given and "endpoint" in given:
        problems.append(
            "'source' and 'endpoint' exclude each other: 'source' publishes a model in the database, "
            "'endpoint' calls a service"
        )
    made = next((key for key in ("source", "endpoint") if key in given), None)
    if made:
        useless = [key for key in TRAINING_KEYS if key in given]
        if useless:
            problems.append(f"{', '.join(useless)}: not allowed beside '{made}', which trains nothing")
    elif "trust" in given:
        problems.append("'trust' needs a 'source': it says whether loading that may run code")
    if "endpoint" in given:
        endpoint = values.get("endpoint", {})
        if endpoint.get("protocol") == "kserve" and not endpoint.get("model"):
            problems.append("endpoint: protocol kserve needs 'model', the name of the model on the server")
        if "arguments" not in given and "target" not in given:
            problems.append("an 'endpoint' needs 'arguments' (names and types), or a query that selects them")
        if "returns" not in given:
            problems.append(f"an 'endpoint' needs 'returns', {returns_meaning}")
    return problems
