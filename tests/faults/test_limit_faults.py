"""Limits of the role, of the server and of the machine: none of them loses what was trained."""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from faults_attempts import attempt, endure, publish_what_was_trained, role_setting
from faults_build import Build, frozen
from faults_callers import Caller
from faults_project import ENDLESS, Project, Server
from postgres_ml.contract.exceptions import EmbeddedServerError

#: a timeout, and for how many seconds the training process then stands still
STANDSTILLS = [
    ("idle_in_transaction_session_timeout", "2s", 5.0),
    pytest.param("idle_session_timeout", "2s", 5.0, marks=pytest.mark.faults),
    pytest.param("transaction_timeout", "15s", 18.0, marks=pytest.mark.faults),
]
CUTS = [
    ("statement_timeout", "snapshot"),
    ("transaction_timeout", "snapshot"),
    ("statement_timeout", "publish"),
    ("lock_timeout", "record"),
]


def skip_unless_known(server: Server, name: str) -> None:
    if not server.ask("select 1 from pg_settings where name = %s", name):
        pytest.skip(f"this server has no {name}")


@contextlib.contextmanager
def trained_later(build: Build) -> Iterator[None]:
    """Hold a build whose training has its rows; the training goes on afterwards."""
    build.wait_for(lambda: build.said("load: "), "the training")
    with frozen(build.child()):
        build.wait_until_silent()
        assert not build.said("evaluate: "), build.output
        yield


@pytest.mark.parametrize(("name", "value", "seconds"), STANDSTILLS)
def test_a_timeout_passes_while_the_process_starts(
    project: Project, record_property, name: str, value: str, seconds: float
) -> None:
    skip_unless_known(project.server, name)
    with role_setting(project, name, value):
        build = project.build(project.state()["generation"] + 1)
        build.wait_for(lambda: build.said("snapshot of"), "the snapshot")
        with frozen(build.child()):
            assert not build.said("load: "), build.output
            time.sleep(seconds)
        endure(project, record_property, name, "start", build)


@pytest.mark.faults
@pytest.mark.parametrize(("name", "step"), CUTS)
def test_a_timeout_cuts_a_statement(project: Project, record_property, name: str, step: str) -> None:
    skip_unless_known(project.server, name)
    before = project.state()
    with Caller(project.server, before["generation"]) as caller, role_setting(project, name, "3s"):
        build = project.build(before["generation"] + 1)
        with project.server.closed_gate(step):
            build.wait()
    assert caller.errors == []
    attempt(project, record_property, name, step, build, name)
    assert build.said("Error in model m "), build.output
    publish_what_was_trained(project, is_trained=step != "snapshot")


@pytest.mark.faults
def test_the_query_needs_more_temporary_files_than_allowed(project: Project, record_property) -> None:
    generation = project.state()["generation"] + 1
    with role_setting(project, "temp_file_limit", "0"), role_setting(project, "work_mem", "64kB"):
        build = project.build(generation, rows=50_000)
        attempt(
            project, record_property, "temp_file_limit", "snapshot", build, "have a superuser raise temp_"
        )
    publish_what_was_trained(project, is_trained=False)


@pytest.mark.faults
def test_the_role_may_only_read(project: Project, record_property) -> None:
    with role_setting(project, "default_transaction_read_only", "on"):
        build = project.build(project.state()["generation"] + 1)
        attempt(
            project, record_property, "read-only", "snapshot", build, "turn default_transaction_read_only"
        )
    assert not build.said("snapshot of"), build.output
    publish_what_was_trained(project, is_trained=False)


@pytest.mark.faults
def test_the_role_may_only_read_after_the_training(project: Project, record_property) -> None:
    build = project.build(project.state()["generation"] + 1)
    with contextlib.ExitStack() as stack:
        with trained_later(build):
            stack.enter_context(role_setting(project, "default_transaction_read_only", "on"))
            project.server.cut()
        attempt(project, record_property, "read-only", "publish", build, "turn default_transaction_read_only")
    publish_what_was_trained(project, is_trained=True)


def fill(server: Server, stack: contextlib.ExitStack) -> None:
    """Take all connections that the server has."""
    with contextlib.suppress(psycopg2.OperationalError, EmbeddedServerError):
        while True:
            stack.callback(server.connect().close)


@pytest.mark.faults
def test_no_connection_is_left_when_the_training_has_ended(project: Project, record_property) -> None:
    build = project.build(project.state()["generation"] + 1)
    with contextlib.ExitStack() as stack:
        with trained_later(build):
            project.server.cut()
            fill(project.server, stack)
        build.wait_for(lambda: build.said("connecting again"), "the end of the training")
        time.sleep(3.0)
    endure(project, record_property, "max_connections", "publish", build)


@pytest.mark.faults
@pytest.mark.parametrize("step", ["start", "search"])
def test_the_training_may_have_no_more_memory(project: Project, record_property, step: str) -> None:
    """As by `ulimit -v`, of which the limit lies where the process stands."""
    # a short fit may have all that it needs by the time it is stopped
    endless = {"model_type": "xgboost", "hyperparameters": {"num_round": ENDLESS}} if step == "search" else {}
    build = project.build(project.state()["generation"] + 1, **endless)
    reached = "load: " if step == "search" else "snapshot of"
    build.wait_for(lambda: build.said(reached), f"step {step}")
    child = build.child()
    with frozen(child):
        limit = address_space(child)
        resource.prlimit(child, resource.RLIMIT_AS, (limit, limit))
    attempt(project, record_property, "ulimit -v", step, build, "not enough memory")
    publish_what_was_trained(project, is_trained=project.result() is not None)


def address_space(pid: int) -> int:
    """Bytes of address space that a process has."""
    n_pages = Path(f"/proc/{pid}/statm").read_text().split()[0]
    return int(n_pages) * resource.getpagesize()
