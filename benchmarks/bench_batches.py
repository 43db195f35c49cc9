"""What rows in batches would gain, and what it would cost to gather them (docs/decisions/0051).

    python benchmarks/bench_batches.py [--trees N] [--depth N] [--rounds N]

The kernels run outside of Postgres (extension/test/standalone/batches.c), each on rows one by one and in
batches of 8 to 64 against blocks of trees: processor time, the fastest of some rounds in turns. Then an
embedded server gathers rows in arrays and takes arrays apart, without predicting anything. Needs a C
compiler. A kernel that the machine lacks stops it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "extension")]

import bench_sql  # noqa: E402, F401  (sets the libraries' threads first)
import numpy as np  # noqa: E402
import xgboost as xgb  # noqa: E402
from bench_sql import REALS, frames, server_at, target_of  # noqa: E402
from build_library import FLAGS, SOURCES, compiler  # noqa: E402
from postgres_ml.generate.native.body import write_body  # noqa: E402
from postgres_ml.lower import parse_pipeline  # noqa: E402

N_TRAINING = 100_000
N_SCORED = 4_000  # rows; few, so that other programs seldom come between
N_GATHERED = 100_000
KERNELS = ("scalar", "avx2", "avx512")
TEST = SOURCES.parent / "test"

_ENCODED = " || ".join(f"float4send(coalesce({item.name}, 'NaN'))" for item in REALS)
_MADE = "drop table if exists made; create table made as "
GATHERING = {
    "scan, write id and a number": f"{_MADE}select id, f0::float8 as p from t_reals",
    "take arrays of both apart, write them": f"{_MADE}select u.* from (select array_agg(id) as ids, "
    "array_agg(f0::float8) as p from t_reals group by id / 1000) as c, unnest(ids, p) as u(id, p)",
    "scan, group": "select sum(n) from (select count(f19) as n from t_reals group by id / 1000) as c",
    "gather rows in arrays of 1,000": "select sum(n) from (select cardinality(array_agg(t)) as n "
    "from t_reals as t group by id / 1000) as c",
    "gather 20 numbers in byteas of 1,000 rows": "select sum(n) from (select "
    f"length(string_agg({_ENCODED}, '')) as n from t_reals group by id / 1000) as c",
}


def time_kernels(trees: int, depth: int, rounds: int, directory: Path) -> None:
    """Print batches.c's figures for each kernel."""
    frame = frames(N_TRAINING)[REALS].astype(np.float64)
    estimator = xgb.XGBClassifier(n_estimators=trees, max_depth=depth, n_jobs=1)
    estimator.fit(frame, target_of(frame))
    body, rows = directory / "body", directory / "rows"
    body.write_bytes(write_body(parse_pipeline(estimator, REALS, "integer"), "predict"))
    rows.write_bytes(frame.iloc[:N_SCORED].to_numpy().tobytes())
    for number, kernel in enumerate(KERNELS):
        # batches.c includes the kernel and the step, to call what is static there
        included = {"platform", "ensemble_step", f"kernel_{kernel}"}
        core = [file for file in sorted(SOURCES.glob("[pt]*/*.c")) if file.stem not in included]
        output = directory / kernel
        command = [str(compiler()), "-std=gnu11", *(f for f in FLAGS if f not in ("-shared", "-std=gnu99"))]
        command += ["-DPLMODEL_STANDALONE", f'-DKERNEL_FILE="trees/kernel_{kernel}.c"', f"-DKERNEL={number}"]
        command += [f"-I{SOURCES}", f"-I{TEST}", f"-I{TEST / 'fuzz'}", str(TEST / "standalone" / "batches.c")]
        command += [str(TEST / "fuzz" / "standalone.c"), *map(str, core), "-lm", "-o", str(output)]
        subprocess.run(command, check=True)
        subprocess.run([str(output), str(body), str(rows), str(rounds)], check=True)


def time_gathering(rounds: int) -> None:
    """Print what gathering takes, in nanoseconds of the server's processor time for a row."""
    with server_at(None) as server:
        server.load("t_reals", REALS, frames(N_GATHERED)[REALS])
        taken: dict[str, list[float]] = {name: [] for name in GATHERING}
        for _ in range(rounds + 1):
            for name, query in GATHERING.items():
                start = server.clock()
                for _ in range(5):  # the clock has ticks of 10 ms
                    server.cursor.execute(query)
                taken[name].append((server.clock() - start) / 5)
        for name, seconds in taken.items():
            print(f"{name}: {min(seconds[1:]) / N_GATHERED * 1e9:.0f} ns a row")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trees", type=int, default=500)
    parser.add_argument("--depth", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        time_kernels(options.trees, options.depth, options.rounds, Path(directory))
    time_gathering(options.rounds)


if __name__ == "__main__":
    main()
