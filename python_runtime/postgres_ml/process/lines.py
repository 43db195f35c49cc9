"""Lines from a pipe or a socket, and failures as two processes tell each other. Stdlib only."""

from __future__ import annotations

import os
from collections.abc import Iterator

from postgres_ml.contract import exceptions
from postgres_ml.contract.exceptions import PostgresMLError, StorageError, TrainingProcessError
from postgres_ml.process.memory import is_shortage, peak_bytes, use_text

#: what the process that tells MLflow of a training imports while it waits for that
LATER = ("mlflow.pyfunc", "postgres_ml.track.plots.draw")
#: what a library raises of what it was given, of a store or of the machine; another error is a fault of ours
FAILURES = (PostgresMLError, OSError, MemoryError, ImportError, RuntimeError, ValueError)


def read_lines(descriptor: int) -> Iterator[bytes]:
    """Read lines without file objects, whose lock aborts an interpreter that ends while a thread reads."""
    rest = b""
    while chunk := _read(descriptor):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except ConnectionResetError:  # a socket whose other end has died with lines unread
        return b""


def told(error: BaseException, directory: str) -> tuple[str, str] | None:
    """Return a failure as the name of its class in `exceptions`, and a text for people; None of a fault.

    Parameters
    ----------
    directory : the job's, named where the failing file isn't known
    """
    if is_shortage(error):
        return TrainingProcessError.__name__, _shortage_text(error)
    if isinstance(error, PostgresMLError):
        return type(error).__name__, str(error)
    if isinstance(error, OSError):
        return StorageError.__name__, f"{error.strerror or error}: {error.filename or directory}"
    return None


def as_told(kind: str, text: str) -> PostgresMLError:
    """Return the failure that another process told, in its own class."""
    found = getattr(exceptions, kind, TrainingProcessError)
    error: PostgresMLError = found.__new__(found)  # UnsupportedModelError's text is made of parts
    Exception.__init__(error, text)
    return error


def _shortage_text(error: BaseException) -> str:
    said = str(error).strip().splitlines()
    detail = f": {said[0]}" if said else ""
    used = use_text(peak_bytes(os.getpid()))
    return (
        f"not enough memory{used}{detail}. Lower max_cells in settings or select fewer columns, or raise the "
        "limit (`ulimit -v`, the container's)"
    )
