"""What a process that trains, or talks with MLflow, inherits from dbt's: variables, and the store's place."""

from __future__ import annotations

import os
from pathlib import Path

POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
#: where Python and its libraries are found
PLACES = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME", "SYSTEMROOT")


def environment() -> dict[str, str]:
    """Return the child's environment: thread pools are sized before NumPy is imported, nothing calls home.

    One thread each: the search fits several candidates at once, and two of them that share pools of two
    threads take four times as long (measured). xgboost is told its number of threads for each fit.
    """
    return {
        **os.environ,
        **dict.fromkeys(POOLS, "1"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MPLBACKEND": "Agg",
        "PYTHONPATH": _python_path(),
        "PYTHONSAFEPATH": "1",  # a dbt project's folder 'mlflow' must not hide the library
        "PYTHONUTF8": "1",
    }


def bare_environment(folder: str) -> dict[str, str]:
    """Return what Python needs and nothing else: no credentials, no proxies, no home but the folder."""
    return {
        **{name: os.environ[name] for name in PLACES if name in os.environ},
        **dict.fromkeys(POOLS, "1"),
        **dict.fromkeys(("HOME", "TMPDIR"), folder),
        "MALLOC_ARENA_MAX": "2",  # each arena reserves addresses, which the limit on memory counts
        "MPLBACKEND": "Agg",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": _python_path(),
        "PYTHONSAFEPATH": "1",
        "PYTHONUTF8": "1",
        "PYTHONWARNINGS": "ignore",
    }


def _python_path() -> str:
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join(str(Path(path).absolute()) for path in paths if path)


def absolute_uri(tracking_uri: str) -> str:
    """Return an sqlite URI or a plain path with its path made absolute."""
    if tracking_uri.startswith("sqlite:///"):
        return "sqlite:///" + str(Path(tracking_uri.removeprefix("sqlite:///")).absolute())
    if "://" not in tracking_uri and not tracking_uri.startswith("file:") and tracking_uri != "databricks":
        return str(Path(tracking_uri).absolute())
    return tracking_uri
