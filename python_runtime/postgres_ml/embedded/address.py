"""Where a server is reached, and what is known about an embedded one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote


@dataclass(frozen=True)
class ServerAddress:
    """What a client connects to.

    Parameters
    ----------
    host : a host's name, or the absolute directory of a socket
    port, user, dbname : as libpq understands them
    """

    host: str
    port: int
    user: str
    dbname: str

    @property
    def url(self) -> str:
        """A URL that libpq and SQLAlchemy both take.

        The host stands in the query: SQLAlchemy does not decode a socket directory in the host's own place.
        """
        host, dbname = quote(self.host, safe=""), quote(self.dbname, safe="")
        return f"postgresql://{quote(self.user, safe='')}@/{dbname}?host={host}&port={self.port}"


@dataclass(frozen=True)
class Description:
    """What is known about an embedded server, whether it runs or not.

    Parameters
    ----------
    address, pid : None when it does not run
    version, major : of the programs it was last started with: '18.4', '18'; '' before the first start
    bindir, provider : of those programs
    kept : whether it stays up without clients until it is stopped
    """

    address: ServerAddress | None
    pid: int | None
    version: str
    major: str
    bindir: Path
    provider: str
    kept: bool
