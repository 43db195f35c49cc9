"""What the publishing macros ask of a result, inside the transaction and after its commit."""

from __future__ import annotations

import dataclasses
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
from dbt.adapters.postgres_ml.build import endpoint_scores
from dbt.adapters.postgres_ml.build.endpoint import EndpointBuild
from dbt.adapters.postgres_ml.build.gates import find_refusal, refusal_text
from dbt.adapters.postgres_ml.build.node import NodeBuild
from dbt.adapters.postgres_ml.build.trained import Closing, Result, resume
from dbt.adapters.postgres_ml.catalog.champion import note_champion
from dbt.adapters.postgres_ml.catalog.row import catalog_row
from dbt.adapters.postgres_ml.log import logger
from dbt_common.exceptions import DbtDatabaseError

from postgres_ml.contract.exceptions import GateError
from postgres_ml.contract.model import FunctionBody, TrainedModel
from postgres_ml.verify.parity import check_parity, predictor


@dataclass(frozen=True)
class Publication:
    """What publishing takes of a version; of a version from the catalog macros get a dict of the same names.

    Parameters
    ----------
    target, metric, score, mlflow_run_id : for the functions' comments; None where there is none
    """

    functions: tuple[FunctionBody, ...]
    runtime: str
    target: str | None
    metric: str | None
    score: float | None
    mlflow_run_id: str | None


def publication_of(trained: TrainedModel, target: str | None = None) -> Publication:
    """Return what publishing takes of a trained model."""
    evaluation, run = trained.evaluation, trained.run
    return Publication(
        trained.deployed.functions,
        trained.deployed.runtime,
        target,
        None if evaluation is None else evaluation.metric,
        None if evaluation is None else evaluation.score,
        None if run is None else run.run_id,
    )


def evaluate_endpoint(result: Result, build: EndpointBuild, cursor: Any) -> Result:
    """Return the result with the service's scores on the query's rows, as it was where there is no target.

    Raises
    ------
    EndpointError
        The catalog doesn't allow the service to be called.
    GateError
        A gate is not met: whatever its severity, the publication has begun and is rolled back.
    """
    build.check_allowed(cursor)
    query = result.plan.query
    if query.target is None:
        return result
    trained = endpoint_scores.evaluate(cursor, result.trained, query.sql, query.target)
    serving = result.plan.serving
    refusal = find_refusal(build.spec, trained.evaluation, serving)
    if refusal is not None:
        raise GateError(refusal_text(refusal, serving, ""))
    return dataclasses.replace(result, trained=trained)


def check_functions(result: Result, cursor: Any) -> None:
    """Run the new functions on the parity rows in the publishing transaction; what has none, passes.

    Raises
    ------
    ParityError
        A prediction differs from the pipeline's own.
    """
    trained = result.trained
    if trained.deployed.parity_file is None:  # an endpoint's answers are its own, a stub's are NULL
        return
    parity_file = Path(trained.deployed.parity_file)
    result.build.progress.begin("parity")
    summary = check_parity(cursor, result.build.spec.schema, predictor(trained), parity_file)
    result.build.log("info", summary.message)
    result.build.progress.begin("publish")


def version_row(result: Result, version: int) -> str:
    """Return the row of postgres_ml.model_version as JSON, keyed by column."""
    build = result.build
    row = catalog_row(build.spec, result.trained, result.plan.query.sql)
    place = {"model_schema": build.place[0], "model_name": build.place[1], "version": version}
    lineage = {"digest": result.origin, "changes": result.changes}
    return json.dumps({**row, **place, **lineage}, ensure_ascii=False)


def finish(result: Result, version: int, closing: Closing) -> None:
    """Have the MLflow run marked as published, and note in the catalog that it is; after the commit.

    Raises
    ------
    PostgresMLError
        MLflow can't be told. The function serves all the same.
    """
    build = result.build
    if result.trained.run is None:
        return
    process = result.process or resume(result.plan, closing)
    build.progress.begin("register")
    try:
        process.published(version, {"function": build.function})
    finally:
        shutil.rmtree(build.directory, ignore_errors=True)
        _reconnect(build)
    try:
        note_champion(build.open_cursor(), *build.place, version)
    except psycopg2.Error as error:  # the next build asks MLflow once more
        logger.debug(f"{build.spec.name}: the catalog doesn't know of MLflow's champion: {error}")


def _reconnect(build: NodeBuild) -> None:
    """Connect again if the session, idle while MLflow was told, was ended: hooks may follow."""
    try:
        build.connections.reconnect_if_lost()
    except DbtDatabaseError as error:  # the function serves; who needs the connection fails by itself
        logger.debug(f"{build.spec.name}: {error}")
