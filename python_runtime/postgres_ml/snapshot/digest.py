"""What a training depends on, in a form that can be compared: rows, query, config, code and libraries.

Input: a cursor in the node's transaction. Output: `Digest`, stored with each version; two equal ones mean
that training again would make the same model. Runs in dbt's process: nothing but the standard library.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from postgres_ml.contract.column import Column
from postgres_ml.contract.config import Settings, TrainingSpec
from postgres_ml.program.version import IR_VERSION
from postgres_ml.snapshot.copy import Cursor
from postgres_ml.snapshot.query import data_digest_query

LIBRARIES = ("scikit-learn", "xgboost", "xgboost-cpu", "numpy", "pandas")
#: what of a spec says where a model is or what is done with it, and not how it is trained
NOT_TRAINING = frozenset(
    {"name", "unique_id", "database", "schema", "gates", "promote", "reindex", "retrain"}
)
SETTINGS_NOT_TRAINING = frozenset({"keep_versions"})


@dataclass(frozen=True)
class Digest:
    """Everything that the outcome of a training follows from.

    Parameters
    ----------
    data : of the query's rows as a multiset; the order they come in doesn't count, equal rows do
    n_rows : rows of the query
    query : sha256 of the compiled query, white space apart
    columns : name and type of each column of the query
    config : the keys that matter to a training and differ from their defaults, settings as 'settings.seed'
    versions : of this package, the scoring program's form and the libraries that fit
    """

    data: int
    n_rows: int
    query: str
    columns: dict[str, str]
    config: dict[str, Any]
    versions: dict[str, str]


def measure(cursor: Cursor, sql: str, columns: Sequence[Column], settings: Settings) -> tuple[int, int]:
    """Return the digest of the query's rows, and how many there are: one scan, nothing leaves the database.

    Parameters
    ----------
    columns : of the query

    Raises
    ------
    psycopg2.Error
        The database refuses the query.
    """
    cursor.execute(data_digest_query(sql, columns, settings, cursor.connection.server_version))
    digest, n_rows, _ = cursor.fetchall()[0]
    return int(digest), int(n_rows)


def query_digest(sql: str) -> str:
    """Return the sha256 of a query in which runs of white space count as one blank."""
    return hashlib.sha256(" ".join(sql.split()).encode()).hexdigest()


def training_config(spec: TrainingSpec) -> dict[str, Any]:
    """Return what of the config matters to a training, without the keys that have their default.

    A key that a later version of this package adds is thereby no change.
    """
    config = _changed(spec, NOT_TRAINING | {"settings"})
    if config.get("preprocessors"):  # an option of a set that is left out is as one that there was not yet
        config["preprocessors"] = [
            {name: value for name, value in item.items() if value is not None}
            for item in config["preprocessors"]
        ]
    settings = _changed(spec.settings, SETTINGS_NOT_TRAINING)
    return config | {f"settings.{name}": value for name, value in settings.items()}


def _changed(value: TrainingSpec | Settings, left_out: frozenset[str]) -> dict[str, Any]:
    as_json = json.loads(json.dumps(dataclasses.asdict(value)))
    found = {}
    for field in dataclasses.fields(value):
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if field.name not in left_out and getattr(value, field.name) != default:
            found[field.name] = as_json[field.name]
    return found


@functools.cache
def versions(package_version: str) -> dict[str, str]:
    """Return the versions that a training depends on, read from metadata: nothing is imported."""
    found = {name: _version(name) for name in LIBRARIES}
    installed = {name: version for name, version in found.items() if version is not None}
    return {"postgres_ml": package_version, "scoring program": str(IR_VERSION), **installed}


def _version(distribution: str) -> str | None:
    """Return the version, or None where it isn't installed: xgboost comes as one of two distributions."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def changes(old: Mapping[str, Any] | None, new: Digest) -> tuple[str, ...]:
    """Return what differs, in words: 'data (12 more rows)', 'config (max_depth)'; empty when nothing does.

    Parameters
    ----------
    old : a Digest as the catalog's JSON has it; None where a version has none
    """
    if old is None:
        return ("the catalog does not say what the newest version was trained on",)
    found = []
    if old["columns"] != new.columns:
        found.append(f"columns ({_names(old['columns'], new.columns)})")
    if old["data"] != new.data:
        found.append(f"data ({_rows(new.n_rows - old['n_rows'])})")
    if old["query"] != new.query:
        found.append("query")
    if old["config"] != new.config:
        found.append(f"config ({_names(_flat(old['config']), _flat(new.config))})")
    for name in sorted({*old["versions"], *new.versions}):
        before, after = old["versions"].get(name, "none"), new.versions.get(name, "none")
        if before != after:
            found.append(f"{name} ({before} -> {after})")
    return tuple(found)


def _rows(more: int) -> str:
    if more == 0:
        return "same number of rows, other values"
    rows = "row" if abs(more) == 1 else "rows"
    return f"{abs(more):,} {'new' if more > 0 else 'fewer'} {rows}"


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """Name hyperparameters and settings by themselves: they are what the user wrote."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= value if key == "hyperparameters" else {key.removeprefix("settings."): value}
    return flat


def _names(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    if not names:
        return "order"
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown}, … {len(names) - 5} more"
