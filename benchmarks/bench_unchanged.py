"""Time a build of an unchanged model against a view, and the digest of its rows.

    python benchmarks/bench_unchanged.py [--rows 100000] [--runs 5]

Prints the node's time when nothing has changed, that of a dbt view on the same table, their ratio, and the
digest alone in GB/s of the table's pages (CPU time of the server's process).
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
from pathlib import Path

import psycopg2
from dbt.cli.main import dbtRunner
from postgres_ml import embedded
from postgres_ml.snapshot_sql import data_digest_query

COLUMNS = """i % 97 as a, random() as b, random() * 100 as c, (random() * 100)::numeric(8, 2) as d,
    md5(i::text) as e, (array['north', 'south', 'east'])[1 + i % 3] as f, i % 2 = 0 as g,
    (random() * 1000)::int as h, random() < .3 as y"""
MODEL = """{{ config(materialized='create_model', target='y', auto=false, model_type='linear_learner',
    runtime='sql') }}
select a, b, c, d, f, g, h, y from bench.events"""


def main() -> None:
    options = _options()
    directory = Path(tempfile.mkdtemp(prefix="bench-unchanged-", dir="/tmp"))
    project = directory / "project"
    (project / "models").mkdir(parents=True)
    (project / "models" / "m.sql").write_text(MODEL)
    # built first: the first node of a run opens the connection
    (project / "models" / "a_view.sql").write_text("select a, b, c, d, f, g, h, y from bench.events")
    (project / "dbt_project.yml").write_text("name: bench\nprofile: bench\n")
    target = {"type": "postgres_ml", "embedded": str(directory / "data"), "schema": "bench", "threads": 1}
    (project / "profiles.yml").write_text(
        json.dumps({"bench": {"target": "dev", "outputs": {"dev": target}}})
    )
    address = embedded.keep(directory / "data")
    try:
        connection = psycopg2.connect(
            host=address.host, port=address.port, user=address.user, dbname=address.dbname
        )
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("create schema bench")
        cursor.execute(
            f"create table bench.events as select {COLUMNS} from generate_series(1, {options.rows}) i"
        )
        cursor.execute("vacuum analyze bench.events")
        _time_digest(cursor, options.runs)
        _time_nodes(project, options.runs)
    finally:
        embedded.stop(directory / "data")
        shutil.rmtree(directory)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    return parser.parse_args()


def _time_digest(cursor: psycopg2.extensions.cursor, runs: int) -> None:
    cursor.execute("set max_parallel_workers_per_gather = 0")
    cursor.execute("select pg_backend_pid(), pg_table_size('bench.events')")
    [(pid, size)] = cursor.fetchall()
    query = data_digest_query("select * from bench.events", cursor.connection.server_version)
    before = _cpu_s(pid)
    for _ in range(runs):
        cursor.execute(query)
    seconds = (_cpu_s(pid) - before) / runs
    print(f"digest: {seconds * 1000:.0f} ms of CPU, {size / seconds / 1e9:.2f} GB/s")


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def _time_nodes(project: Path, runs: int) -> None:
    times: dict[str, list[float]] = {"m": [], "a_view": []}
    for run in range(runs + 1):
        arguments = ["build", "--quiet", "--project-dir", str(project), "--profiles-dir", str(project)]
        result = dbtRunner().invoke(arguments)
        assert result.success, result.exception
        for node in result.result:  # type: ignore[union-attr]  # a build's result is iterable
            if run:  # the first trains
                times[node.node.name].append(node.execution_time)
    model, view = (statistics.median(times[name]) for name in ("m", "a_view"))
    print(f"unchanged: {model:.3f} s, view: {view:.3f} s, ratio {model / view:.2f}")


if __name__ == "__main__":
    main()
