"""Speed of generated SQL functions, beside the same model in memory and today's round trip through a client.

    python benchmarks/bench_sql.py [--dsn DSN] [--cases a,b] [--rows N] [--write]

Without --dsn it runs on a server of its own: the system's PostgreSQL where that has PL/Python, else the
embedded one.
Everything uses one core: one thread in the libraries, no parallel query but where a column says so. Times are
processor seconds of the server and this process (wall clock where it is elsewhere), so that other programs
disturb them less. Read the ratios; rows a second depend on the machine.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import statistics
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import psycopg2
import results
import sql_parts
import xgboost as xgb
from postgres_ml import embedded
from postgres_ml.components.additive import AdditiveClassifier
from postgres_ml.generate import GeneratedFunctions, create_statement, generate_sql
from postgres_ml.lower import parse_pipeline
from postgres_ml.program.program import Input
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

N_TRAINING = 20_000
ROUND_TRIP_ROWS = 100_000
ONE_BY_ONE_ROWS = 300
N_CONNECTIONS = 32
CONNECTION_ROWS = 500
MAX_WORKER_ROWS = 50_000

REALS = tuple(Input(f"f{i}", "real", "number") for i in range(20))
MIXED = (
    *(Input(f"d{i}", "double precision", "number") for i in range(10)),
    *(Input(f"c{i}", "text", "text") for i in range(3)),
)


@dataclass(frozen=True)
class Case:
    """A model to time.

    Parameters
    ----------
    n_rows : of the table that is scored
    target : rows a second, as a fraction of the library's own in memory, that the product promises
    """

    name: str
    inputs: tuple[Input, ...]
    build: Callable[[], Any]
    n_rows: int
    target: float | None = None


def _logistic() -> Any:
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    text = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="missing"),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    )
    prepare = ColumnTransformer(
        [
            ("numbers", numbers, [i.name for i in MIXED if i.kind == "number"]),
            ("text", text, [i.name for i in MIXED if i.kind == "text"]),
        ]
    )
    return make_pipeline(prepare, LogisticRegression(max_iter=300))


def _xgboost(n_trees: int, depth: int) -> Callable[[], Any]:
    return lambda: xgb.XGBClassifier(n_estimators=n_trees, max_depth=depth, n_jobs=1)


def _one_hot_xgboost() -> Any:
    text = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    prepare = ColumnTransformer(
        [
            ("numbers", "passthrough", [i.name for i in MIXED if i.kind == "number"]),
            ("text", text, [i.name for i in MIXED if i.kind == "text"]),
        ],
        sparse_threshold=0,
    )
    return make_pipeline(prepare, xgb.XGBClassifier(n_estimators=100, max_depth=6, n_jobs=1))


def _additive(interactions: int) -> Callable[[], Any]:
    return lambda: AdditiveClassifier(interactions=interactions, max_bins=64)


CASES = (
    Case("logistic, one-hot", MIXED, _logistic, 1_000_000, 0.7),
    Case("additive, 20 columns", REALS, _additive(0), 300_000),
    Case("additive, 20 columns, 10 pairs", REALS, _additive(10), 300_000),
    Case("decision tree, depth 8", REALS, lambda: DecisionTreeClassifier(max_depth=8), 1_000_000),
    Case("xgboost 50 x 6", REALS, _xgboost(50, 6), 100_000),
    Case("xgboost 100 x 6", REALS, _xgboost(100, 6), 100_000, 0.09),
    Case("one-hot, xgboost 100 x 6", MIXED, _one_hot_xgboost, 100_000),
    Case("xgboost 500 x 8", REALS, _xgboost(500, 8), 20_000),
    Case(
        "random forest 100 x 8",
        REALS,
        lambda: RandomForestClassifier(100, max_depth=8, n_jobs=1, random_state=0),
        100_000,
    ),
    Case(
        "MLP, 64 units",
        REALS,
        lambda: make_pipeline(SimpleImputer(), StandardScaler(), MLPClassifier((64,), max_iter=20)),
        100_000,
    ),
)


def frames(n_rows: int) -> dict[tuple[Input, ...], pd.DataFrame]:
    """Return data with missing values: 20 single-precision columns; 10 doubles and 3 texts."""
    source = np.random.default_rng(0)
    reals = source.normal(size=(n_rows, 20)).astype(np.float32)
    reals[source.random(reals.shape) < 0.03] = np.nan
    doubles = source.normal(size=(n_rows, 10))
    doubles[source.random(doubles.shape) < 0.03] = np.nan
    mixed = pd.DataFrame(doubles, columns=[i.name for i in MIXED[:10]])
    for index, n_values in enumerate((4, 12, 30)):
        values = np.array([f"région-{v}" for v in range(n_values)], dtype=object)
        mixed[f"c{index}"] = pd.Series(values[source.integers(0, n_values, n_rows)], dtype=object)
        mixed.loc[source.random(n_rows) < 0.04, f"c{index}"] = None
    return {REALS: pd.DataFrame(reals.astype(np.float64), columns=[i.name for i in REALS]), MIXED: mixed}


def target_of(frame: pd.DataFrame) -> np.ndarray:
    """Return two classes that need interactions of columns."""
    numbers = frame.select_dtypes("number").fillna(0).to_numpy(dtype=np.float64)
    noise = np.random.default_rng(1).normal(size=len(frame))
    signal = numbers[:, 0] * numbers[:, 1] + np.sin(2 * numbers[:, 2]) + numbers[:, 3] + 0.5 * noise
    if "c0" in frame:
        signal += frame["c0"].isin(["région-1"]) + frame["c2"].isin(["région-7", "région-8"])
    return (signal > 0).astype(int)


def in_memory(estimator: Any, frame: pd.DataFrame) -> Callable[[], Any]:
    """Return the library's fastest way to predict these rows."""
    if isinstance(estimator, xgb.XGBModel):
        booster, matrix = estimator.get_booster(), np.ascontiguousarray(frame.to_numpy(dtype=np.float32))
        booster.set_param({"nthread": 1})
        return lambda: booster.inplace_predict(matrix)
    return lambda: estimator.predict(frame)


def seconds(function: Callable[[], Any], clock: Callable[[], float], repeats: int = 3) -> float:
    """Return the median duration after one call that warms up."""
    function()
    taken = []
    for _ in range(repeats):
        start = clock()
        function()
        taken.append(clock() - start)
    return statistics.median(taken)


class Server:
    """A connection that runs everything in one process of the server."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.cursor = self.connect()
        self.cursor.execute("drop schema if exists bench_sql cascade; create schema bench_sql")
        self.cursor.execute("select pg_backend_pid()")
        self.process = Path(f"/proc/{self.cursor.fetchone()[0]}/stat")

    def clock(self) -> float:
        """Return processor seconds of the server's process and this one; wall clock for a remote server."""
        if not self.process.exists():
            return time.perf_counter()
        fields = self.process.read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK") + time.process_time()

    def connect(self) -> Any:
        connection = psycopg2.connect(self.dsn)
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("set search_path = bench_sql; set max_parallel_workers_per_gather = 0; set jit = off")
        return cursor

    def load(self, table: str, inputs: tuple[Input, ...], frame: pd.DataFrame) -> None:
        columns = ", ".join(f"{item.name} {item.sql_type}" for item in inputs)
        self.cursor.execute(f"create table {table} (id int, {columns})")
        buffer = io.StringIO()
        frame.to_csv(buffer, header=False)
        buffer.seek(0)
        self.cursor.copy_expert(f"copy {table} from stdin csv", buffer)
        self.cursor.execute(f"vacuum analyze {table}")

    def create(self, generated: GeneratedFunctions) -> None:
        for body in generated.functions:
            self.cursor.execute(create_statement(body, "bench_sql"))

    def scored(self, query: str) -> Callable[[], Any]:
        return lambda: self.cursor.execute(f"drop table if exists scored; create table scored as {query}")

    def first_call(self, query: str) -> tuple[float, float]:
        """Return seconds and megabytes that the first call takes in a new connection."""
        cursor = self.connect()
        cursor.execute("select pg_backend_pid()")
        pid = cursor.fetchone()[0]
        cursor.execute("select count(*) from t_reals limit 1")
        before, start = _anonymous_memory(pid), time.perf_counter()
        cursor.execute(f"{query} limit 1")
        taken = time.perf_counter() - start
        grown = _anonymous_memory(pid) - before
        cursor.connection.close()
        return taken, grown

    def has_plpython(self) -> bool:
        self.cursor.execute("select 1 from pg_available_extensions where name = 'plpython3u'")
        return self.cursor.fetchone() is not None


def _anonymous_memory(pid: int) -> float:
    """Return megabytes of a local process; NaN where /proc doesn't tell."""
    path = Path(f"/proc/{pid}/status")
    if not path.exists():
        return float("nan")
    found = [line.split()[1] for line in path.read_text().splitlines() if line.startswith("RssAnon")]
    return int(found[0]) / 1024 if found else float("nan")


def round_trip(
    server: Server, case: Case, table: str, n_rows: int, predict: Callable[[pd.DataFrame], Any]
) -> float:
    """Return rows a second of select, pandas, predict, COPY back."""
    names = [item.name for item in case.inputs]

    def run() -> None:
        server.cursor.execute(f"select id, {', '.join(names)} from {table} where id < {n_rows}")
        frame = pd.DataFrame(server.cursor.fetchall(), columns=["id", *names])
        for item in case.inputs:
            if item.kind == "number":
                frame[item.name] = frame[item.name].astype(np.float64)
        buffer = io.StringIO()
        pd.DataFrame({"id": frame["id"], "p": predict(frame[names])}).to_csv(
            buffer, index=False, header=False
        )
        buffer.seek(0)
        server.cursor.execute("drop table if exists scored; create table scored (id int, p float8)")
        server.cursor.copy_expert("copy scored from stdin csv", buffer)

    return n_rows / seconds(run, server.clock, 1)


def one_by_one(server: Server, case: Case, table: str, estimator: Any, directory: Path) -> float:
    """Return rows a second of the pipeline called once a row in plpython3u."""
    import joblib

    path = directory / "pipeline.joblib"
    joblib.dump(estimator, path)
    path.chmod(0o644)
    arguments = ", ".join(f"{item.name} {item.sql_type}" for item in case.inputs)
    values = ", ".join(f"'{item.name}': [{item.name}]" for item in case.inputs)
    packages = str(Path(np.__file__).parents[1])
    numbers = [item.name for item in case.inputs if item.kind == "number"]
    server.cursor.execute("create extension if not exists plpython3u")
    server.cursor.execute(f"""
        create or replace function one_by_one({arguments}) returns int language plpython3u as $body$
if 'p' not in SD:
    import os, site
    os.environ['OMP_NUM_THREADS'] = os.environ['OPENBLAS_NUM_THREADS'] = '1'
    site.addsitedir({packages!r})
    import joblib, pandas
    SD['p'], SD['pandas'] = joblib.load({str(path)!r}), pandas
frame = SD['pandas'].DataFrame({{{values}}})
frame[{numbers!r}] = frame[{numbers!r}].astype('float64')
return int(SD['p'].predict(frame)[0])
$body$""")
    names = ", ".join(item.name for item in case.inputs)
    query = f"select sum(one_by_one({names})) from {table} where id < {ONE_BY_ONE_ROWS}"
    return ONE_BY_ONE_ROWS / seconds(lambda: server.cursor.execute(query), server.clock, 1)


def parts_of(server: Server, estimator: Any, call: str, n_rows: int, library_s: float) -> list[str]:
    """Return lines of what a row of the logistic regression takes, part by part."""

    def seconds_of(expression: str) -> float:
        query = f"select id, {expression} from t_mixed where id < {n_rows}"
        return seconds(server.scored(query), server.clock, 5) / n_rows

    numbers, texts = ([i.name for i in MIXED if i.kind == kind] for kind in ("number", "text"))
    return sql_parts.table(sql_parts.statements(estimator, numbers, texts, call), seconds_of, library_s)


def measure(
    server: Server, case: Case, frame: pd.DataFrame, n_rows: int, directory: Path, parts: list[str]
) -> str:
    """Return the case's row of the table; `parts` takes what the first case is made of."""
    table = "t_reals" if case.inputs is REALS else "t_mixed"
    estimator = case.build()
    training = frame.iloc[:N_TRAINING]
    estimator.fit(training, target_of(training))
    generated = generate_sql(parse_pipeline(estimator, case.inputs, "integer"), "bench_sql", "predict_it")
    server.cursor.execute("drop function if exists predict_it cascade")
    server.create(generated)
    call = f"predict_it({', '.join(item.name for item in case.inputs)})"
    query = f"select id, {call} from {table}"
    first, memory = server.first_call(query)
    ours = n_rows / seconds(server.scored(f"{query} where id < {n_rows}"), server.clock)
    usable = frame.iloc[:n_rows]
    library = len(usable) / seconds(in_memory(estimator, usable), time.process_time)
    if case is CASES[0]:
        parts.extend(parts_of(server, estimator, call, n_rows, 1 / library))
    trip_rows = min(ROUND_TRIP_ROWS, n_rows)
    trip = round_trip(server, case, table, trip_rows, estimator.predict)
    single = one_by_one(server, case, table, estimator, directory) if server.has_plpython() else None
    wanted = f" (≥ {case.target:g})" if case.target else ""
    cells = [
        case.name,
        generated.style,
        f"{generated.n_nodes:,}",
        f"{generated.size_bytes / 1e6:.2f}",
        f"{first * 1e3:.0f}",
        f"{memory:.0f}",
        f"{ours:,.0f}",
        f"{generated.est_rows_per_s / ours:.2f}",
        f"{library:,.0f}",
        f"{ours / library:.3f}{wanted}",
        f"{ours / trip:.2f}",
        f"{ours / single:,.0f}" if single else "–",
        *workers(server, f"select sum({call}) from {table}", n_rows),
    ]
    return "| " + " | ".join(cells) + " |"


HEADER = (
    "| model | style | nodes | MB | first call, ms | MB a backend | rows/s | estimate / rows/s "
    "| library, rows/s "
    "| ratio to library | to round trip | to one row a call | 1 worker | 2 workers |\n" + "|---" * 14 + "|"
)


def with_plpython() -> Path | None:
    """Return the programs of the newest PostgreSQL under /usr/lib/postgresql that has PL/Python, if any."""
    found = [path.parents[1] / "bin" for path in Path("/usr/lib/postgresql").glob("*/lib/plpython3.so")]
    return max(found, key=lambda path: int(path.parent.name), default=None)


def workers(server: Server, query: str, n_rows: int) -> list[str]:
    """Return the speed-up by one and by two parallel workers beside the leader, by the clock."""
    server.cursor.execute(
        "set parallel_setup_cost = 0; set parallel_tuple_cost = 0; set min_parallel_table_scan_size = 0"
    )
    taken = []
    for number in (0, 1, 2):
        server.cursor.execute(f"set max_parallel_workers_per_gather = {number}")
        run = f"{query} where id < {min(n_rows, MAX_WORKER_ROWS)}"
        taken.append(seconds(lambda run=run: server.cursor.execute(run), time.perf_counter, 1))
    server.cursor.execute("set max_parallel_workers_per_gather = 0")
    return [f"{taken[0] / time_taken:.2f}" for time_taken in taken[1:]]


def seconds_at_once(work: Callable[[int], None]) -> float:
    """Return the time that calls of `work` with 0, 1, … take, one thread for each connection."""
    threads = [threading.Thread(target=work, args=(number,)) for number in range(N_CONNECTIONS)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started


def many_connections(server: Server, case: Case) -> str:
    """Return what 32 new connections do together, each scoring rows once."""
    table = "t_reals" if case.inputs is REALS else "t_mixed"
    call = f"predict_it({', '.join(item.name for item in case.inputs)})"
    query = f"select sum({call}) from {table} where id < {CONNECTION_ROWS}"

    def score(_: int) -> None:
        cursor = server.connect()
        cursor.execute(query)
        cursor.connection.close()

    taken = seconds_at_once(score)
    return (
        f"{N_CONNECTIONS} new connections at once, each scoring {CONNECTION_ROWS} rows of {case.name}: "
        f"{taken:.2f} s in all, "
        "connecting and compiling the function included."
    )


@contextmanager
def server_at(dsn: str | None, bindir: Path | None = None) -> Iterator[Server]:
    """Yield a server: the one named, or one in a folder that is removed afterwards.

    Parameters
    ----------
    bindir : of its programs; None is the embedded server
    """
    if dsn is not None:
        yield Server(dsn)
        return
    directory = Path(tempfile.mkdtemp(prefix="pgml-bench-", dir="/tmp"))
    try:
        at = embedded.ensure(directory, durability="off", bindir=bindir)
        yield Server(f"host={at.host} port={at.port} user={at.user} dbname={at.dbname}")
    finally:
        embedded.stop(directory)
        shutil.rmtree(directory, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dsn", help="a server to run on; its schema bench_sql is replaced")
    parser.add_argument("--embedded", action="store_true", help="even where another server has PL/Python")
    parser.add_argument("--cases", default="", help="parts of names, separated by commas")
    parser.add_argument("--rows", type=int, default=10**9, help="score at most so many rows")
    parser.add_argument("--write", action="store_true", help=f"write the table to {results.RESULTS.name}")
    options = parser.parse_args()
    wanted = [c for c in CASES if any(part in c.name for part in options.cases.split(","))]
    data = frames(min(options.rows, max(case.n_rows for case in wanted)) + N_TRAINING)
    lines = [HEADER]
    with (
        server_at(options.dsn, None if options.embedded else with_plpython()) as server,
        tempfile.TemporaryDirectory() as directory,
    ):
        Path(directory).chmod(0o755)
        server.load("t_reals", REALS, data[REALS])
        server.load("t_mixed", MIXED, data[MIXED])
        server.cursor.execute("show server_version")
        version = server.cursor.fetchone()[0]
        print(HEADER)
        closing, parts = "", list[str]()
        for case in wanted:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # an MLP that has not converged is as fast
                n_rows = min(case.n_rows, options.rows)
                line = measure(server, case, data[case.inputs], n_rows, Path(directory), parts)
            print(line, flush=True)
            lines.append(line)
            closing = closing or many_connections(server, case)
        if parts:
            closing += f"\n\nWhat a row of {CASES[0].name} takes, part by part:\n\n" + "\n".join(parts)
        print(closing)
    if options.write:
        write(lines, closing, version)


def write(lines: list[str], closing: str, version: str) -> None:
    """Replace the section of RESULTS.md that this benchmark owns."""
    heading = (
        "## Generated SQL (`make bench-sql`)\n\n"
        f"{results.circumstances(version)}; xgboost {xgb.__version__}. One core, JIT off, processor "
        "seconds of `create table as select id, predict(…)`, median of 3; workers: speed-up, by the clock, "
        "of `select sum(predict(…))` over none. Read the ratios.\n\n"
    )
    results.write_section("bench-sql", heading + "\n".join(lines) + f"\n\n{closing}\n")


if __name__ == "__main__":
    main()
