"""Scoring a table where it is, on more cores, on a replica and from another database.

    python benchmarks/bench_scoring.py [--rows N] [--repeats N] [--write]

An xgboost of 100 x 6 trees and a logistic regression on 20 numbers, in the native runtime, on Debian's
PostgreSQL with a streaming replica (both are made for it; C compiler needed). The ways take turns, and times
are by the clock: nothing else may run. Read the ratios to one core.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "tests")]

import numpy as np  # noqa: E402
import results  # noqa: E402
from bench_native import turns  # noqa: E402
from postgres_ml.generate import create_statement, generate_native  # noqa: E402
from postgres_ml.lower import parse_pipeline  # noqa: E402
from postgres_ml.program.program import Input  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from support.standby import Pair, connect, pair  # noqa: E402
from xgboost import XGBClassifier  # noqa: E402

N_COLUMNS, N_TRAINING, N_PARTITIONS = 20, 20_000, 8
NAMES = [f"x{k}" for k in range(N_COLUMNS)]
INPUTS = tuple(Input(name, "double precision", "number") for name in NAMES)
CALL = f"predict_it({', '.join(NAMES)})"
SUM = f"select sum({CALL}) from"
#: so that a scan of any size is shared out
PARALLEL = (
    "set parallel_setup_cost = 0; set parallel_tuple_cost = 0; set min_parallel_table_scan_size = 0; "
    "set max_parallel_workers_per_gather = "
)
MODELS: dict[str, Callable[[], Any]] = {
    "xgboost 100 x 6": lambda: XGBClassifier(n_estimators=100, max_depth=6, n_jobs=1),
    "logistic regression": lambda: LogisticRegression(),
}


def fill(cursor: Any, n_rows: int) -> None:
    """Make the rows, once in a table and once in partitions by a hash of the key."""
    numbers = ", ".join(f"hashint4(i * 31 + {k}) / 2147483648.0::float8 as {n}" for k, n in enumerate(NAMES))
    columns = ", ".join(f"{name} double precision" for name in NAMES)
    cursor.execute(
        f"create table points as select i as id, {numbers} from generate_series(1, {n_rows}) as i; "
        f"create table parts (id int, {columns}) partition by hash (id)"
    )
    for number in range(N_PARTITIONS):
        cursor.execute(
            f"create table parts_{number} partition of parts "
            f"for values with (modulus {N_PARTITIONS}, remainder {number})"
        )
    cursor.execute("insert into parts select * from points")
    for table in ("points", "parts"):
        cursor.execute(f"vacuum analyze {table}")


def publish(cursor: Any, build: Callable[[], Any]) -> None:
    """Train on the sign of a product of columns, and put the function in the place of the last one."""
    rows = np.random.default_rng(0).uniform(-1, 1, size=(N_TRAINING, N_COLUMNS))
    model = build().fit(rows, (rows[:, 0] * rows[:, 1] + rows[:, 2] > 0).astype(int))
    for body in generate_native(parse_pipeline(model, INPUTS, "integer"), "public", "predict_it").functions:
        cursor.execute(create_statement(body, "public"))


def create_remote(servers: Pair, cursor: Any) -> None:
    """Make foreign tables in another database of the server: of the rows, and of a view that predicts."""
    home = servers.primary
    with connect(home).cursor() as owner:
        owner.execute(f"create view scored as select id, {CALL} as prediction from points")
    columns = ", ".join(f"{name} double precision" for name in NAMES)
    cursor.execute(
        "create extension postgres_fdw; create server home foreign data wrapper postgres_fdw options "
        f"(host '{home.host}', port '{home.port}', dbname '{home.dbname}', fetch_size '10000'); "
        f"create user mapping for current_user server home options (user '{home.user}'); "
        "create foreign table scored (id int, prediction int) server home; "
        f"create foreign table points (id int, {columns}) server home"
    )


def ways(here: Any, replica: Any, remote: Any) -> dict[str, Callable[[], None]]:
    """Return what is compared, by name."""

    def run(cursor: Any, statement: str) -> None:
        cursor.execute(statement)

    def copy_out(query: str) -> None:
        with Path(os.devnull).open("wb") as nothing:
            here.copy_expert(f"copy ({query}) to stdout (format binary)", nothing)

    found: dict[str, Callable[[], None]] = {"one core": partial(run, here, f"{SUM} points")}
    for n_workers in (1, 2):
        name = f"and {n_workers} parallel worker{'s' * (n_workers > 1)}"
        found[name] = partial(
            run, here, f"{PARALLEL}{n_workers}; {SUM} points; set max_parallel_workers_per_gather = 0"
        )
    return found | {
        f"{N_PARTITIONS} partitions, and 1 parallel worker": partial(
            run, here, f"{PARALLEL}1; {SUM} parts; set max_parallel_workers_per_gather = 0"
        ),
        "one of the partitions, named by the key's hash": partial(run, here, f"{SUM} parts_0"),
        "written: create table as select id, prediction": partial(
            run, here, f"drop table if exists kept; create table kept as select id, {CALL} as p from points"
        ),
        "predictions to the client: COPY (format binary)": partial(
            copy_out, f"select id, {CALL} from points"
        ),
        "features to the client, without a prediction": partial(
            copy_out, f"select id, {', '.join(NAMES)} from points"
        ),
        "on a replica": partial(run, replica, f"{SUM} points"),
        "from another database: sum over a remote view": partial(
            run, remote, "select sum(prediction) from scored"
        ),
        "from another database: every prediction": partial(
            run, remote, "select sum(prediction + id) from (select * from scored offset 0) as fetched"
        ),
        "from another database: every row's features": partial(
            run, remote, f"select sum({' + '.join(NAMES)}) from (select * from points offset 0) as fetched"
        ),
    }


def table(n_rows: int, repeats: int) -> list[str]:
    """Measure, and return the table's lines."""
    taken: dict[str, dict[str, list[float]]] = {}
    with ExitStack() as stack:
        servers = stack.enter_context(pair())
        cursors = []
        places = ((servers.primary, None), (servers.standby, None), (servers.primary, "other"))
        for address, database in places:
            if database:
                cursors[0].execute(f"create database {database}")
            connection = connect(address, database)
            stack.callback(connection.close)
            cursors.append(connection.cursor())
            cursors[-1].execute("set jit = off; set max_parallel_workers_per_gather = 0")
        fill(cursors[0], n_rows)
        for number, (model, build) in enumerate(MODELS.items()):
            publish(cursors[0], build)
            if not number:
                create_remote(servers, cursors[2])
            servers.wait_until_replayed()
            taken[model] = turns(ways(*cursors), repeats)
    lines = [
        "| " + " | ".join(["way", *(f"{model}, rows/s | ratio" for model in MODELS)]) + " |",
        "|---" * (1 + 2 * len(MODELS)) + "|",
    ]
    for way in next(iter(taken.values())):
        cells = []
        for seconds in taken.values():
            n_scored = n_rows / N_PARTITIONS if way.startswith("one of") else n_rows
            rate = n_scored / statistics.median(seconds[way])
            cells += [f"{rate:,.0f}", f"{rate / (n_rows / statistics.median(seconds['one core'])):.2f}"]
        lines.append("| " + " | ".join([way, *cells]) + " |")
    return lines


def main() -> None:
    """Print the table, and write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--write", action="store_true", help=f"write the table to {results.RESULTS.name}")
    options = parser.parse_args()
    lines = table(options.rows, options.repeats)
    print("\n".join(lines))
    if options.write:
        heading = (
            f"## Scoring (`make bench-scoring`)\n\n{results.circumstances('15')}, native runtime, "
            f"{options.rows:,} rows x {N_COLUMNS} numbers, JIT off, {os.cpu_count()} cores; by the clock, "
            f"median of {options.repeats}. Ratios are to one core that sums the predictions.\n\n"
        )
        results.write_section("bench-scoring", heading + "\n".join(lines))


if __name__ == "__main__":
    main()
