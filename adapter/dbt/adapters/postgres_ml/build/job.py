"""What the training process is told, and the folder it works in."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from dbt.adapters.postgres_ml.connections import project_root, tracking_uri
from dbt_common.exceptions import DbtRuntimeError
from dbt_common.invocation import get_invocation_id

from postgres_ml.contract.column import Column
from postgres_ml.contract.config import TrainingSpec
from postgres_ml.contract.job import TrainingJob


def node_directory(config: Any, node: Any) -> Path:
    """Return the folder of a node's trainings: it keeps a result until that is published.

    Raises
    ------
    DbtRuntimeError
        It can't be made.
    """
    directory: Path = project_root(config) / config.target_path / "postgres_ml" / node.unique_id
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(node, directory, error) from error
    return directory


def empty_directory(node: Any, directory: Path) -> None:
    """Empty the folder for a new training.

    Raises
    ------
    DbtRuntimeError
        It can't be written.
    """
    try:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(node, directory, error) from error


def _unusable(node: Any, directory: Path, error: OSError) -> DbtRuntimeError:
    return DbtRuntimeError(f"{node.name}: training needs the folder {directory}: {error.strerror}")


def make_job(
    config: Any,
    spec: TrainingSpec,
    sql: str,
    directory: Path,
    features: tuple[Column, ...],
    target: Column | None,
    weight: Column | None = None,
) -> TrainingJob:
    """Return the job of a training.

    Parameters
    ----------
    config : dbt's runtime config (project, profile, threads)
    sql : the compiled query
    """
    credentials, root = config.credentials, project_root(config)
    return TrainingJob(
        spec=spec,
        features=features,
        target=target,
        weight=weight,
        directory=str(directory),
        tracking_uri=tracking_uri(config),
        experiment=credentials.mlflow_experiment or config.project_name,
        tags={
            "dbt.unique_id": spec.unique_id,
            "dbt.invocation_id": get_invocation_id(),
            "dbt.target": config.target_name,
            "dbt.compiled_sql_sha256": hashlib.sha256(sql.encode()).hexdigest(),
            **git_commit(root),
        },
        query=sql,
        # dbt trains `threads` models at once: they share the cores
        n_threads=max(1, (os.cpu_count() or 1) // config.threads),
        server_python_path=credentials.server_python_path,
    )


def git_commit(folder: Path) -> dict[str, str]:
    """Return the tag that names the checkout's commit; empty outside of git."""
    git = shutil.which("git")
    if git is None:
        return {}
    command = [git, "-C", str(folder), "rev-parse", "HEAD"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return {"git.commit": answer.stdout.strip()} if answer.returncode == 0 else {}
