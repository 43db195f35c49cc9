"""Connecting to the embedded server as its address says, whatever libpq's environment says.

libpq takes a default of each parameter that a caller doesn't give from a variable PG…: a service, a channel
binding or an option meant for another server. PGSERVICE can't be overruled by any parameter.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping

PREFIX = "PG"  # of all of them; later versions of libpq have more

_lock = threading.RLock()


def without_libpq(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that libpq doesn't read."""
    return {name: value for name, value in environment.items() if not name.startswith(PREFIX)}


@contextlib.contextmanager
def libpq_defaults(prefix: str = PREFIX) -> Iterator[None]:
    """Hide libpq's variables, or some, from this process while it connects; one thread at a time."""
    if not any(name.startswith(prefix) for name in os.environ):
        yield
        return
    with _lock:
        hidden = {name: value for name, value in os.environ.items() if name.startswith(prefix)}
        for name in hidden:
            del os.environ[name]
        try:
            yield
        finally:
            os.environ.update(hidden)
