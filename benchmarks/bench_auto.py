"""AUTO beside FLAML, AutoGluon and the libraries' defaults: loss on the same test rows, 60 s and 2 cores.

    python benchmarks/bench_auto.py [--data FOLDER] [--sets a,b] [--systems a,b] [--budget 60] [--seeds 1]
        [--flaml-venv FOLDER] [--autogluon-venv FOLDER] [--write]

`auto_sql` is AUTO where the function will be SQL, and `auto_sql_0` the same with `sql_tolerance: 0`; their
functions are timed on an embedded server (`sql_speed.py`), by its processor seconds. `autogluon_best` runs
only where --systems names it, which is meant for --budget 600; --write keeps a section for each budget.

Without --data (or BENCH_AUTO_DATA) the sets are scikit-learn's and the examples' seeds; FOLDER has gzipped
CSV files, named as in `auto_sets.py`, with NULL empty. Each set, seed and system runs in a process of its
own, one after the other; its result is kept in --results as JSON. An interrupted run goes on where it was,
`--again` starts over. FLAML and AutoGluon ask for different versions of xgboost: each is installed into an
environment of its own, where that is not there yet. Results of ten minutes a set are kept in git:
`--budget 600 --results benchmarks/measured` goes on with those. Each seed has other test rows, and is the
seed of AUTO's and FLAML's random numbers. Run it on a quiet machine: systems that watch the clock find less
on a busy one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import results
from auto_report import IN_SQL, SYSTEMS, Found, table
from auto_sets import SETS, Set, prepare

HERE = Path(__file__).parent
THEIR_PACKAGES = {
    "flaml": ("flaml[automl]==2.8.*", "pyarrow"),
    "autogluon": ("autogluon.tabular[lightgbm,catboost,xgboost,fastai]==1.6.*", "torch", "pyarrow"),
}
THEIRS = {"flaml": "flaml", "autogluon": "autogluon", "autogluon_best": "autogluon"}
"""The packages that a system is of."""
IN_TEN_MINUTES = ("autogluon_best",)
"""What runs only where it is named: it is made for more time than the others are given."""
TIMEOUT_FACTOR = 6


def main() -> None:
    options = arguments()
    chosen = [item for item in SETS if is_wanted(item, options)]
    if not chosen:
        sys.exit("no set is left: see --sets and --data")
    options.results.mkdir(parents=True, exist_ok=True)
    for seed in range(options.seeds):
        for item in chosen:
            run_missing(item, seed, options)
    text = table(chosen, stored(chosen, options), options.budget)
    print(text)
    if options.write:
        is_usual = options.budget == 60
        name = "bench-auto" if is_usual else f"bench-auto-{options.budget:g}"
        command = "make bench-auto" if is_usual else f"benchmarks/bench_auto.py --budget {options.budget:g}"
        results.write_section(name, f"## AUTO, {options.budget:g} s: `{command}`\n\n{text}")


def run_missing(item: Set, seed: int, options: Any) -> None:
    """Run the systems that have no result of the set and seed yet, and keep each result as it comes."""
    missing = [
        system
        for system in options.systems
        if options.again or not result_file(item, system, seed, options).exists()
    ]
    if not missing:
        return
    with tempfile.TemporaryDirectory() as folder:
        prepare(item, options.data, Path(folder), seed)
        for system in missing:
            found = run(system, Path(folder), seed, options)
            keep(found, result_file(item, system, seed, options))
            print(f"{item.name:24s} {seed} {system:16s} {found}", flush=True)


def keep(found: dict[str, Any], file: Path) -> None:
    """Write the result; a run that is interrupted meanwhile leaves no half of it."""
    unfinished = file.with_suffix(".part")
    unfinished.write_text(json.dumps(found, indent=1) + "\n")
    unfinished.replace(file)


def result_file(item: Set, system: str, seed: int, options: Any) -> Path:
    return Path(options.results / f"{item.name}.{system}.{options.budget:g}.{seed}.json")


def stored(chosen: Sequence[Set], options: Any) -> Found:
    """Return the results that there are, by set, system and seed."""
    return {
        (item.name, system, seed): json.loads(file.read_text())
        for item in chosen
        for system in SYSTEMS
        for seed in range(options.seeds)
        if (file := result_file(item, system, seed, options)).exists()
    }


def arguments(given: Sequence[str] | None = None) -> Any:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = os.environ.get("BENCH_AUTO_DATA")
    parser.add_argument("--data", type=Path, default=Path(data) if data else None)
    parser.add_argument("--sets", type=lambda text: text.split(","), default=None)
    usual = [system for system in SYSTEMS if system not in IN_TEN_MINUTES]
    parser.add_argument("--systems", type=lambda text: text.split(","), default=usual)
    parser.add_argument("--budget", type=float, default=60.0)
    parser.add_argument("--seeds", type=int, default=1, help="how many; each has other test rows")
    for system in THEIR_PACKAGES:
        venv = HERE.parent / "build" / "bench-venv" / system
        parser.add_argument(f"--{system}-venv", type=Path, default=venv, help="a virtual environment with it")
    parser.add_argument("--results", type=Path, default=HERE.parent / "build" / "bench-auto")
    parser.add_argument("--again", action="store_true", help="run what has a result already")
    parser.add_argument("--write", action="store_true", help="update RESULTS.md")
    options = parser.parse_args(given)
    unknown = set(options.systems) - set(SYSTEMS) | set(options.sets or ()) - {item.name for item in SETS}
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    if options.data is not None and not options.data.is_dir():
        parser.error(f"--data {options.data} is no folder")
    if options.seeds < 1:
        parser.error("--seeds is less than 1")
    return options


def is_wanted(item: Set, options: Any) -> bool:
    """Return whether the set is asked for and there; with --data only its sets, unless they are named."""
    if options.sets is not None:
        if item.name not in options.sets:
            return False
        if item.source == "data" and options.data is None:
            sys.exit(f"{item.name} needs --data (or BENCH_AUTO_DATA): a folder with {item.name}.csv.gz")
        return True
    return (item.source == "data") == (options.data is not None)


def run(system: str, folder: Path, seed: int, options: Any) -> dict[str, Any]:
    """Return what the worker printed, or why it failed."""
    python = sys.executable
    if packages := THEIRS.get(system):
        python = str(their_python(getattr(options, f"{packages}_venv"), THEIR_PACKAGES[packages]))
    worker = str(HERE / "auto_worker.py")
    command = [*two_cores(), python, worker, system, str(folder), str(options.budget), str(seed)]
    # ours fits several candidates at once, each on one core; the others share two among the threads of a fit
    threads = "1" if system in ("auto", *IN_SQL) else "2"
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
    try:
        limit = 120 + TIMEOUT_FACTOR * options.budget
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        return {"error": f"not done after {limit:g} s"}
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        return {"error": (done.stderr.strip().splitlines() or ["it printed nothing"])[-1][:300]}
    return dict(json.loads(lines[-1]))


def two_cores() -> list[str]:
    """Return the command that keeps a process on two cores, where there is one."""
    taskset = shutil.which("taskset")
    return [] if taskset is None or (os.cpu_count() or 1) <= 2 else [taskset, "-c", "0,1"]


def their_python(venv: Path, packages: Sequence[str]) -> Path:
    """Return the interpreter of an environment with these packages, made if it isn't there."""
    python = venv / "bin" / "python"
    if not python.exists():
        print(f"installing {', '.join(packages)} into {venv}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages], check=True)
    return python


if __name__ == "__main__":
    main()
