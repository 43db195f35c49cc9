"""The process that trainings fork from: it imports what a training imports, and forks at each request.

It stays a process of one thread, which has opened neither a database nor a store, so a fork is a new process
in everything but the imports. Each has its own environment, folder, session and pipes.
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
from pathlib import Path
from typing import Any

from postgres_ml.contract.exceptions import PostgresMLError
from postgres_ml.contract.job import TRACKING_URI
from postgres_ml.process.fork_server import PREPARE
from postgres_ml.process.memory import remember_before_forks

#: what a training imports sooner or later
MODULES = (
    "postgres_ml.pipeline",
    "postgres_ml.track.run",
    "xgboost",
    "optuna",
    "mlflow.sklearn",
    "matplotlib.pyplot",
)
MOST_BYTES = 1 << 24  # of a request


def serve(descriptor: int, train: Callable[[Path], int], remove_rows: Callable[[Path], None]) -> int:
    """Fork a process for each request until dbt's process closes the socket; return the exit code.

    It returns in the forked processes too, with the training's exit code.

    Parameters
    ----------
    descriptor : of the socket to dbt's process
    train : what a forked process calls with the path of its job
    remove_rows : takes a job's folder, and the database's rows out of it, when a dbt that was killed can't
    """
    connection = socket.socket(fileno=descriptor)
    awake, wake = socket.socketpair()
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    running: dict[int, int] = {}  # the request's number by process
    while True:
        readable, _, _ = select.select([connection, awake], [], [])
        if awake in readable:
            awake.recv(1 << 10)
            _report_ends(connection, running)
        if connection not in readable:
            continue
        number, descriptors, _, _ = socket.recv_fds(connection, 1 << 10, 4)
        if not number:
            return 0
        request = json.loads(os.pread(descriptors[3], MOST_BYTES, 0))
        _import_libraries(descriptors[2])
        if _has_ended(descriptors[0]) and request["job"] != PREPARE:
            if _has_ended(connection.fileno()):
                remove_rows(Path(request["job"]).parent)
            else:
                connection.send(b"%s 0 %d" % (number, -signal.SIGKILL))
        elif pid := os.fork():
            running[pid] = int(number)
            connection.send(b"%s %d" % (number, pid))
        else:
            _become(request, descriptors)
            for end in (connection, awake, wake):
                end.close()
            return _make_tables() if request["job"] == PREPARE else train(Path(request["job"]))
        for one in descriptors:
            os.close(one)


def _report_ends(connection: socket.socket, running: dict[int, int]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        code = os.waitstatus_to_exitcode(status)
        connection.send(b"%d %d %d" % (running.pop(pid), pid, code))


def _has_ended(descriptor: int) -> bool:
    """Return whether the other end of a pipe or socket is closed: dbt called the training off, or is gone."""
    poll = select.poll()
    poll.register(descriptor, select.POLLHUP)
    return bool(poll.poll(0))


def _import_libraries(stderr: int) -> None:
    """Import once; what goes wrong is told as the training's errors are.

    An error is left to the training, which meets it again where it can report it. What ends this process,
    a loader without memory for instance, writes to the training's stderr.
    """
    if MODULES[-1] in sys.modules:
        return
    os.dup2(stderr, 2)
    with contextlib.suppress(ImportError, OSError, MemoryError, RuntimeError, ValueError):
        for module in MODULES:
            importlib.import_module(module)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 2)
    os.close(quiet)
    gc.collect()
    gc.freeze()  # a collection in a fork would copy all pages of what was imported
    remember_before_forks()


def _become(request: dict[str, Any], descriptors: list[int]) -> None:
    """Make of a fork the process of a training: session, signals, pipes, folder, environment."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for target, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, target)
    for descriptor in descriptors:
        os.close(descriptor)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()  # the generator without a seed, which all forks would share


def _make_tables() -> int:
    with contextlib.suppress(PostgresMLError):  # the job says so when it opens the store itself
        importlib.import_module("postgres_ml.track.store").make_tables(os.environ[TRACKING_URI])
    return 0
