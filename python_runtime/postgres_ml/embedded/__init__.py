"""A Postgres of one's own in a directory: started by its first client, stopped some seconds after its last.

    address = embedded.ensure("/abs/shop.pgdata")
    psycopg2.connect(host=address.host, port=address.port, user=address.user, dbname=address.dbname)

It listens on a socket in a directory of mode 0700 and on nothing else. Any number of processes and threads share it;
each process holds a claim until it ends, is killed, or calls `release`. Linux and macOS (not tested there); not
Windows. Importing this costs next to nothing, so `dbt parse` may.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from postgres_ml.exceptions import EmbeddedServerError

if os.name == "posix" or TYPE_CHECKING:
    from postgres_ml.embedded.address import Description, ServerAddress
    from postgres_ml.embedded.server import describe, ensure, keep, release, stop
else:
    raise EmbeddedServerError(
        "the embedded Postgres runs on Linux and macOS only; on Windows name a server by `host` and `port`, or use WSL"
    )

__all__ = ["Description", "ServerAddress", "describe", "ensure", "keep", "release", "stop"]
