"""The embedded server's life: it starts once, is shared, survives kill -9 of anyone, and leaves nothing behind."""

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg2
import pytest
from postgres_ml import embedded
from postgres_ml.contract.exceptions import EmbeddedServerError
from postgres_ml.embedded import server
from postgres_ml.embedded.locks import exclusive
from support.embedded_servers import (
    Client,
    ask,
    fake_programs,
    processes_of,
    scratch,
    supervisor_pid,
    wait_until,
    wait_until_gone,
)


def ensure(directory, linger=0.0, durability="off"):
    return embedded.ensure(directory, linger=linger, durability=durability)


@pytest.fixture
def new_directory() -> Iterator[Path]:
    """A place for a server, and the check that nothing of it is left."""
    parent = scratch()
    yield parent / "pg"
    Client.kill_all()
    embedded.release(parent / "pg")
    embedded.stop(parent / "pg")
    wait_until_gone(parent)
    shutil.rmtree(parent)


@pytest.fixture
def directory(new_directory, pristine_data) -> Path:
    """The same with data in it, for tests that are not about making that."""
    shutil.copytree(pristine_data, new_directory / "data")
    return new_directory


def kill_server(directory):
    """Kill -9 the postmaster, and wait until it is dead: until then it answers as if nothing were."""
    os.kill(embedded.describe(directory).pid, signal.SIGKILL)
    wait_until(lambda: embedded.describe(directory).pid is None, "the server is dead")


def test_schema_fixture_is_new_and_usable(connection, schema):
    with connection.cursor() as cursor:
        cursor.execute(f"create table {schema}.t as select 1 as one")
        cursor.execute(f"select one from {schema}.t")
        assert cursor.fetchone() == (1,)


def test_first_start_makes_a_private_utf8_server(new_directory):
    directory = new_directory
    address = embedded.ensure(directory)
    names = ("fsync", "jit", "listen_addresses", "server_encoding", "max_wal_size", "unix_socket_permissions")
    values = ask(address, "select " + ", ".join(f"current_setting('{name}')" for name in names))
    assert values == [("on", "off", "", "UTF8", "1GB", "0700")]
    assert ask(address, "select current_setting('wal_level')") == [("minimal",)]
    assert ask(address, "select datcollate from pg_database where datname = 'postgres'") in (
        [("C.UTF-8",)],
        [("C",)],
    )
    assert directory.stat().st_mode & 0o777 == 0o700
    assert address == embedded.ServerAddress(str(directory.resolve()), 5432, "postgres", "postgres")
    assert (directory / ".gitignore").read_text().splitlines()[-1] == "*"


def test_joining_is_idempotent_and_finds_the_running_server(directory):
    first = ensure(directory)
    pid = embedded.describe(directory).pid
    assert ensure(directory) == first
    client = Client(directory)
    assert client.joined() == first.host
    assert embedded.describe(directory).pid == pid
    client.leave()


def test_durability_off_is_for_throw_away_data(directory):
    names = ("fsync", "synchronous_commit", "full_page_writes")
    values = ask(ensure(directory), "select " + ", ".join(f"current_setting('{name}')" for name in names))
    assert values == [("off", "off", "off")]


def test_eight_threads_at_once_start_one_server(new_directory):
    directory = new_directory
    barrier = threading.Barrier(8)

    def join(_):
        barrier.wait()
        address = ensure(directory)
        return address, ask(address, "select pg_postmaster_start_time()")[0]

    with ThreadPoolExecutor(8) as pool:
        results = set(pool.map(join, range(8)))
    assert len(results) == 1


def test_four_processes_at_once_start_one_server(new_directory):
    directory = new_directory
    clients = [Client(directory, linger=60) for _ in range(4)]
    assert {client.joined() for client in clients} == {str(directory)}
    pid = embedded.describe(directory).pid
    servers = [p for p, c in processes_of(directory).items() if "supervisor.py" not in c and "-D" in c]
    assert servers == [pid]
    for client in clients:
        client.leave()


def test_stops_after_the_last_client_however_clients_end(directory):
    clients = [Client(directory) for _ in range(3)]
    for client in clients:
        client.joined()
    clients[0].kill()
    clients[1].leave()
    assert embedded.describe(directory).pid is not None
    assert ask(embedded.describe(directory).address, "select 1") == [(1,)]
    clients[2].kill()
    wait_until_gone(directory)


def test_lingers_as_long_as_asked(directory):
    ensure(directory, linger=1.5)
    before = time.monotonic()
    embedded.release(directory)
    wait_until_gone(directory)
    assert time.monotonic() - before >= 1.5


def test_the_latest_client_says_how_long_it_lingers(directory):
    first = Client(directory, linger=3600)
    first.joined()
    first.leave()
    pid = embedded.describe(directory).pid
    assert pid is not None
    second = Client(directory, linger=0)
    second.joined()
    assert embedded.describe(directory).pid == pid
    second.leave()
    wait_until_gone(directory)


def test_rows_survive_kill_9_of_the_server(directory):
    address = ensure(directory, durability="on")
    ask(address, "create table t as select generate_series(1, 10000) as n")
    pid = embedded.describe(directory).pid
    kill_server(directory)
    other = Client(directory)
    other.joined()
    assert ask(ensure(directory), "select count(*), sum(n) from t") == [(10000, 50005000)]
    assert embedded.describe(directory).pid != pid
    other.leave()


def test_a_busy_backend_does_not_outlive_its_server(directory):
    address = ensure(directory)
    busy = psycopg2.connect(host=address.host, user=address.user, dbname=address.dbname)
    statement = (
        "do $$ begin loop perform 1; end loop; end $$"  # looks at no latch, so never at the postmaster
    )

    def run():
        with pytest.raises(psycopg2.OperationalError), busy.cursor() as cursor:
            cursor.execute(statement)

    thread = threading.Thread(target=run)
    thread.start()
    wait_until(
        lambda: ask(address, "select count(*) from pg_stat_activity where query like 'do $$%'") == [(1,)],
        "the loop runs",
    )
    kill_server(directory)
    assert ask(ensure(directory), "select 1") == [(1,)]
    thread.join()


@pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="asks Linux to end the server with its supervisor"
)
def test_no_server_outlives_its_supervisor(directory):
    ensure(directory)
    os.kill(supervisor_pid(directory), signal.SIGKILL)
    wait_until_gone(directory)


def test_a_supervisor_that_is_told_to_end_stops_the_server_well(directory):
    ask(ensure(directory), "create table t as select 1 as n")
    os.kill(supervisor_pid(directory), signal.SIGTERM)
    wait_until_gone(directory)
    assert "database system is shut down" in (directory / "server.log").read_text()
    assert ask(ensure(directory), "select n from t") == [(1,)]


def test_a_server_without_supervisor_is_adopted_and_stopped_in_the_end(directory):
    address = ensure(directory, durability="on")
    ask(address, "create table t as select 1 as n")
    os.kill(supervisor_pid(directory), signal.SIGKILL)
    client = Client(directory)
    client.joined()
    assert ask(ensure(directory), "select n from t") == [(1,)]
    embedded.release(directory)
    client.kill()
    wait_until_gone(directory)


def test_a_killed_initdb_leaves_no_data_directory(new_directory):
    directory = new_directory
    number = directory.parent / "initdb.pid"
    stuck = fake_programs(
        directory.parent / "bin", f'echo 18 > "$2/PG_VERSION"; echo $$ > {number}; exec sleep 3600'
    )
    client = Client(directory, bindir=str(stuck))
    wait_until(lambda: number.exists() and number.read_text().strip(), "initdb has begun")
    client.kill()
    try:
        assert len(list(directory.glob("initdb.*/PG_VERSION"))) == 1
        assert not (directory / "data").exists()
        assert ask(ensure(directory), "select 1") == [(1,)]
        assert not list(directory.glob("initdb.*"))
    finally:
        os.kill(int(number.read_text()), signal.SIGKILL)


def test_a_failed_initdb_says_why_and_leaves_nothing(new_directory):
    directory = new_directory
    full = fake_programs(
        directory.parent / "bin", "echo 'could not write: No space left on device' >&2; exit 1"
    )
    with pytest.raises(EmbeddedServerError, match=f"initdb failed in {directory}: the disk is full"):
        embedded.ensure(directory, bindir=full)
    assert not (directory / "data").exists()
    assert not list(directory.glob("initdb.*"))


def test_a_server_that_ends_at_once_says_why(directory):
    ensure(directory)
    embedded.stop(directory)
    with (directory / "data" / "postgresql.conf").open("a") as file:
        file.write("no_such_setting = 1\n")
    with pytest.raises(EmbeddedServerError, match=r'did not start: [\s\S]*"no_such_setting"'):
        ensure(directory)
    assert embedded.describe(directory).address is None


def test_a_recycled_process_id_does_not_stop_the_start(directory):
    ask(ensure(directory, durability="on"), "create table t as select 1 as n")
    kill_server(directory)
    wait_until_gone(directory)
    stranger = subprocess.Popen(["sleep", "3600"])
    try:
        pid_file = directory / "data" / "postmaster.pid"
        _, *rest = pid_file.read_text().split("\n")
        pid_file.write_text("\n".join([str(stranger.pid), *rest]))
        assert embedded.describe(directory).pid is None
        assert ask(ensure(directory), "select n from t") == [(1,)]
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_client_killed_while_the_server_starts_does_not_disturb_the_next(directory):
    ensure(directory)
    embedded.release(directory)
    embedded.stop(directory)
    for _ in range(3):
        client = Client(directory, linger=3600)
        wait_until((directory / "data" / "postmaster.pid").exists, "a server has begun to start")
        client.kill()
        assert ask(ensure(directory, linger=3600), "select 1") == [(1,)]
        embedded.release(directory)
        assert embedded.stop(directory)


def test_a_failed_change_of_linger_keeps_the_claim(directory, monkeypatch):
    ensure(directory)
    with monkeypatch.context() as patch:
        patch.setattr(server, "START_S", 0.0)
        with exclusive(directory / "start.lock", 0, "testing"), pytest.raises(EmbeddedServerError):
            ensure(directory, linger=1)
    time.sleep(1.5)  # three looks of the supervisor
    assert embedded.describe(directory).pid is not None


@pytest.mark.parametrize("how", ["deleted", "moved", "replaced"])
def test_a_server_ends_when_its_directory_goes(directory, how):
    ask(ensure(directory, durability="on"), "create table t as select 1 as n")
    elsewhere = directory.with_name("elsewhere")
    if how == "deleted":
        shutil.rmtree(directory, ignore_errors=True)
    else:
        directory.rename(elsewhere)
    if how == "replaced":
        assert ask(ensure(directory), "select count(*) from pg_tables where tablename = 't'") == [(0,)]
        wait_until(lambda: len(servers_of(directory)) == 1, "the server of the old directory has ended")
        assert ask(ensure(directory), "select 1") == [(1,)]
    else:
        wait_until_gone(directory)
    if how == "moved":
        assert ask(ensure(elsewhere), "select n from t") == [(1,)]
        embedded.release(elsewhere)
        embedded.stop(elsewhere)


def servers_of(directory):
    return [pid for pid, command in processes_of(directory).items() if "supervisor.py" in command]


def test_kept_servers_stay_until_stopped(directory):
    client = Client(directory)
    client.joined()
    embedded.keep(directory)
    embedded.ensure(directory, linger=0)
    pid = embedded.describe(directory).pid
    embedded.release(directory)
    client.leave()
    time.sleep(1.5)  # three looks of the supervisor; a slow machine can only make this test more lenient
    assert embedded.describe(directory).kept
    assert embedded.describe(directory).pid == pid
    assert embedded.stop(directory)
    wait_until_gone(directory)
    ensure(directory)
    assert not embedded.describe(directory).kept


def test_stop_ends_sessions_and_says_whether_there_was_a_server(directory):
    assert not embedded.stop(directory)
    client = Client(directory)
    client.joined()
    assert embedded.stop(directory)
    wait_until(lambda: not servers_of(directory), "the supervisor has ended")
    assert not embedded.stop(directory)
    client.leave()


def test_describe_tells_of_running_and_stopped_servers(new_directory):
    directory = new_directory
    with pytest.raises(EmbeddedServerError, match="not the directory of an embedded server"):
        embedded.describe(directory)
    address = ensure(directory)
    running = embedded.describe(directory)
    version = ask(address, "select current_setting('server_version')")[0][0].split()[0]
    assert (running.address, running.version, running.major) == (address, version, version.split(".")[0])
    assert (running.bindir / "postgres").exists()
    embedded.release(directory)
    embedded.stop(directory)
    stopped = embedded.describe(directory)
    assert (stopped.address, stopped.pid, stopped.kept) == (None, None, False)
    assert (stopped.version, stopped.bindir) == (running.version, running.bindir)
