"""Debian's server with a streaming replica, both with plmodel: what replicas and remote views are tested on."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import psycopg2.extensions
from postgres_ml import embedded
from postgres_ml.embedded import ServerAddress
from postgres_ml.publish import native_extension

from support import debian_server
from support.embedded_servers import ask, scratch, wait_until
from support.native_server import headers_of, load_builder


@dataclass(frozen=True)
class Pair:
    """Addresses of a server and of its replica, and the library that both have loaded the language from."""

    primary: ServerAddress
    standby: ServerAddress
    library: Path

    def wait_until_replayed(self) -> None:
        """Return when the replica has what the server has committed."""
        [(end,)] = ask(self.primary, "select pg_current_wal_insert_lsn()")
        wait_until(
            lambda: ask(self.standby, f"select pg_last_wal_replay_lsn() >= '{end}'") == [(True,)], "replayed"
        )


def connect(address: ServerAddress, database: str | None = None) -> psycopg2.extensions.connection:
    """Return a connection in autocommit mode."""
    made = psycopg2.connect(
        host=address.host, port=address.port, user=address.user, dbname=database or address.dbname
    )
    made.autocommit = True
    return made


def copy_server(program: Path, primary: ServerAddress, directory: Path) -> None:
    """Copy a server's data into an embedded server's directory, where it will be the server's replica."""
    address = ["-h", primary.host, "-p", str(primary.port), "-U", primary.user]
    copies = ["-D", str(directory / "data"), "--write-recovery-conf", "--checkpoint", "fast"]
    subprocess.run([program, *address, *copies], check=True)


@contextmanager
def pair() -> Iterator[Pair]:
    """Yield a server that writes all into its log, and its replica; both are removed afterwards."""
    bindir = debian_server.install()
    first, second = scratch(), scratch()
    builder = load_builder()
    library = first / "plmodel-15.so"
    options = {"bindir": bindir, "linger": 60.0, "durability": "off"}
    try:
        primary = embedded.ensure(first, **options)
        ask(primary, "alter system set wal_level = logical")
        ask(primary, "alter system set max_wal_senders = 8")
        embedded.stop(first)
        primary = embedded.ensure(first, **options)
        builder.build(headers_of(builder, 15), library)
        first.chmod(0o755)
        with connect(primary).cursor() as cursor:
            native_extension.install_library(cursor, str(library))
        copy_server(bindir / "pg_basebackup", primary, second)
        # what a long query on the replica still sees is then not vacuumed away, and the query not cancelled
        with (second / "data" / "postgresql.auto.conf").open("a") as settings:
            settings.write("hot_standby_feedback = on\nwal_receiver_status_interval = 1\n")
        standby = embedded.ensure(second, **options)
        reported = "select backend_xmin is not null from pg_stat_replication"
        wait_until(lambda: ask(primary, reported) == [(True,)], "the replica tells what it still sees")
        yield Pair(primary, standby, library)
    finally:
        for directory in (second, first):
            embedded.stop(directory)
            shutil.rmtree(directory, ignore_errors=True)
