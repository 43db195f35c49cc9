"""One build of a model at a time: the lock of its folder, which another dbt on this project may hold.

The kernel drops the lock when its holder dies, so nobody has to clear up after a kill.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dbt_common.exceptions import DbtRuntimeError
from filelock import FileLock, Timeout

from postgres_ml.contract.exceptions import TrainingCancelledError
from postgres_ml.snapshot.leftovers import lock_path

PATIENCE_S = 0.2  # between two looks at whether dbt was cancelled


def lock_folder(
    name: str, directory: Path, on_wait: Callable[[], None], is_cancelled: Callable[[], bool]
) -> FileLock:
    """Return the lock of a node's folder, once no other build holds it.

    Parameters
    ----------
    on_wait : called once if another build has to be waited for

    Raises
    ------
    DbtRuntimeError
        The lock can't be written.
    TrainingCancelledError
        While another build of this model was waited for.
    """
    path = lock_path(directory)
    lock = FileLock(path, thread_local=False)
    if _is_held(lock, 0.0, name, path):
        return lock
    on_wait()
    while not _is_held(lock, PATIENCE_S, name, path):
        if is_cancelled():
            raise TrainingCancelledError("cancelled while waiting for another build of this model")
    return lock


def _is_held(lock: FileLock, patience_s: float, name: str, path: Path) -> bool:
    """Return whether the lock could be had within so many seconds."""
    try:
        lock.acquire(timeout=patience_s)
    except Timeout:
        return False
    except OSError as error:
        raise DbtRuntimeError(f"{name}: {path} can't be written: {error.strerror}") from error
    return True
