"""A create_model node with an `endpoint`: nothing is loaded, the published functions call the service."""

from __future__ import annotations

import dataclasses
from typing import Any, cast
from urllib.parse import urlsplit

from dbt.adapters.postgres_ml.build.external import ExternalModelBuild
from dbt.adapters.postgres_ml.build.node import TrainingQuery
from dbt.adapters.postgres_ml.config.external import is_loopback

from postgres_ml.contract.column import as_arguments
from postgres_ml.contract.config import Endpoint
from postgres_ml.contract.exceptions import EndpointError, SpecError
from postgres_ml.contract.model import DeployedFunctions, ModelSummary, TrainedModel
from postgres_ml.endpoint.functions import generate_endpoint, secret_query
from postgres_ml.publish import server_python

RUNTIME = "endpoint"
LABEL_TYPES = ("text", "character varying", "character", "boolean")


class EndpointBuild(ExternalModelBuild):
    """The build of a node whose predictions a service makes."""

    is_remote = True

    @property
    def endpoint(self) -> Endpoint:
        """The service."""
        return cast(Endpoint, self.spec.endpoint)

    @property
    def returns(self) -> str:
        """SQL type of its prediction, which the config of an endpoint has to say."""
        return cast(str, self.spec.returns)

    def describe(self, cursor: Any) -> TrainingQuery:
        """Return the function's arguments.

        Raises
        ------
        SpecError
            The server can't make HTTP requests because it has no PL/Python, or there are gates and nothing
            to evaluate the endpoint on.
        """
        reason = server_python.lacking(cursor)
        if reason:
            raise SpecError(f"an endpoint is called in PL/Python, and {reason}")
        query = super().describe(cursor)
        if self.spec.gates and query.target is None:
            raise SpecError("'gates' need metrics: give a query and its 'target' to evaluate the endpoint on")
        return dataclasses.replace(query, features=self.spec.arguments or query.features)

    def model_of(self, query: TrainingQuery) -> TrainedModel:
        """Return the functions; nothing is known yet of the model behind the service."""
        endpoint, spec = self.endpoint, self.spec
        host = urlsplit(endpoint.url).hostname or ""
        functions = generate_endpoint(
            endpoint, query.features, self.returns, spec.schema, spec.function, is_loopback(host)
        )
        is_number = self.returns not in LABEL_TYPES and spec.problem_type in (None, "regression")
        reason = f"calls {endpoint.url}"
        return TrainedModel(
            summary=ModelSummary(
                features=as_arguments(query.features),
                return_type=self.returns,
                problem_type="regression" if is_number else "multiclass_classification",
                model_type=endpoint.protocol,
                objective="none",
            ),
            deployed=DeployedFunctions(functions, RUNTIME, reason),
            messages=(reason,),
        )

    def check_allowed(self, cursor: Any) -> None:
        """Check that postgres_ml.endpoint allows the URL.

        Raises
        ------
        EndpointError
            It doesn't; says how to allow it.
        """
        endpoint = self.endpoint
        cursor.execute("create extension if not exists plpython3u")
        if is_loopback(urlsplit(endpoint.url).hostname or "") and not endpoint.secret:
            return
        cursor.execute(secret_query(endpoint))
        if not cursor.fetchall():
            parts = urlsplit(endpoint.url)
            name, prefix = endpoint.secret or self.spec.name, f"{parts.scheme}://{parts.netloc}"
            raise EndpointError(
                f"endpoint {endpoint.url} is not in the table postgres_ml.endpoint, which lists what may be "
                "called and with which secret; the catalog's owner makes that table by `dbt run-operation "
                "create_catalog`, where it is not there yet, and adds: insert into postgres_ml.endpoint "
                f"(name, url_prefix, secret) values ('{name}', '{prefix}', '{{\"bearer\": \"…\"}}')"
            )
