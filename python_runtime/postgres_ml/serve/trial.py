"""Loads a file that nobody vouches for in a process that has nothing to lose, before this process loads it.

That process has an empty environment and an empty folder, limits on memory and time, and no way to the
network, to programs and to files it could write. If the file ends it, here that is an error like any other.
Its imports are paid once: it forks for each file.
"""

from __future__ import annotations

import atexit
import functools
import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from postgres_ml.contract.exceptions import ArtifactError
from postgres_ml.process.environment import bare_environment

MEGABYTE = 2**20
#: what a loaded model takes beside its file: compressed files grow twentyfold at most
LEAST_MEMORY, MEMORY_FACTOR = 2048 * MEGABYTE, 20
LEAST_SECONDS, SECONDS_PER_MEGABYTE = 60.0, 2.0


@dataclass(frozen=True)
class Limits:
    """What loading a file may take: bytes of memory, and seconds of processor time and of the clock."""

    memory: int
    seconds: float

    @staticmethod
    def of(path: Path) -> Limits:
        """Return the limits of a file of its size."""
        size = path.stat().st_size if path.is_file() else 0
        seconds = LEAST_SECONDS + SECONDS_PER_MEGABYTE * size / MEGABYTE
        return Limits(max(LEAST_MEMORY, MEMORY_FACTOR * size), seconds)


def check(path: Path, read: Callable[[Path], Any], limits: Limits | None = None) -> None:
    """Load a file in a process of its own and let what it holds predict; return if that goes well.

    Parameters
    ----------
    read : a function of a module, which returns what is in a file or raises `ArtifactError`
    limits : those of the file's size, if not given

    Raises
    ------
    ArtifactError
        That of `read`; or the file ends the process, or takes more memory or time than the limits.
    """
    if sys.platform == "win32" or not path.is_file():  # there is no fork; that it is missing, `read` says
        return
    limits = limits or Limits.of(path)
    request = {
        "path": str(path.absolute()),
        "read": [read.__module__, read.__qualname__],
        "limits": asdict(limits),
    }
    answer = _keeper().ask(request)
    if answer["outcome"] != "loaded":
        raise ArtifactError(_words(path.name, limits, answer))


def _words(name: str, limits: Limits, answer: dict[str, Any]) -> str:
    """Return the sentence for the user about a trial that failed."""
    cure = "is it complete, and saved with the libraries that are installed here? Save it again"
    outcome, detail = answer["outcome"], answer["detail"]
    if outcome == "refused":
        return str(detail)
    if outcome == "memory":
        return (
            f"{name} takes more than {limits.memory // MEGABYTE} MB of memory to load, the limit for a file "
            f"of its size: {cure}"
        )
    if outcome == "time":
        return (
            f"{name} takes more than {limits.seconds:g} s to load, the limit for a file of its size: {cure}"
        )
    if outcome == "forbidden":
        return (
            f"{name} does what no model needs when it is loaded ({detail}). If you know where the file comes "
            "from, set trust: true in this model's config"
        )
    if outcome == "signal":
        return f"{name} ends the process that loads it by the signal {_signal(detail)}: {cure}"
    return f"{name} can't be loaded ({detail}): {cure}"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


class _Keeper:
    """The process that forks one for each file."""

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="postgres_ml_trial_")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "postgres_ml.serve.trial_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            env=bare_environment(self.folder),
            start_new_session=True,
        )

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return what became of a file.

        Raises
        ------
        ArtifactError
            The process has ended.
        """
        asked, answers = self.process.stdin, self.process.stdout
        assert asked is not None and answers is not None
        try:
            asked.write(json.dumps(request).encode() + b"\n")
            asked.flush()
            line = answers.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            close()
            raise ArtifactError(
                f"{Path(request['path']).name} could not be tried: the process that loads files of unknown "
                "origin has ended; run the build again, and look for what ends processes (memory)"
            )
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()
        shutil.rmtree(self.folder, ignore_errors=True)


@functools.cache
def _keeper() -> _Keeper:
    keeper = _Keeper()
    atexit.register(keeper.close)
    return keeper


def close() -> None:
    """End the process that loads files, if there is one; the next file starts another."""
    if _keeper.cache_info().currsize:
        keeper = _keeper()
        atexit.unregister(keeper.close)
        keeper.close()
        _keeper.cache_clear()
