"""What stands in an embedded server's directory, and which directories are fit to be one.

shop.pgdata/          0700, so that only its owner reaches the socket
    data/             PostgreSQL's own data directory
    clients.lock      shared flock of every client, for its life
    start.lock        exclusive flock of whoever starts or stops the server
    supervisor.lock   exclusive flock of the supervisor, for its life
    linger            seconds that the server outlives its last client, as the latest client asked
    keep              present while `postgres-ml server start` keeps the server up
    server.json       version and place of the programs
    server.log        what PostgreSQL says
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from postgres_ml.contract.exceptions import EmbeddedServerError
from postgres_ml.embedded.files import write
from postgres_ml.embedded.supervisor import SOCKET_LOCK

# sun_path holds 104 bytes on macOS, 108 on Linux; the longest name is that of the socket's lock file
SOCKET_PATH_BYTES = 100
# two hosts would each start a server on the same files: neither flock nor postmaster.pid stops them
NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "fuse.sshfs"})


@dataclass(frozen=True)
class Layout:
    """The paths of one embedded server.

    Parameters
    ----------
    root : absolute, without symbolic links
    """

    root: Path

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.root / "data"

    @property
    def clients_lock(self) -> Path:
        """Locked shared by clients."""
        return self.root / "clients.lock"

    @property
    def start_lock(self) -> Path:
        """Locked while starting and stopping."""
        return self.root / "start.lock"

    @property
    def supervisor_lock(self) -> Path:
        """Locked while a supervisor lives."""
        return self.root / "supervisor.lock"

    @property
    def linger(self) -> Path:
        """Seconds, as text."""
        return self.root / "linger"

    @property
    def keep(self) -> Path:
        """Keeps the server up while it exists."""
        return self.root / "keep"

    @property
    def description(self) -> Path:
        """JSON: version, major, bindir, provider."""
        return self.root / "server.json"

    @property
    def log(self) -> Path:
        """The server's messages."""
        return self.root / "server.log"

    def major(self) -> str | None:
        """The version that made the data directory ('18'), or None when there is none yet."""
        try:
            return (self.data / "PG_VERSION").read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None

    def is_ours(self) -> bool:
        """Whether the directory has been prepared as an embedded server's."""
        return self.start_lock.exists()


def locate(directory: str | os.PathLike[str]) -> Layout:
    """The layout of a directory, which need not exist.

    Raises
    ------
    EmbeddedServerError
        The path is relative or has characters that PostgreSQL's pid file can't hold.
    """
    path = Path(directory).expanduser()
    if not path.is_absolute():
        raise EmbeddedServerError(
            f"the embedded server's directory must be an absolute path, not {str(path)!r}"
        )
    if "\n" in str(path) or "\r" in str(path):
        raise EmbeddedServerError(
            f"the embedded server's directory has a line break in its name: {str(path)!r}"
        )
    return Layout(path.resolve())


def prepare(layout: Layout) -> None:
    """Make the directory, or check that an existing one can be used.

    Raises
    ------
    EmbeddedServerError
        It can't be written, belongs to someone else, holds other files, or lies on a network file system.
    """
    root = layout.root
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = root.stat()
    if os.geteuid() not in (0, status.st_uid):
        raise EmbeddedServerError(
            f"{root} belongs to another user (uid {status.st_uid}); use a directory of your own"
        )
    if (root / "PG_VERSION").exists():
        raise EmbeddedServerError(f"{root} is the data directory of another server; use a separate directory")
    names = {entry.name for entry in root.iterdir() if not entry.name.startswith(".")} - {"lost+found"}
    is_ours = names & {"clients.lock", "start.lock"} or (root / "data" / "PG_VERSION").exists()
    if names and not is_ours:  # a project may have a folder `data` of its own
        raise EmbeddedServerError(f"{root} has other files in it; use a new or empty directory")
    if kind := _network_file_system(root):
        raise EmbeddedServerError(
            f"{root} is on a network file system ({kind}), where a second machine could start "
            "a server on the same data; use a directory on a local disk"
        )
    if stat.S_IMODE(status.st_mode) != 0o700:
        root.chmod(0o700)
    if not (root / ".gitignore").exists():
        write(root / ".gitignore", "# 40 MB of database\n*\n")


def _network_file_system(path: Path) -> str | None:
    """The type of the network file system a path is on; None for a local one, and where no /proc tells."""
    try:
        lines = (
            Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        )
    except OSError:
        return None
    kind = file_system_type(path, lines)
    return kind if kind in NETWORK_FILE_SYSTEMS else None


def file_system_type(path: Path, mountinfo: list[str]) -> str:
    """The type of the file system that a path is on.

    Parameters
    ----------
    path : absolute, without symbolic links
    mountinfo : the lines of /proc/self/mountinfo
    """
    best, kind = -1, ""
    for line in mountinfo:
        fields, _, rest = line.partition(" - ")
        mount_point = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), fields.split()[4])
        if Path(mount_point) in (path, *path.parents) and len(mount_point) >= best:
            best, kind = len(mount_point), rest.split()[0]
    return kind


def socket_directory(layout: Layout) -> Path:
    """Where the server's socket goes: its own directory, or a new 0700 one in /tmp when that name won't do.

    It won't when the path is too long for a socket, or has characters that mean something in PostgreSQL's
    list of socket directories or in libpq's list of hosts.
    """
    name = str(layout.root)
    if len(os.fsencode(name)) + 1 + len(SOCKET_LOCK) <= SOCKET_PATH_BYTES and re.fullmatch(
        r"[\w./+~%@:= -]+", name
    ):
        return layout.root
    # not TMPDIR, which can be long itself; PostgreSQL touches its socket hourly against cleaners of /tmp
    return Path(tempfile.mkdtemp(prefix="postgres-ml-", dir="/tmp"))
