"""A dbt command as a process, which tests stop, kill and watch."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from postgres_ml.process.forking import TRACKS

if TYPE_CHECKING:
    from faults_project import Project

PATIENCE_S = 300.0


class Build:
    """A dbt command as a process, its output as it comes."""

    def __init__(
        self, project: Project, *arguments: str, prefix: tuple[str, ...] = (), **variables: Any
    ) -> None:
        self.project = project
        self.lines: list[str] = []
        command = [*prefix, sys.executable, "-m", "dbt.cli.main", "--log-level", "debug", "--no-use-colors"]
        self.process = subprocess.Popen(
            [*command, *arguments, "--vars", json.dumps(variables)],
            cwd=project.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # what starts the tests in the background has them, and what they start, ignore Ctrl-C
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            env={
                **os.environ,
                "DBT_PROFILES_DIR": str(project.directory),
                "DBT_SEND_ANONYMOUS_USAGE_STATS": "0",
            },
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    @property
    def output(self) -> str:
        """The last lines, for messages."""
        return "\n".join(self.lines[-40:])

    def said(self, text: str) -> bool:
        return any(text in line for line in self.lines)

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        """Poll until a condition holds; a build that ends before fails."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert self.process.poll() is None, f"the build ended before {what}:\n{self.output}"
            assert time.monotonic() < deadline, f"not so after {PATIENCE_S:.0f} s: {what}\n{self.output}"
            time.sleep(0.01)

    def wait_until_silent(self) -> None:
        """Return when no line has come for half a second."""
        n_lines = -1
        while n_lines != len(self.lines):
            n_lines = len(self.lines)
            time.sleep(0.5)

    def wait(self) -> int:
        """The exit code, when it has ended."""
        try:
            code = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the build doesn't end:\n{self.output}") from None
        self._reader.join(PATIENCE_S)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code

    def child(self) -> int:
        """The process id of the training process."""
        found = self.children()
        assert len(found) == 1, (found, self.output)
        return found[0]

    def children(self) -> list[int]:
        """The process ids of the trainings; before the first is forked, of the process that forks them.

        Those that tell MLflow of them are left out.
        """
        found = {
            pid: parent for pid, (parent, command) in processes().items() if " postgres_ml train " in command
        }
        forking = [pid for pid, parent in found.items() if parent == self.process.pid]
        return [pid for pid, parent in found.items() if parent in forking and not tracks(pid)] or forking


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop a process for as long as the context lasts."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def tracks(pid: int) -> bool:
    """Whether a process tells MLflow of a training."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip() == TRACKS
    return False


def processes() -> dict[int, tuple[int, str]]:
    """Every live process: parent's id and command line, by process id."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            match = re.search(r"\) (.) (\d+)", (folder / "stat").read_text())
            if match and match[1] not in "ZX":
                found[int(folder.name)] = (int(match[2]), command)
    return found
