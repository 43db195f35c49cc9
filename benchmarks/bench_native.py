"""Speed of native functions, beside the same model in memory: its own library, and others (peers.py).

    python benchmarks/bench_native.py [--dsn DSN] [--cases a,b] [--rows N] [--repeats N] [--peers PYTHON]
                                      [--write]

Needs a C compiler, or a server with the extension plmodel. Without --dsn it runs on an embedded server of its
own. --peers names the Python of another environment, which has the newest xgboost and daal4py (`make
bench-native` makes one). One core each but for the columns that say otherwise. What is compared is run in
turns, so that whatever else the machine does falls on both; the ratio is that of the fastest runs, beside it
that of the medians.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "extension")]

import bench_sql  # noqa: E402  (sets the libraries' threads first)
import numpy as np  # noqa: E402
import peers  # noqa: E402
import results  # noqa: E402
import xgboost as xgb  # noqa: E402
from bench_sql import MIXED, N_CONNECTIONS, REALS, Case, Server, frames, in_memory, server_at, target_of  # noqa: E402
from build_library import build, compiler, server_headers  # noqa: E402
from postgres_ml.generate.native import generate_native  # noqa: E402
from postgres_ml.lower import parse_pipeline  # noqa: E402
from postgres_ml.publish import native_extension  # noqa: E402
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest  # noqa: E402

N_TRAINING = 100_000
PEER_ROWS = 100_000

_SQL_CASES = {case.name: case for case in bench_sql.CASES}
CASES = (
    # rows to score; ratio to the library that is promised with AVX-512, and with the scalar kernel
    (_SQL_CASES["xgboost 100 x 6"], 1_000_000, 2.0, 1.1),
    (_SQL_CASES["xgboost 500 x 8"], 200_000, 3.0, 1.2),
    (_SQL_CASES["one-hot, xgboost 100 x 6"], 1_000_000, 1.7, None),
    (_SQL_CASES["logistic, one-hot"], 1_000_000, 1.0, None),
    (_SQL_CASES["MLP, 64 units"], 1_000_000, 1.0, None),
    (
        Case("HistGradientBoosting 100 x 31", REALS, lambda: HistGradientBoostingClassifier(), 0),
        1_000_000,
        None,
        None,
    ),
    (_SQL_CASES["random forest 100 x 8"], 200_000, None, None),
    (_SQL_CASES["decision tree, depth 8"], 1_000_000, None, None),
    (
        Case("isolation forest 100 x 256", REALS, lambda: IsolationForest(random_state=0), 0),
        200_000,
        3.0,
        None,
    ),
)
KERNELS = ("scalar", "avx2", "avx512")


def turns(functions: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Return each function's durations; they take turns, after a call each that warms up."""
    taken: dict[str, list[float]] = {name: [] for name in functions}
    for number in range(repeats + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if number:
                taken[name].append(time.perf_counter() - start)
    return taken


def install(server: Server) -> None:
    """Have the language on the server."""
    server.cursor.execute("select 1 from pg_available_extensions where name = 'plmodel'")
    if server.cursor.fetchone():
        native_extension.provide(server.cursor)
        return
    if compiler() is None:
        raise SystemExit("no C compiler, and the server has no extension plmodel")
    major = server.cursor.connection.server_version // 10000
    library = Path(tempfile.mkdtemp(prefix="plmodel-", dir="/tmp")) / f"plmodel-{major}.so"
    build(server_headers()[major], library)
    library.parent.chmod(0o755)
    native_extension.install_library(server.cursor, str(library))


class Measured:
    """One case's functions on the server, and its figures."""

    def __init__(
        self, server: Server, case: Case, n_rows: int, frame: Any, repeats: int, python: str | None
    ) -> None:
        self.server, self.case, self.n_rows, self.repeats = server, case, n_rows, repeats
        self.estimator = case.build()
        # as the training snapshot has them; scikit-learn would compute in single precision otherwise
        frame = frame.astype({item.name: np.float64 for item in case.inputs if item.kind == "number"})
        training = frame.iloc[:N_TRAINING]
        self.estimator.fit(training, target_of(training))
        program = parse_pipeline(self.estimator, case.inputs, "integer")
        self.generated = generate_native(program, "bench_sql", "predict_it")
        server.cursor.execute("drop function if exists predict_it cascade")
        server.cursor.execute("drop function if exists predict_it_probabilities cascade")
        server.create(self.generated)
        table = "t_reals" if case.inputs is REALS else "t_mixed"
        call = f"predict_it({', '.join(item.name for item in case.inputs)})"
        self.query = f"select id, {call} from {table} where id < {n_rows}"
        self.sum_query = f"select sum({call}) from {table} where id < {n_rows}"
        self.usable = frame.iloc[:n_rows]
        self.python, self.peer_versions = python, dict[str, str]()

    def with_kernel(self, kernel: str, run: Callable[[], Any]) -> Callable[[], Any]:
        def switched() -> None:
            self.server.cursor.execute(f"set plmodel.kernel = {kernel}")
            run()

        return switched

    def row(self, wanted: float | None, wanted_scalar: float | None) -> str:
        """Return the case's row of the table."""
        store = self.server.scored(self.query)
        compared = {kernel: self.with_kernel(kernel, store) for kernel in KERNELS}
        compared["sum"] = self.with_kernel("auto", lambda: self.server.cursor.execute(self.sum_query))
        compared["library"] = in_memory(self.estimator, self.usable)
        taken = turns(compared, self.repeats)
        other = self.peers()
        workers = self.parallel()
        first, memory = self.server.first_call(self.query)
        best = min(KERNELS, key=lambda kernel: min(taken[kernel]))
        cells = [
            self.case.name,
            f"{self.generated.n_nodes:,}",
            f"{self.generated.size_bytes / len(self.generated.functions) / 1e6:.2f}",
            f"{first * 1e3:.1f}",
            f"{memory:.1f}",
            f"{self.n_rows / min(taken['library']):,.0f}",
            *(_ratio(taken, kernel, wanted_scalar if kernel == "scalar" else None) for kernel in KERNELS[:2]),
            _ratio(taken, "avx512", wanted),
            _ratio(taken, "sum", None),
            f"{self.n_rows / min(taken[best]):,.0f}",
            f"{self.generated.est_rows_per_s / (self.n_rows / min(taken[best])):.2f}",
            *(_peer(other, name) for name in peers.NAMES),
            *workers,
        ]
        return "| " + " | ".join(cells) + " |"

    def peers(self) -> dict[str, list[float]]:
        """Return durations of the library and of other predictors of a bare xgboost model."""
        if not isinstance(self.estimator, xgb.XGBModel):
            return {}
        frame = self.usable.iloc[:PEER_ROWS]
        matrix = np.ascontiguousarray(frame.to_numpy(dtype=np.float32))
        found = {"library": in_memory(self.estimator, frame)}
        with tempfile.TemporaryDirectory() as directory:
            if self.generated.n_nodes <= peers.LARGEST_COMPILED:
                found |= peers.tl2cgen_predictor(self.estimator, matrix, Path(directory))
            process = None
            if self.python is not None:
                process = peers.PeerProcess(self.python, self.estimator, matrix, Path(directory))
                self.peer_versions = process.versions
                found |= process.predictors()
            # the last one, since it renames the features
            found |= peers.onnxruntime_predictor(self.estimator, matrix)
            taken = turns(found, self.repeats)
            if process is not None:
                process.close()
        return taken

    def parallel(self) -> list[str]:
        """Return the speed-up of the sum by one and by two workers beside the leader."""

        def with_workers(number: int) -> Callable[[], Any]:
            def run() -> None:
                self.server.cursor.execute(f"set max_parallel_workers_per_gather = {number}")
                self.server.cursor.execute(self.sum_query)

            return run

        self.server.cursor.execute(
            "set plmodel.kernel = auto; set parallel_setup_cost = 0; set parallel_tuple_cost = 0; "
            "set min_parallel_table_scan_size = 0"
        )
        taken = turns({str(number): with_workers(number) for number in (0, 1, 2)}, self.repeats)
        self.server.cursor.execute("set max_parallel_workers_per_gather = 0")
        return [f"{min(taken['0']) / min(taken[number]):.2f}" for number in ("1", "2")]


def _ratio(taken: dict[str, list[float]], name: str, wanted: float | None) -> str:
    fastest = min(taken["library"]) / min(taken[name])
    median = statistics.median(taken["library"]) / statistics.median(taken[name])
    return f"{fastest:.2f} / {median:.2f}" + (f" (≥ {wanted:g})" if wanted else "")


def _peer(other: dict[str, list[float]], name: str) -> str:
    return f"{min(other['library']) / min(other[name]):.2f}" if name in other else "–"


def many_connections(measured: Measured) -> str:
    """Return what 32 connections do together, each scoring rows of its own."""
    share = measured.n_rows // N_CONNECTIONS
    alone = time.perf_counter()
    measured.server.cursor.execute(measured.sum_query)
    alone = time.perf_counter() - alone

    def score(number: int) -> None:
        cursor = measured.server.connect()
        low = number * share
        cursor.execute(f"{measured.sum_query} and id >= {low} and id < {low + share}")
        cursor.connection.close()

    taken = bench_sql.seconds_at_once(score)
    return (
        f"{N_CONNECTIONS} new connections, each scoring {share:,} rows of {measured.case.name} once: "
        f"{taken:.1f} s in all, {N_CONNECTIONS * share / taken:,.0f} rows/s together (one connection alone: "
        f"{measured.n_rows / alone:,.0f}); connecting, reading the model and scanning the table included."
    )


COLUMNS = (
    "model", "nodes", "body, MB", "first call, ms", "MB a backend", "library, rows/s", "scalar", "AVX2",
    "AVX-512", "sum(…), best", "best, rows/s", "estimate / rows/s", *peers.NAMES, "1 worker", "2 workers",
)  # fmt: skip
HEADER = "| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|"
NOTE = (
    "Ratios to the library in memory (xgboost: `inplace_predict`, one thread) of `create table as select id, "
    "predict(…)` with each kernel, fastest runs / medians; `sum(…)` likewise without writing the rows; "
    "tl2cgen, onnxruntime, oneDAL and the newest xgboost's `inplace_predict` in memory, one thread, to the "
    "library on the same 100,000 rows; workers: speed-up of the sum over none."
)


@contextmanager
def native_server(dsn: str | None) -> Any:
    """Yield a server that has the language."""
    with server_at(dsn) as server:
        install(server)
        yield server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dsn", help="a server to run on; its schema bench_sql is replaced")
    parser.add_argument("--cases", default="", help="parts of names, separated by commas")
    parser.add_argument("--rows", type=int, default=10**9, help="score at most so many rows")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--peers", metavar="PYTHON", help="of an environment with the newest xgboost and daal4py"
    )
    parser.add_argument("--write", action="store_true", help=f"write the table to {results.RESULTS.name}")
    options = parser.parse_args()
    chosen = [c for c in CASES if any(part in c[0].name for part in options.cases.split(","))]
    data = frames(max(N_TRAINING, min(options.rows, max(n_rows for _, n_rows, _, _ in chosen))))
    lines = [HEADER]
    with native_server(options.dsn) as server:
        server.load("t_reals", REALS, data[REALS])
        server.load("t_mixed", MIXED, data[MIXED])
        server.cursor.execute("show server_version")
        version = server.cursor.fetchone()[0]
        print(HEADER)
        closing, peer_versions = "", dict[str, str]()
        for case, n_rows, wanted, wanted_scalar in chosen:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # an MLP that has not converged is as fast
                rows = min(n_rows, options.rows)
                measured = Measured(server, case, rows, data[case.inputs], options.repeats, options.peers)
                lines.append(measured.row(wanted, wanted_scalar))
            print(lines[-1], flush=True)
            closing = closing or many_connections(measured)
            peer_versions |= measured.peer_versions
        print(closing)
    if options.write:
        write(lines, closing, version, peer_versions)


def write(lines: list[str], closing: str, version: str, peer_versions: dict[str, str]) -> None:
    """Replace the section of RESULTS.md that this benchmark owns."""
    newest = "".join(f", {name} {number}" for name, number in sorted(peer_versions.items()))
    beside = f" Beside it{newest}." if newest else ""
    heading = (
        "## Native functions (`make bench-native`)\n\n"
        f"{results.circumstances(version)}, xgboost {xgb.__version__}, JIT off.{beside} {NOTE}\n\n"
    )
    results.write_section("bench-native", heading + "\n".join(lines) + f"\n\n{closing}\n")


if __name__ == "__main__":
    main()
