"""Kills processes of a worker and of its server, as the kernel or an operator does."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path


def children_of(pid: int) -> list[int]:
    """Return the process ids of a process's children."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid:
                found.append(int(stat.parent.name))
    return found


def kill(pid: int) -> None:
    """End a process at once, if it is still there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def kill_children(pid: int, *, deep: bool) -> None:
    """Kill the children of a process, or if asked for, their children: the trainings."""
    for child in children_of(pid):
        for one in children_of(child) if deep else [child]:
            kill(one)
