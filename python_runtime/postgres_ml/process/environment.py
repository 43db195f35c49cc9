"""What a process that trains, or talks with MLflow, inherits from dbt's: variables, and the store's place."""

from __future__ import annotations

import os
from pathlib import Path


def environment() -> dict[str, str]:
    """Return the child's environment: thread pools are sized before NumPy is imported, nothing calls home.

    One thread each: the search fits several candidates at once, and two of them that share pools of two
    threads take four times as long (measured). xgboost is told its number of threads for each fit.
    """
    pools = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    paths = [str(Path(p).absolute()) for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    return {
        **os.environ,
        **dict.fromkeys(pools, "1"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MPLBACKEND": "Agg",
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONSAFEPATH": "1",  # a dbt project's folder 'mlflow' must not hide the library
        "PYTHONUTF8": "1",
    }


def absolute_uri(tracking_uri: str) -> str:
    """Return an sqlite URI or a plain path with its path made absolute."""
    if tracking_uri.startswith("sqlite:///"):
        return "sqlite:///" + str(Path(tracking_uri.removeprefix("sqlite:///")).absolute())
    if "://" not in tracking_uri and not tracking_uri.startswith("file:") and tracking_uri != "databricks":
        return str(Path(tracking_uri).absolute())
    return tracking_uri
