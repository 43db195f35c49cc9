"""Moves MLflow's alias `champion` after a rollback, in a process of its own: dbt's never imports MLflow."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from dbt.adapters.postgres_ml.training_job import tracking_uri

from postgres_ml.redact import without_secrets
from postgres_ml.spec import TRACKING_URI
from postgres_ml.training_process import absolute_uri, environment

PATIENCE_S = 120


def move_champion(config: Any, schema: str, stored: dict[str, Any]) -> str:
    """Point the alias at the registered version of this run; return what went wrong, or an empty text.

    Parameters
    ----------
    config : dbt's runtime config
    stored : a version as `versions.read_stored` returns it
    """
    name = f"{schema}.{stored['dbt_unique_id'].split('.')[2]}"
    # the store's URI is no argument: it may hold a password
    variables = {**environment(), TRACKING_URI: absolute_uri(tracking_uri(config))}
    command = [sys.executable, "-m", "postgres_ml", "champion", name, stored["mlflow_run_id"]]
    try:
        done = subprocess.run(
            command, env=variables, capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {PATIENCE_S} s"
    lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return "" if done.returncode == 0 else without_secrets(lines[-1])
