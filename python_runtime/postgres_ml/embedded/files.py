"""Small files in an embedded server's directory, which stay its owner's even when root writes them."""

from __future__ import annotations

import os
import threading
from pathlib import Path


def open_owned(path: Path, flags: int) -> int:
    """The descriptor of a file, made with mode 0600 when missing.

    Root may use another user's directory (`sudo dbt run`); what it makes there must not lock that user out.
    """
    descriptor = os.open(path, flags | os.O_CREAT, 0o600)
    if os.geteuid() == 0:
        directory = path.parent.stat()
        if os.fstat(descriptor).st_uid != directory.st_uid:
            os.fchown(descriptor, directory.st_uid, directory.st_gid)
    return descriptor


def own_name(path: Path) -> Path:
    """Return a name beside the path that no other thread or process writes to, for what is renamed to it."""
    return path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.partial")


def write(path: Path, text: str) -> None:
    """Write a file so that a reader finds the old text or the new one, never a part."""
    partial = own_name(path)
    with os.fdopen(open_owned(partial, os.O_WRONLY | os.O_TRUNC), "w", encoding="utf-8") as file:
        file.write(text)
    partial.replace(path)
