"""The primary server dies while a model trains, and a standby takes its place at the same address."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults_build import frozen
from faults_project import Project, Server
from postgres_ml import embedded
from postgres_ml.embedded import binaries
from support.embedded_servers import scratch
from support.standby import copy_server


@pytest.fixture
def standby(faulty_server: Server) -> Iterator[Server]:
    """A hot standby, which streams what the server writes, as docs/operations.md says how to allow."""
    directory = scratch()
    faulty_server.ask("alter system set wal_level = replica")
    faulty_server.ask("alter system set max_wal_senders = 4")
    embedded.stop(faulty_server.directory)
    primary = embedded.ensure(faulty_server.directory, linger=60)
    program = binaries.find().bindir / "pg_basebackup"
    if not program.exists():
        pytest.skip("there is no pg_basebackup beside the server's programs")
    copy_server(program, primary, directory)
    for library in faulty_server.directory.glob("plmodel.so"):  # which is installed, not replicated
        shutil.copy2(library, directory)
    server = Server(directory)
    assert server.ask("select pg_is_in_recovery()") == [(True,)]
    yield server
    embedded.stop(directory)
    shutil.rmtree(directory)


@pytest.mark.faults
def test_a_standby_is_promoted_while_the_model_trains(
    project: Project, standby: Server, tmp_path: Path, record_property
) -> None:
    """dbt connects again, to the standby, and publishes as soon as that may be written."""
    primary, before = project.server, project.state()
    address = embedded.ensure(primary.directory, linger=60)
    host = tmp_path / "host"  # its directory is what a name in the DNS is elsewhere
    host.symlink_to(primary.directory)
    profile = {
        "host": str(host),
        "port": address.port,
        "user": address.user,
        "password": "",
        "embedded": None,
    }
    other = Project(tmp_path / "other", standby, {**profile, "dbname": address.dbname})
    build = other.build(before["generation"] + 1)
    build.wait_for(lambda: build.said("load: "), "the training")
    with frozen(build.child()):
        primary.kill()
        host.unlink()
        host.symlink_to(standby.directory)
    build.wait_for(lambda: build.said("connecting again"), "the end of the training")
    time.sleep(3.0)
    assert build.process.poll() is None, build.output
    assert standby.ask("select pg_promote()") == [(True,)]
    assert build.wait() == 0, build.output
    assert other.state() == {
        **before,
        "version": before["version"] + 1,
        "generation": before["generation"] + 1,
    }
    other.wait_until_clean()
    assert project.state() == before
    record_property("fault", {"fault": "a standby is promoted", "step": "search", "serves": "new"})
