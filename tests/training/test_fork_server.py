"""Trainings that fork from one process, which has imported the libraries."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from postgres_ml import cli
from postgres_ml.contract import json_file
from postgres_ml.contract.exceptions import TrainingProcessError
from postgres_ml.contract.job import TRACKING_URI
from postgres_ml.process import fork_server
from postgres_ml.process.environment import environment
from postgres_ml.process.fork_server import ForkServer
from postgres_ml.process.parent import TrainingProcess
from postgres_ml.process.processes import ForkedProcess
from postgres_ml.snapshot.leftovers import lock_path
from support.training import Recorder, column, make_job

PATIENCE_S = 60.0  # the imports take seconds, on a busy machine many

#: makes a process unable to fork after as many forks as the file says
NO_ROOM = """
import errno, os
from pathlib import Path
fork, file = os.fork, Path({file!r})
def limited():
    if file.exists():
        left = int(file.read_text())
        if not left:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        file.write_text(str(left - 1))
    return fork()
os.fork = limited
"""

pytestmark = pytest.mark.skipif(not fork_server.CAN_FORK, reason="forks on Linux only")


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with Path(os.devnull).open("wb") as nowhere:
        started = ForkServer(environment(), nowhere.fileno())
    yield started
    started._end()
    started._process.wait(PATIENCE_S)


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def forked(server: ForkServer, folder: Path, **variables: str) -> ForkedProcess:
    process = ForkedProcess()
    server.fork(process, str(folder / "job.json"), {**environment(), **variables})
    process.close_ends()
    return process


def waiting(server: ForkServer, folder: Path, **variables: str) -> ForkedProcess:
    """A training that waits for its job: it reads the file, which is a pipe that nobody has written."""
    os.mkfifo(folder / "job.json")
    process = forked(server, folder, **variables)
    wait_for(lambda: process.pid)
    return process


def ended(process: ForkedProcess) -> int | None:
    process.wait(PATIENCE_S)
    process.let_go()
    return process.returncode


def fields(pid: int, name: str) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/{name}").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def test_each_has_its_own_session_folder_and_environment(
    server: ForkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        trainings.append(waiting(server, tmp_path / name, COLOUR=name))
    for name, process in zip(("one", "two"), trainings, strict=True):
        assert process.pid is not None and process.pid != server.pid
        assert os.getpgid(process.pid) == os.getsid(process.pid) == process.pid
        wait_for(lambda pid=process.pid, name=name: Path(f"/proc/{pid}/cwd").resolve() == tmp_path / name)
        assert fields(process.pid, "status")["PPid"] == str(server.pid)
        process.stdin.close()  # as a dbt that ends
        assert ended(process) == -signal.SIGKILL


def test_only_its_own_thread_could_hold_a_lock_when_it_forks(server: ForkServer, tmp_path: Path) -> None:
    """Arrow's allocator has a thread, and takes care of forks itself; no other library may have started one."""
    process = waiting(server, tmp_path)  # so the libraries are imported
    names = {task.joinpath("comm").read_text().strip() for task in Path(f"/proc/{server.pid}/task").iterdir()}
    process.stdin.close()
    ended(process)
    names.discard("jemalloc_bg_thd")
    assert len(names) == 1, names


def test_its_environment_is_that_of_its_request(server: ForkServer, tmp_path: Path) -> None:
    process = waiting(server, tmp_path, **{TRACKING_URI: "sqlite:////proc/of-the-request/mlflow.db"})
    (tmp_path / "job.json").write_text(json_file.to_json(make_job(tmp_path, (column("x"),), column("y"))))
    assert "of-the-request" in process.stdout.read().decode()
    assert ended(process) == 1


def test_a_killed_training_leaves_the_others(server: ForkServer, tmp_path: Path) -> None:
    process = waiting(server, tmp_path)
    process.kill_group()
    assert ended(process) == -signal.SIGKILL
    (tmp_path / "next").mkdir()
    after = waiting(server, tmp_path / "next")
    after.stdin.close()
    assert ended(after) == -signal.SIGKILL


def test_what_is_called_off_before_the_fork_never_begins(server: ForkServer, tmp_path: Path) -> None:
    os.kill(server.pid, signal.SIGSTOP)
    try:
        process = forked(server, tmp_path)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.1)
        process.stdin.close()
        process.wait()  # at once, though nothing has been told
        assert process.pid is None and process.returncode is None
    finally:
        os.kill(server.pid, signal.SIGCONT)
    wait_for(lambda: process.returncode == -signal.SIGKILL)
    assert process.pid is None and not process.stderr.read()
    process.let_go()


def test_rows_of_a_dbt_that_was_killed_while_it_imported_are_removed(tmp_path: Path) -> None:
    (tmp_path / "snapshot.bin").write_bytes(b"rows")
    with Path(os.devnull).open("wb") as nowhere:
        server = ForkServer(environment(), nowhere.fileno())
    process = forked(server, tmp_path)
    process.let_go()
    server._socket.shutdown(socket.SHUT_RDWR)  # as the kernel closes what the dead leave
    assert server._process.wait(PATIENCE_S) == 0
    assert not list(tmp_path.iterdir())


def test_rows_of_the_next_build_are_not_removed(tmp_path: Path) -> None:
    """A killed dbt's server sees that it is gone when its imports are done: by then another may build."""
    rows = tmp_path / "node" / "snapshot.bin"
    rows.parent.mkdir()
    rows.write_bytes(b"rows")
    with Path(os.devnull).open("wb") as nowhere:
        server = ForkServer(environment(), nowhere.fileno())
    process = forked(server, rows.parent)
    process.let_go()
    server._socket.shutdown(socket.SHUT_RDWR)
    with FileLock(lock_path(rows.parent)):
        assert server._process.wait(PATIENCE_S) == 0
        assert rows.exists()


def test_a_killed_server_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_server, "_servers", {})
    first = fork_server.take(tmp_path / "job.json", "sqlite:///x")
    (server,) = fork_server._servers.values()
    os.kill(server.pid, signal.SIGKILL)  # while it imports
    assert ended(first) == -signal.SIGKILL and first.pid is None
    os.mkfifo(tmp_path / "job.json")
    second = fork_server.take(tmp_path / "job.json", "sqlite:///x")
    (server,) = fork_server._servers.values()
    wait_for(lambda: second.pid)
    os.kill(server.pid, signal.SIGKILL)
    wait_for(lambda: server._ended)
    assert second.returncode is None  # it goes on, and its end is seen
    second.stdin.close()
    assert ended(second) is not None


def test_a_server_that_was_seen_to_end_is_like_one_that_ends_now(tmp_path: Path) -> None:
    """Between the look at whether it runs and the fork: the socket is closed, and another server is taken."""
    with Path(os.devnull).open("wb") as nowhere:
        dead = ForkServer(environment(), nowhere.fileno())
    os.kill(dead.pid, signal.SIGKILL)
    wait_for(lambda: dead._socket.fileno() == -1)
    process = ForkedProcess()
    with pytest.raises(BrokenPipeError):
        dead.fork(process, str(tmp_path / "job.json"), environment())
    process.close_ends()
    process.let_go()


def test_a_killed_server_ends_what_it_has_not_forked_beside_a_training_that_goes_on(tmp_path: Path) -> None:
    with Path(os.devnull).open("wb") as nowhere:
        server = ForkServer(environment(), nowhere.fileno())
    training = waiting(server, tmp_path)
    os.kill(server.pid, signal.SIGSTOP)
    (tmp_path / "next").mkdir()
    after = forked(server, tmp_path / "next")
    os.kill(server.pid, signal.SIGKILL)
    assert ended(after) == -signal.SIGKILL and training.returncode is None
    training.stdin.close()
    assert ended(training) is not None


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file that limits forks of the servers that are started from now on."""
    file = tmp_path / "room"
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(NO_ROOM.format(file=str(file)))
    before = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), *([before] if before else [])]))
    monkeypatch.setattr(fork_server, "_servers", {})
    return file


def training_in(folder: Path) -> TrainingProcess:
    folder.mkdir()
    job = make_job(folder, (column("x"),), column("y"))
    return TrainingProcess(job, Recorder(), lambda: False)


@pytest.mark.parametrize("n_forks", [0, 1])
def test_without_room_for_a_process_a_training_says_so_and_others_go_on(
    tmp_path: Path, room: Path, n_forks: int
) -> None:
    """The first fork of a job trains, the second tells MLflow."""
    no_room = r"can't be started: Resource temporarily unavailable.*`ulimit -u`"
    room.write_text(str(n_forks))
    alone = training_in(tmp_path / "alone")
    alone.start()
    (server,) = fork_server._servers.values()
    with pytest.raises(TrainingProcessError, match=no_room):
        alone.wait_ready()
    room.unlink()
    first, second, third = (training_in(tmp_path / name) for name in ("first", "second", "third"))
    first.start()
    first.wait_ready()
    room.write_text(str(n_forks))
    second.start()
    with pytest.raises(TrainingProcessError, match=no_room):
        second.wait_ready()
    assert first.is_running and not second.is_running
    room.unlink()
    third.start()
    third.wait_ready()
    assert list(fork_server._servers.values()) == [server] and server.keeps_running()
    for process in (first, third):
        process.abandon("the test is over")
    server._end()


def test_it_ends_when_it_has_had_nothing_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_server, "_servers", {})
    monkeypatch.setattr(fork_server, "IDLE_S", 0.2)
    os.mkfifo(tmp_path / "job.json")
    process = fork_server.take(tmp_path / "job.json", "sqlite:///x")
    (server,) = fork_server._servers.values()
    wait_for(lambda: process.pid)
    time.sleep(0.5)
    assert server.keeps_running()  # a training is something to do
    process.stdin.close()
    ended(process)
    assert server._process.wait(PATIENCE_S) == 0
    assert not server.keeps_running()


def test_what_libraries_read_when_imported_has_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    alike = fork_server._key({"PYTHONPATH": "/a", "POSTGRES_ML_TRACKING_URI": "x", "PGPASSWORD": "one"})
    assert alike == fork_server._key({"PGPASSWORD": "two", "PYTHONPATH": "/a"})
    assert alike != fork_server._key({"PYTHONPATH": "/b"})
    monkeypatch.setattr("resource.getrlimit", lambda _: (1 << 30, 1 << 30))
    assert alike != fork_server._key({"PYTHONPATH": "/a"})


@pytest.mark.parametrize("given", [[], ["job.json", "--forks", "3"]])
def test_a_command_without_one_thing_to_train_is_refused(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["train", *given])
    assert "--forks" in capsys.readouterr().err
