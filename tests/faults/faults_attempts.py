"""What most faults come to: a build that fails cleanly, one that goes on, and the next, which publishes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from faults_build import Build
from faults_callers import Caller
from faults_project import Project


def attempt(project: Project, record: Any, fault: str, step: str, build: Build, says: str) -> None:
    """A build fails with a clear error, and the old version serves on."""
    before = project.state()
    with Caller(project.server, before["generation"]) as caller:
        assert build.wait() != 0, build.output
    assert build.said(says), build.output
    assert project.state() == before
    project.wait_until_clean()
    assert caller.errors == []
    record("fault", {"fault": fault, "step": step, "serves": "old", "calls": caller.n_calls})


def endure(project: Project, record: Any, fault: str, step: str, build: Build) -> None:
    """A build goes on after a fault and publishes."""
    before = project.state()
    with Caller(project.server, before["generation"]) as caller:
        assert build.wait() == 0, build.output
    after = project.state()
    assert after["generation"] == before["generation"] + 1
    assert after["version"] == before["version"] + 1
    project.wait_until_clean()
    assert caller.errors == []
    record("fault", {"fault": fault, "step": step, "serves": "new", "calls": caller.n_calls})


def publish_what_was_trained(project: Project, is_trained: bool, **variables: Any) -> None:
    """The next build publishes; what was trained already is not trained again."""
    assert (project.result() is not None) == is_trained
    generation = project.state()["generation"] + 1
    build = project.build(generation, **variables)
    assert build.wait() == 0, build.output
    assert build.said("snapshot of") != is_trained, build.output
    assert project.state()["generation"] == generation
    assert project.champion() == project.newest()
    project.wait_until_clean()


@contextlib.contextmanager
def role_setting(project: Project, name: str, value: str) -> Iterator[None]:
    """Set a parameter for new sessions of the role that dbt connects as."""
    ask = project.server.ask
    [(role,)] = ask("select quote_ident(current_user)")
    ask(f"alter role {role} set {name} = '{value}'")
    try:
        yield
    finally:
        ask(f"begin read write; alter role {role} reset {name}; commit")
