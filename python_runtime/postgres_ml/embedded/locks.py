"""Locks between processes by flock, which the kernel drops however a process ends."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from postgres_ml.contract.exceptions import EmbeddedServerError
from postgres_ml.embedded.files import open_owned
from postgres_ml.embedded.supervisor import try_lock

NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})


def share(path: Path) -> int:
    """The descriptor of a shared lock, which is held until it is closed here and in every forked child."""
    descriptor = open_owned(path, os.O_RDWR)
    try:
        with _no_locks_explained(path):
            fcntl.flock(descriptor, fcntl.LOCK_SH)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def acquire(path: Path, patience: float, doing: str) -> int:
    """The descriptor of an exclusive lock, held until it is unlocked or closed everywhere.

    Parameters
    ----------
    patience : seconds to wait for it
    doing : what a process that holds it does, for the error

    Raises
    ------
    EmbeddedServerError
        It is still held after that time, or the file system has no locks.
    """
    descriptor = open_owned(path, os.O_RDWR)
    deadline = time.monotonic() + patience
    try:
        with _no_locks_explained(path):
            while not try_lock(descriptor):
                if time.monotonic() > deadline:
                    raise EmbeddedServerError(
                        f"another process has been {doing} for {patience:.0f} s: it holds {path}"
                    )
                time.sleep(0.01)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextlib.contextmanager
def exclusive(path: Path, patience: float, doing: str) -> Iterator[None]:
    """Hold an exclusive lock, taken as `acquire` does."""
    descriptor = acquire(path, patience, doing)
    try:
        yield
    finally:
        # closing alone would leave the lock to a child that was forked meanwhile
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether some process holds a lock."""
    descriptor = open_owned(path, os.O_RDWR)
    try:
        return not try_lock(descriptor)
    finally:
        os.close(descriptor)


def same_file(descriptor: int, path: Path) -> bool:
    """Whether a path still names the open file: not once its directory has been deleted or made anew."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


@contextlib.contextmanager
def _no_locks_explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        raise EmbeddedServerError(
            f"the file system of {path.parent} has no working locks ({error.strerror}); "
            "use a directory on a local disk"
        ) from error
