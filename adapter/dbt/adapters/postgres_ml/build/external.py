"""A create_model node whose model was made elsewhere: what `training` is for one that is trained."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import subprocess
import sys
from typing import Any
from urllib.parse import urlsplit

from dbt.adapters.postgres_ml.build import endpoint_scores
from dbt.adapters.postgres_ml.build.gates import find_refusal, say_refusal
from dbt.adapters.postgres_ml.build.job import empty_directory, tracking_uri
from dbt.adapters.postgres_ml.build.trained import Training
from dbt.adapters.postgres_ml.config.external import is_loopback
from dbt.adapters.postgres_ml.connections import project_root

from postgres_ml.contract.config import TrainingSpec
from postgres_ml.contract.exceptions import ArtifactError, EndpointError, GateError, SpecError, TrackingError
from postgres_ml.contract.model import TrainedModel
from postgres_ml.endpoint.functions import generate_endpoint, secret_query
from postgres_ml.process.parent import absolute_uri
from postgres_ml.publish import server_python

MISSING = 3  # exit status of the process that asks MLflow: it answers, and has no such model


class Bringing(Training):
    """Drives one node with a `source`: rows to evaluate on if there is a query, the process that loads it."""

    @property
    def has_query(self) -> bool:
        """Whether anything but comments stands in the body."""
        return bool(re.sub(r"--[^\n]*|/\*.*?\*/", "", self.sql, flags=re.DOTALL).strip())

    def take_snapshot(self) -> None:
        """Start the process that loads the model and, if there is a query, copy its rows.

        Raises
        ------
        TrackingError
            MLflow can't be written.
        """
        if self.has_query:
            super().take_snapshot()
            return
        empty_directory(self.node, self.directory)
        self._start(lacking=self._lacking(self._cursor()))
        self.candidate.write(self.spec, self.expected)
        self.log("info", f"publishing {self.spec.source}: {self.why}")
        assert self.process is not None
        self.process.wait_ready()

    def _describe(self, cursor: Any) -> None:
        if self.has_query:
            super()._describe(cursor)
        else:
            self.columns, self.features, self.target = (), (), None

    def _measure(self, cursor: Any) -> tuple[int, int]:
        return super()._measure(cursor) if self.has_query else (0, 0)

    def _identity(self) -> dict[str, Any]:
        """Return the version that the source means now: a new champion, or another file, is a change."""
        source = self.spec.source
        if source is None:
            return {}
        if source.startswith("runs:/") or (source.startswith("models:/") and "@" not in source):
            return {}
        if source.startswith("models:/"):
            return {"source_version": resolve_alias(source, absolute_uri(tracking_uri(self.config)))}
        path = project_root(self.config) / source
        content = path.read_bytes() if path.is_file() else b""  # that it is missing is said when it is loaded
        return {"source_version": hashlib.sha256(content).hexdigest()}

    def _job_spec(self) -> TrainingSpec:
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
    raise kind(
        answer.stderr.strip().splitlines()[-1] if answer.stderr.strip() else f"source {source}: no answer"
    )


class Calling(Bringing):
    """Drives one node with an `endpoint`: nothing is loaded, the functions call the service."""

    def _describe(self, cursor: Any) -> None:
        """Find out the function's arguments.

        Raises
        ------
        SpecError
            The server can't make HTTP requests, because it has no PL/Python.
        """
        reason = server_python.lacking(cursor)
        if reason:
            raise SpecError(f"an endpoint is called in PL/Python, and {reason}")
        super()._describe(cursor)
        self.features = self.spec.arguments or self.features

    def take_snapshot(self) -> None:
        """Do nothing: no rows are needed, and nothing is loaded."""

    def is_refused(self) -> bool:
        """Return whether gates keep the model from being published.

        Raises
        ------
        SpecError
            There are gates, and nothing to evaluate the endpoint on.
        """
        if self.spec.gates and self.target is None:
            raise SpecError("'gates' need metrics: give a query and its 'target' to evaluate the endpoint on")
        return False

    def train(self) -> TrainedModel:
        """Return the functions; nothing is known yet of the model behind the endpoint."""
        endpoint, returns = self.spec.endpoint, self.spec.returns
        assert endpoint is not None and returns is not None, "the config is checked"
        host = urlsplit(endpoint.url).hostname or ""
        functions = generate_endpoint(
            endpoint, self.features, returns, self.spec.schema, self.spec.function, is_loopback(host)
        )
        is_number = returns not in ("text", "character varying", "character", "boolean")
        is_number = is_number and self.spec.problem_type in (None, "regression")
        self.trained = TrainedModel(
            features=self.features, return_type=returns,
            problem_type="regression" if is_number else "multiclass_classification",
            model_type=endpoint.protocol, objective="none", labels=(), metric="", score=None, metrics={},
            train_metrics={}, n_rows=0, n_holdout=0, n_features=len(self.features), functions=functions,
            runtime="endpoint", runtime_reason=f"calls {endpoint.url}", n_nodes=0, est_rows_per_s=1,
            mlflow_run_id="", mlflow_model_uri="", parity_file="", messages=(f"calls {endpoint.url}",),
            seconds={},
        )  # fmt: skip
        return self.trained

    def check_allowed(self, cursor: Any) -> None:
        """Check that postgres_ml.endpoint allows the URL.

        Raises
        ------
        EndpointError
            It doesn't; says how to allow it.
        """
        endpoint = self.spec.endpoint
        assert endpoint is not None, "of endpoints only"
        cursor.execute("create extension if not exists plpython3u")
        if is_loopback(urlsplit(endpoint.url).hostname or "") and not endpoint.secret:
            return
        cursor.execute(secret_query(endpoint))
        if not cursor.fetchall():
            parts = urlsplit(endpoint.url)
            name, prefix = endpoint.secret or self.spec.name, f"{parts.scheme}://{parts.netloc}"
            raise EndpointError(
                f"endpoint {endpoint.url} is not in the table postgres_ml.endpoint, which lists what may be "
                "called and with which secret; its owner adds it: insert into postgres_ml.endpoint "
                f"(name, url_prefix, secret) values ('{name}', '{prefix}', '{{\"bearer\": \"…\"}}')"
            )

    def evaluate(self, cursor: Any) -> TrainedModel | None:
        """Return the model with its scores on the query's rows; None where nothing is published or known.

        Raises
        ------
        GateError
            A gate is not met.
        """
        if self.trained is None or self.target is None:
            return None
        self.trained = endpoint_scores.evaluate(cursor, self.trained, self.sql, self.target)
        serving = self.the_plan.serving
        refusal = find_refusal(self.spec, self.trained, serving)
        if refusal is not None:  # the publication has begun: whatever its severity, it is rolled back
            raise GateError(say_refusal(refusal, serving, ""))
        return self.trained

    def published(self, version: int) -> None:
        """Do nothing but note the end: there was no training."""
        self.is_finished = True
