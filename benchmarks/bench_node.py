"""Time one small model's build phase by phase: what a training costs however few its rows are.

    python benchmarks/bench_node.py [--rows 5000] [--runs 1] [--write]

A project of one create_model node, 5,000 rows x 10 columns, `auto: false`, xgboost, is built on a new
embedded Postgres: first where there is neither a catalog nor an MLflow store, then again with
--full-refresh. Each build is a dbt of its own. Wall time and processor time are those between one phase's
beginning and the next one's, processor time summed over dbt's process, the training's processes and the
server's. What runs beside a phase counts as its own: the process that imports MLflow and opens the store, the
drawing of plots beside the publication. Beside them a plain script of the same fits, started anew too: read,
fit on 80 %, score, fit on all; and once more with parameters, metrics and the model logged to MLflow.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg2
import results
import xgboost
from postgres_ml import embedded
from postgres_ml.process.progress import PHASES

N_COLUMNS = 10
ROUNDS = 100
MODEL = """{{ config(materialized='create_model', target='y', auto=false, model_type='xgboost',
    hyperparameters={'num_round': %d}) }}
select * from bench.events"""
BUILDS = ("first", "again")
SCRIPTS = {"a script of the same fits": "", "the script with MLflow": "script.db"}
OUTSIDE = "(dbt)"
Times = dict[str, dict[str, float]]
NONE = {"wall": 0.0, "cpu": 0.0}


class Processor:
    """Processor time of this process, what descends from it, and a server with its backends.

    Parameters
    ----------
    roots : process ids; what they start counts with them
    """

    def __init__(self, *roots: int) -> None:
        self._ours, self._others = dict.fromkeys(roots, 0.0), set[int]()

    def seconds(self) -> float:
        """Return the seconds used so far; of what has ended, what was seen of it last."""
        for pid in sorted(int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()):
            if pid in self._others:
                continue
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:  # it ended in this moment
                continue
            if pid not in self._ours and int(fields[1]) not in self._ours:
                self._others.add(pid)
                continue
            self._ours[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return sum(self._ours.values())


class Phases:
    """What passes between the beginnings of phases.

    Parameters
    ----------
    processor : whose time is counted
    """

    def __init__(self, processor: Processor) -> None:
        self.times: Times = {}
        self._processor, self._phase = processor, OUTSIDE
        self._wall, self._cpu = time.perf_counter(), processor.seconds()

    def begin(self, phase: str) -> None:
        """End the phase that runs, and begin another."""
        wall, cpu = time.perf_counter(), self._processor.seconds()
        known = self.times.setdefault(self._phase, NONE.copy())
        known["wall"] += wall - self._wall
        known["cpu"] += cpu - self._cpu
        self._phase, self._wall, self._cpu = phase, wall, cpu


def build(project: Path, server: int, *arguments: str) -> dict[str, Any]:
    """Build the project in this process; return the phases, the node's time as dbt says it, and dbt's."""
    from dbt.adapters.postgres_ml.build import node
    from dbt.cli.main import dbtRunner

    phases = Phases(Processor(os.getpid(), server))

    class Progress(node.Progress):
        """Notes when a phase begins, in either process."""

        def take(self, fields: dict[str, Any]) -> None:
            if fields["phase"] != self._phase:
                phases.begin(fields["phase"])
            super().take(fields)

    def note(event: Any) -> None:
        if event.info.name in ("NodeStart", "NodeFinished"):
            phases.begin("begin" if event.info.name == "NodeStart" else OUTSIDE)

    node.Progress = Progress  # type: ignore[misc]
    places = ["--project-dir", str(project), "--profiles-dir", str(project)]
    result = dbtRunner(callbacks=[note]).invoke(["build", "--quiet", *places, *arguments])
    assert result.success, result.exception
    phases.begin("over")
    [built] = result.result
    return {"phases": phases.times, "node": built.execution_time}


def script(dsn: str, store: str) -> None:
    """Fit as a plain script does, and log the run where a store is named."""
    import numpy as np
    import pandas as pd
    import psycopg2
    import xgboost
    from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score

    with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute("select * from bench.events")
        frame = pd.DataFrame(cursor.fetchall(), columns=[column.name for column in cursor.description or ()])
    target = frame.pop("y").to_numpy()
    is_held = np.random.default_rng(0).random(len(frame)) < 0.2
    parameters = {"n_estimators": ROUNDS, "n_jobs": 1}
    model = xgboost.XGBClassifier(**parameters).fit(frame[~is_held], target[~is_held])
    probabilities = model.predict_proba(frame[is_held])[:, 1]
    truth = target[is_held]
    metrics = {
        "log_loss": log_loss(truth, probabilities), "roc_auc": roc_auc_score(truth, probabilities),
        "accuracy": accuracy_score(truth, probabilities > 0.5), "f1": f1_score(truth, probabilities > 0.5),
    }  # fmt: skip
    model = xgboost.XGBClassifier(**parameters).fit(frame, target)
    if store:
        import mlflow

        mlflow.set_tracking_uri(store)
        mlflow.set_experiment("script")
        with mlflow.start_run():
            mlflow.log_params(parameters)
            mlflow.log_metrics(metrics)
            signature = mlflow.models.infer_signature(frame.head(), model.predict(frame.head()))
            mlflow.xgboost.log_model(
                model, name="model", signature=signature, registered_model_name="script",
                pip_requirements=[f"xgboost=={xgboost.__version__}"],
            )  # fmt: skip
    print(json.dumps(metrics))


def make_project(directory: Path) -> Path:
    """Write a project of one node."""
    project = directory / "project"
    (project / "models").mkdir(parents=True)
    (project / "models" / "m.sql").write_text(MODEL % ROUNDS)
    (project / "dbt_project.yml").write_text(
        "name: bench\nprofile: bench\nflags: {send_anonymous_usage_stats: false}\n"
    )
    target = {"type": "postgres_ml", "embedded": str(directory / "data"), "schema": "bench", "threads": 1}
    (project / "profiles.yml").write_text(
        json.dumps({"bench": {"target": "dev", "outputs": {"dev": target}}})
    )
    return project


def make_rows(cursor: Any, n_rows: int) -> None:
    """Make the table: numbers of which some tell the label, some missing."""
    numbers = [
        f"nullif(hashint4(i * 31 + {k}), i % 1000) / 2147483648.0::float8 as x{k}" for k in range(N_COLUMNS)
    ]
    cursor.execute(
        f"create schema bench; create table bench.events as "
        f"select *, x0 + x1 + x2 * x3 + hashint4(i) / 4e9 > 0.2 as y "
        f"from (select i, {', '.join(numbers)} from generate_series(1, {n_rows}) as i) as made"
    )
    cursor.execute("alter table bench.events drop column i; analyze bench.events")


def run(*command: str) -> dict[str, float]:
    """Run a program to its end; return its seconds and those of the processor, of its children too."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    # threads that wait for a busy core would count as work
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "wall": wall, "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    }  # fmt: skip


def measure(n_rows: int) -> dict[str, Any]:
    """Make a project and a server, build twice, run the scripts."""
    directory = Path(tempfile.mkdtemp(prefix="bench-node-"))
    project = make_project(directory)
    address = embedded.keep(directory / "data")
    server = embedded.describe(directory / "data").pid
    found: dict[str, Any] = {}
    try:
        connection = psycopg2.connect(
            host=address.host, port=address.port, user=address.user, dbname=address.dbname
        )
        connection.autocommit = True
        make_rows(connection.cursor(), n_rows)
        found["postgres"] = connection.info.parameter_status("server_version")
        for name, arguments in {"first": [], "again": ["--full-refresh"]}.items():
            command = [sys.executable, __file__, "--build", str(project), str(server), *arguments]
            told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            found[name] = json.loads(told.splitlines()[-1])
        for name, store in SCRIPTS.items():
            uri = store and f"sqlite:///{directory / store}"
            found[name] = run(sys.executable, __file__, "--script", address.url, uri)
    finally:
        embedded.stop(directory / "data")
        shutil.rmtree(directory)
    return found


def table(runs: list[dict[str, Any]]) -> list[str]:
    """Return the medians as lines of Markdown."""
    names = list(dict.fromkeys(name for build in BUILDS for found in runs for name in found[build]["phases"]))
    lines = ["| phase | first: wall s | CPU s | again: wall s | CPU s |", "|---|---|---|---|---|"]
    phases = {build: [found[build]["phases"] for found in runs] for build in BUILDS}
    node = {
        build: [_sum(times[name] for name in times if name != OUTSIDE) for times in phases[build]]
        for build in BUILDS
    }
    for name in [name for name in names if name != OUTSIDE]:
        cells = [_cells([times.get(name, NONE) for times in phases[build]]) for build in BUILDS]
        lines.append(f"| {name}: {PHASES.get(name, name)} | {' | '.join(cells)} |")
    lines.append(f"| **the node** | {' | '.join(_cells(node[build]) for build in BUILDS)} |")
    cells = [_cells([times[OUTSIDE] for times in phases[build]]) for build in BUILDS]
    lines.append(f"| dbt before and after it | {' | '.join(cells)} |")
    for name in SCRIPTS:
        measured = [found[name] for found in runs]
        lines.append(f"| {name} | {_cells(measured)} | {_cells(measured)} |")
        ratios = [
            f"{statistics.median(n[key] / m[key] for n, m in zip(node[build], measured, strict=True)):.2f}"
            for build in BUILDS
            for key in NONE
        ]
        lines.append(f"| the node to it | {' | '.join(ratios)} |")
    return lines


def _sum(times: Iterable[dict[str, float]]) -> dict[str, float]:
    listed = list(times)
    return {key: sum(one[key] for one in listed) for key in NONE}


def _cells(times: list[dict[str, float]]) -> str:
    return " | ".join(f"{statistics.median(one[key] for one in times):.2f}" for key in NONE)


def main() -> int:
    """Print the table, and write it if asked."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--runs", type=int, default=1, help="the figures are their medians")
    parser.add_argument("--write", action="store_true", help=f"write the table to {results.RESULTS.name}")
    parser.add_argument("--build", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    parser.add_argument("--script", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.build:
        project, server, *arguments = options.build
        print("\n" + json.dumps(build(Path(project), int(server), *arguments)))
        return 0
    if options.script:
        script(*options.script)
        return 0
    load = os.getloadavg()[0]
    runs = [measure(options.rows) for _ in range(options.runs)]
    lines = table(runs)
    print("\n".join(lines))
    said = [f"{statistics.median(found[build]['node'] for found in runs):.2f} s" for build in BUILDS]
    print(f"\ndbt says of the node: first {said[0]}, again {said[1]}")
    if options.write:
        heading = (
            "## A small model's build (`make bench-node`)\n\n"
            f"{results.circumstances(runs[0]['postgres'])}, xgboost {xgboost.__version__}, "
            f"MLflow {version('mlflow')}, {os.cpu_count()} cores, load {load:.1f} before. "
            f"{options.rows:,} rows x {N_COLUMNS} columns, {ROUNDS} rounds of xgboost; "
            f"{'one run' if options.runs == 1 else f'medians of {options.runs} runs'}. "
            "First: no catalog, no MLflow store; again: `--full-refresh`. "
            f"dbt says of the node: first {said[0]}, again {said[1]}. CPU is that of dbt's process, of the "
            "training's and of the server's.\n"
        )
        results.write_section("bench-node", "\n".join([heading, *lines]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
