"""Extraction: time, CPU and memory of reading a training query, against the usual ways of Python.

    python benchmarks/bench_extract.py [--dsn DSN] [--rows N] [--ways a,b] [--write]

Each way reads the same query (ten columns: seven doubles, an integer, a text of 50 values, a boolean; NULLs
in most) in a process of its own: wall time, its CPU seconds and the server's, both together beside those of a
COPY whose rows nobody reads, and by how much its memory grew at the peak, as a multiple of the columns in
Arrow. `copy of a training` is what dbt does: the query once, with the digest of its rows, into a file; the
training process makes a frame of that. Of a server on another machine CPU is not known.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg2
import pyarrow as pa
import pyarrow.csv
import results
from postgres_ml import embedded
from postgres_ml.contract.config import Settings
from postgres_ml.snapshot import copy as snapshot
from postgres_ml.snapshot import rows as training_data

TABLE = "bench_extract"
SQL = f"select * from {TABLE}"
REFERENCE = f"COPY (format binary) to {os.devnull}"
END_S = 0.5  # a session takes to end after its client
DOUBLES = [f"x{number}" for number in range(7)]


def create(cursor: Any, n_rows: int) -> None:
    """Make the table, unless it is there with as many rows."""
    cursor.execute(f"select to_regclass('{TABLE}') is not null")
    if cursor.fetchone()[0]:
        cursor.execute(f"select count(*) from {TABLE}")
        if cursor.fetchone()[0] == n_rows:
            return
    columns = ", ".join(
        f"case when hashint4(i * 7 + {k}) % 20 = 0 then null else hashint4(i + {k}) / 1e5 end::float8 {name}"
        for k, name in enumerate(DOUBLES)
    )
    cursor.execute(f"drop table if exists {TABLE}")
    cursor.execute(
        f"create table {TABLE} as select {columns}, nullif(i % 1000, 0) as number, "
        "case when i % 20 > 0 then 'category ' || abs(hashint4(i)) % 50 end as word, "
        "i % 2 = 0 as flag "
        f"from generate_series(1, {n_rows}) i"
    )
    cursor.execute(f"vacuum analyze {TABLE}")


def by_null(dsn: str) -> int:
    """Send the rows to nowhere: what no reader of a result can be faster than."""
    with psycopg2.connect(dsn) as connection, Path(os.devnull).open("wb", buffering=1 << 20) as file:
        cursor = connection.cursor()
        cursor.copy_expert(f"copy ({SQL}) to stdout (format binary)", file)
        return int(cursor.rowcount)


def by_copied(dsn: str) -> int:
    """Copy the rows as dbt's process does for a training: the query once, with its digest, into a file."""
    with psycopg2.connect(dsn) as connection, tempfile.TemporaryDirectory() as folder:
        cursor = connection.cursor()
        features, target = snapshot.split_target(snapshot.describe_query(cursor, SQL), "flag")
        path = Path(folder) / "snapshot.bin"
        return snapshot.copy_snapshot(
            cursor, SQL, features, target, path, Settings(max_cells=10**12), None
        ).n_rows


def by_snapshot(dsn: str) -> int:
    with psycopg2.connect(dsn) as connection, tempfile.TemporaryDirectory() as folder:
        cursor = connection.cursor()
        columns = snapshot.describe_query(cursor, SQL)
        features, target = snapshot.split_target(columns, "flag")
        path = Path(folder) / "snapshot.bin"
        snapshot.copy_snapshot(cursor, SQL, features, target, path, Settings(max_cells=10**12), None)
        return len(training_data.load(path, features, target))


def by_copy(dsn: str) -> int:
    """Read an Arrow table by a bare COPY in CSV: what of a snapshot is neither hash nor frame."""
    with psycopg2.connect(dsn) as connection, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        with path.open("wb", buffering=1 << 20) as file:
            connection.cursor().copy_expert(f"copy ({SQL}) to stdout (format csv, header)", file)
        return pyarrow.csv.read_csv(path).num_rows


def by_adbc(dsn: str) -> int:
    """Return the rows as an Arrow table by ADBC, which asks for them in COPY's binary format."""
    import adbc_driver_postgresql.dbapi as adbc

    uri = "postgresql:///?" + "&".join(dsn.split())
    with adbc.connect(uri) as connection, connection.cursor() as cursor:
        cursor.execute(SQL)
        table: pa.Table = cursor.fetch_arrow_table()
        return table.num_rows


def by_fetchall(dsn: str) -> int:
    with psycopg2.connect(dsn) as connection:
        cursor = connection.cursor()
        cursor.execute(SQL)
        return len(pd.DataFrame(cursor.fetchall(), columns=[column.name for column in cursor.description]))


def by_read_sql(dsn: str) -> int:
    with psycopg2.connect(dsn) as connection:
        return len(pd.read_sql(SQL, connection))


WAYS: dict[str, Callable[[str], int]] = {
    REFERENCE: by_null,
    "copy of a training": by_copied,
    "copy and frame of a training": by_snapshot,
    "copy csv to Arrow": by_copy,
    "adbc": by_adbc,
    "psycopg2 fetchall to DataFrame": by_fetchall,
    "pandas.read_sql": by_read_sql,
}


def measure(way: str, dsn: str) -> dict[str, float]:
    """Run one way in this process, which runs nothing else; return seconds and bytes."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    before = usage.ru_utime + usage.ru_stime, usage.ru_maxrss
    started = time.perf_counter()
    n_rows = WAYS[way](dsn)
    wall = time.perf_counter() - started
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cpu, peak = usage.ru_utime + usage.ru_stime - before[0], 1024 * (usage.ru_maxrss - before[1])
    return {"rows": n_rows, "wall": wall, "cpu": cpu, "peak": peak}


def server_cpu(cursor: Any) -> float:
    """Return the CPU seconds of all sessions that have ended, which their parent adds up; NaN if unknown."""
    cursor.execute("show data_directory")
    note = Path(cursor.fetchone()[0]) / "postmaster.pid"
    if not note.exists():
        return float("nan")
    pid = note.read_text().split("\n", 1)[0]
    counters = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, counters[13:15])) / os.sysconf("SC_CLK_TCK")


def arrow_bytes(n_rows: int) -> int:
    """Return the size of the columns in Arrow: doubles and the integer, text with offsets, validity, bits."""
    text = 0.95 * n_rows * len("category 25") + 4 * n_rows
    return round(8 * 8 * n_rows + text + n_rows / 8 + 10 * n_rows / 8)


def main() -> int:
    """Print a table of the ways, and write it if asked."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--dsn", help="default: an embedded server under benchmarks/")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--ways", default=",".join(name for name in WAYS if name != "adbc"))
    parser.add_argument("--write", action="store_true", help=f"write the table to {results.RESULTS.name}")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(measure(options.worker, options.dsn)))
        return 0
    dsn = options.dsn
    if dsn is None:
        address = embedded.ensure(str(Path(__file__).with_name("postgres.pgdata")))
        dsn = f"host={address.host} port={address.port} user={address.user} dbname={address.dbname}"
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    create(connection.cursor(), options.rows)
    lines = [
        f"{options.rows:,} rows x 10 columns, {arrow_bytes(options.rows) / 1e6:,.0f} MB in Arrow.\n",
        "| way | wall s | CPU s of the client | of the server | speed by CPU | peak memory / in Arrow |",
        "|---|---|---|---|---|---|",
    ]
    reference = math.nan
    for way in options.ways.split(","):
        before = server_cpu(connection.cursor())
        command = [sys.executable, __file__, "--worker", way, "--dsn", dsn]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        assert found["rows"] == options.rows, found
        ratio = found["peak"] / arrow_bytes(options.rows)
        time.sleep(END_S)
        server = server_cpu(connection.cursor()) - before
        cpu = found["cpu"] + server
        reference = cpu if way == REFERENCE else reference
        lines.append(
            f"| {way} | {found['wall']:.1f} | {found['cpu']:.2f} | {server:.2f} | {reference / cpu:.2f} "
            f"| {ratio:.1f} |"
        )
    print("\n".join(lines))
    if options.write:
        body = "\n".join(["## Extraction (`make bench-extract`)\n", *lines])
        results.write_section("bench-extract", body)
    return 0


if __name__ == "__main__":
    sys.exit(main())
