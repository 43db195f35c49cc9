"""Training processes that fork from one that has imported the libraries: the side of dbt's process.

The imports are most of what a small training takes. A process of its own (`forking`) has them, once for all
trainings of a dbt invocation. It ends when it has had nothing to do for a minute, and with dbt's process.
Stdlib only.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from postgres_ml.contract.job import TRACKING_URI
from postgres_ml.process.environment import environment
from postgres_ml.process.processes import ForkedProcess, OwnProcess

IDLE_S = 60.0
POLL_S = 0.05  # between two looks at trainings that have lost their server
PREPARE = "prepare"  # in the place of a job's path
#: what libraries read when they are imported; the rest of the environment is each training's own
READ_AT_IMPORT = (
    "GOMP_", "HOME", "KMP_", "LD_", "MALLOC_", "MKL_", "MLFLOW_", "MPL", "OMP_", "OPENBLAS_", "PYTHON",
    "SKLEARN_", "XDG_",
)  # fmt: skip
# macOS's own libraries don't survive a fork; a Python built for an old glibc has no memfd_create
CAN_FORK = sys.platform == "linux" and hasattr(os, "memfd_create")

Key = tuple[object, ...]
_servers: dict[Key, ForkServer] = {}
_lock = threading.Lock()


def take(job: Path, tracking_uri: str) -> ForkedProcess | OwnProcess:
    """Return a process that trains the job: forked where that can be done, else one that imports by itself.

    Raises
    ------
    OSError
        It can't be started.
    """
    variables = {**environment(), TRACKING_URI: tracking_uri}
    return _fork(str(job), variables) if CAN_FORK else OwnProcess(job, variables)


def prepare(tracking_uri: str) -> None:
    """Start importing before there is a job, and make a new tracking store's tables.

    Raises
    ------
    OSError
        The process can't be started.
    """
    variables = {**environment(), TRACKING_URI: tracking_uri}
    if CAN_FORK:
        _fork(PREPARE, variables).let_go()


def _fork(job: str, variables: dict[str, str]) -> ForkedProcess:
    process = ForkedProcess()
    try:
        try:
            _server(variables, process).fork(process, job, variables)
        except BrokenPipeError:  # the server was killed in this moment
            _server(variables, process).fork(process, job, variables)
    except OSError:
        process.let_go()
        raise
    finally:
        process.close_ends()
    return process


def _server(variables: dict[str, str], process: ForkedProcess) -> ForkServer:
    key = _key(variables)
    with _lock:
        server = _servers.get(key)
        if server is None or not server.keeps_running():
            server = _servers[key] = ForkServer(variables, process.ends[2])
        return server


def _key(variables: dict[str, str]) -> Key:
    """What has to be alike of two trainings that fork from one process."""
    import resource  # Unix alone has it, as it has fork

    limits = (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_DATA, resource.RLIMIT_FSIZE)
    return (
        *sorted(pair for pair in variables.items() if pair[0].startswith(READ_AT_IMPORT)),
        *map(resource.getrlimit, limits),
    )


class ForkServer:
    """The process that trainings fork from.

    Parameters
    ----------
    variables : its environment
    stderr : where it writes until it has imported the libraries

    Raises
    ------
    OSError
        It can't be started.
    """

    def __init__(self, variables: dict[str, str], stderr: int) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", "postgres_ml", "train", "--forks", str(theirs.fileno())]
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr, env=variables,
                pass_fds=(theirs.fileno(),), start_new_session=True,
            )  # fmt: skip
        self._numbers = itertools.count()
        self._forked: dict[int, ForkedProcess] = {}
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._ended = False
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def pid(self) -> int:
        """The process that has imported the libraries."""
        return self._process.pid

    def keeps_running(self) -> bool:
        """Return whether it will take a job: it runs, and doesn't end for having nothing to do."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            return not self._ended and self._process.poll() is None

    def fork(self, process: ForkedProcess, job: str, variables: dict[str, str]) -> None:
        """Let the server fork the process that trains the job, when it has imported the libraries.

        Parameters
        ----------
        job : path of its file
        variables : its environment

        Raises
        ------
        OSError
            BrokenPipeError: the server has been killed.
        """
        told = {"job": job, "environment": variables, "folder": str(Path.cwd())}
        # in memory, not on a disk: the store's password is in it
        with os.fdopen(os.memfd_create("request"), "w+") as request:
            json.dump(told, request)
            request.flush()
            with self._lock:
                number = next(self._numbers)
                self._forked[number] = process
            try:
                socket.send_fds(self._socket, [str(number).encode()], [*process.ends, request.fileno()])
            except OSError as error:
                with self._lock:
                    self._forked.pop(number, None)
                    ended = self._ended
                if ended:  # its end has been seen, and the socket closed
                    raise BrokenPipeError(
                        errno.EPIPE, "the process that trainings fork from ended"
                    ) from error
                raise

    def _listen(self) -> None:
        """Take note of what the server tells: `number pid` of a fork, `number pid code` of its end.

        The pid is 0 of one that can't be forked, or was called off before.
        """
        with contextlib.suppress(ConnectionResetError):
            while message := self._socket.recv(1 << 10):
                number, pid, *code = map(int, message.split())
                with self._lock:
                    process = self._forked[number]
                process.tell(pid, code[0] if code else None)
                if code:
                    self._forget(number)
        exit_code = self._process.wait()
        with self._lock:
            self._ended = True
            left = list(self._forked.values())
        self._socket.close()
        while left := [process for process in left if not process.lose(exit_code)]:
            time.sleep(POLL_S)  # a long training among them must not hide the end of the others

    def _forget(self, number: int) -> None:
        with self._lock:
            del self._forked[number]
            if self._forked or self._ended:
                return
            if self._timer is not None:
                self._timer.cancel()
            self._timer = threading.Timer(IDLE_S, self._end)
            self._timer.daemon = True
            self._timer.start()

    def _end(self) -> None:
        with self._lock:
            if self._forked or self._ended:
                return  # a job came in this very moment; or it was killed
            self._ended = True
        with contextlib.suppress(OSError):  # it was killed, and its end has been seen
            self._socket.shutdown(socket.SHUT_RDWR)
