"""A lock between processes that the kernel drops when its holder dies."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

PAUSE_S = 0.05


class FileLock:
    """A lock that is asked for and released by hand.

    Parameters
    ----------
    path : the lock file, which is made

    Raises
    ------
    OSError
        The lock file can't be created.
    """

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("ab")

    def acquire(self, patience_s: float) -> bool:
        """Return whether the lock could be had within so many seconds."""
        end = time.monotonic() + patience_s
        while not self._try():
            if time.monotonic() >= end:
                return False
            time.sleep(PAUSE_S)
        return True

    def _try(self) -> bool:
        try:
            if sys.platform == "win32":
                msvcrt.locking(self._file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def release(self) -> None:
        """Give the lock up, if it is held."""
        self._file.close()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock inside; wait for it without end.

    Raises
    ------
    OSError
        The lock file can't be created.
    """
    with path.open("ab") as file:
        if sys.platform == "win32":
            while True:
                try:
                    msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                    break
                except OSError:
                    time.sleep(PAUSE_S)
        else:
            fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            if sys.platform == "win32":
                msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
            else:
                fcntl.flock(file, fcntl.LOCK_UN)
