"""A training process that has imported its libraries before there is a job: for the worker, which waits.

The imports are most of what a small training takes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from postgres_ml.contract.job import TRACKING_URI
from postgres_ml.process.environment import environment

#: what a training imports sooner or later
MODULES = (
    "postgres_ml.pipeline",
    "postgres_ml.track.run",
    "xgboost",
    "optuna",
    "mlflow.sklearn",
    "matplotlib.pyplot",
)
WAITING = "-"  # in the place of a job's path
_processes: list[subprocess.Popen[bytes]] = []


def prepare(tracking_uri: str) -> None:
    """Start a process that waits for its job; it opens the tracking store, which makes a new one's tables."""
    _processes.append(start(WAITING, tracking_uri))


def start(job: str, tracking_uri: str) -> subprocess.Popen[bytes]:
    """Start a training process in a session of its own.

    Raises
    ------
    OSError
        It can't be started.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "postgres_ml", "train", job],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**environment(), TRACKING_URI: tracking_uri},
        start_new_session=True,
    )


def take(job: Path, tracking_uri: str) -> subprocess.Popen[bytes]:
    """Return a process that trains the job: one that waits, else a new one.

    Raises
    ------
    OSError
        It can't be started.
    """
    while _processes:
        process = _processes.pop()
        if process.poll() is None and process.stdin is not None:
            task = {"job": str(job), "tracking_uri": tracking_uri}
            try:
                process.stdin.write(json.dumps(task).encode() + b"\n")
                process.stdin.flush()
            except BrokenPipeError:
                continue
            return process
    return start(str(job), tracking_uri)


def wait_for_job() -> Path | None:
    """In the process that waits: import the libraries, and return the job; None if its parent has ended."""
    line = b""
    while not line.endswith(b"\n"):  # without a file object: what follows is read by descriptor
        byte = os.read(0, 1)
        if not byte:
            return None
        line += byte
    task = json.loads(line)
    os.environ[TRACKING_URI] = task["tracking_uri"]
    return Path(task["job"])
