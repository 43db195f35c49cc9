"""Joins, starts, keeps and stops embedded servers: the whole life cycle, in the order of its steps."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from postgres_ml.contract.exceptions import EmbeddedServerError
from postgres_ml.embedded import launch, supervisor
from postgres_ml.embedded.address import Description, ServerAddress
from postgres_ml.embedded.cluster import SUPERUSER
from postgres_ml.embedded.files import write
from postgres_ml.embedded.layout import Layout, locate, prepare
from postgres_ml.embedded.locks import exclusive, is_held, same_file, share

START_S = 420.0  # longer than a start may take after a crash

_threads = threading.RLock()
_leases: dict[
    Path, tuple[int, float]
] = {}  # root -> descriptor of the shared lock, seconds of linger asked for


def _forget_threads() -> None:
    """A forked child has none of the threads that might hold the lock."""
    global _threads
    _threads = threading.RLock()


os.register_at_fork(after_in_child=_forget_threads)


def ensure(
    directory: str | os.PathLike[str],
    linger: float = 10.0,
    *,
    bindir: str | os.PathLike[str] | None = None,
    durability: str = "on",
) -> ServerAddress:
    """The address of the server of a directory, which is started, made or joined as need be.

    Parameters
    ----------
    directory : absolute path; made when missing
    linger : seconds that the server stays up after its last client; the latest caller's wish counts
    bindir : directory of PostgreSQL's programs; found automatically by default
    durability : 'off' for throw-away data: a crash of the machine may lose or spoil it

    Raises
    ------
    EmbeddedServerError
        Anything that stands in the way, with its cure.
    """
    if durability not in ("on", "off"):
        raise EmbeddedServerError(f"durability must be 'on' or 'off', not {durability!r}")
    if not (math.isfinite(linger) and linger >= 0):
        raise EmbeddedServerError(f"linger must be a number of seconds, 0 or more, not {linger!r}")
    layout = locate(directory)
    with _threads, _explained(layout):
        lease = _leases.get(layout.root)
        if (
            lease
            and lease[1] == linger
            and same_file(lease[0], layout.clients_lock)
            and (here := _address(layout))
        ):
            return here
        return _join(layout, linger, bindir, durability)


def _join(
    layout: Layout, linger: float, bindir: str | os.PathLike[str] | None, durability: str
) -> ServerAddress:
    prepare(layout)
    descriptor, is_new = _lease(layout)
    try:
        with exclusive(layout.start_lock, START_S, "starting or stopping the server"):
            _write_linger(layout, linger)
            launch.bring_up(layout, None if bindir is None else Path(bindir), durability)
            here = _address(layout)
            if here is None or not same_file(descriptor, layout.clients_lock):
                raise EmbeddedServerError(
                    f"the server in {layout.root} ended, or its files were removed, while this process "
                    "connected"
                )
    except BaseException:
        if is_new:
            release(layout.root)
        raise
    _leases[layout.root] = (descriptor, linger)
    return here


def _lease(layout: Layout) -> tuple[int, bool]:
    """The descriptor of this process's shared lock, and whether it had to be taken: not if held already.

    One on the lock file of a directory that has been replaced since is given up.
    """
    held = _leases.get(layout.root)
    if held and same_file(held[0], layout.clients_lock):
        return held[0], False
    release(layout.root)
    descriptor = share(layout.clients_lock)
    _leases[layout.root] = (descriptor, math.nan)
    return descriptor, True


def _write_linger(layout: Layout, seconds: float) -> None:
    """Also tells the supervisor, by the file's time, that someone joined between two of its looks."""
    write(layout.linger, repr(float(seconds)))


def _address(layout: Layout) -> ServerAddress | None:
    """The address of a running server, from its own pid file; None when none runs or is ready."""
    if supervisor.postmaster_pid(str(layout.data)) is None or not launch.is_ready(layout):
        return None
    lines = supervisor.read_pid_file(str(layout.data))
    return ServerAddress(host=lines[4], port=int(lines[3]), user=SUPERUSER, dbname="postgres")


def release(directory: str | os.PathLike[str]) -> None:
    """Give up this process's claim on a server, which may then stop. Does nothing without a claim."""
    with _threads:
        lease = _leases.pop(locate(directory).root, None)
        if lease:
            os.close(lease[0])


def keep_claim_on_exec(directory: str | os.PathLike[str]) -> None:
    """Have this process's claim outlast an exec: it is then held as long as the new program runs."""
    with _threads:
        os.set_inheritable(_leases[locate(directory).root][0], True)


def keep(directory: str | os.PathLike[str], *, bindir: str | os.PathLike[str] | None = None) -> ServerAddress:
    """Start or join a server, and have it stay up without clients until `stop`."""
    layout = locate(directory)
    here = ensure(layout.root, bindir=bindir)
    write(layout.keep, "")
    return here


def stop(directory: str | os.PathLike[str]) -> bool:
    """Stop a server at once, whoever uses it; whether one was running.

    Sessions are ended and their transactions rolled back. Returns when no process of the server is left.

    Raises
    ------
    EmbeddedServerError
        It does not end, or belongs to someone else.
    """
    layout = locate(directory)
    if not layout.is_ours():
        return False
    with (
        _threads,
        _explained(layout),
        exclusive(layout.start_lock, START_S, "starting or stopping the server"),
    ):
        layout.keep.unlink(missing_ok=True)
        pid = supervisor.postmaster_pid(str(layout.data))
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)
        deadline = time.monotonic() + supervisor.FAST_SHUTDOWN_S
        while supervisor.postmaster_pid(str(layout.data)) or is_held(layout.supervisor_lock):
            if time.monotonic() > deadline:
                raise EmbeddedServerError(f"the server in {layout.root} did not stop: see {layout.log}")
            time.sleep(0.01)
        return pid is not None


def describe(directory: str | os.PathLike[str]) -> Description:
    """What is known about the server of a directory; starts nothing.

    Raises
    ------
    EmbeddedServerError
        The directory is not an embedded server's.
    """
    layout = locate(directory)
    with _explained(layout):
        if not layout.is_ours():
            raise EmbeddedServerError(f"{layout.root} is not the directory of an embedded server")
        known = (
            json.loads(layout.description.read_text(encoding="utf-8")) if layout.description.exists() else {}
        )
        here = _address(layout)
        return Description(
            address=here,
            pid=supervisor.postmaster_pid(str(layout.data)) if here else None,
            version=known.get("version", ""),
            major=known.get("major", ""),
            bindir=Path(known.get("bindir", "")),
            provider=known.get("provider", ""),
            kept=here is not None and layout.keep.exists(),
        )


@contextlib.contextmanager
def _explained(layout: Layout) -> Iterator[None]:
    """Turn the system's errors into one that names the directory and the cause."""
    try:
        yield
    except OSError as error:
        cause = (
            "the disk is full"
            if error.errno in (errno.ENOSPC, errno.EDQUOT)
            else (error.strerror or str(error))
        )
        where = error.filename or layout.root
        raise EmbeddedServerError(
            f"the embedded server in {layout.root} can't be used: {cause} ({where})"
        ) from error
