"""A create_model node's config as a build needs it: the specification, and what the log says about it."""

from __future__ import annotations

from typing import Any

from dbt.adapters.postgres_ml.config.model import ConfigReader
from dbt.adapters.postgres_ml.log import logger
from dbt_common.exceptions import DbtValidationError

from postgres_ml.contract.config import TrainingSpec


def read_spec(node: Any, credentials: Any) -> TrainingSpec:
    """Return the node's specification; log what its config holds without effect or with a warning.

    Raises
    ------
    DbtValidationError
        The config is wrong, or the profile's `autocommit` can't publish a model.
    """
    reader = ConfigReader(node)
    spec = reader.read()
    if spec is None:
        raise DbtValidationError(f"{node.name}: " + "; ".join(reader.problems))
    if getattr(credentials, "autocommit", False):  # dbt-postgres 1.9 has no such key
        raise DbtValidationError(
            f"{spec.name}: a model is published in one transaction, which `autocommit: true` in the profile "
            "prevents: remove it, or build models that train in a target without it"
        )
    if reader.notices:
        logger.info(
            f"{spec.name}: settings {', '.join(reader.notices)} are Amazon Redshift's; "
            "they mean nothing on Postgres"
        )
    for text in reader.warnings:
        logger.warning(f"{spec.name}: {text}")
    return spec
