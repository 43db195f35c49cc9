"""Starts the server under its supervisor and waits until it takes connections."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from postgres_ml.contract.exceptions import EmbeddedServerError
from postgres_ml.embedded import cluster, supervisor
from postgres_ml.embedded.account import Account, choose
from postgres_ml.embedded.binaries import Binaries, find
from postgres_ml.embedded.files import open_owned, write
from postgres_ml.embedded.layout import Layout, socket_directory
from postgres_ml.embedded.locks import acquire, is_held

RECOVERY_S = 300.0  # replaying max_wal_size takes seconds after a crash, a minute or two on a slow disk
PREDECESSOR_S = 360.0  # longer than the supervisor's own patience with a shutdown
LOG_BYTES = 4_000_000
PORT = 5432
NO_PROCESS = 2**22 + 1  # above the largest process id of Linux (2**22) and macOS (99998)
SHARED_MEMORY_IN_USE = "pre-existing shared memory block"


def bring_up(layout: Layout, bindir: Path | None, durability: str) -> None:
    """Return when the server of a directory takes connections. Needs start.lock.

    It may be in any state: running, starting or ending (the client that began it was killed, say), without
    a supervisor (that was killed), dead with backends left, or not there at all.

    Raises
    ------
    EmbeddedServerError
        No programs, no account to run them, initdb or the server failed: with their last words.
    """
    logged: int | None = None
    deadline = time.monotonic() + RECOVERY_S
    while time.monotonic() < deadline:
        if supervisor.postmaster_pid(str(layout.data)):
            if is_ready(layout):
                return
            if not is_held(layout.supervisor_lock):
                adopt(layout)
        elif not is_held(layout.supervisor_lock):
            if logged is not None:
                said = _log_since(layout, logged)
                if SHARED_MEMORY_IN_USE not in said:
                    raise EmbeddedServerError(
                        f"the server in {layout.root} did not start: {cluster.last_words(said)}"
                    )
                supervisor.end_orphans(str(layout.data))
            logged = _start(layout, bindir, durability)
        time.sleep(0.01)
    raise EmbeddedServerError(
        f"the server in {layout.root} is not ready after {RECOVERY_S:.0f} s: see {layout.log}"
    )


def adopt(layout: Layout) -> None:
    """Give a running server whose supervisor was killed a new one. Needs start.lock."""
    _supervise(layout, Account(), [])


def is_ready(layout: Layout) -> bool:
    """Whether the server says in its pid file that it takes connections."""
    lines = supervisor.read_pid_file(str(layout.data))
    return len(lines) > 7 and lines[7].strip() == "ready"


def _start(layout: Layout, bindir: Path | None, durability: str) -> int:
    """Have a supervisor start the server, making its data when there is none; where its messages begin."""
    binaries = find(bindir, layout.major())
    account, binaries = choose(layout.root, layout.data, binaries)
    if layout.major() is None:
        cluster.create(layout, account, binaries, durability)
    _describe(layout, binaries)
    layout.keep.unlink(missing_ok=True)  # of a server that is no more
    _disown_pid_file(layout)
    sockets = socket_directory(layout)
    if account.uid >= 0:
        os.chown(sockets, account.uid, account.gid)
    settings = {"port": PORT, "listen_addresses": "", "unix_socket_permissions": "0700"}
    if durability == "off":
        settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    command = [*account.prefix, str(binaries.bindir / "postgres"), "-D", str(layout.data), "-k", str(sockets)]
    command += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return _supervise(layout, account, command)


def _describe(layout: Layout, binaries: Binaries) -> None:
    content = {
        "version": binaries.version,
        "major": binaries.major,
        "bindir": str(binaries.bindir),
        "provider": binaries.provider,
    }
    write(layout.description, json.dumps(content))


def _disown_pid_file(layout: Layout) -> None:
    """Keep a pid file whose process id has been recycled from stopping the start.

    PostgreSQL looks only whether that process exists. The file itself must stay: its line about shared memory
    is what keeps a second server off the data while a backend of the dead one lives.
    """
    lines = supervisor.read_pid_file(str(layout.data))
    if lines:
        text = "\n".join([str(NO_PROCESS), *lines[1:]])
        (layout.data / "postmaster.pid").write_text(text, encoding="utf-8", errors="surrogateescape")


def _supervise(layout: Layout, account: Account, command: list[str]) -> int:
    """Hand supervisor.lock to a new supervisor; where in the log its words begin.

    A dead server's supervisor ends that server's backends first, and holds the lock until it has.
    """
    if not sys.executable:
        raise EmbeddedServerError(
            "the embedded server needs a Python program to watch it, and sys.executable is empty"
        )
    lock = acquire(layout.supervisor_lock, PREDECESSOR_S, "stopping the server")
    try:
        begin = _log_size(layout)
        flags = os.O_WRONLY | (os.O_APPEND if begin < LOG_BYTES else os.O_TRUNC)
        with os.fdopen(open_owned(layout.log, flags), "ab") as log:
            numbers = (str(lock), str(account.uid), str(account.gid))
            outcome = subprocess.run(
                [sys.executable, "-I", "-S", supervisor.__file__, str(layout.root), *numbers, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=cluster.environment(),
                pass_fds=[lock],
                check=False,
            )
    finally:
        os.close(lock)  # not unlocked: the lock is the supervisor's now
    if outcome.returncode:
        raise EmbeddedServerError(
            f"the supervisor did not start: {cluster.last_words(_log_since(layout, begin))}"
        )
    return begin


def _log_size(layout: Layout) -> int:
    return layout.log.stat().st_size if layout.log.exists() else 0


def _log_since(layout: Layout, position: int) -> str:
    content = layout.log.read_bytes()
    return content[position if position <= len(content) else 0 :].decode("utf-8", errors="replace")
