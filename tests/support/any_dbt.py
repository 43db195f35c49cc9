"""dbt without this package's adapter: a virtual environment of its own with dbt-postgres, and projects for it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock

ROOT = Path(__file__).parents[2]
PREDICT = re.compile(r"\{\{ (predict\w*\()")


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
    subprocess.run([str(folder / "bin" / "python"), "-c", has_adapter], check=True)
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
        command = [str(self.dbt), "--no-use-colors", *arguments]
        results = self.folder / "target" / "run_results.json"
        results.unlink(missing_ok=True)
        where = {
            "DBT_TARGET": target,
            "DBT_PROFILES_DIR": str(self.folder),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        }
        done = subprocess.run(
            command,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=1200,
            env={**os.environ, **where},
        )
        found = json.loads(results.read_text())["results"] if results.exists() else []
        names = {str(row["unique_id"]).split(".")[2]: row for row in found}
        return Done(done.returncode, done.stdout + done.stderr, names)

    def operation(self, name: str, target: str = "dev", **arguments: Any) -> Done:
        """Run an operation of the package."""
        return self.run(
            "run-operation", f"postgres_ml.{name}", "--args", json.dumps(arguments), target=target
        )


def write_package(folder: Path) -> None:
    """Copy the repository's dbt package: what a packages.yml that names it gets."""
    shutil.copytree(ROOT / "macros", folder / "macros")
    shutil.copy(ROOT / "dbt_project.yml", folder)


def write_examples(folder: Path, names: Sequence[str], outputs: Mapping[str, Any]) -> None:
    """Write a project of some of the examples, which calls predict() as a macro of the package."""
    examples = ROOT / "models_examples"
    for name in names:
        shutil.copytree(examples / "models" / name, folder / "models" / name)
    for path in folder.rglob("models/**/*.sql"):
        path.write_text(PREDICT.sub(r"{{ postgres_ml.\1", path.read_text()))
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
    }
    (folder / "dbt_project.yml").write_text(json.dumps(project))
    (folder / "packages.yml").write_text(json.dumps({"packages": [{"local": "../package"}]}))
    (folder / "profiles.yml").write_text(
        json.dumps({"shop": {"target": "{{ env_var('DBT_TARGET', 'dev') }}", "outputs": outputs}})
    )
