"""MLflow's alias `champion` of a registered model: given to what is published, moved by a rollback."""

from __future__ import annotations

import contextlib

import sqlalchemy.exc
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from postgres_ml.contract.exceptions import TrackingError
from postgres_ml.track import store as tracking_store

CHAMPION = "champion"


def move_champion(tracking_uri: str, model: str, run_id: str, model_uri: str, version: str) -> None:
    """Give the alias `champion` to the registered version that a run made, and mark the run as published.

    Parameters
    ----------
    model : registered name
    model_uri : of the run's pipeline, to register it where it isn't; empty where nothing is to be registered
    version : number of the published version

    Raises
    ------
    TrackingError
        The store can't be reached, or has no such version.
    """
    try:
        client = tracking_store.connect(tracking_uri)
        tags = {"function_version": version}
        tags |= crown(client, model, run_id, model_uri, tags)
        mark_published(client, run_id, tags, is_resumed=True)
    except (MlflowException, sqlalchemy.exc.SQLAlchemyError, OSError) as error:
        raise TrackingError(f"MLflow can't be used: {error}") from error


def crown(
    client: MlflowClient, name: str, run_id: str, model_uri: str, tags: dict[str, str]
) -> dict[str, str]:
    """Make the run's registered version the champion, registered if need be; return its number as a tag."""
    with contextlib.suppress(MlflowException):  # it exists already
        client.create_registered_model(name, description="published by dbt-postgres-ml")
    if model_uri.startswith(f"models:/{name}/"):  # what was brought is a version of this model
        number = model_uri.rpartition("/")[2]
        client.set_registered_model_alias(name, CHAMPION, number)
        return {"model_version": number}
    found = [v for v in client.search_model_versions(f"run_id = '{run_id}'") if v.name == name]
    if not found and not model_uri:
        raise TrackingError(f"run {run_id} has no registered version of {name}")
    version = (
        found[0].version
        if found
        else client.create_model_version(name, model_uri, run_id, tags=tags, await_creation_for=0).version
    )
    client.set_registered_model_alias(name, CHAMPION, version)
    return {"model_version": str(version)}


def mark_published(client: MlflowClient, run_id: str, tags: dict[str, str], is_resumed: bool) -> None:
    """End the run; one that was ended before without a publication no longer says why."""
    for key, value in tags.items():
        client.set_tag(run_id, key, value)
    if is_resumed:
        for key in ("reason", "refused"):
            with contextlib.suppress(MlflowException):  # it has none
                client.delete_tag(run_id, key)
    client.set_terminated(run_id, "FINISHED")
