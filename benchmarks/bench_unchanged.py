"""Time a build of an unchanged model against a view, and the digest of its rows.

    python benchmarks/bench_unchanged.py [--rows 100000] [--runs 5]

Prints the node's time when nothing has changed, that of a dbt view on the same table and their ratio;
likewise dbt's processor time and the number of statements, which a busy machine leaves alone; and the
digest by itself in GB/s of the table's pages (processor time of the server's process).
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psycopg2
from dbt.cli.main import dbtRunner
from postgres_ml import embedded
from postgres_ml.contract.config import Settings
from postgres_ml.snapshot.copy import describe_query
from postgres_ml.snapshot.query import data_digest_query

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
        _count_statements(project, cursor, directory / "data" / "server.log")
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
    sql, settings = "select * from bench.events", Settings()
    columns = describe_query(cursor, sql, settings)
    query = data_digest_query(sql, columns, settings, cursor.connection.server_version)
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
    processor: dict[str, list[float]] = {"m": [], "a_view": []}

    def note(event: Any) -> None:
        """Note the thread's processor time: dbt calls this in the thread that runs the node."""
        if event.info.name in ("NodeStart", "NodeFinished"):
            used = processor[event.data.node_info.node_name]
            used.append(time.thread_time() - (used.pop() if event.info.name == "NodeFinished" else 0))

    _build(project)  # trains
    for _ in range(runs):
        for node in _build(project, note):
            times[node.node.name].append(node.execution_time)
    for name, measured, unit in (("unchanged", times, "s"), ("dbt's processor time", processor, "s")):
        model, view = (statistics.median(measured[node]) for node in ("m", "a_view"))
        print(f"{name}: {model:.3f} {unit}, view: {view:.3f} {unit}, ratio {model / view:.2f}")


def _build(project: Path, *callbacks: Any) -> Any:
    arguments = ["build", "--quiet", "--project-dir", str(project), "--profiles-dir", str(project)]
    result = dbtRunner(callbacks=list(callbacks)).invoke(arguments)
    assert result.success, result.exception
    return result.result


def _count_statements(project: Path, cursor: psycopg2.extensions.cursor, log: Path) -> None:
    """Count what one more build sends; each node has a connection, so a server process, of its own."""
    for setting in ("log_statement = 'all'", "log_line_prefix = '@%p@'"):
        cursor.execute(f"alter system set {setting}")
    cursor.execute("select pg_reload_conf()")
    time.sleep(1)  # for all processes to read it
    _build(project)
    text = log.read_text(encoding="utf-8", errors="replace")
    counts = Counter(re.findall(r"^@(\d+)@LOG:  statement:", text, re.MULTILINE))
    for name, mark in (("unchanged", "concat_ws"), ("view", "create view")):
        pids = re.findall(rf"^@(\d+)@LOG:  statement: (?:(?!^@).)*{mark}", text, re.MULTILINE | re.DOTALL)
        print(f"{name}: {counts[pids[-1]]} statements")


if __name__ == "__main__":
    main()
