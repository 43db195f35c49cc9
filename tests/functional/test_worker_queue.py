"""The worker as a process: many jobs, several workers, stops, what it says of itself, what it needs to begin."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psycopg2
import psycopg2.errors
import pytest
from dbt.adapters.postgres_ml.worker.place import SEARCH_PATH
from postgres_ml.embedded import ServerAddress
from support.sql_clients import SqlClients, sql_clients

N_JOBS = int(os.environ.get("POSTGRES_ML_JOBS", "200"))
SERVING = """
insert into postgres_ml.model_version
select (jsonb_populate_record(null::postgres_ml.model_version, jsonb_build_object(
    'model_schema', 'ml', 'model_name', 'served' || i, 'version', 1, 'state', 'READY', 'is_serving', true, 'trained_at', now(),
    'problem_type', 'regression', 'model_type', 'xgboost', 'objective', 'mse', 'metric', 'mse', 'metrics', '{}'::jsonb,
    'train_metrics', '{}'::jsonb, 'n_rows', 1, 'n_holdout', 1, 'n_features', 1, 'function_name', 'predict_served' || i,
    'signature', '', 'runtime', 'sql', 'n_nodes', 1, 'mlflow_run_id', '', 'mlflow_model_uri', '', 'dbt_unique_id', '',
    'dbt_invocation_id', '', 'functions', '[]'::jsonb))).*
from generate_series(1, 20) as i
"""
MANY = f"select count(postgres_ml.rollback_model('ml.served' || 1 + i % 20, 1)) from generate_series(1, {N_JOBS}) as i"


@pytest.fixture(scope="module")
def clients(server: ServerAddress, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlClients]:
    with sql_clients(server, tmp_path_factory.mktemp("queue")) as made:
        yield made


def command(
    clients: SqlClients, *arguments: str, user: str | None = None
) -> subprocess.CompletedProcess[str]:
    run = clients.worker_command(user or clients.worker, clients.folder / "command", *arguments)
    return subprocess.run(run, capture_output=True, text=True, timeout=180, check=False)


def test_a_worker_that_lacks_something_says_what(clients: SqlClients) -> None:
    before = command(clients, "status")
    assert (before.returncode, before.stdout.endswith("no worker has ever run here\n")) == (3, True)
    stranger = command(clients, user=clients.analyst)
    assert stranger.returncode == 1
    assert f"role {clients.analyst} may not work for others" in stranger.stderr
    assert f"create_catalog --args '{{worker: {clients.analyst}}}'" in stranger.stderr
    pooled = command(clients, "--no-listen")
    assert (
        f"alter role {clients.worker} in database {clients.name} set search_path = {SEARCH_PATH}"
        in pooled.stderr
    )
    assert (
        "name one database"
        in subprocess.run(
            [sys.executable, "-m", "postgres_ml", "worker"], capture_output=True, text=True, check=False
        ).stderr
    )


def test_many_jobs_drain_on_two_workers(clients: SqlClients) -> None:
    """Jobs that are light: each rolls back to the version that serves, so a worker has nothing to build."""
    clients.ask(SERVING)
    clients.ask(f"alter role {clients.worker} in database {clients.name} set search_path = {SEARCH_PATH}")
    workers = [
        clients.start_worker(folder=clients.folder / "one"),
        clients.start_worker("--no-listen", "--concurrency", "2", folder=clients.folder / "two"),
    ]
    deadline = time.monotonic() + 240
    n_asked = n_took_part = 0
    while n_took_part < 2 and time.monotonic() < deadline:  # one, told of them, may have done all
        n_asked += int(clients.value(MANY))
        while (
            clients.value("select count(*) from postgres_ml.job where state = 'TRAINING'")
            and time.monotonic() < deadline
        ):
            time.sleep(0.5)
        n_took_part = clients.value("select count(distinct worker) from postgres_ml.job")
    done = clients.ask(
        "select state, message, count(*), count(distinct worker), max(attempt) from postgres_ml.job group by 1, 2"
    )
    assert done == [("READY", "version 1 serves", n_asked, 2, 1)]
    queued = "select count(*) from postgres_ml_queue.procrastinate_jobs where queueing_lock like 'job %'"
    while clients.value(queued) > 2 and time.monotonic() < deadline:
        time.sleep(0.5)  # the queue forgets a job after the job is done
    assert clients.value(queued) <= 2
    status = command(clients, "status")
    assert (status.returncode, "2 workers live, 0 jobs are not done" in status.stdout) == (0, True), (
        status.stdout
    )
    clients.end(workers[1])
    assert workers[1].returncode == 0


def test_a_stopped_worker_gives_its_job_back(clients: SqlClients) -> None:
    """SIGTERM leaves a training some time; then another worker takes it, and its attempt alone counts."""
    living = [process for process in clients.workers if process.poll() is None]
    one = living[0] if living else clients.start_worker(folder=clients.folder / "one")
    job = clients.create(
        "ml.long", "select * from ml.measurements", '{"target": "y", "settings": {"max_runtime": 5}}'
    )
    while clients.value(f"select phase from postgres_ml.job where job = {job}") in ("queued", "starting"):
        time.sleep(0.2)
    two = clients.start_worker("--log-format", "json", "--grace", "0", folder=clients.folder / "two")
    one.send_signal(signal.SIGTERM)  # its training ends within the grace
    one.wait(90)
    assert clients.wait(job, seconds=90) == "READY"
    assert clients.value(f"select attempt from postgres_ml.job where job = {job}") == 1

    second = clients.create(
        "ml.long",
        "select * from ml.measurements where a > 9",
        '{"target": "y", "settings": {"max_runtime": 12}}',
    )
    line = json.loads(clients.wait_for_line(two, "create of ml.long begins"))
    assert (line["job"], line["attempt"], line["level"]) == (second, 1, "info")
    while clients.value(f"select phase from postgres_ml.job where job = {second}") == "starting":
        time.sleep(0.2)
    two.send_signal(signal.SIGTERM)
    two.wait(30)
    [(state, message)] = clients.ask(f"select state, message from postgres_ml.job where job = {second}")
    assert (state, message) == ("TRAINING", "the worker was stopped")
    clients.start_worker(folder=clients.folder / "three")
    assert clients.wait(second, seconds=120) == "READY"
    assert clients.value(f"select attempt from postgres_ml.job where job = {second}") == 2
    assert clients.value("select version from ml.long", clients.analyst) == 2


def test_waiting_is_for_jobs_that_a_worker_can_see(clients: SqlClients) -> None:
    call = (
        "select postgres_ml.create_model('ml.inside', 'select * from ml.measurements', '{\"target\": \"y\"}')"
    )
    with pytest.raises(
        psycopg2.Error, match="was created in this transaction, and no worker sees it before the commit"
    ):
        clients.ask(
            f"do $$ begin perform postgres_ml.wait(({call})); end $$".replace("''", "'"), clients.analyst
        )
    with pytest.raises(
        psycopg2.Error, match="sees no change of the job in a transaction of isolation level repeatable read"
    ):
        clients.ask("begin isolation level repeatable read; select postgres_ml.wait(1)", clients.analyst)
    with pytest.raises(psycopg2.Error, match="does not exist, or is not yours"):
        clients.ask("select postgres_ml.wait(99999)", clients.analyst)


ENDED = """
insert into postgres_ml.job (kind, model_schema, model_name, config)
select 'create', 'ml', name, '{"target": "y"}' from unnest(array['old', 'old', 'young', 'young']) as name;
update postgres_ml.job set is_sealed = true, state = 'READY',
    ended_at = now() - case model_name when 'old' then interval '31 days' else interval '29 days' end
where model_name in ('old', 'young')
"""


def test_jobs_that_ended_long_ago_are_forgotten_but_the_last_call_of_a_model(clients: SqlClients) -> None:
    clients.ask(ENDED)
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        clients.ask("select postgres_ml.prune_jobs(0)", clients.analyst)
    done = command(clients, "--until-idle", "--keep-jobs", "30")
    assert done.returncode == 0 and "forgot 1 jobs that ended more than 30 days ago" in done.stderr
    kept = clients.ask(
        "select model_name, count(*) from postgres_ml.job where model_name in ('old', 'young') group by 1 order by 1"
    )
    assert kept == [("old", 1), ("young", 2)]
