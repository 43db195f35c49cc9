"""Ctrl-C, --fail-fast, `threads` and `dbt retry`: what ends with dbt, and what runs again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from faults_attempts import endure
from faults_build import Build, frozen, processes
from faults_project import ENDLESS, Project, Server

TRAINS = """
{{{{ config(materialized='create_model', target='y', problem_type='regression', auto=false, model_type='xgboost',
          hyperparameters={{'num_round': {rounds}, 'max_depth': 2}}) }}}}
select i as a, i % 7 as b, i as y from {rows} as i
"""
ROWS = "generate_series(1, 600)"
# ticks of the scheduler, 10 ms each: a training that is under way, and a thread that takes part in it
UNDER_WAY, TAKES_PART = 100, 20


def endless(build: Build) -> int:
    """The training process of a build whose model trains for ever, when it does."""
    build.wait_for(lambda: build.said("load: "), "the training")
    return build.child()


def check_ended(project: Project, build: Build, children: list[int], record: Any, fault: str) -> None:
    """Check that no training process is there any more when dbt is gone, and that nothing else is left."""
    assert build.wait() != 0, build.output
    assert not set(children) & set(processes()), build.output
    project.wait_until_clean()
    record("fault", {"fault": fault, "step": "search", "serves": "old"})


def test_ctrl_c_ends_the_training(project: Project, record_property) -> None:
    before = project.state()
    variables = {"model_type": "xgboost", "hyperparameters": {"num_round": ENDLESS, "max_depth": 2}}
    build = project.build(before["generation"] + 1, **variables)
    child = endless(build)
    build.process.send_signal(signal.SIGINT)
    check_ended(project, build, [child], record_property, "Ctrl-C")
    assert project.state() == before


@pytest.mark.faults
def test_a_build_waits_for_a_stopped_training(project: Project, record_property) -> None:
    build = project.build(project.state()["generation"] + 1)
    build.wait_for(lambda: build.said("load: "), "the training")
    with frozen(build.child()):
        build.wait_until_silent()
        time.sleep(3.0)
        assert build.process.poll() is None
    endure(project, record_property, "SIGSTOP, then SIGCONT", "search", build)


@pytest.mark.faults
def test_ctrl_c_ends_a_stopped_training(project: Project, record_property) -> None:
    before = project.state()
    build = project.build(before["generation"] + 1)
    build.wait_for(lambda: build.said("load: "), "the training")
    child = build.child()
    with frozen(child):
        build.wait_until_silent()
        build.process.send_signal(signal.SIGINT)
        check_ended(project, build, [child], record_property, "Ctrl-C, the training stopped")
    assert project.state() == before


@pytest.fixture
def side_project(faulty_server: Server, project: Project, tmp_path: Path) -> Project:
    """A project of its own schema, so that what it publishes stays out of the other tests' way."""
    made = Project(tmp_path / "side", faulty_server, {"schema": "side", "threads": 4})
    for file in (made.directory / "models").iterdir():
        file.unlink()
    return made


def write(project: Project, name: str, text: str) -> None:
    (project.directory / "models" / f"{name}.sql").write_text(text)


@pytest.mark.faults
def test_fail_fast_ends_the_trainings(side_project: Project, record_property) -> None:
    ask = side_project.server.ask
    ask("insert into faults.steps (step) values ('fail') on conflict do nothing")
    for name in ("one", "two"):
        write(side_project, name, TRAINS.format(rounds=ENDLESS, rows=ROWS))
    fails = "{{ config(materialized='table') }} select 1 / (select 0 from faults.gate('fail')) as x"
    write(side_project, "bad", fails)
    write(side_project, "later", "select 1 as x from {{ ref('one') }}")
    with side_project.server.closed_gate("fail"):
        build = side_project.dbt("build", "--fail-fast")
        build.wait_for(lambda: sum("load: " in line for line in build.lines) == 2, "both trainings")
        build.wait_for(lambda: side_project.server.waits_at("fail"), "the table that fails")
        children = build.children()
        assert len(children) == 2
    check_ended(side_project, build, children, record_property, "--fail-fast")
    assert ask("select proname from pg_proc where pronamespace = to_regnamespace('side')") == []


@pytest.mark.faults
def test_four_trainings_share_the_cores(side_project: Project, record_property) -> None:
    names = [f"model_{n}" for n in range(4)]
    for name in names:
        write(side_project, name, TRAINS.format(rounds=ENDLESS, rows=ROWS))
    build = side_project.dbt("build")
    build.wait_for(lambda: sum("load: " in line for line in build.lines) == 4, "four trainings")
    children = build.children()
    assert len(children) == 4
    begun = {pid: ticks_of_threads(pid) for pid in children}
    build.wait_for(
        lambda: all(sum(used(pid, begun[pid])) >= UNDER_WAY for pid in children), "all four are under way"
    )
    share = max(1, (os.cpu_count() or 1) // 4)
    n_threads = [sum(ticks >= TAKES_PART for ticks in used(pid, begun[pid])) for pid in children]
    assert max(n_threads) <= share, n_threads
    jobs = [json.loads(path.read_text()) for path in (side_project.directory / "target").rglob("job.json")]
    assert [job["n_threads"] for job in jobs] == [share] * 4
    build.process.send_signal(signal.SIGINT)
    check_ended(side_project, build, children, record_property, "Ctrl-C, four trainings")


def ticks_of_threads(pid: int) -> dict[str, int]:
    """How long each thread of a process has computed."""
    ticks = {}
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            fields = stat.read_text().rpartition(")")[2].split()
            ticks[stat.parent.name] = int(fields[11]) + int(fields[12])
    return ticks


def used(pid: int, before: dict[str, int]) -> list[int]:
    """How long each thread has computed since then."""
    return [ticks - before.get(thread, 0) for thread, ticks in ticks_of_threads(pid).items()]


@pytest.mark.faults
def test_retry_trains_only_what_failed(side_project: Project, record_property) -> None:
    ask = side_project.server.ask
    ask("create schema if not exists side")
    ask("create table side.rows as select i from generate_series(1, 10) as i")  # too few
    write(side_project, "good", TRAINS.format(rounds=20, rows=ROWS))
    write(side_project, "bad", TRAINS.format(rounds=20, rows="side.rows as r(i)").replace(" as i\n", "\n"))
    first = side_project.dbt("build")
    assert first.wait() != 0
    assert first.said("fewer than 500"), first.output
    ask("insert into side.rows select i from generate_series(11, 600) as i")
    again = side_project.dbt("retry")
    assert again.wait() == 0, again.output
    results = json.loads((side_project.directory / "target" / "run_results.json").read_text())["results"]
    assert [result["unique_id"] for result in results] == ["model.faults.bad"]
    trained = (
        "select model_name, version from postgres_ml.model_version where model_schema = 'side' order by 1"
    )
    assert ask(trained) == [("bad", 1), ("good", 1)]
    ask("drop schema side cascade")
    ask("delete from postgres_ml.model_version where model_schema = 'side'")
    side_project.wait_until_clean()
    record_property("fault", {"fault": "dbt retry", "step": "snapshot", "serves": "new"})
