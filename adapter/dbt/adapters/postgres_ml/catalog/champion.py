"""Points MLflow's alias `champion` at what serves, where the publication didn't: after a rollback, a failure.

In a process of its own: dbt's never imports MLflow. `is_champion` in the catalog says whether that is needed:
a build that changes nothing asks MLflow nothing.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

from dbt.adapters.postgres_ml.connections import tracking_uri

from postgres_ml.contract.job import TRACKING_URI
from postgres_ml.contract.model import registered_name
from postgres_ml.contract.redact import without_secrets
from postgres_ml.process.environment import absolute_uri, environment
from postgres_ml.snapshot.copy import Cursor

PATIENCE_S = 120
ROW = "model_schema = %s and model_name = %s and version = %s"


def move_champion(
    config: Any, open_cursor: Callable[[], Cursor], schema: str, model: str, version: int
) -> str:
    """Point the alias at this version's run; return what went wrong, or an empty text.

    A run that was never registered, because MLflow was away after its publication, is registered now.

    Parameters
    ----------
    config : dbt's runtime config
    open_cursor : outside of a transaction; asked twice, since the session may be ended while MLflow answers
    schema, model : of the card, unquoted
    """
    cursor = open_cursor()
    cursor.execute(
        f"""select dbt_unique_id, mlflow_run_id,
            case when is_champion is null then '' else mlflow_model_uri end
        from postgres_ml.model_version where {ROW}""",
        (schema, model, version),
    )
    unique_id, run_id, model_uri = cursor.fetchall()[0]
    name = registered_name(schema, "_".join(unique_id.split(".")[2:]))  # churn.v2 is churn_v2
    problem = _ask_mlflow(config, name, run_id, model_uri, version)
    if not problem:
        note_champion(open_cursor(), schema, model, version)
    return problem


def note_champion(cursor: Cursor, schema: str, model: str, version: int) -> None:
    """Note in the catalog that MLflow's alias points at this version; of one that MLflow hasn't, do nothing.

    Parameters
    ----------
    cursor : outside of a transaction: dbt has committed by its text, and what follows commits itself
    """
    cursor.execute(
        f"""update postgres_ml.model_version set is_champion = true
        where {ROW} and is_serving and not is_champion""",
        (schema, model, version),
    )


def _ask_mlflow(config: Any, name: str, run_id: str, model_uri: str, version: int) -> str:
    # the store's URI is no argument: it may hold a password
    variables = {**environment(), TRACKING_URI: absolute_uri(tracking_uri(config))}
    command = [sys.executable, "-m", "postgres_ml", "champion", name, run_id, model_uri, str(version)]
    try:
        done = subprocess.run(
            command, env=variables, capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {PATIENCE_S} s"
    except OSError as error:  # no room for another process, which must not fail a node that is published
        return f"the process that tells it can't be started: {error.strerror or error}"
    lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    said = next((line for line in reversed(lines) if line.startswith("postgres-ml: ")), lines[-1])
    return "" if done.returncode == 0 else without_secrets(said.removeprefix("postgres-ml: "))
