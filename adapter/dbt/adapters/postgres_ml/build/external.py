"""A create_model node with a `source`: the model was made elsewhere, and is loaded instead of trained."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from dbt.adapters.postgres_ml.build.node import NodeBuild, TrainingQuery
from dbt.adapters.postgres_ml.catalog.read import STUB, StoredVersion
from dbt.adapters.postgres_ml.config.external import MLFLOW
from dbt.adapters.postgres_ml.connections import project_root, tracking_uri

from postgres_ml.contract.config import TrainingSpec
from postgres_ml.contract.exceptions import ArtifactError, TrackingError
from postgres_ml.contract.job import TRACKING_URI
from postgres_ml.contract.redact import without_secrets
from postgres_ml.process.environment import absolute_uri, environment
from postgres_ml.snapshot.copy import SnapshotSummary

PATIENCE_S = 60
#: before the name of such a file, and how long that is: a tensor's entry `location` as protobuf writes it
ONNX_WEIGHTS = re.compile(rb"\x0a\x08location\x12([\x01-\x7f])")
MISSING = 3  # exit status of the process that asks MLflow: it answers, and has no such model


class ExternalModelBuild(NodeBuild):
    """The build of a node with a source; its query, if it has one, selects rows to evaluate the model on."""

    trains_here = False

    @property
    def has_query(self) -> bool:
        """Whether anything but comments stands in the body."""
        return bool(re.sub(r"--[^\n]*|/\*.*?\*/", "", self.sql, flags=re.DOTALL).strip())

    def describe(self, cursor: Any) -> TrainingQuery:
        """Return the query and its columns; without a query there are none."""
        return super().describe(cursor) if self.has_query else TrainingQuery(self.sql, (), (), None)

    def measure(self, cursor: Any, query: TrainingQuery) -> tuple[int, int]:
        """Return the digest of the rows to evaluate on, and how many there are."""
        return super().measure(cursor, query) if self.has_query else (0, 0)

    def fits(self, query: TrainingQuery, serving: StoredVersion) -> bool:
        """Return whether what serves has its name: its signature is the model's, whatever the query is."""
        if serving.state == STUB:
            return super().fits(query, serving)
        return serving.function_name == self.spec.function

    def copy_rows(self, cursor: Any, query: TrainingQuery) -> SnapshotSummary | None:
        """Copy the rows to evaluate on, if there are any."""
        return super().copy_rows(cursor, query) if self.has_query else None

    @functools.cached_property
    def source(self) -> str | None:
        """The version that the source means now, asked once a build: what is compared is what is loaded.

        Raises
        ------
        ArtifactError, TrackingError
            There is no such version, or MLflow can't be reached.
        """
        source = self.spec.source
        if source is None:
            return None
        if not MLFLOW.match(source):
            return str((project_root(self.config) / source).resolve())
        if not moves(source):
            return source
        return resolve(source, absolute_uri(tracking_uri(self.config)))

    @functools.cached_property
    def identity(self) -> dict[str, Any]:
        """The version that the source means now: a new champion, or another file, is a change."""
        source = self.source
        if source is None or (MLFLOW.match(source) and not moves(str(self.spec.source))):
            return {}
        return {"source_version": source if MLFLOW.match(source) else content_digest(Path(source))}

    def job_spec(self) -> TrainingSpec:
        """Return the specification with what the source means now, or its path made absolute."""
        return dataclasses.replace(self.spec, source=self.source)


def moves(source: str) -> bool:
    """Return whether MLflow's name can mean another version tomorrow: an alias, a stage, the latest."""
    return source.startswith("models:/") and not re.fullmatch(r"models:/([^/]+/\d+|m-\w+)", source)


def content_digest(path: Path) -> str:
    """Return the digest of a file, or of a folder's files with their names; that of nothing if it is missing.

    That it is missing is said when it is loaded. A graph of ONNX may have its weights in files beside it.
    """
    if not path.is_dir():
        content = path.read_bytes() if path.is_file() else b""
        digest = hashlib.sha256(content)
        if path.suffix.lower() == ".onnx":
            for beside in weights_beside(path, content):
                digest.update(hashlib.sha256(beside.read_bytes()).digest())
        return digest.hexdigest()
    digest = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()}\n".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def weights_beside(path: Path, content: bytes) -> list[Path]:
    """Return the files beside an ONNX file that its content names as places of weights."""
    names = {
        content[found.end() : found.end() + found[1][0]].decode("utf-8", "replace")
        for found in ONNX_WEIGHTS.finditer(content)
    }
    return [beside for name in sorted(names) if (beside := path.parent / name).is_file()]


def resolve(source: str, uri: str) -> str:
    """Return the version that a name means now, asked in a process of its own: MLflow takes 2 s to import.

    Raises
    ------
    ArtifactError, TrackingError
        There is no such version, or MLflow can't be reached.
    """
    # the store's URI is no argument: it may hold a password
    variables = {**environment(), TRACKING_URI: uri}
    command = [sys.executable, "-m", "postgres_ml.external.mlflow_registry", source]
    try:
        answer = subprocess.run(
            command, env=variables, capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
    except subprocess.TimeoutExpired as error:
        place = without_secrets(uri)
        raise TrackingError(f"source {source}: MLflow at {place} gave no answer in {PATIENCE_S} s") from error
    if answer.returncode == 0:
        return answer.stdout.strip()
    kind = ArtifactError if answer.returncode == MISSING else TrackingError
    lines = answer.stderr.strip().splitlines()
    raise kind(without_secrets(lines[-1]) if lines else f"source {source}: no answer")
