"""A cgroup that limits the memory of commands, where this process may make one."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

VERSION_1, VERSION_2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class MemoryCgroup:
    """A cgroup.

    Parameters
    ----------
    folder : in the file system of cgroups
    """

    folder: Path

    def enter(self) -> None:
        """Move this process into it; what it starts comes along."""
        self.folder.joinpath("cgroup.procs").write_text(str(os.getpid()))

    def n_killed(self) -> int:
        """Return how many processes were killed for the limit."""
        name = "memory.events" if (self.folder / "memory.events").exists() else "memory.oom_control"
        lines = self.folder.joinpath(name).read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


@contextmanager
def memory_cgroup(n_bytes: int) -> Iterator[MemoryCgroup]:
    """Make a cgroup whose processes have so much memory in all; skip the test where that can't be."""
    limit = "memory.limit_in_bytes" if VERSION_1.is_dir() else "memory.max"
    folder = (VERSION_1 if VERSION_1.is_dir() else VERSION_2) / f"postgres_ml_{os.getpid()}"
    try:
        folder.mkdir()
        folder.joinpath(limit).write_text(str(n_bytes))
    except OSError as error:
        with contextlib.suppress(OSError):
            folder.rmdir()
        pytest.skip(f"no cgroup can limit memory here: {error}")
    try:
        yield MemoryCgroup(folder)
    finally:
        end = time.monotonic() + 10
        while folder.exists() and time.monotonic() < end:  # its last process may still be ending
            with contextlib.suppress(OSError):
                folder.rmdir()
            time.sleep(0.1)
