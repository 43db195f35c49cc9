"""A training process as dbt's process holds it: one that was started, or one that a fork server forks.

Stdlib only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

POLL_S = 0.05


class OwnProcess(subprocess.Popen[bytes]):
    """A training process that is started, and imports the libraries by itself.

    Parameters
    ----------
    job : path of its file
    variables : its environment

    Raises
    ------
    OSError
        It can't be started.
    """

    def __init__(self, job: Path, variables: dict[str, str]) -> None:
        super().__init__(
            [sys.executable, "-m", "postgres_ml", "train", str(job)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=variables,
            start_new_session=True,
        )  # fmt: skip

    def kill_group(self) -> None:
        """Kill it and its own children; those are killed after its end, too."""
        if sys.platform == "win32":
            self.kill()
            return
        with contextlib.suppress(ProcessLookupError):  # nothing is left
            os.killpg(self.pid, signal.SIGKILL)


class ForkedProcess:
    """A process that another one forks and reaps; what a `subprocess.Popen` tells of a child.

    Attributes
    ----------
    stdin, stdout, stderr : the pipes' ends on this side
    ends : descriptors of the other side's, until they are sent
    pid : None before the fork
    returncode : None before its end; negative is a signal's number
    """

    def __init__(self) -> None:
        (stdin, to_child), (from_child, stdout), (errors_from_child, stderr) = (os.pipe() for _ in range(3))
        self.ends: tuple[int, ...] = (stdin, stdout, stderr)
        self.stdin: IO[bytes] = os.fdopen(to_child, "wb")
        self.stdout: IO[bytes] = os.fdopen(from_child, "rb")
        self.stderr: IO[bytes] = os.fdopen(errors_from_child, "rb")
        self.pid: int | None = None
        self.returncode: int | None = None
        self._told = threading.Condition()

    def poll(self) -> int | None:
        """Return the exit code; None before the end."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> None:
        """Return when it has ended, or will never begin: before the fork the end of stdin prevents that.

        Raises
        ------
        subprocess.TimeoutExpired
        """
        with self._told:
            if self.pid is None and self.stdin.closed:
                return
            if not self._told.wait_for(lambda: self.returncode is not None, timeout):
                raise subprocess.TimeoutExpired("training", timeout or 0)

    def kill_group(self) -> None:
        """Kill it and its own children; those are killed after its end, too."""
        if self.pid is None:
            return
        with contextlib.suppress(ProcessLookupError):  # nothing is left
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:  # it was forked in this moment, and leads no group yet
                if self.returncode is None:
                    os.kill(self.pid, signal.SIGKILL)

    def close_ends(self) -> None:
        """Close the child's ends on this side, so that the end of the child is the end of what it writes."""
        for end in self.ends:
            os.close(end)
        self.ends = ()

    def let_go(self) -> None:
        """Close the pipes: nobody will talk with it."""
        for stream in (self.stdin, self.stdout, self.stderr):
            stream.close()

    def tell(self, pid: int, code: int | None) -> None:
        """Note that it was forked, or how it ended."""
        with self._told:
            self.pid, self.returncode = pid, code
            self._told.notify_all()

    def lose(self, code: int) -> None:
        """Note that its parent has ended: before the fork that is its end, too; after it nobody reaps it.

        Parameters
        ----------
        code : the parent's exit code
        """
        if self.pid is not None:
            while _runs(self.pid):
                time.sleep(POLL_S)
        with self._told:
            self.returncode = code or -signal.SIGKILL
            self._told.notify_all()


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1]
    except OSError:
        return False
    return state not in (b"Z", b"X")
