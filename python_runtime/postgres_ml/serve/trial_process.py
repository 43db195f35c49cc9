"""The process that `trial` starts: forks one that loads a file, and says what became of it.

Reads requests and writes answers, one JSON object a line.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from postgres_ml.contract.exceptions import ArtifactError
from postgres_ml.serve.pickle_names import LIBRARIES

FORBIDDEN = (
    *("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto", "subprocess.Popen"),
    *("os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "pty.spawn", "os.kill"),
    *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod", "os.chown"),
    *("os.truncate", "shutil.rmtree"),
)
SKOPS = ".skops"
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
#: how far beyond the processor's time the clock may go, on a machine with other load
CLOCK_FACTOR = 3
SHOWN = 300


def main() -> None:
    """Answer requests until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # dbt, which got it too, ends this process
    for line in sys.stdin.buffer:
        request = json.loads(line)
        read = _function(*request["read"])
        if request["path"].endswith(SKOPS):  # importing it asks a program how many cores there are
            with contextlib.suppress(ModuleNotFoundError):
                importlib.import_module("skops.io")
        _import_matplotlib()
        gc.freeze()  # what is here already is no garbage, and a fork shares it untouched
        answer = supervise(Path(request["path"]), read, **request["limits"])
        for name in answer.pop("modules", ()):  # so that the next process has them already
            importlib.import_module(name)
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
        sys.stdout.buffer.flush()


def _import_matplotlib() -> None:
    """Import it for lightgbm before 4.7, which imports it: that makes a folder, and no file may."""
    with contextlib.suppress(PackageNotFoundError):
        release = tuple(map(int, version("lightgbm").split(".")[:2]))
        if release < (4, 7):
            importlib.import_module("matplotlib")


def _function(module: str, name: str) -> Callable[[Path], Any]:
    found: Callable[[Path], Any] = getattr(importlib.import_module(module), name)
    return found


def supervise(path: Path, read: Callable[[Path], Any], memory: int, seconds: float) -> dict[str, Any]:
    """Return what becomes of a process that loads the file: 'outcome' and 'detail'."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _attempt(path, read, memory, seconds, writing)
    os.close(writing)
    told = _read_until(reading, time.monotonic() + CLOCK_FACTOR * seconds)
    os.close(reading)
    if told is None:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if told is None or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU):
        return {"outcome": "time", "detail": None}
    if os.WIFSIGNALED(status):
        return {"outcome": "signal", "detail": os.WTERMSIG(status)}
    lines = told.splitlines()
    if not lines:
        return {"outcome": "ended", "detail": f"exit status {os.WEXITSTATUS(status)}"}
    answer: dict[str, Any] = json.loads(lines[0])
    return answer


def _read_until(descriptor: int, deadline: float) -> bytes | None:
    """Return what is written before the other side is closed; None at the deadline."""
    told = b""
    while True:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return None
        chunk = os.read(descriptor, 65536)
        if not chunk:
            return told
        told += chunk


def _attempt(path: Path, read: Callable[[Path], Any], memory: int, seconds: float, writing: int) -> NoReturn:
    """Load the file, say how that went, let what is loaded predict, and end this process."""
    before = set(sys.modules)

    def tell(outcome: str, detail: Any = None) -> None:
        made = sorted(name for name in set(sys.modules) - before if name.partition(".")[0] in LIBRARIES)
        answer = {"outcome": outcome, "detail": detail, "modules": made if outcome == "loaded" else []}
        os.write(writing, json.dumps(answer).encode() + b"\n")

    guard = Guard()
    try:
        _shut(memory, seconds)
        sys.addaudithook(guard)
        try:
            model = read(path)
        except ArtifactError as error:
            tell("forbidden" if guard.found else "refused", guard.found or str(error))
        except MemoryError:
            tell("memory")
        else:
            tell("forbidden" if guard.found else "loaded", guard.found or None)
            exercise(model)
    finally:
        if sys.exc_info()[0] is not None:  # after an earlier line this one is heard by nobody
            last = traceback.format_exc().strip().splitlines()[-1]
            tell("forbidden" if guard.found else "ended", guard.found or last[:SHOWN])
        os._exit(0)


def _shut(memory: int, seconds: float) -> None:
    """Give up what this process could harm with."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    limits = (
        (resource.RLIMIT_AS, _addresses() + memory),
        (resource.RLIMIT_CPU, int(seconds) + 1),  # here SIGXCPU, and SIGKILL a second later
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    )
    for kind, value in limits:
        hard = value + 1 if kind == resource.RLIMIT_CPU else value
        with contextlib.suppress(ValueError, OSError):  # macOS has no limit on addresses
            resource.setrlimit(kind, (value, hard))


def _addresses() -> int:
    """Return how many bytes of addresses this process has already."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except FileNotFoundError:  # no Linux: the resident size, of which there is less
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return pages * resource.getpagesize()


class Guard:
    """Refuses what no model does when it is loaded: network, programs, files that change."""

    def __init__(self) -> None:
        self.found = ""

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Raise PermissionError where the interpreter is about to do such a thing."""
        is_writing = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
        if event in FORBIDDEN or is_writing:
            self.found = self.found or f"{event} {str(arguments[0])[:100] if arguments else ''}".strip()
            raise PermissionError(self.found)


def exercise(model: Any) -> None:
    """Let a model predict rows of ordinary and extreme numbers, whatever it raises.

    Compiled code that a damaged model leads astray ends this process here, and not the one that publishes.
    """
    width = int(getattr(model, "n_features_in_", 0) or 0)
    if not (0 < width <= 100_000 and hasattr(model, "predict")):
        return
    values = (0.0, 1.0, -1.0, 0.5, 1e6, -1e6, 1e30, -1e30, 2.0, 3.0)
    rows = np.array([np.roll(np.resize(values, width), shift) for shift in range(len(values))])
    names = getattr(model, "feature_names_in_", None)
    if names is not None and len(names) == width:
        import pandas as pd

        model.predict(pd.DataFrame(rows, columns=list(names)))
    else:
        model.predict(rows)


if __name__ == "__main__":
    main()
