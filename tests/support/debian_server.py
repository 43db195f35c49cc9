"""A server of Debian's packages, which has PL/Python: what runtime python and endpoints are tested on.

Its Python is the system's, with the libraries of the tests' own virtual environment where the minor versions
are the same. Where it can't be had, the tests say why and are skipped; in CI (CI=true) they fail.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import psycopg2
import psycopg2.extensions
import pytest
from filelock import FileLock
from postgres_ml import embedded
from postgres_ml.embedded import ServerAddress

from support.embedded_servers import scratch

PACKAGES = ("postgresql-15", "postgresql-plpython3-15")
BINDIR = Path("/usr/lib/postgresql/15/bin")
PLPYTHON = Path("/usr/lib/postgresql/15/lib/plpython3.so")
APT_GET = ("apt-get", "--quiet", "-o", "DPkg::Lock::Timeout=300")  # others may be installing, too
SITE_PACKAGES = sysconfig.get_path("purelib")


def unavailable(reason: str) -> NoReturn:
    """Skip the test for this reason; fail it in CI, where nobody reads what was skipped."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def may_install() -> bool:
    """Return whether packages can be installed here."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install_packages(packages: Sequence[str], are_there: Callable[[], bool]) -> None:
    """Install packages that are not there; xdist's workers ask at the same time, and apt-get runs only once."""
    with FileLock(Path(tempfile.gettempdir()) / "postgres-ml-tests-apt.lock"):
        if not are_there():
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
                subprocess.run([*APT_GET, *command], check=True, env=environment)


def has_plpython() -> bool:
    """Return whether Debian's server and its PL/Python are installed."""
    return PLPYTHON.exists() and (BINDIR / "postgres").exists()


@functools.cache
def install() -> Path:
    """Return the folder of Debian's binaries; installs the packages where that is allowed and they are missing."""
    if not has_plpython():
        if not may_install():
            unavailable(
                f"the tests of runtime python need {' and '.join(PACKAGES)} (Debian 12, Ubuntu by "
                "apt.postgresql.org): install them, or run as root where apt-get is"
            )
        install_packages(PACKAGES, has_plpython)
    return BINDIR


def start(directory: Path | None = None) -> tuple[ServerAddress, Path]:
    """Start the server, with the language in it; return its address and its directory, for `stop`."""
    directory = directory or scratch()
    address = embedded.ensure(directory, bindir=install(), linger=5.0, durability="off")
    with psycopg2.connect(
        host=address.host, port=address.port, user=address.user, dbname=address.dbname
    ) as made:
        made.autocommit = True
        with made.cursor() as cursor:
            cursor.execute("create extension if not exists plpython3u")
            cursor.execute("drop function if exists pg_temp.python_version()")
            cursor.execute(
                "create function pg_temp.python_version() returns text language plpython3u as "
                "$$import sys; return '%d.%d' % sys.version_info[:2]$$; select pg_temp.python_version()"
            )
            [(version,)] = cursor.fetchall()
    made.close()
    check_version(version, directory)
    return address, directory


def check_version(version: str, directory: Path) -> None:
    """Stop the server and skip, or fail, where its Python can't import the libraries of the tests' own."""
    here = "{}.{}".format(*sys.version_info[:2])
    if version != here:
        stop(directory)
        unavailable(
            f"the server's PL/Python is Python {version}, the tests run on {here}: "
            "runtime python is tested where both have one minor version"
        )


def stop(directory: Path) -> None:
    """Stop the server and remove its directory."""
    embedded.stop(directory)
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def debian() -> Iterator[ServerAddress]:
    """The server's address; tests that use it are of xdist_group "debian", so that one worker starts it."""
    address, directory = start()
    yield address
    stop(directory)


@pytest.fixture
def debian_connection(debian: ServerAddress) -> Iterator[psycopg2.extensions.connection]:
    """A new connection in autocommit mode."""
    made = psycopg2.connect(host=debian.host, port=debian.port, user=debian.user, dbname=debian.dbname)
    made.autocommit = True
    yield made
    made.close()


@pytest.fixture
def debian_schema(debian_connection: psycopg2.extensions.connection) -> Iterator[str]:
    """The name of a new schema, which is dropped with all that is in it afterwards."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with debian_connection.cursor() as cursor:
        cursor.execute(f"create schema {name}")
        yield name
        cursor.execute(f"drop schema {name} cascade")
