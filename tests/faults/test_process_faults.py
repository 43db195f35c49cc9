"""Kill -9 of each process, and a cut of the connection, at each step of a build.

Whatever happens: the function that served goes on serving until another is committed as a whole, no caller sees
an error, nothing is left behind, and the next build publishes.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from faults_build import Build, frozen
from faults_callers import Caller
from faults_project import GATED, Project, repair

# what the log says of the training process when it has come to a step, and when it has left it
REACHED = {"search": ("load: ", "search: "), "evaluate": ("search: ", "evaluate: ")}
TRAINING = (*REACHED, "track")
STEPS = ("snapshot", *TRAINING, "publish", "parity", "record", "commit", "register")

OLD, NEW, EITHER = {"old"}, {"new"}, {"old", "new"}


def kill_dbt(build: Build) -> None:
    build.process.kill()


def kill_training(build: Build) -> None:
    os.kill(build.child(), signal.SIGKILL)


def kill_server(build: Build) -> None:
    build.project.server.kill()


def cut_connection(build: Build) -> None:
    build.project.server.cut()


FAULTS: dict[str, Callable[[Build], None]] = {
    "kill -9 of dbt": kill_dbt,
    "kill -9 of the training": kill_training,
    "kill -9 of the server": kill_server,
    "connection cut": cut_connection,
}


def expected(fault: str, step: str) -> tuple[set[str], bool]:
    """Which version may serve after a fault, and whether dbt says that all went well."""
    trains = step in ("snapshot", *TRAINING)
    if fault == "kill -9 of dbt":
        # a server that has been told to commit does, whether the client still listens or not
        return {"commit": EITHER, "register": NEW}.get(step, OLD), False
    if fault == "kill -9 of the training":
        return (OLD, False) if trains else (NEW, True)
    if step in TRAINING or step == "register":  # dbt needs no connection then
        return NEW, True
    return OLD, False


@contextlib.contextmanager
def stopped_at(step: str, build: Build) -> Iterator[None]:
    """Bring a build to a step and hold it there, which is checked; it goes on afterwards, if it still can."""
    if step in GATED:
        with build.project.server.closed_gate(step):
            build.wait_for(lambda: build.project.server.waits_at(step), f"step {step}")
            yield
        return
    stop = {"track": stopped_while_tracking, "register": stopped_before_registering}.get(step)
    with stop(build) if stop else stopped_in_training(step, build):
        yield


@contextlib.contextmanager
def stopped_in_training(step: str, build: Build) -> Iterator[None]:
    begun, ended = REACHED[step]
    build.wait_for(lambda: build.said(begun), f"step {step}")
    with frozen(build.child()):
        build.wait_until_silent()  # what the child had said before it was stopped is read by then
        assert not build.said(ended), f"missed step {step}:\n{build.output}"
        yield


@contextlib.contextmanager
def stopped_while_tracking(build: Build) -> Iterator[None]:
    """The result is on the disk, and MLflow has not all of it."""
    build.wait_for(lambda: build.said("load: ") and build.project.result(), "the training's result")
    with frozen(build.child()):
        assert build.project.result()["run"]["is_tracked"] is False, f"missed step track:\n{build.output}"
        yield


@contextlib.contextmanager
def stopped_before_registering(build: Build) -> Iterator[None]:
    """The new version is committed, and MLflow has not been told."""
    project = build.project
    before = project.newest()
    with project.server.closed_gate("commit"):
        build.wait_for(lambda: project.server.waits_at("commit"), "step commit")
        child = build.child()
        os.kill(child, signal.SIGSTOP)
    with frozen(child):
        build.wait_for(lambda: project.newest() == before + 1, "the commit")
        assert project.champion() == before, build.output
        yield


def variables(step: str) -> dict[str, Any]:
    """What makes a step long enough to be stopped in: a tenth of a second passes until a log line is seen."""
    if step == "search":
        return {"auto": True, "model_type": ["xgboost", "linear_learner"]}
    if step == "evaluate":
        return {"model_type": "xgboost", "hyperparameters": {"num_round": 3000, "max_depth": 2}}
    return {}


def inject(project: Project, fault: str, step: str, record: Callable[[str, object], None]) -> bool:
    """Build with a fault, and return whether the new version was published all the same."""
    before = project.state()
    generation = before["generation"] + 1
    with Caller(project.server, before["generation"]) as caller:
        build = project.build(generation, **variables(step))
        with stopped_at(step, build):
            FAULTS[fault](build)
        code = build.wait()
        project.wait_until_clean()
        after = project.state()
    serves = "new" if after["generation"] == generation else "old"
    allowed, succeeds = expected(fault, step)
    assert serves in allowed, build.output
    assert (code == 0) == succeeds, (code, build.output)
    assert after["version"] == before["version"] + (serves == "new")
    assert after["functions"] == before["functions"] or serves == "new"
    assert caller.errors == [], caller.errors
    record("fault", {"fault": fault, "step": step, "serves": serves, "calls": caller.n_calls})
    return serves == "new"


def recover(project: Project, step: str, is_published: bool) -> None:
    """The next build publishes what the fault prevented; what was trained already is not trained again."""
    generation = project.state()["generation"] + 1
    is_trained = project.result() is not None and not is_published
    if is_published:  # a result that is left in target/ isn't to be published again
        published = project.newest()
        build = project.build(generation - 1, **variables(step))
        assert build.wait() == 0, build.output
        assert project.newest() == published, build.output
    assert is_trained or is_published or step not in ("publish", "parity", "record")
    build = project.build(generation)
    assert build.wait() == 0, build.output
    assert build.said("snapshot of") != is_trained, build.output
    assert project.state()["generation"] == generation
    assert project.champion() == project.newest()
    project.wait_until_clean()


@pytest.mark.parametrize(
    ("fault", "step"),
    [
        ("kill -9 of dbt", "record"),
        ("kill -9 of the training", "search"),
        ("kill -9 of the server", "track"),
        ("connection cut", "parity"),
    ],
)
def test_some_faults(project: Project, record_property, fault: str, step: str) -> None:
    is_published = inject(project, fault, step, record_property)
    recover(project, step, is_published)  # or the next fault's build would publish what this one has trained


@pytest.mark.faults
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", STEPS)
def test_each_fault_at_each_step(project: Project, record_property, fault: str, step: str) -> None:
    is_published = inject(project, fault, step, record_property)
    if step == "register":
        repair(project)
    recover(project, step, is_published)


def test_every_gate_is_a_step() -> None:
    assert set(GATED) | set(TRAINING) | {"register"} == set(STEPS)
