"""dbt without this package's adapter: a virtual environment of its own with dbt-postgres, and projects for it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock
from postgres_ml.embedded import ServerAddress

from support.sql_clients import SqlClients

ROOT = Path(__file__).parents[2]
PATIENCE_S = 4  # with a database on which no worker works
PREDICT = re.compile(r"\{\{ ((?:predict\w*|forecast)\()")
FUNCTIONS = """
select p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid), l.lanname, p.provolatile, p.proparallel,
    p.prosrc
from pg_proc as p join pg_language as l on l.oid = p.prolang
where p.pronamespace = 'ml'::regnamespace and obj_description(p.oid, 'pg_proc') like '%[dbt-postgres-ml]'
order by 1, 2
"""
HEAVY = """
{{ config(
    materialized='create_model',
    grants={'execute': ['public']},
    pre_hook="create table if not exists ml.hooks (at text)",
    post_hook="insert into ml.hooks values ('after')",
    meta={'create_model': {
        'target': 'is_heavy', 'function': 'says_heavy', 'auto': false, 'model_type': 'linear_learner',
        'problem_type': 'binary_classification', 'gates': {'accuracy': '>= 0.6'}, 'settings': {'min_rows': 100},
    }},
) }}
select cement, water, fly_ash, age, case when compressive_strength > 35 then 'yes' else 'no' end as is_heavy
from {{ ref('concrete_mixtures') }}
"""
CALLS = """
{{ config(materialized='table') }}
select
    mixture_id,
    {{ postgres_ml.predict('heavy') }} as by_scope,
    {{ postgres_ml.predict('heavy', alias='m') }} as by_alias,
    {{ postgres_ml.predict('heavy', ['cement', 'water', 'fly_ash', 'age']) }} as by_list,
    {{ postgres_ml.predict('heavy', {'age': 'age', 'water': 'water', 'cement': 'cement', 'fly_ash': 'fly_ash'}) }} as by_name,
    {{ postgres_ml.predict_probabilities('heavy') }} -> 'probabilities' ->> 0 as probability
from {{ ref('concrete_mixtures') }} as m
"""
TABLE = "{{ postgres_ml.predict_table('heavy', ref('concrete_mixtures'), key='mixture_id') }}"
TESTS: dict[str, Any] = {
    "models": [
        {
            "name": "heavy",
            "data_tests": [
                {"postgres_ml.model_metric": {"arguments": {"metric": "accuracy", "min": 0.6}}},
                {"postgres_ml.model_age": {"arguments": {"max": "1 day"}}},
                {"postgres_ml.feature_drift": {"arguments": {"relation": "ref('concrete_mixtures')"}}},
            ],
        },
        {"name": "calls", "columns": [{"name": "by_list", "data_tests": ["not_null"]}]},
    ]
}
PARITY = {"models": [{"name": "heavy", "data_tests": ["postgres_ml.prediction_parity"]}]}
STRENGTH = """
{{{{ config(
    materialized='create_model', target='compressive_strength', auto=false, model_type='linear_learner',
    contract={{'enforced': true}}
) }}}}
select {columns}, compressive_strength from {{{{ ref('concrete_mixtures') }}}}
"""
COLUMNS = ("cement", "water", "compressive_strength")
#: a model in two of dbt's versions, with a contract, and what calls both
VERSIONED = {
    "strength_v1.sql": STRENGTH.format(columns="cement"),
    "strength_v2.sql": STRENGTH.format(columns="cement, water"),
    "strengths.sql": "select {{ postgres_ml.predict('strength', v=1) }} as one, {{ postgres_ml.predict('strength') }} as two"
    " from {{ ref('concrete_mixtures') }}",
    "strengths.yml": json.dumps(
        {
            "models": [
                {
                    "name": "strength",
                    "latest_version": 2,
                    "columns": [{"name": name, "data_type": "double precision"} for name in COLUMNS],
                    "versions": [{"v": 1, "columns": [{"include": "*", "exclude": ["water"]}]}, {"v": 2}],
                }
            ]
        }
    ),
}
#: a model with most of what a config can say, and what calls it
SMALL = {"heavy.sql": HEAVY, "calls.sql": CALLS, "scored.sql": TABLE, "tests.yml": json.dumps(TESTS)}


def plain_dbt(folder: Path) -> Path:
    """Return the `dbt` of a virtual environment in which this package is not installed; made once, then kept.

    Skips the test where pip can't install dbt-postgres.
    """
    wanted = [f"dbt-core=={version('dbt-core')}", f"dbt-postgres=={version('dbt-postgres')}"]
    made, dbt = folder / "requirements.json", folder / "bin" / "dbt"
    with FileLock(folder.with_suffix(".lock")):
        if not made.exists() or json.loads(made.read_text()) != wanted:
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True)
            pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *wanted]
            done = subprocess.run(pip, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"pip can't install {' '.join(wanted)}: {done.stderr.strip().splitlines()[-1]}")
            made.write_text(json.dumps(wanted))
    has_adapter = (
        "import importlib.util as u; raise SystemExit(u.find_spec('dbt.adapters.postgres_ml') is not None)"
    )
    subprocess.run([str(folder / "bin" / "python"), "-I", "-c", has_adapter], check=True)
    return dbt


@dataclass
class Done:
    """What a command of dbt's came to.

    Parameters
    ----------
    results : of each node by its name, as run_results.json has them; empty where none ran
    """

    code: int
    output: str
    results: Mapping[str, Mapping[str, Any]]


@dataclass
class Project:
    """A dbt project with the repository as a package, and the dbt that runs it."""

    dbt: Path
    folder: Path

    def run(self, *arguments: str, target: str = "dev") -> Done:
        """Run a command of dbt's in the project."""
        command = [str(self.dbt), *arguments]
        results = self.folder / "target" / "run_results.json"
        results.unlink(missing_ok=True)
        where = {
            "DBT_TARGET": target,
            "DBT_PROFILES_DIR": str(self.folder),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "DBT_USE_COLORS": "false",
        }
        environment = {**os.environ, **where}
        if self.dbt.parent != Path(sys.executable).parent:
            environment.pop("PYTHONPATH", None)  # a way back to this package
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=1200, env=environment
        )
        found = json.loads(results.read_text())["results"] if results.exists() else []
        names = {str(row["unique_id"]).split(".")[:3][-1]: row for row in found}
        return Done(done.returncode, done.stdout + done.stderr, names)

    def operation(self, name: str, target: str = "dev", **arguments: Any) -> Done:
        """Run an operation of the package."""
        return self.run(
            "run-operation", f"postgres_ml.{name}", "--args", json.dumps(arguments), target=target
        )


class World(SqlClients):
    """A database for dbt without the adapter, whose role is the analyst; and one for the adapter."""

    def outputs(self, **more: Any) -> dict[str, Any]:
        """Return the targets of profiles.yml: dbt's own role, an administrator, and the adapter."""
        place = {
            "host": self.server.host, "port": self.server.port, "password": "", "schema": "ml", "threads": 2, **more
        }  # fmt: skip
        return {
            "dev": {**place, "type": "postgres", "user": self.analyst, "dbname": self.name},
            "admin": {**place, "type": "postgres", "user": self.server.user, "dbname": self.name},
            "ours": {**place, "type": "postgres_ml", "user": self.server.user, "dbname": f"{self.name}_ours"},
        }

    def functions(self, database: str) -> list[tuple[Any, ...]]:
        return self.ask(FUNCTIONS, database=database)

    def project(
        self, dbt: Path, outputs: Mapping[str, Any], models: Mapping[str, str], examples: Sequence[str] = ()
    ) -> Project:
        """Write a project beside the worker's folder, with the repository as its package."""
        folder = self.folder.parent / "shop"
        shutil.copytree(ROOT / "macros", folder.with_name("package") / "macros")
        shutil.copy(ROOT / "dbt_project.yml", folder.with_name("package"))
        write_project(folder, models, examples, outputs)
        project = Project(dbt, folder)
        done = project.run("deps")
        assert done.code == 0, done.output
        return project

    def install(self, project: Project, target: str = "admin") -> None:
        """Let an administrator install what a worker and dbt's role need; `dev` is dbt's role itself."""
        self.ask(f"grant {self.worker} to {self.analyst}" if target == "dev" else "select 1")
        done = project.operation("create_catalog", target, worker=self.worker, trainers=[self.analyst])
        assert done.code == 0, done.output
        self.ask(
            f"grant execute on function postgres_ml.create_model to {self.analyst};"
            f"grant usage, create on schema ml to {self.worker}"
        )


@contextlib.contextmanager
def any_dbt_world(server: ServerAddress, folder: Path) -> Iterator[World]:
    """Yield databases with roles and nothing else, which are gone afterwards."""
    world = World(server, folder / "worker", "anydbt")
    world.make_roles()
    world.ask(f"create database {world.name}_ours", database=server.dbname)
    world.ask(f"grant create on database {world.name} to {world.analyst}")
    try:
        yield world
    finally:
        world.ask(f"drop database {world.name}_ours with (force)", database=server.dbname)
        world.drop()


def of_the_package(properties: dict[str, Any]) -> dict[str, Any]:
    """Name the package of its generic tests, and leave the one out that compares by Python."""
    for model in properties["models"]:
        tests = [test for test in model.get("data_tests", []) if test != "prediction_parity"]
        model["data_tests"] = [
            {"postgres_ml.model_metric": test["model_metric"]} if "model_metric" in test else test
            for test in tests
        ]
    return properties


def write_project(
    folder: Path, models: Mapping[str, str], names: Sequence[str], outputs: Mapping[str, Any]
) -> None:
    """Write a project of models and of some of the examples, which then call the package's macros by its name."""
    examples = ROOT / "models_examples"
    (folder / "models").mkdir(parents=True)
    for name, text in models.items():
        (folder / "models" / name).write_text(text)
    for name in names:
        shutil.copytree(examples / "models" / name, folder / "models" / name)
    for path in folder.rglob("models/**/*.sql"):
        path.write_text(PREDICT.sub(r"{{ postgres_ml.\1", path.read_text()))
    for path in folder.rglob("models/**/*.yml"):
        path.write_text(json.dumps(of_the_package(yaml.safe_load(path.read_text()))))
    shutil.copytree(examples / "seeds", folder / "seeds")
    texts = "\n".join(path.read_text() for path in folder.rglob("models/**/*.sql"))
    for path in (folder / "seeds").glob("*.csv"):
        if f"ref('{path.stem}')" not in texts:
            path.unlink()
    described = yaml.safe_load((folder / "seeds" / "schema.yml").read_text())
    described["seeds"] = [seed for seed in described["seeds"] if f"ref('{seed['name']}')" in texts]
    (folder / "seeds" / "schema.yml").write_text(json.dumps(described))
    (folder / "tests").mkdir()
    for path in (examples / "tests").glob("*.sql"):
        if any(path.stem.startswith(name) for name in names):
            shutil.copy(path, folder / "tests")
    project = {
        "name": "shop",
        "version": "1.0.0",
        "profile": "shop",
        "models": {"shop": {"+materialized": "view"}},
        "seeds": {"shop": {"+schema": "data"}},
        "vars": {"postgres_ml_worker_timeout": PATIENCE_S},
    }
    (folder / "dbt_project.yml").write_text(json.dumps(project))
    (folder / "packages.yml").write_text(json.dumps({"packages": [{"local": "../package"}]}))
    (folder / "profiles.yml").write_text(
        json.dumps({"shop": {"target": "{{ env_var('DBT_TARGET', 'dev') }}", "outputs": outputs}})
    )
