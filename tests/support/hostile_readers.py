"""Functions that load a file as hostile ones make it load: each does what a trial has to survive or refuse."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any


def ends_by_signal(path: Path) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def aborts(path: Path) -> None:
    os.abort()


def leaves(path: Path) -> None:
    os._exit(0)


def exits(path: Path) -> None:
    raise SystemExit("bye")


def raises_something(path: Path) -> None:
    raise LookupError("odd")


def takes_memory(path: Path) -> None:
    bytearray(2**32)


def computes(path: Path) -> None:
    while True:
        pass


def waits(path: Path) -> None:
    time.sleep(60)


def connects(path: Path) -> None:
    socket.socket().connect(("127.0.0.1", 9))


def looks_up(path: Path) -> None:
    socket.getaddrinfo("models.example", 80)


def starts_a_program(path: Path) -> None:
    subprocess.run(["true"], check=False)


def hides_that_it_starts_a_program(path: Path) -> None:
    try:
        os.system("true")
    except PermissionError:
        return


def writes(path: Path) -> None:
    path.with_name("written").write_text("x")


def fits(path: Path) -> Any:
    return {}


def tells_its_environment(path: Path) -> None:
    assert not {name for name in os.environ if name.startswith(("PG", "AWS", "HTTP", "MLFLOW", "SECRET"))}
    # lightgbm before 4.7 imports matplotlib, which makes one of these
    assert set(os.listdir()) <= {".config", ".cache"} and os.environ["HOME"] == str(Path.cwd())  # noqa: PTH208
    assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)


def misleads(path: Path) -> Any:
    """Return a model whose predictions end the process."""

    class Misled:
        n_features_in_ = 2

        def predict(self, rows: Any) -> None:
            os.abort()

    return Misled()
