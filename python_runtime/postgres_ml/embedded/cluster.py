"""Makes the data directory: initdb under a temporary name, then one rename, so half of one is never used."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from postgres_ml.contract.exceptions import EmbeddedServerError
from postgres_ml.embedded.account import Account
from postgres_ml.embedded.binaries import Binaries
from postgres_ml.embedded.layout import Layout
from postgres_ml.embedded.libpq import without_libpq

SUPERUSER = "postgres"
UNFINISHED = "initdb."
# what a user may change in postgresql.conf; what the life cycle depends on goes on the command line
SETTINGS = """
# set by postgres_ml
max_wal_size = '1GB'
wal_level = minimal     # nobody reads it: a new table is synced at its commit, not written twice
max_wal_senders = 0     # what pg_basebackup and replicas need; set wal_level to replica with it
jit = off               # the wheels have no LLVM: planning for it would be for nothing
log_timezone = 'UTC'
"""


def environment() -> dict[str, str]:
    """The environment of PostgreSQL's programs: the same whoever starts them, messages in English.

    Nothing of libpq's, and nothing that tells PL/Python where a client's Python is: with an activated virtual
    environment first on PATH, the server's Python would import that environment's packages, but only if
    the server happened to be started from there.
    """
    kept = {
        name: value
        for name, value in without_libpq(os.environ).items()
        if not name.startswith(("LC_", "LANGUAGE", "PYTHON", "VIRTUAL_ENV", "CONDA"))
    }
    return {**kept, "LC_ALL": "C", "PATH": os.confstr("CS_PATH") or os.defpath}


def create(layout: Layout, account: Account, binaries: Binaries, durability: str) -> None:
    """Make `layout.data`; encoding UTF8, locale C.UTF-8 or, where the system lacks it, C.

    Raises
    ------
    EmbeddedServerError
        initdb failed: its last words are in the message.
    """
    for path in layout.root.glob(f"{UNFINISHED}*"):
        shutil.rmtree(path, ignore_errors=True)
    # a name of its own: the initdb of a client that was killed may be running still
    unfinished = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=layout.root))
    try:
        if account.uid >= 0:
            os.chown(unfinished, account.uid, account.gid)
        _initdb(unfinished, account, binaries, durability)
        with (unfinished / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(SETTINGS)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(layout.data)
        _sync(layout.root)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _initdb(target: Path, account: Account, binaries: Binaries, durability: str) -> None:
    initdb = binaries.bindir / "initdb"
    options = ["-U", SUPERUSER, "-E", "UTF8", "-A", "trust", *_sync_options(binaries, durability)]
    for locale in ("C.UTF-8", "C"):
        outcome = account.run([initdb, "-D", target, f"--locale={locale}", *options], environment())
        if outcome.returncode == 0:
            return
        if "invalid locale name" not in outcome.stderr:
            break
    raise EmbeddedServerError(
        f"initdb failed in {target.parent}: {last_words(outcome.stderr or outcome.stdout)}"
    )


def _sync_options(binaries: Binaries, durability: str) -> list[str]:
    """One sync of the file system where it can be had: 1,000 of single files cost 3 s on a busy disk."""
    if durability == "off":
        return ["--no-sync"]
    return ["--sync-method=syncfs"] if sys.platform == "linux" and int(binaries.major) >= 17 else []


def last_words(text: str, lines: int = 6) -> str:
    """The end of a program's messages; said in plain words when the disk is full."""
    said = "\n".join(text.strip().splitlines()[-lines:])
    return f"the disk is full\n{said}" if "No space left on device" in text else said


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
