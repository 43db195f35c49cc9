"""AUTO beside FLAML, AutoGluon and the libraries' defaults: loss on the same test rows, 60 s and 2 cores.

    python benchmarks/bench_auto.py [--data FOLDER] [--sets a,b] [--systems a,b] [--budget 60] [--write]

`auto_sql` is AUTO where the function will be SQL, and `auto_sql_0` the same with `sql_tolerance: 0`; their
functions are timed on an embedded server (`sql_speed.py`), by its processor seconds.

Without --data (or BENCH_AUTO_DATA) the sets are scikit-learn's and the examples' seeds; FOLDER has gzipped
CSV files, named as in SETS, with NULL empty. Each pair of set and system runs in a process of its own;
its result is kept in --results as JSON. An interrupted run goes on where it was, `--again` starts over. FLAML
and AutoGluon are installed into an environment of their own, --venv, where it is not there yet. Test rows are
those whose number's sha256 begins with a byte of 192 or more. Run it on a quiet machine: systems that watch
the clock find less on a busy one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import results
from sklearn import datasets

HERE = Path(__file__).parent
SEEDS = HERE.parent / "models_examples" / "seeds"
IN_SQL = ("auto_sql", "auto_sql_0")
OURS = ("auto", *IN_SQL, "xgboost_default", "hist_default", "linear")
THEIRS = ("flaml", "autogluon")
SYSTEMS = ("auto", *IN_SQL, *THEIRS, "xgboost_default", "hist_default", "linear")
NAMES = {
    "auto": "auto",
    "auto_sql": "auto, runtime sql",
    "auto_sql_0": "auto, runtime sql, tolerance 0",
    "flaml": "FLAML",
    "autogluon": "AutoGluon medium",
    "xgboost_default": "xgboost default",
    "hist_default": "HistGradientBoosting default",
    "linear": "linear",
}
RANKED = tuple(name for name in SYSTEMS if name not in IN_SQL)
THEIR_PACKAGES = ("flaml[automl]", "autogluon.tabular[lightgbm,catboost,xgboost]", "torch", "pyarrow")
BINARY, MULTI, NUMBER = "binary_classification", "multiclass_classification", "regression"
TIMEOUT_FACTOR = 6


@dataclass(frozen=True)
class Set:
    """A data set.

    Parameters
    ----------
    source : 'data' for a file of --data, 'seed' for an example's seed, else a loader of scikit-learn
    tuned_on : whether the portfolio was put together while looking at its test rows
    drop : columns that identify a row
    rows : greatest number of rows, chosen by hash
    """

    name: str
    target: str
    task: str
    source: str = "data"
    tuned_on: bool = False
    drop: tuple[str, ...] = ()
    rows: int = 60_000


SETS = (
    Set("churn_mlc", "churn", BINARY, tuned_on=True),
    Set("churn_ibm_telco", "churn", BINARY, tuned_on=True),
    Set("credit_default_es", "status", BINARY, tuned_on=True),
    Set("pima_diabetes", "diabetes", BINARY, tuned_on=True),
    Set("hpc_jobs", "class", MULTI, tuned_on=True),
    Set("diamonds", "price", NUMBER, tuned_on=True, rows=20_000),
    Set("ames_housing", "sale_price", NUMBER, tuned_on=True),
    Set("concrete", "compressive_strength", NUMBER, tuned_on=True),
    Set("wages_gss", "realrinc", NUMBER, tuned_on=True, rows=20_000),
    Set("bank_marketing", "y", BINARY),
    Set("chicago_taxi_tips", "tip", BINARY),
    Set("titanic", "survived", BINARY, drop=("name",)),
    Set("breast_cancer_wdbc", "benign", BINARY),
    Set("penguins", "species", MULTI),
    Set("wine_cultivars", "cultivar", MULTI),
    Set("abalone", "rings", NUMBER),
    Set("insurance_charges", "charges", NUMBER),
    Set("elec_demand_half_hourly", "demand", NUMBER, drop=("ts",)),
    Set("nyc_flights", "arr_delay", NUMBER, drop=("time_hour", "arr_time", "dep_delay"), rows=60_000),
    Set("telco_customers", "churn", BINARY, "seed", tuned_on=True, drop=("customer_id",)),
    Set("diamonds_seed", "price", NUMBER, "seed", tuned_on=True, drop=("diamond_id",), rows=20_000),
    Set("sklearn_breast_cancer", "target", BINARY, "load_breast_cancer"),
    Set("sklearn_wine", "target", MULTI, "load_wine"),
    Set("sklearn_digits", "target", MULTI, "load_digits"),
    Set("sklearn_diabetes", "target", NUMBER, "load_diabetes"),
)


def main() -> None:
    options = arguments()
    chosen = [item for item in SETS if _is_wanted(item, options)]
    if not chosen:
        sys.exit("no set is left: see --sets and --data")
    options.results.mkdir(parents=True, exist_ok=True)
    for item in chosen:
        with tempfile.TemporaryDirectory() as folder:
            prepared = False
            for system in options.systems:
                file = options.results / f"{item.name}.{system}.{options.budget:g}.json"
                if file.exists() and not options.again:
                    continue
                if not prepared:
                    prepare(item, options.data, Path(folder))
                    prepared = True
                found = run(system, Path(folder), options)
                file.write_text(json.dumps(found, indent=1) + "\n")
                print(f"{item.name:24s} {system:16s} {found}", flush=True)
    text = report(chosen, options)
    print(text)
    if options.write:
        results.write_section("bench-auto", f"## AUTO: `make bench-auto`\n\n{text}")


def arguments() -> Any:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = os.environ.get("BENCH_AUTO_DATA")
    parser.add_argument("--data", type=Path, default=Path(data) if data else None)
    parser.add_argument("--sets", type=lambda text: text.split(","), default=None)
    parser.add_argument("--systems", type=lambda text: text.split(","), default=list(SYSTEMS))
    parser.add_argument("--budget", type=float, default=60.0)
    parser.add_argument("--venv", type=Path, default=HERE.parent / "build" / "bench-venv")
    parser.add_argument("--results", type=Path, default=HERE.parent / "build" / "bench-auto")
    parser.add_argument("--again", action="store_true", help="run what has a result already")
    parser.add_argument("--write", action="store_true", help="update RESULTS.md")
    options = parser.parse_args()
    unknown = set(options.systems) - set(SYSTEMS) | set(options.sets or ()) - {item.name for item in SETS}
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    if options.data is not None and not options.data.is_dir():
        parser.error(f"--data {options.data} is no folder")
    return options


def _is_wanted(item: Set, options: Any) -> bool:
    """Return whether the set is asked for and there; with --data only its sets, unless they are named."""
    if options.sets is not None:
        if item.name not in options.sets:
            return False
        if item.source == "data" and options.data is None:
            sys.exit(f"{item.name} needs --data (or BENCH_AUTO_DATA): a folder with {item.name}.csv.gz")
        return True
    return (item.source == "data") == (options.data is not None)


def prepare(item: Set, data: Path | None, folder: Path) -> None:
    """Write the set's training and test rows into the folder."""
    frame = load(item, data)
    frame = frame[frame[item.target].notna()].drop(columns=list(item.drop))
    if len(frame) > item.rows:
        ranked = sorted(frame.index, key=lambda number: _digest(f"sub:{number}"))
        frame = frame.loc[sorted(ranked[: item.rows])]
    if item.task == NUMBER:
        frame[item.target] = frame[item.target].astype(float)
    else:
        frame[item.target] = frame[item.target].astype(str).astype(object)
    is_test = np.array([_digest(str(number))[0] >= 192 for number in frame.index])
    frame[~is_test].reset_index(drop=True).to_parquet(folder / "train.parquet")
    frame[is_test].reset_index(drop=True).to_parquet(folder / "test.parquet")
    (folder / "task.json").write_text(json.dumps({"target": item.target, "task": item.task}))


def load(item: Set, data: Path | None) -> pd.DataFrame:
    options: dict[str, Any] = {"keep_default_na": False, "na_values": [""], "low_memory": False}
    if item.source == "data":
        assert data is not None, "checked by _is_wanted"
        return pd.read_csv(data / f"{item.name}.csv.gz", **options)
    if item.source == "seed":
        return pd.read_csv(SEEDS / f"{item.name.removesuffix('_seed')}.csv", **options)
    return getattr(datasets, item.source)(as_frame=True).frame


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def run(system: str, folder: Path, options: Any) -> dict[str, Any]:
    """Return what the worker printed, or why it failed."""
    python = sys.executable if system in OURS else str(their_python(options.venv))
    worker = str(HERE / "auto_worker.py")
    command = [*two_cores(), python, worker, system, str(folder), str(options.budget)]
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


def their_python(venv: Path) -> Path:
    """Return the interpreter of the environment with FLAML and AutoGluon, made if it isn't there."""
    python = venv / "bin" / "python"
    if not python.exists():
        print(f"installing {', '.join(THEIR_PACKAGES)} into {venv}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *THEIR_PACKAGES], check=True)
    return python


def report(chosen: list[Set], options: Any) -> str:
    """Return the table of all results that there are."""
    found = {
        (item.name, system): json.loads(file.read_text())
        for item in chosen
        for system in SYSTEMS
        if (file := options.results / f"{item.name}.{system}.{options.budget:g}.json").exists()
    }
    systems = [system for system in SYSTEMS if any(key[1] == system for key in found)]
    in_sql = [system for system in IN_SQL if system in systems]
    speeds = [f"{NAMES[system]}: rows/s (estimate), chosen" for system in in_sql]
    head = ["set", *(NAMES[system] for system in systems), *speeds, "auto: nodes, seconds, chosen"]
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join(["---"] * len(head)) + " |"]
    for item in chosen:
        scores = {system: found.get((item.name, system), {}).get("score") for system in systems}
        ranked = [value for system, value in scores.items() if system in RANKED and value is not None]
        best = min(ranked, default=None)
        cells = [_cell(scores[system], best) for system in systems]
        ours = found.get((item.name, "auto"), {})
        about = ""
        if "score" in ours:
            about = f"{ours['n_nodes']:,}, {ours['training_seconds']:.0f} s, {ours['chosen']}"
        star = "" if item.tuned_on else "*"
        cells += [_speed(found.get((item.name, system), {})) for system in in_sql]
        lines.append("| " + " | ".join([item.name + star, *cells, about]) + " |")
    lines += [line + " |" * len(in_sql) for line in summary(chosen, systems, found)]
    machine = f"{results.processor()}, {os.cpu_count()} cores"
    about = (
        f"log_loss of classes, rmse of numbers, on the test quarter; {options.budget:g} s and 2 cores each "
        f"({machine}). * held out: the portfolio was put together without looking at it. `auto` holds "
        "out 20 % of its rows for the scores on the card, searches on the rest and refits on all. Ranks "
        "leave `runtime sql` out, which trades accuracy for functions that plain SQL computes fast: rows/s "
        "are of one core, by processor seconds of the server (`sql_speed.py`)."
    )
    return "\n".join([about, "", *lines])


def _cell(score: float | None, best: float | None) -> str:
    if score is None:
        return "–"
    text = f"{score:.4f}" if score < 100 else f"{score:.1f}"
    return f"**{text}**" if best is not None and score <= best else text


def _speed(about: dict[str, Any]) -> str:
    """Return '270,000 (300,000), additive tables'."""
    if "sql_rows_per_s" not in about:
        return "–"
    return f"{about['sql_rows_per_s']:,} ({about['sql_estimate']:,}), {about['chosen']}"


def summary(chosen: list[Set], systems: list[str], found: dict[tuple[str, str], Any]) -> Iterator[str]:
    """Give the rows below the table: mean rank, loss relative to auto's, seconds."""
    names = [item.name for item in chosen]
    ranked = [system for system in systems if system in RANKED]
    whole = [n for n in names if all("score" in found.get((n, s), {}) for s in ranked)]
    if not whole or "auto" not in ranked:
        return
    held_out = [item.name for item in chosen if item.name in whole and not item.tuned_on]
    for title, part in (("all", whole), ("held out*", held_out)):
        if not part:
            continue
        scores = pd.DataFrame({s: [found[n, s]["score"] for n in part] for s in ranked}, index=part)
        ranks = scores.rank(axis=1).mean()
        # the median: on the easiest sets log losses are near 0 and their ratios anything
        relative = scores.div(scores["auto"], axis=0).median()
        cells = [f"{ranks[s]:.2f}" if s in ranks else "" for s in systems]
        yield "| " + " | ".join([f"mean rank, {title} ({len(part)})", *cells, ""]) + " |"
        cells = [f"{100 * (relative[s] - 1):+.1f} %" if s in relative else "" for s in systems]
        yield "| " + " | ".join([f"median loss beside auto's, {title}", *cells, ""]) + " |"
    taken = [[found.get((n, s), {}).get("seconds", np.nan) for n in whole] for s in systems]
    seconds = [np.nanmean(values) for values in taken]
    yield "| " + " | ".join(["mean seconds", *(f"{value:.0f}" for value in seconds), ""]) + " |"


if __name__ == "__main__":
    main()
