"""The distributions, built once from a copy of the sources, and environments with each of them installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SITE_PACKAGES = Path(sysconfig.get_paths()["purelib"])
#: what a build reads; the rest of a working tree (.git, environments, databases) can be gigabytes
SOURCES = ("adapter", "extension", "macros", "python_runtime", "scripts", "tests")
#: the wheel that is built from the sources has the same contents as that of the sdist, see test_distributions.py
KINDS = ("wheel_of_sdist", "editable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep these tests on one xdist worker, so that it builds once."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.xdist_group("packaging"))


@dataclass(frozen=True)
class Distributions:
    """Where the sources are that were built, and what came of them."""

    sources: Path
    wheel: Path
    sdist: Path
    wheel_of_sdist: Path


@dataclass(frozen=True)
class Environment:
    """A virtual environment with this distribution and all that the tests' own environment has."""

    kind: str
    root: Path

    @property
    def python(self) -> Path:
        return self.root / "bin" / "python"

    def run(self, *command: str, cwd: Path, answers: str = "", **variables: str) -> str:
        """Run a command and return its output; `answers` is its standard input.

        Raises
        ------
        AssertionError
            It fails.
        """
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "DBT"))}
        found = subprocess.run(
            command,
            cwd=cwd,
            env={**inherited, "DBT_SEND_ANONYMOUS_USAGE_STATS": "0", "NO_COLOR": "1", **variables},
            input=answers,
            capture_output=True,
            text=True,
            check=False,
        )
        assert found.returncode == 0, f"{' '.join(command)}\n{found.stdout}\n{found.stderr}"
        return found.stdout

    def dbt(self, *arguments: str, cwd: Path, answers: str = "", **variables: str) -> str:
        """Run dbt and return what it prints."""
        start = "from dbt.cli.main import cli; cli()"
        return self.run(str(self.python), "-c", start, *arguments, cwd=cwd, answers=answers, **variables)


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """Built without isolation, by the setuptools of this environment: nothing is downloaded."""
    root = tmp_path_factory.mktemp("distributions")
    sources = copy_sources(root / "sources")
    build("--wheel", "--outdir", root / "wheel", sources)
    build("--sdist", "--outdir", root / "sdist", sources)
    (sdist,) = (root / "sdist").iterdir()
    shutil.unpack_archive(sdist, root / "unpacked")
    (unpacked,) = (root / "unpacked").iterdir()
    build("--wheel", "--outdir", root / "wheel_of_sdist", unpacked)
    (wheel,) = (root / "wheel").iterdir()
    (wheel_of_sdist,) = (root / "wheel_of_sdist").iterdir()
    return Distributions(sources, wheel, sdist, wheel_of_sdist)


def copy_sources(target: Path) -> Path:
    """Copy what a build reads, with a cache and an editor's file in it, which must not be packed."""
    target.mkdir()
    for name in SOURCES:
        shutil.copytree(
            ROOT / name, target / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "_native")
        )
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy2(path, target)
    cache = target / "python_runtime" / "postgres_ml" / "__pycache__"
    cache.mkdir()
    (cache / "spec.cpython-311.pyc").write_bytes(b"")
    return target


def build(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "build", "--no-isolation", *map(str, arguments)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.fixture(scope="session", params=KINDS)
def environment(
    request: pytest.FixtureRequest, distributions: Distributions, tmp_path_factory: pytest.TempPathFactory
) -> Environment:
    """An environment for each way to install."""
    made = Environment(request.param, tmp_path_factory.mktemp(request.param) / "environment")
    venv.create(made.root, symlinks=True)
    link_packages(Path(sysconfig.get_path("purelib", vars={"base": str(made.root)})))
    what = {
        "wheel_of_sdist": [str(distributions.wheel_of_sdist)],
        "editable": ["--no-build-isolation", "--editable", str(distributions.sources)],
    }[request.param]
    pip = (sys.executable, "-m", "pip", "--python", str(made.python), "install", "--no-index", "--no-deps")
    made.run(*pip, *what, cwd=made.root)
    return made


def link_packages(site_packages: Path) -> None:
    """Link every installed package but this one into an environment, so that nothing is downloaded.

    `dbt` becomes a folder of links: dbt lists the adapters that share one folder with its own.
    """
    for path in SITE_PACKAGES.iterdir():
        if "dbt_postgres_ml" in path.name or path.name in ("dbt", "postgres_ml", "__pycache__"):
            continue
        (site_packages / path.name).symlink_to(path)
    for folder in ("dbt", "dbt/adapters", "dbt/include"):
        (site_packages / folder).mkdir()
        for path in (SITE_PACKAGES / folder).iterdir():
            if path.name not in ("adapters", "include", "postgres_ml", "__pycache__"):
                (site_packages / folder / path.name).symlink_to(path)
