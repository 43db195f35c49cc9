"""What a long life costs: a project of 200 models, with a catalog of none and of 20 versions of each.

    python benchmarks/bench_catalog.py [--models 200] [--versions 20] [--runs 3]

Prints processor seconds of `dbt parse` and `dbt ls`, the duration of a publication (a stub's, which trains
nothing) and of what asks the catalog, each without and with those versions. The fastest of all runs counts.
"""

from __future__ import annotations

import argparse
import functools
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2
from dbt.cli.main import dbtRunner
from postgres_ml import embedded

MODEL = """{{ config(materialized='create_model', target='y', auto=false, model_type='linear_learner') }}
select 1.0 as a, 2.0 as b, 'x'::text as c, 3.0 as y"""
USER = "select {{{{ predict('m{0}', ['1', '2', 'c']) }}}} as p from (select 'x' as c) as t"
# 20 kB of functions, as a boosted model of some hundred trees has them
FILL = """insert into postgres_ml.model_version
select filled.* from postgres_ml.model_version as v
cross join generate_series(0, %s - 1) as m cross join generate_series(1, %s) as n
cross join lateral (select string_agg(md5(concat(m, n, i)), '') as b from generate_series(1, 600) i) as body
cross join lateral jsonb_populate_record(v, jsonb_build_object(
    'model_name', 'm' || m, 'version', n, 'is_serving', n = %s, 'function_name', 'predict_m' || m,
    'state', case when n = %s then 'READY' else 'SUPERSEDED' end,
    'functions', jsonb_set(v.functions, '{0,body}', to_jsonb(body.b)))) as filled
where v.model_name = 'm_first'"""
FUNCTIONS = """do $$ begin for m in 0..%s - 1 loop
    execute format('create function bench.%%I(a float8, b float8, c text) returns float8 language sql '
        'as ''select 1.0''', 'predict_m' || m);
    execute format('comment on function bench.%%I(float8, float8, text) is %%L', 'predict_m' || m,
        'Predicts by m' || m || ', version 20 (r2 0.9 on the hold-out) [dbt-postgres-ml]');
end loop; end $$"""
QUESTIONS = {
    "versions of a model": "select version, state, changes from postgres_ml.model_version "
    "where model_schema = 'bench' and model_name = 'm_first' order by version desc",
    "card": "select * from bench.m_first",
    "show_model": "select * from postgres_ml.show_model('bench.m_first')",
    "model_info": "select * from postgres_ml.model_info where model_name = 'm_first'",
}


def main() -> None:
    options = _options()
    directory = Path(tempfile.mkdtemp(prefix="bench-catalog-", dir="/tmp"))
    project = directory / "project"
    try:
        address = embedded.keep(directory / "data")
        where = {"host": address.host, "port": address.port, "user": address.user}
        _make_project(project, options, where)
        cursors = {}
        for name in ("few", "many"):
            cursor = cursors[name] = _make_database(name, where, project)
            if name == "many":
                cursor.execute(FUNCTIONS, (options.models,))
                cursor.execute(FILL, (options.models, *[options.versions] * 3))
            cursor.execute("vacuum analyze postgres_ml.model_version")
        # in turns: what else the machine does then slows both
        runs = [
            {name: _measure(project, name, cursors[name], number) for name in cursors}
            for number in range(options.runs)
        ]
    finally:
        embedded.stop(directory / "data")
        shutil.rmtree(directory)
    print(f"{options.models} models x {options.versions} versions, against none:")
    for what in runs[0]["few"]:
        few, many = (min(run[name][what] for run in runs) for name in ("few", "many"))
        print(f"{what:40} {few * 1000:8.1f} ms  {many * 1000:8.1f} ms  ratio {many / few:.2f}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--versions", type=int, default=20)
    parser.add_argument("--runs", type=int, default=3)
    return parser.parse_args()


def _make_project(project: Path, options: argparse.Namespace, where: dict[str, Any]) -> None:
    (project / "models").mkdir(parents=True)
    for number in range(options.models):
        (project / "models" / f"m{number}.sql").write_text(MODEL)
        (project / "models" / f"uses_m{number}.sql").write_text(USER.format(number))
    for name in ("first", *range(options.runs)):
        (project / "models" / f"m_{name}.sql").write_text(MODEL)
    (project / "dbt_project.yml").write_text("name: bench\nprofile: bench\n")
    common = {"type": "postgres_ml", "schema": "bench", "password": "", "threads": 1, **where}
    outputs = {name: {**common, "dbname": name} for name in ("few", "many")}
    (project / "profiles.yml").write_text(json.dumps({"bench": {"target": "few", "outputs": outputs}}))


def _make_database(name: str, where: dict[str, Any], project: Path) -> Any:
    """Return a cursor in a new database whose catalog has one model."""
    connection = psycopg2.connect(**where, dbname="postgres")
    connection.autocommit = True
    connection.cursor().execute(f"create database {name}")
    connection.close()
    _build(project, name, "m_first")
    connection = psycopg2.connect(**where, dbname=name)
    connection.autocommit = True
    return connection.cursor()


def _build(project: Path, target: str, model: str) -> float:
    where = ["--project-dir", str(project), "--profiles-dir", str(project), "--target", target]
    used: list[float] = []

    def note(event: Any) -> None:
        """Note the thread's processor time: dbt calls this in the thread that runs the node."""
        if event.info.name in ("NodeStart", "NodeFinished"):
            used.append(time.thread_time())

    result = dbtRunner(callbacks=[note]).invoke(["--quiet", "build", "--empty", "--select", model, *where])
    assert result.success, result.exception
    return used[1] - used[0]


def _measure(project: Path, target: str, cursor: Any, number: int) -> dict[str, float]:
    found = {f"dbt {name}, processor time": _processor_s(project, target, name) for name in ("parse", "ls")}
    found["publication, processor time in dbt"] = _build(project, target, f"m_{number}")
    for what, query in QUESTIONS.items():
        found[what] = _fastest(functools.partial(cursor.execute, query), 20)
    return found


def _processor_s(project: Path, target: str, command: str) -> float:
    dbt = Path(sys.executable).parent / "dbt"
    flags = ["--quiet", "--no-partial-parse", "--no-send-anonymous-usage-stats"]
    arguments = [str(dbt), *flags, command, "--target", target]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(arguments, cwd=project, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _fastest(work: Callable[[], object], times: int) -> float:
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


if __name__ == "__main__":
    main()
