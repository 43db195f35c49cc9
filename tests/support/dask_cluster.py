"""A Dask scheduler and workers on loopback, each a process."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

START_S = 60.0
SILENT = {"OMP_NUM_THREADS": "1", "DASK_DISTRIBUTED__WORKER__MEMORY__TERMINATE": "False"}


@dataclass
class DaskProcesses:
    """A scheduler and its workers.

    Parameters
    ----------
    address, scheduler : of the scheduler, and its process
    workers : by their process
    options : of the commands, for certificates
    """

    address: str
    scheduler: subprocess.Popen[bytes]
    folder: Path
    options: tuple[str, ...] = ()
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def add_worker(self) -> subprocess.Popen[bytes]:
        """Start a worker of one thread; it isn't waited for."""
        command = ["dask_worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard",
                   "--local-directory", str(self.folder), "--memory-limit", "0", *self.options]  # fmt: skip
        self.workers.append(_start(command, self.folder / f"worker{len(self.workers)}.log"))
        return self.workers[-1]


@contextmanager
def dask_processes(folder: Path, n_workers: int, certificate: Path | None = None) -> Iterator[DaskProcesses]:
    """Start a scheduler and workers; end them.

    Parameters
    ----------
    certificate : with its key, for TLS; it is its own authority
    """
    options: tuple[str, ...] = ()
    if certificate is not None:
        names = ("--tls-ca-file", "--tls-cert", "--tls-key")
        options = tuple(text for name in names for text in (name, str(certificate)))
    file = folder / "scheduler.json"
    command = ["dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file"]
    secure = ("--protocol", "tls", *options) if options else ()
    scheduler = _start([*command, str(file), *secure], folder / "scheduler.log")
    found = DaskProcesses("", scheduler, folder, options)
    try:
        found.address = _address(file)
        for _ in range(n_workers):
            found.add_worker()
        yield found
    finally:
        for process in (*found.workers, scheduler):
            process.kill()
            process.wait()


def _start(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    module = f"distributed.cli.{command[0]}"
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", module, *command[1:]],
            stdout=file,
            stderr=file,
            env={**os.environ, **SILENT},
            start_new_session=True,
        )


def _address(file: Path) -> str:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError, ValueError):  # not written, or not to its end
            return str(json.loads(file.read_text())["address"])
        time.sleep(0.1)
    raise TimeoutError(f"no scheduler: {file.with_suffix('.log').read_text()}")
