"""A create_model node with a `source`: the model was made elsewhere, and is loaded instead of trained."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import subprocess
import sys
from typing import Any

from dbt.adapters.postgres_ml.build.node import NodeBuild, TrainingQuery
from dbt.adapters.postgres_ml.connections import project_root, tracking_uri

from postgres_ml.contract.config import TrainingSpec
from postgres_ml.contract.exceptions import ArtifactError, TrackingError
from postgres_ml.process.environment import absolute_uri
from postgres_ml.snapshot.copy import SnapshotSummary

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

    def copy_rows(self, cursor: Any, query: TrainingQuery) -> SnapshotSummary | None:
        """Copy the rows to evaluate on, if there are any."""
        return super().copy_rows(cursor, query) if self.has_query else None

    def identity(self) -> dict[str, Any]:
        """Return the version that the source means now: a new champion, or another file, is a change."""
        source = self.spec.source
        if source is None or source.startswith("runs:/"):
            return {}
        if source.startswith("models:/"):
            if "@" not in source:
                return {}
            return {"source_version": resolve_alias(source, absolute_uri(tracking_uri(self.config)))}
        path = project_root(self.config) / source
        content = path.read_bytes() if path.is_file() else b""  # that it is missing is said when it is loaded
        return {"source_version": hashlib.sha256(content).hexdigest()}

    def job_spec(self) -> TrainingSpec:
        """Return the specification with the source's path, which begins at the dbt project, made absolute."""
        source = self.spec.source
        if source is not None and not source.startswith(("models:/", "runs:/")):
            source = str((project_root(self.config) / source).resolve())
        return dataclasses.replace(self.spec, source=source)


def resolve_alias(source: str, uri: str) -> str:
    """Return the version that an alias names now, asked in a process of its own: MLflow takes 2 s to import.

    Raises
    ------
    ArtifactError, TrackingError
        There is no such alias, or MLflow can't be reached.
    """
    command = [sys.executable, "-m", "postgres_ml.external.mlflow_registry", source, uri]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode == 0:
        return answer.stdout.strip()
    kind = ArtifactError if answer.returncode == MISSING else TrackingError
    lines = answer.stderr.strip().splitlines()
    raise kind(lines[-1] if lines else f"source {source}: no answer")
