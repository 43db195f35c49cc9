"""Training on Dask's workers, by dbt build: the model is the one that all rows give, whatever becomes of a worker."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from pathlib import Path

import pytest
from dbt.tests.util import run_dbt_and_capture
from distributed import Client
from postgres_ml.out_of_core.cluster import TLS
from postgres_ml.process import fork_server
from support.dask_cluster import DaskProcesses, dask_processes
from support.selecting import selector
from support.tls import self_signed

N_ROWS = 6_000
CUSTOMERS = f"""
{{{{ config(materialized='table') }}}}
select case when i % 17 = 0 then null else 'S' || (abs(hashint4(i * 3)) % 51) end as state, calls, minutes,
    case when calls > 5 or minutes > 190 and i % 3 = 0 then 'yes' else 'no' end as churn
from (
    select i, abs(hashint4(i)) % 10 as calls, nullif(abs(hashint4(i * 7)) % 250, 13)::float8 as minutes
    from generate_series(1, {N_ROWS}) as i
) as drawn
"""
MODEL = """
{{{{ config(materialized='create_model', target='churn', auto=false, model_type='xgboost',
    hyperparameters={{'num_round': {rounds}, 'max_depth': {depth}}}, settings={{'compute': '{compute}', 'max_cells': 100000000}}) }}}}
select state, calls, minutes, churn from {{{{ ref('customers') }}}}
"""
MILLION = CUSTOMERS.replace(f"generate_series(1, {N_ROWS})", "generate_series(1, 1000000)")
AUTO = """
{{ config(materialized='create_model', target='churn', model_type=['xgboost'],
    settings={'compute': 'dask', 'max_runtime': 20, 'max_trials': 1}) }}
select state, calls, minutes, churn from {{ ref('customers') }} where calls >= 0
"""
LEFT = "select count(*) from pg_class where relname ~ '^postgres_ml_rows_'"


class TestDask:
    @pytest.fixture(scope="class")
    def cluster(self, tmp_path_factory):
        with dask_processes(tmp_path_factory.mktemp("dask"), 2) as found:
            yield found

    @pytest.fixture(scope="class")
    def dbt_profile_target(self, server_target, cluster):
        return {**server_target, "dask_scheduler": cluster.address}

    @pytest.fixture(scope="class")
    def models(self):
        return {
            "customers.sql": CUSTOMERS,
            "far.sql": MODEL.format(rounds=20, depth=6, compute="dask"),
            "near.sql": MODEL.format(rounds=20, depth=6, compute="local"),
            "searched.sql": AUTO,
        }

    @pytest.fixture
    def select(self, project, connection):
        return selector(connection, project.test_schema)

    def test_the_model_is_the_one_of_a_training_on_this_machine(self, project, select):
        results, text = run_dbt_and_capture(["build"])
        assert [str(result.status) for result in results] == ["success"] * 4
        # one query is a plain table, the other has a condition
        assert f"far: Dask's workers will read {project.test_schema}.customers itself" in text
        assert "far: the transaction that held the snapshot has ended, after" in text
        assert re.search(r"read the rows: 2 of 1 threads, from \S+customers itself", text)
        assert re.search(r"read the rows: 2 of 1 threads, from a copy", text)
        assert "searched: AUTO fits 2 candidates at once on Dask's workers" in text
        [(far, near, n_far, n_near)] = select(
            "select f.score, n.score, f.n_rows, n.n_rows from far f, near n"
        )
        assert far == pytest.approx(near, abs=0.01) and n_far == n_near == N_ROWS
        [(n_other,)] = select(
            "select count(*) from customers where predict_far(state, calls, minutes) "
            "is distinct from predict_near(state, calls, minutes)"
        )
        assert n_other < 0.005 * N_ROWS
        assert select(LEFT) == [(0,)]

    def test_a_worker_that_is_killed_costs_its_rows(self, project, select, cluster):
        cluster.add_worker()  # the third
        models = Path(project.project_root) / "models"
        models.joinpath("long.sql").write_text(MODEL.format(rounds=1500, depth=2, compute="dask"))
        killed = killer(cluster)
        results, text = run_dbt_and_capture(["run", "--select", "+long"])
        killed.join()
        assert str(results[0].status) == "success"
        found = re.search(
            r"Dask worker \S+ was lost: the training goes on with the ([\d,]+) of 6,000 rows", text
        )
        assert found is not None
        n_left = int(found[1].replace(",", ""))
        [(n_rows, accuracy)] = select("select n_rows, (metrics ->> 'accuracy')::float8 from long")
        assert n_rows == n_left and N_ROWS / 2 < n_left < N_ROWS and accuracy > 0.9
        assert select(LEFT) == [(0,)]

    @pytest.mark.exhaustive
    def test_a_worker_that_is_killed_in_a_search_costs_its_rows(self, project, select, cluster):
        cluster.add_worker()
        models = Path(project.project_root) / "models"
        models.joinpath("tried.sql").write_text(AUTO.replace("'max_trials': 1", "'max_trials': 9"))
        killed = killer(cluster, "fit_on_worker-")
        results, text = run_dbt_and_capture(["build", "--select", "+tried"])
        killed.join()
        assert [str(result.status) for result in results] == ["success"] * 2
        assert re.search(r"Dask worker \S+ was lost: the search goes on with 2", text)
        found = re.search(r"the training goes on with the ([\d,]+) of 6,000 rows", text)
        n_left = int(found[1].replace(",", "")) if found else N_ROWS  # a blend has the search's rows
        assert select("select n_rows from tried") == [(n_left,)]
        assert select(LEFT) == [(0,)]

    @pytest.mark.exhaustive
    def test_a_million_rows_survive_a_worker(self, project, select, cluster):
        cluster.add_worker()
        models = Path(project.project_root) / "models"
        for name, text in (
            ("customers.sql", MILLION),
            ("million.sql", MODEL.format(rounds=100, depth=6, compute="dask")),
        ):
            models.joinpath(name).write_text(text)
        killed = killer(cluster)
        results, text = run_dbt_and_capture(["build", "--select", "+million"])
        killed.join()
        assert [str(result.status) for result in results] == ["success"] * 2
        assert "was lost: the training goes on with the" in text
        [(n_rows, accuracy)] = select("select n_rows, (metrics ->> 'accuracy')::float8 from million")
        assert 300_000 < n_rows < 1_000_000 and accuracy > 0.9
        assert select(LEFT) == [(0,)]


class TestDaskOfThisMachine:
    """No scheduler in the profile: dbt's machine starts workers, which end with the training."""

    @pytest.fixture(scope="class")
    def models(self):
        return {"customers.sql": CUSTOMERS, "far.sql": MODEL.format(rounds=5, depth=3, compute="dask")}

    def test_workers_are_started_and_ended(self, project, connection, monkeypatch):
        monkeypatch.setenv("POSTGRES_ML_TEST_MARK", project.test_schema)  # its processes inherit it
        results, text = run_dbt_and_capture(["build"])
        assert [str(result.status) for result in results] == ["success"] * 2
        assert "Dask's workers (of this machine) read the rows" in text
        assert selector(connection, project.test_schema)(LEFT) == [(0,)]
        end = time.monotonic() + 30
        # the process that trainings fork from waits a minute for a next one: started here, if none was before
        servers = {server.pid for server in fork_server._servers.values()}
        while left := processes_with(f"POSTGRES_ML_TEST_MARK={project.test_schema}") - servers:
            assert time.monotonic() < end, left
            time.sleep(0.2)


class TestDaskBehindCertificates:
    """Certificates are named in Dask's own configuration, by variables of dbt's environment."""

    @pytest.fixture(scope="class")
    def certificate(self, tmp_path_factory):
        return self_signed(tmp_path_factory.mktemp("tls"))

    @pytest.fixture(scope="class")
    def cluster(self, tmp_path_factory, certificate):
        with dask_processes(tmp_path_factory.mktemp("dask"), 1, certificate) as found:
            yield found

    @pytest.fixture(scope="class")
    def dbt_profile_target(self, server_target, cluster):
        assert cluster.address.startswith("tls://")
        return {**server_target, "dask_scheduler": cluster.address}

    @pytest.fixture(scope="class")
    def models(self):
        return {"customers.sql": CUSTOMERS, "far.sql": MODEL.format(rounds=5, depth=3, compute="dask")}

    def test_certificates_are_those_of_dasks_configuration(self, project, monkeypatch, certificate):
        results, _ = run_dbt_and_capture(["build"], expect_pass=False)
        assert "asks for TLS" in results[1].message and TLS[0] in results[1].message
        for name in TLS:
            monkeypatch.setenv(name, str(certificate))
        results, text = run_dbt_and_capture(["build"])
        assert [str(result.status) for result in results] == ["success"] * 2
        assert "Dask's workers (tls://127.0.0.1:" in text


class TestDaskIsAway:
    @pytest.fixture(scope="class")
    def dbt_profile_target(self, server_target):
        return {**server_target, "dask_scheduler": "tcp://127.0.0.1:1"}

    @pytest.fixture(scope="class")
    def models(self):
        return {"customers.sql": CUSTOMERS, "far.sql": MODEL.format(rounds=5, depth=3, compute="dask")}

    def test_a_scheduler_that_does_not_answer_is_named_and_nothing_is_left(self, project, connection):
        select = selector(connection, project.test_schema)
        with connection.cursor() as cursor:  # what a build that was killed has left goes with the next one
            cursor.execute(f'create table "{project.test_schema}".postgres_ml_rows_999999_1 as select 1 as x')
        assert select(LEFT) == [(1,)]
        results, text = run_dbt_and_capture(["build"], expect_pass=False)
        assert "no Dask scheduler answers at tcp://127.0.0.1:1" in results[1].message
        assert "postgres_ml_rows_999999_1, which a build that was killed has left" in text
        assert select(LEFT) == [(0,)]


def processes_with(variable: str) -> set[int]:
    """Return the ids of processes that were started with this in their environment."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if variable.encode() in path.read_bytes().split(b"\0"):
                found.add(int(path.parent.name))
    return found


def killer(cluster: DaskProcesses, task: str = "grow-", after_s: float = 0.3) -> threading.Thread:
    """Kill a worker some seconds after three of them have a task."""

    def kill() -> None:
        with Client(cluster.address, set_as_default=False) as client:
            end = time.monotonic() + 120
            while not fitting(client, task) and time.monotonic() < end:
                time.sleep(0.02)
            time.sleep(after_s)
            cluster.workers[-1].kill()

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    return thread


def fitting(client: Client, task: str) -> bool:
    """Return whether each of three workers has a task whose name begins so."""
    return sum(any(str(key).startswith(task) for key in keys) for keys in client.processing().values()) >= 3
