"""What the tests of the embedded server share: clients that are processes, and looking for what they leave."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import postgres_ml
import psycopg2
from postgres_ml.embedded import ServerAddress, supervisor

PATIENCE_S = 120.0  # for what must happen some time: generous, since a machine under test may stand still
RUNTIME = Path(postgres_ml.__file__).parents[1]

CLIENT = """
import sys
import tempfile
from postgres_ml import embedded
address = embedded.ensure({directory!r}, linger={linger!r}, durability="off", **{options!r})
print(address.host, flush=True)
sys.stdin.read()
"""


def scratch() -> Path:
    """A new directory with a short name: in memory where there is plenty, which takes half the time, else in /tmp."""
    memory = Path("/dev/shm")
    try:
        status = os.statvfs(memory)
    except OSError:
        roomy = False
    else:
        roomy = status.f_bavail * status.f_frsize > 4e9 and not status.f_flag & os.ST_NOEXEC
    parent = memory if roomy and os.access(memory, os.W_OK) else Path("/tmp")
    return Path(tempfile.mkdtemp(prefix="pge-", dir=parent))


def ask(address: ServerAddress, statement: str) -> list[tuple[object, ...]]:
    """The rows that a statement returns on a connection of its own."""
    connection = psycopg2.connect(
        host=address.host, port=address.port, user=address.user, dbname=address.dbname
    )
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Poll until a condition holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"not so after {PATIENCE_S:.0f} s: {what}"
        time.sleep(0.03)


def processes_of(directory: Path) -> dict[int, str]:
    """Command lines of live processes that name a directory, or stand in it, by process id."""
    found = {pid: seen for pid, seen in _all_processes() if str(directory) in seen and pid != os.getpid()}
    return {pid: seen for pid, seen in found.items() if supervisor.start_time(pid)}


def _all_processes() -> Iterator[tuple[int, str]]:
    """Every process id with its command line and, on Linux, its directory."""
    if not supervisor.HAS_PROC:
        listing = subprocess.run(
            ["ps", "-ww", "-eo", "pid=,command="], capture_output=True, text=True, check=True
        )
        yield from (
            (int(pid), command)
            for pid, command in (line.split(None, 1) for line in listing.stdout.splitlines())
        )
        return
    for process in Path("/proc").glob("[0-9]*"):
        seen = ""
        with contextlib.suppress(OSError):
            seen = (process / "cmdline").read_text(errors="replace").replace("\0", " ")
            seen += str((process / "cwd").readlink())
        yield int(process.name), seen


def wait_until_gone(directory: Path) -> None:
    """Return when neither server nor supervisor is left."""
    wait_until(lambda: not processes_of(directory), f"no process of {directory} is left")


def supervisor_pid(directory: Path) -> int:
    """The process id of a directory's supervisor."""
    (pid,) = (
        pid for pid, command in processes_of(directory).items() if f"supervisor.py {directory} " in command
    )
    return pid


class Client:
    """A process that holds a claim on a server until its end.

    Parameters
    ----------
    directory : the server's
    linger : seconds, as in `ensure`
    prefix : words before the interpreter
    python : the interpreter
    options : of `ensure`
    """

    _started: ClassVar[list[Client]] = []

    def __init__(
        self,
        directory: Path,
        linger: float = 0.0,
        prefix: Sequence[str] = (),
        python: str = sys.executable,
        runtime: Path = RUNTIME,
        **options: object,
    ) -> None:
        code = CLIENT.format(directory=str(directory), linger=linger, options=options)
        self.process = subprocess.Popen(
            [*prefix, python, "-c", textwrap.dedent(code)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            env={**os.environ, "PYTHONPATH": str(runtime)},
        )

        self._started.append(self)

    @classmethod
    def kill_all(cls) -> None:
        """End those that a test has left."""
        while cls._started:
            client = cls._started.pop()
            if client.process.poll() is None:
                client.kill()

    def joined(self) -> str:
        """The server's socket directory, once it has been joined."""
        assert self.process.stdout and self.process.stderr
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        return line.strip()

    def failed(self) -> str:
        """What a client says that can't join."""
        _, said = self.process.communicate(timeout=PATIENCE_S)
        assert self.process.returncode == 1, said
        return said

    def leave(self) -> None:
        """End in the ordinary way."""
        self.process.communicate(timeout=PATIENCE_S)

    def kill(self) -> None:
        """End with kill -9."""
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate(timeout=PATIENCE_S)


def fake_programs(at: Path, initdb: str, version: str = "18.4") -> Path:
    """A directory of PostgreSQL's programs, of which initdb is a shell script and postgres only tells its version."""
    at.mkdir()
    (at / "initdb").write_text(f"#!/bin/sh\n{initdb}\n")
    (at / "postgres").write_text(f'#!/bin/sh\necho "postgres (PostgreSQL) {version}"\n')
    for program in at.iterdir():
        program.chmod(0o755)
    return at
