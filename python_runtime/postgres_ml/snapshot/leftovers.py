"""The database's rows that a killed dbt leaves: removed under the lock of the job's folder.

The folder is the model's, so another build may have begun in it by the time that a process of the killed one
comes to remove what that left. Whoever builds holds the lock; the kernel drops it with its holder.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from filelock import FileLock, Timeout

from postgres_ml.snapshot.file import remove_rows

PATIENCE_S = 0.3  # a dbt that dies closes its pipes and its lock one after the other


def lock_path(directory: Path) -> Path:
    """Return the file whose lock a build of this folder holds."""
    return Path(f"{directory}.lock")


def remove_left_rows(directory: Path, patience_s: float = PATIENCE_S) -> FileLock | None:
    """Remove a folder's rows unless a build holds its lock: they are that build's then.

    Parameters
    ----------
    directory : of the job
    patience_s : for the lock

    Returns
    -------
    FileLock
        Held, so that no other build begins before it is let go, or its holder ends. None where a build has
        it, or none ever had: `TrainingProcess` needs no lock.
    """
    path = lock_path(directory)
    if not path.exists():
        remove_rows(directory)
        return None
    lock = FileLock(path, thread_local=False)
    with contextlib.suppress(Timeout, OSError):  # OSError: it can't be locked, so no build runs here
        lock.acquire(timeout=patience_s, poll_interval=0.02)
        remove_rows(directory)
        return lock
    return None
