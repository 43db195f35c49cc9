"""Training as the data grow: CPU seconds, wall time and memory, against a plain script of the same steps.

    python benchmarks/bench_scale.py [--rows 100000,1000000] [--kinds numbers,texts] [--write]

Both train xgboost of 100 rounds on the same rows: read them, fit on 80 %, score the rest, fit on all.
`product` is the training process of a build up to the functions' bodies, SHAP values and the parity check's
rows; the script reads a binary COPY and calls xgboost.train, with text as pandas categories. `disk` is the
product under a cap that the rows don't fit into (max_memory), `dask1` and `dask2` are one and two of Dask's
workers, of one thread each, whose CPU seconds are counted too. Plots, MLflow and imports are left out of all.
Memory is the peak of this process above what the imports take, as a multiple of the rows' size in Arrow.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psycopg2
import results
import xgboost
from dbt.adapters.postgres_ml.build.plain_table import hold_snapshot, plain_table
from growth import FIGURE, draw_growth
from postgres_ml import embedded, pipeline
from postgres_ml.contract.config import Settings, TrainingSpec
from postgres_ml.contract.job import TrainingJob
from postgres_ml.out_of_core.plan import OVERHEAD, ROW_BYTES
from postgres_ml.process.memory import resident_bytes
from postgres_ml.snapshot import copy as snapshot
from postgres_ml.snapshot.query import around_rows
from sklearn.metrics import log_loss

TABLE = "bench_scale"
N_NUMBERS, N_TEXTS, N_WORDS = 20, 3, 50
N_THREADS = 1  # threads that wait for a busy core would count as work
KINDS = {"numbers": 0, "texts": N_TEXTS}
WORD_BYTES = len("category 25")


def create(cursor: Any, n_rows: int, n_texts: int) -> None:
    """Make the table: numbers of which some tell the label, and texts of 50 values that tell it too."""
    numbers = [f"hashint4(i * 31 + {k}) / 2147483648.0::float8 as x{k}" for k in range(N_NUMBERS)]
    words = [f"'category ' || abs(hashint4(i * 17 + {k})) % {N_WORDS} as t{k}" for k in range(n_texts)]
    told = " + ".join([f"x{k}" for k in range(5)] + [f"(length(t{k}) - 10) * 0.7" for k in range(n_texts)])
    cursor.execute(
        f"drop table if exists {TABLE}; create unlogged table {TABLE} as "
        f"select *, case when {told} + x5 * x6 + hashint4(i) / 4e9 > 0.2 then 'yes' else 'no' end as y "
        f"from (select i, {', '.join(numbers + words)} from generate_series(1, {n_rows}) as i) as made"
    )
    cursor.execute(f"alter table {TABLE} drop column i; analyze {TABLE}")


def _ask(cursor: Any, query: str) -> list[tuple[Any, ...]]:
    cursor.execute(query)
    rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def arrow_bytes(n_rows: int, n_texts: int) -> int:
    """Return the size of the columns in Arrow: doubles, and texts with their offsets."""
    return n_rows * (8 * N_NUMBERS + n_texts * (WORD_BYTES + 4) + 7)


def make_job(cursor: Any, folder: Path, **settings: Any) -> TrainingJob:
    """Return the job of the table's training."""
    query = f"select * from {TABLE}"
    features, target = snapshot.split_target(snapshot.describe_query(cursor, query), "y")
    spec = TrainingSpec(
        "scale", "model.bench.scale", "postgres", "public", function="predict_scale", target="y", auto=False,
        model_types=("xgboost",), problem_type="binary_classification", hyperparameters={},
        settings=Settings(max_cells=10**12, **settings),
    )  # fmt: skip
    return TrainingJob(
        directory=str(folder), tracking_uri="", experiment="", tags={}, query=query, spec=spec,
        features=features, target=target, n_threads=N_THREADS,
    )  # fmt: skip


def by_disk(dsn: str, folder: Path, watch: Watch) -> float:
    """Train under a cap of half the rows' size in Arrow, besides what any training takes."""
    with psycopg2.connect(dsn) as connection:
        [(n_rows, size)] = _ask(
            connection.cursor(), f"select count(*), pg_table_size('{TABLE}') from {TABLE}"
        )
    return by_product(dsn, folder, watch, resident_bytes() + OVERHEAD + ROW_BYTES * n_rows + size // 2)


def by_dask(n_workers: int, dsn: str, folder: Path, watch: Watch) -> float:
    """Train on workers of Dask; return the hold-out's log loss."""
    from distributed import LocalCluster
    from postgres_ml import cluster_training

    with LocalCluster(
        n_workers=n_workers, threads_per_worker=1, dashboard_address=":0", memory_limit=0
    ) as local:
        with psycopg2.connect(dsn) as connection:
            connection.autocommit = True
            cursor = connection.cursor()
            job = make_job(cursor, folder, compute="dask")
            watch.begin(local)
            settings, table = job.spec.settings, plain_table(cursor, job.query)
            assert table is not None, "the query is nothing but the table's columns"
            columns = snapshot.describe_query(cursor, job.query)
        held = hold_snapshot(dsn, "", table, columns, job.target, settings)
        assert held is not None, "nobody locks the table"
        around = around_rows(job.features, job.target, settings, job.spec.problem_type)
        source = {"dsn": dsn, "role": "", **held.source(table, around)}
        job = dataclasses.replace(job, dask_scheduler=local.scheduler_address)
        trained = cluster_training.train(job, lambda: "bench", lambda *_: None, source, [])
        held.close()
        watch.end()
    return float(trained.evaluation.metrics["log_loss"])


def by_product(dsn: str, folder: Path, watch: Watch, max_memory: int | None = None) -> float:
    """Train as the training process does; return the hold-out's log loss."""
    with psycopg2.connect(dsn) as connection:
        cursor = connection.cursor()
        job = make_job(cursor, folder, max_memory=max_memory)
        watch.begin()
        snapshot.copy_snapshot(
            cursor, job.query, job.features, job.target, folder / "snapshot.bin", job.spec.settings,
            job.spec.problem_type,
        )  # fmt: skip
    trained = pipeline.train(job, lambda: "bench", lambda *_: None)
    watch.end()
    return float(trained.evaluation.metrics["log_loss"])


def by_script(dsn: str, folder: Path, watch: Watch) -> float:
    """Train as a careful data scientist would by hand; return the hold-out's log loss."""
    watch.begin()
    path = folder / "rows.bin"
    with psycopg2.connect(dsn) as connection, path.open("wb", buffering=1 << 20) as file:
        connection.cursor().copy_expert(f"copy (select * from {TABLE}) to stdout (format binary)", file)
    frame = read_binary(path)
    target = (frame.pop("y") == "yes").to_numpy()
    is_held = np.random.default_rng(0).random(len(frame)) < 0.2
    parameters = {"objective": "binary:logistic", "nthread": N_THREADS, "max_cat_to_onehot": 100}

    def fit(chosen: Any, labels: Any) -> Any:
        matrix = xgboost.QuantileDMatrix(chosen, labels, enable_categorical=True)
        return xgboost.train(parameters, matrix, 100)

    booster = fit(frame[~is_held], target[~is_held])
    held = xgboost.DMatrix(frame[is_held], enable_categorical=True)
    loss = log_loss(target[is_held], booster.predict(held))
    fit(frame, target)
    watch.end()
    return float(loss)


def read_binary(path: Path) -> pd.DataFrame:
    """Read a binary COPY of doubles, then texts, by NumPy; texts become categories."""
    raw = np.fromfile(path, np.uint8)[19:-2]
    n_texts = (int.from_bytes(raw[:2].tobytes(), "big") - N_NUMBERS) - 1
    fixed = 2 + 12 * N_NUMBERS
    ends, position, blob = [], 0, raw.tobytes()
    texts: list[list[bytes]] = [[] for _ in range(n_texts + 1)]
    while position < len(blob):
        ends.append(position)
        position += fixed
        for column in texts:
            size = int.from_bytes(blob[position : position + 4], "big")
            column.append(blob[position + 4 : position + 4 + size])
            position += 4 + size
    starts = np.array(ends)
    record = np.dtype(
        [
            ("n", ">i2"),
            *((f"{kind}{k}", t) for k in range(N_NUMBERS) for kind, t in (("s", ">i4"), ("x", ">f8"))),
        ]
    )
    rows = np.ndarray((len(blob) - record.itemsize + 1,), record, blob, strides=(1,))[starts]
    made: dict[str, Any] = {f"x{k}": rows[f"x{k}"].astype(np.float64) for k in range(N_NUMBERS)}
    made |= {
        f"t{k}": pd.Categorical([word.decode() for word in column]) for k, column in enumerate(texts[:-1])
    }
    return pd.DataFrame({**made, "y": [word.decode() for word in texts[-1]]})


@dataclasses.dataclass
class Watch:
    """CPU seconds, wall time and peak memory between `begin` and `end`."""

    cpu: float = 0.0
    wall: float = 0.0
    base: int = 0
    peak: int = 0
    others: Any = None

    def begin(self, others: Any = None) -> None:
        self.others = others
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        self.base = _status("VmRSS")
        self.cpu, self.wall = -_cpu() - self._others_cpu(), -time.perf_counter()

    def end(self) -> None:
        self.cpu += _cpu() + self._others_cpu()
        self.wall += time.perf_counter()
        self.peak = _status("VmHWM") - self.base

    def _others_cpu(self) -> float:
        """Return what Dask's workers have computed."""
        if self.others is None:
            return 0.0
        with self.others.get_client() as client:
            return float(sum(client.run(time.process_time).values()))


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _status(field: str) -> int:
    line = next(text for text in Path("/proc/self/status").read_text().splitlines() if text.startswith(field))
    return 1024 * int(line.split()[1])


WAYS: dict[str, Callable[[str, Path, Watch], float]] = {
    "product": by_product,
    "script": by_script,
    "disk": by_disk,
    "dask1": functools.partial(by_dask, 1),
    "dask2": functools.partial(by_dask, 2),
}


def measure(way: str, dsn: str) -> dict[str, float]:
    """Run one way in this process, which runs nothing else."""
    from postgres_ml.process.forking import MODULES

    for module in MODULES:
        __import__(module)
    xgboost.train({}, xgboost.DMatrix(np.zeros((10, 1)), np.arange(10.0)), 1)
    pipeline.write_artifacts = lambda *_: None  # type: ignore[assignment]  # plots and the card are left out
    pipeline.write_record = lambda *_: None  # type: ignore[assignment]
    watch = Watch()
    with tempfile.TemporaryDirectory() as folder:
        loss = WAYS[way](dsn, Path(folder), watch)
    return {"cpu": watch.cpu, "wall": watch.wall, "peak": watch.peak, "loss": loss}


def main() -> int:
    """Print a table, and write it if asked."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", default="100000,400000,1000000,4000000")
    parser.add_argument("--text-rows", type=int, default=1_000_000, help="no more rows than these with texts")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--write", action="store_true", help=f"write the table to {results.RESULTS.name}")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--dsn", help="default: an embedded server under benchmarks/")
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
    lines = [
        "| rows | columns | Arrow MB | way | CPU s | wall s | peak / Arrow | hold-out log loss |",
        "|---|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    measured = []
    for kind in options.kinds.split(","):
        for n_rows in map(int, options.rows.split(",")):
            if KINDS[kind] and n_rows > options.text_rows:
                continue
            create(connection.cursor(), n_rows, KINDS[kind])
            size = arrow_bytes(n_rows, KINDS[kind])
            for way in options.ways.split(","):
                command = [sys.executable, __file__, "--worker", way, "--dsn", dsn]
                found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
                measured.append((kind, n_rows, way, found))
                lines.append(
                    f"| {n_rows:,} | {N_NUMBERS} numbers{f', {KINDS[kind]} texts' * bool(KINDS[kind])} "
                    f"| {size / 1e6:,.0f} | {way} | {found['cpu']:.1f} | {found['wall']:.1f} "
                    f"| {found['peak'] / size:.1f} | {found['loss']:.4f} |"
                )
                print(lines[-1], flush=True)
    if options.write:
        draw_growth(measured)
        [(version,)] = _ask(connection.cursor(), "show server_version")
        heading = (
            "## Training as data grow (`make bench-scale`)\n\n"
            f"{results.circumstances(version)}, xgboost {xgboost.__version__}, one thread a process. "
            f"`peak` is memory beside the libraries.\n\n![CPU and memory by rows]({FIGURE.name})\n"
        )
        results.write_section("bench-scale", "\n".join([heading, *lines]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
