"""The process that trainings fork from: it imports what a training imports, and forks at each request.

It stays a process of one thread, which has opened neither a database nor a store, so a fork is a new process
in everything but the imports. Each has its own environment, folder, session and pipes. Each job has two: one
trains, and begins as soon as what it needs is imported; one tells MLflow, which is imported meanwhile.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from postgres_ml.contract.exceptions import PostgresMLError, TrainingProcessError
from postgres_ml.contract.job import TRACKING_URI
from postgres_ml.process.fork_server import PREPARE
from postgres_ml.process.lines import LATER, unstarted_text
from postgres_ml.process.memory import remember_before_forks

#: what a training imports sooner or later
TRAINING = ("postgres_ml.pipeline", "xgboost", "optuna")
#: what the process that tells MLflow of it imports besides, before it opens the store
TRACKING = ("postgres_ml.track.run", "mlflow.sklearn")
MODULES = (*TRAINING, *TRACKING, *LATER)
MOST_BYTES = 1 << 24  # of a request
FAILED = TrainingProcessError.__name__
TRACKS = "postgres-ml-log"  # of the process that tells MLflow: 15 characters are what Linux keeps


Train = Callable[[Path, int], int]
Track = Callable[[int], int]


def serve(descriptor: int, train: Train, track: Track, remove_rows: Callable[[Path], object]) -> int:
    """Fork two processes for each request until dbt's process closes the socket; return the exit code.

    It returns in the forked processes too, with their exit codes.

    Parameters
    ----------
    descriptor : of the socket to dbt's process
    train, track : what the forked processes call, with a socket to each other, and the job's path
    remove_rows : takes a job's folder, and the rows that a killed dbt left out of it, unless another builds
    """
    server = Server(socket.socket(fileno=descriptor), train, track, remove_rows)
    while (work := server.next()) is None:
        pass
    return work()


class CannotForkError(Exception):
    """There is no room for another process: a limit on their number, or on memory."""


class Server:
    """The process that forks; parameters are those of `serve`."""

    def __init__(
        self, connection: socket.socket, train: Train, track: Track, remove_rows: Callable[[Path], object]
    ) -> None:
        self._connection, self._train, self._track, self._remove_rows = connection, train, track, remove_rows
        self._awake, self._wake = socket.socketpair()
        self._wake.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._running: dict[int, bytes | None] = {}  # the request's number by process; None is not reported

    def next(self) -> Callable[[], int] | None:
        """Wait for a request or for processes that end; return what is left to do, in a forked process."""
        readable, _, _ = select.select([self._connection, self._awake], [], [])
        if self._awake in readable:
            self._awake.recv(1 << 10)
            self._report_ends()
        if self._connection not in readable:
            return None
        number, descriptors, _, _ = socket.recv_fds(self._connection, 1 << 10, 4)
        if not number:
            return lambda: 0
        request = json.loads(os.pread(descriptors[3], MOST_BYTES, 0))
        _import_libraries(TRAINING, descriptors[2])
        work: Callable[[], int] | None = None
        try:
            if request["job"] == PREPARE:
                _import_libraries((*TRACKING, *LATER), descriptors[2])
                work = _make_tables if self._fork(number, request, descriptors[:3]) else None
            elif not _has_ended(descriptors[0]):
                work = self._fork_both(number, request, descriptors)
            elif _has_ended(self._connection.fileno()):
                self._remove_rows(Path(request["job"]).parent)
            else:
                self._connection.send(b"%s 0 %d" % (number, -signal.SIGKILL))
        except CannotForkError as error:
            with contextlib.suppress(BrokenPipeError):  # nobody waits for it
                os.write(descriptors[1], _as_line(event="error", type=FAILED, text=str(error)))
            self._connection.send(b"%s 0 1" % number)
        for one in descriptors:
            os.close(one)
        return work

    def _fork_both(
        self, number: bytes, request: dict[str, Any], descriptors: list[int]
    ) -> Callable[[], int] | None:
        """Fork the training, import what else MLflow needs, and fork the process that tells it.

        Raises
        ------
        CannotForkError
            The training. It is told itself of the other process, as it is of a store that doesn't open.
        """
        job = Path(request["job"])
        trains, tracks = socket.socketpair()
        with tracks:
            with trains:
                if self._fork(number, request, descriptors[:3]):
                    return partial(self._train, job, trains.detach())
            quiet = os.open(os.devnull, os.O_RDWR)
            for one in descriptors[:2]:
                os.dup2(quiet, one)  # the training's end has to be the end of its pipes
            os.close(quiet)
            # the first job's process imports the rest while it waits for the training
            modules = (*TRACKING, *LATER) if TRACKING[-1] in sys.modules else TRACKING
            _import_libraries(modules, descriptors[2])
            try:
                if self._fork(None, request, [descriptors[0], descriptors[2], descriptors[2]]):
                    _set_name(TRACKS)
                    return partial(self._track, tracks.detach())
            except CannotForkError as error:
                with contextlib.suppress(BrokenPipeError):  # it has ended
                    tracks.sendall(_as_line(error=FAILED, text=str(error)))
        return None

    def _fork(self, number: bytes | None, request: dict[str, Any], streams: list[int]) -> bool:
        """Fork, and return whether this is the new process: with its own session, streams, environment.

        Parameters
        ----------
        number : of the request, to tell dbt of the process; None doesn't
        streams : stdin, stdout and stderr

        Raises
        ------
        CannotForkError
            Here there is no room for another process; this one goes on.
        """
        try:
            pid = os.fork()
        except OSError as error:
            raise CannotForkError(unstarted_text(error)) from error
        if pid:
            self._running[pid] = number
            if number is not None:
                self._connection.send(b"%s %d" % (number, pid))
            return False
        _become(request, streams)
        for end in (self._connection, self._awake, self._wake):
            end.close()
        return True

    def _report_ends(self) -> None:
        while self._running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            number = self._running.pop(pid)
            if number is not None:
                self._connection.send(b"%s %d %d" % (number, pid, os.waitstatus_to_exitcode(status)))


def _as_line(**fields: str) -> bytes:
    """Return what a process tells another, in the form of `child` and `tracking_child`."""
    return json.dumps(fields).encode() + b"\n"


def _has_ended(descriptor: int) -> bool:
    """Return whether the other end of a pipe or socket is closed: dbt called the training off, or is gone."""
    poll = select.poll()
    poll.register(descriptor, select.POLLHUP)
    return bool(poll.poll(0))


def _import_libraries(modules: tuple[str, ...], stderr: int) -> None:
    """Import once; what goes wrong is told as the training's errors are.

    An error is left to the forked process, which meets it again where it can report it. What ends this
    process, a loader without memory for instance, writes to the training's stderr.
    """
    if modules[-1] in sys.modules:
        return
    os.dup2(stderr, 2)
    gc.disable()  # what is imported stays: collections find nothing, and take a seventh of the imports' time
    with contextlib.suppress(ImportError, OSError, MemoryError, RuntimeError, ValueError):
        for module in modules:
            importlib.import_module(module)
    gc.enable()
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 2)
    os.close(quiet)
    gc.collect()
    gc.freeze()  # a collection in a fork would copy all pages of what was imported
    remember_before_forks()


def _become(request: dict[str, Any], streams: list[int]) -> None:
    """Make of a fork a process of its own: session, signals, pipes, folder, environment."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for target, descriptor in enumerate(streams):
        os.dup2(descriptor, target)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()  # the generator without a seed, which all forks would share


def _set_name(name: str) -> None:
    """Give this process a name in lists of processes, where that can be: its command line is the other's."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(name, encoding="ascii")


def _make_tables() -> int:
    with contextlib.suppress(PostgresMLError):  # the job says so when it opens the store itself
        importlib.import_module("postgres_ml.track.store").make_tables(os.environ[TRACKING_URI])
    return 0
