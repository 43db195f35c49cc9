"""Models from MLflow: which version a name means today, its files, its signature.

With `track` and `tracking_store` the only module here that imports mlflow.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow.artifacts
import mlflow.pyfunc
import pandas as pd
import sqlalchemy.exc
import yaml
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.tracking import MlflowClient
from mlflow.types.schema import AnyType

from postgres_ml.contract.column import Column
from postgres_ml.contract.exceptions import ArtifactError, TrackingError
from postgres_ml.contract.job import TRACKING_URI
from postgres_ml.contract.redact import without_secrets
from postgres_ml.snapshot.copy import KINDS
from postgres_ml.track import store as tracking_store

NAMED = "models:/"
PREDICT = "predict"
SQL_TYPES = {
    "boolean": "boolean",
    "integer": "integer",
    "long": "bigint",
    "float": "real",
    "double": "double precision",
    "string": "text",
    "datetime": "timestamp without time zone",
}
#: where each flavor keeps its model, by the key in the file MLmodel
FILES = {"sklearn": "pickled_model", "xgboost": "data", "lightgbm": "data", "onnx": "data"}


@dataclass(frozen=True)
class Fetched:
    """A downloaded MLflow model.

    Parameters
    ----------
    origin : for people, 'churn version 3'
    uri : of this version, whatever alias led to it
    columns, returns : of the signature
    untyped : inputs of the signature that no SQL type fits, in words; then `columns` is ()
    method : of the estimator, which MLflow's pyfunc calls
    files : the model's file of each flavor that has one
    example : the input example; None where there is none, or it is no table
    labelled : whether the signature's prediction is an array of labels: whole numbers, booleans or texts
    """

    origin: str
    uri: str
    folder: Path
    flavors: tuple[str, ...]
    columns: tuple[Column, ...] = ()
    returns: str | None = None
    files: dict[str, Path] = field(default_factory=dict)
    example: pd.DataFrame | None = None
    labelled: bool = False
    untyped: str = ""
    method: str = PREDICT


def resolve(source: str, client: MlflowClient) -> tuple[str, str]:
    """Return the URI of the version that the source means now, and the version in words.

    Raises
    ------
    ArtifactError
        No version of the model, or none in the stage that the source names.
    MlflowException
        There is no such model, version, alias or stage.
    """
    if not source.startswith(NAMED):
        return source, source
    path = source.removeprefix(NAMED)
    name, slash, wanted = path.partition("/")
    words = ""
    if not slash and "@" in path:
        name, _, wanted = path.rpartition("@")
        version, words = client.get_model_version_by_alias(name, wanted).version, f" ({wanted})"
    elif not slash:
        return source, f"{client.get_logged_model(path).name} {path}"
    elif wanted.isdigit():
        version = client.get_model_version(name, wanted).version
    else:
        version, words = _newest(source, client, name, wanted), f" ({wanted})"
    return f"models:/{name}/{version}", f"{name} version {version}{words}"


def _newest(source: str, client: MlflowClient, name: str, wanted: str) -> int:
    """Return the newest version of all or, where `wanted` is no 'latest', of a stage."""
    stages = None if wanted.lower() == "latest" else [wanted]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # stages are deprecated, and still in use
        found = client.get_latest_versions(name, stages)
    if not found:
        among = "" if stages is None else f" in the stage {wanted}"
        raise ArtifactError(f"source {source}: the model {name} has no version{among}")
    return max(int(version.version) for version in found)


def fetch(source: str, tracking_uri: str, directory: Path) -> Fetched:
    """Return the model, downloaded.

    Raises
    ------
    ArtifactError
        There is no such model or version, or its file MLmodel is damaged.
    TrackingError
        MLflow can't be reached.
    """
    mlflow.set_tracking_uri(tracking_store.mlflow_uri(tracking_uri))
    with _errors(source, tracking_uri):
        uri, origin = source, source
        if source.startswith(NAMED):  # a folder needs no store, and a new one may still be in the making
            uri, origin = resolve(source, tracking_store.connect(tracking_uri))
        if Path(uri).is_dir():
            folder, origin = Path(uri), Path(uri).name
        else:
            target = directory / "source"
            target.mkdir(parents=True, exist_ok=True)
            folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(target)))
    if not (folder / "MLmodel").is_file():
        raise ArtifactError(f"source {source} is not an MLflow model: it has no file MLmodel")
    with _errors(source, tracking_uri):
        described = _described(source, folder)
    files = {}
    for flavor, key in FILES.items():
        if flavor in described.flavors and described.flavors[flavor].get(key):
            files[flavor] = folder / described.flavors[flavor][key]
    columns, returns, untyped = _signature(described)
    method = described.flavors.get("python_function", {}).get("predict_fn", PREDICT)
    return Fetched(
        origin, uri, folder, tuple(described.flavors), columns, returns, files, _example(described, folder),
        _is_labelled(described), untyped, method,
    )  # fmt: skip


def _described(source: str, folder: Path) -> Any:
    """Return what the file MLmodel says.

    Raises
    ------
    ArtifactError
        It is damaged.
    """
    try:
        return Model.load(str(folder))
    except (yaml.YAMLError, AttributeError, TypeError, KeyError, ValueError) as error:
        # what MLflow's reader raises of a file that is empty, cut short, or no YAML
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise ArtifactError(
            f"source {source}: its file MLmodel is damaged ({reason}); save or log the model again"
        ) from error


def _example(described: Any, folder: Path) -> pd.DataFrame | None:
    """Return the input example as a table; None where there is none that can be read: it is a convenience."""
    if not described.saved_input_example_info:
        return None
    try:
        example = described.load_input_example(str(folder))
    except (MlflowException, OSError, ValueError, TypeError, KeyError):
        return None
    return example if isinstance(example, pd.DataFrame) else None


@contextlib.contextmanager
def _errors(source: str, tracking_uri: str) -> Iterator[None]:
    place = without_secrets(tracking_uri)
    try:
        yield
    except MlflowException as error:
        missing = error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
        kind = ArtifactError if missing else TrackingError
        raise kind(f"source {source}: {error.message} (MLflow at {place})") from error
    except ImportError as error:  # the client of a cloud's storage is no requirement of MLflow
        raise ArtifactError(
            f"source {source} needs the package {error.name}, which isn't installed in dbt's environment"
        ) from error
    except (sqlalchemy.exc.SQLAlchemyError, OSError) as error:
        raise TrackingError(f"source {source} can't be read from MLflow at {place}: {error}") from error


def _signature(described: Any) -> tuple[tuple[Column, ...], str | None, str]:
    """Return the arguments, what is returned, and the inputs that no SQL type fits."""
    inputs = None if described.signature is None else described.signature.inputs
    if inputs is None or not inputs.has_input_names() or inputs.is_tensor_spec():
        return (), None, ""
    columns, problems = [], []
    for item in inputs.inputs:
        # our own signatures say any for numbers, since MLflow refuses an int64 where it was told double
        name = "double precision" if isinstance(item.type, AnyType) else _sql_type(item.type)
        if name is None:
            problems.append(f'"{item.name}" is {item.type}')
        else:
            columns.append(Column(item.name, name, KINDS[name]))
    outputs = described.signature.outputs
    kinds = outputs.inputs if outputs is not None and not outputs.is_tensor_spec() else []
    returns = _sql_type(kinds[0].type) if len(kinds) == 1 else None
    return () if problems else tuple(columns), returns, "; ".join(problems)


def _is_labelled(described: Any) -> bool:
    """Return whether the signature's prediction is an array of what is no fraction."""
    outputs = None if described.signature is None else described.signature.outputs
    return outputs is not None and outputs.is_tensor_spec() and outputs.inputs[0].type.kind in "iubUO"


def _sql_type(kind: Any) -> str | None:
    return SQL_TYPES.get(getattr(kind, "name", ""))


def load_pyfunc(folder: Path) -> Any:
    """Return the model as MLflow loads it, which runs its code.

    Raises
    ------
    ArtifactError
        A package that it needs isn't installed here.
    """
    try:
        return mlflow.pyfunc.load_model(str(folder))
    except ImportError as error:
        raise ArtifactError(
            f"the MLflow model needs the package {error.name}, which isn't installed here"
        ) from error


def main(source: str) -> int:
    """Print the version that a source means now; return 3 if there is none, 1 if MLflow can't be asked.

    The store's URI is that of the environment: it may hold a password, and arguments are seen by everybody.
    """
    logging.disable(logging.WARNING)
    tracking_uri = os.environ[TRACKING_URI]
    try:
        with _errors(source, tracking_uri):
            sys.stdout.write(resolve(source, tracking_store.connect(tracking_uri))[0] + "\n")
    except (ArtifactError, TrackingError) as error:
        sys.stderr.write(" ".join(str(error).split()) + "\n")
        return 3 if isinstance(error, ArtifactError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
