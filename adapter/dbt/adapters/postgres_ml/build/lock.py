"""One build of a model at a time: the lock of its folder, which another dbt on this project may hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dbt_common.exceptions import DbtRuntimeError

from postgres_ml.contract.exceptions import TrainingCancelledError
from postgres_ml.contract.file_lock import FileLock


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
    path = Path(f"{directory}.lock")
    try:
        lock = FileLock(path)
    except OSError as error:
        raise DbtRuntimeError(f"{name}: {path} can't be written: {error.strerror}") from error
    if lock.acquire(0.0):
        return lock
    on_wait()
    while not lock.acquire(0.2):
        if is_cancelled():
            lock.release()
            raise TrainingCancelledError("cancelled while waiting for another build of this model")
    return lock
