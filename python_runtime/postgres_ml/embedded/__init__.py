"""A Postgres of one's own in a directory: started by its first client, stopped some seconds after its last.

    address = embedded.ensure("/abs/shop.pgdata")
    psycopg2.connect(host=address.host, port=address.port, user=address.user, dbname=address.dbname)

It listens on a socket in a directory of mode 0700 and on nothing else. Any number of processes and threads
share it; each process holds a claim on it until it ends, is killed, or calls `release`. For Linux, and for
macOS by code that has not been run there; not for Windows. Importing this costs next to nothing.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from postgres_ml.contract.exceptions import EmbeddedServerError

if TYPE_CHECKING:
    from postgres_ml.embedded.address import Description, ServerAddress
    from postgres_ml.embedded.server import describe, ensure, keep, release, stop

__all__ = ["Description", "ServerAddress", "describe", "ensure", "keep", "release", "stop"]


def __getattr__(name: str) -> Any:
    """What `__all__` names, imported when first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in ("Description", "ServerAddress"):
        return getattr(importlib.import_module(f"{__name__}.address"), name)
    if os.name != "posix":
        raise EmbeddedServerError(
            "the embedded Postgres runs on Linux and macOS only; "
            "on Windows name a server by `host` and `port`, or use WSL"
        )
    return getattr(importlib.import_module(f"{__name__}.server"), name)
