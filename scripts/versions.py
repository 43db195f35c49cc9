"""Run tests with the lowest and the newest libraries, on each Python at hand, and keep what passed.

    python scripts/versions.py run                  # every combination that this machine has a Python for
    python scripts/versions.py run lowest newest-3.12 --suites unit
    python scripts/versions.py page                 # write docs/compatibility.md again

Input: setup.py, whose lower bounds are the lowest versions. Output: docs/compatibility.json, one entry for
each combination with the versions that pip chose and the tests that passed, and the page made of it. Each
combination has a virtual environment of its own in `--venvs`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs" / "compatibility.json"
PAGE = ROOT / "docs" / "compatibility.md"
LIBRARIES = {
    "dbt-core": "dbt-core", "scikit-learn": "scikit-learn", "xgboost-cpu": "xgboost", "lightgbm": "lightgbm",
    "numpy": "NumPy", "pandas": "pandas", "mlflow": "MLflow", "optuna": "Optuna", "pyarrow": "pyarrow",
}  # fmt: skip
SUITES = {
    "unit": ["tests/unit", "--ignore=tests/unit/test_compatibility_page.py"],  # of this page itself
    "boosters": [
        "tests/equivalence/test_booster.py",
        "tests/equivalence/test_interpreter.py",
        "-k=xgboost or lightgbm or booster",
    ],
    "equivalence": ["tests/equivalence/test_interpreter.py", "tests/equivalence/test_registry.py"],
    "training": ["tests/training"],
    "functional": ["tests/functional/test_create_model.py", "tests/functional/test_predict.py"],
    "conformance": ["tests/conformance"],
}
ALWAYS = ("unit", "boosters", "equivalence")
FORECAST = "statsforecast>=2.1,<3"  # of setup.py's extra, which the training tests want
NO_REPORT = {"passed": 0, "failed": 1, "skipped": 0}


@dataclass(frozen=True)
class Combination:
    """What is installed together.

    Parameters
    ----------
    python : version of the interpreter, as in python3.12
    pins : requirements beside those of setup.py
    lowest : the lower bounds of setup.py are the versions
    dbt : a requirement of dbt-core to install without its experimental parser; '' for what pip finds
    suites : run where the command line names none
    """

    name: str
    python: str
    pins: tuple[str, ...] = ()
    lowest: bool = False
    dbt: str = ""
    suites: tuple[str, ...] = ALWAYS


COMBINATIONS = (
    Combination("lowest", "3.10", lowest=True),
    Combination("newest-3.10", "3.10", suites=(*ALWAYS, "training", "functional")),
    Combination("newest-3.11", "3.11"),
    Combination("newest-3.12", "3.12", suites=(*ALWAYS, "training", "functional")),
    Combination("newest-3.13", "3.13", suites=(*ALWAYS, "training", "functional")),
    Combination("newest-3.14", "3.14"),
    Combination("pandas-2", "3.12", ("pandas<3",)),
    Combination("dbt-1.12", "3.11", dbt="dbt-core>=1.12,<1.13", suites=("functional", "conformance")),
)


def say(text: str) -> None:
    """Tell how far the run is; a suite takes minutes."""
    print(text, flush=True)  # noqa: T201  # progress of a command


def lower_bounds() -> dict[str, str]:
    """Return the lowest versions that setup.py allows, by distribution; of what is tested beside it too."""
    required = (ROOT / "setup.py").read_text().partition("install_requires=")[2]
    found = dict(re.findall(r'"([a-z0-9-]+)>=([0-9.]+)', required.partition("extras_require")[0]))
    lightgbm = re.search(r'"lightgbm>=([0-9.]+)', required)
    return found | ({"lightgbm": lightgbm[1]} if lightgbm else {})


def constraints_of(combination: Combination) -> list[str]:
    """Return pip's constraints. dbt-core 1.12 is installed by itself, so pip is kept from taking it."""
    if combination.lowest:
        return [f"{name}=={version}" for name, version in lower_bounds().items()]
    return ["dbt-core<1.12", *combination.pins]


def interpreter(version: str) -> str | None:
    """Return the command of a Python version, or None where this machine has none."""
    if version == f"{sys.version_info[0]}.{sys.version_info[1]}":
        return sys.executable
    found = shutil.which(f"python{version}")
    # pyenv has a command for each Python, which fails but for those that PYENV_VERSION names
    runs = found and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0
    return found if runs else None


def install(combination: Combination, python: str, venv: Path) -> None:
    """Make the combination's environment, unless it is there and setup.py has not changed since."""
    stamp = venv / "installed"
    if stamp.exists() and stamp.stat().st_mtime > (ROOT / "setup.py").stat().st_mtime:
        return
    own = str(venv / "bin" / "python")
    subprocess.run([python, "-m", "venv", "--clear", str(venv)], check=True)
    constraints = venv / "constraints.txt"
    constraints.write_text("\n".join(constraints_of(combination)) + "\n")
    pip = [own, "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "--upgrade", "pip"], check=True)
    subprocess.run([*pip, "--constraint", str(constraints), "--editable", ".[test]"], check=True, cwd=ROOT)
    if combination.dbt:
        subprocess.run([own, str(ROOT / "scripts" / "install_dbt.py"), combination.dbt], check=True)
    stamp.touch()


def install_forecast(venv: Path) -> None:
    """Install what the training tests of forecasts want, unless it is there, within the same constraints."""
    stamp = venv / "installed-forecast"
    if stamp.exists() and stamp.stat().st_mtime >= (venv / "installed").stat().st_mtime:
        return
    command = [str(venv / "bin" / "python"), str(ROOT / "scripts" / "install_forecast.py"), FORECAST]
    constraints = {"PIP_CONSTRAINT": str(venv / "constraints.txt")}
    subprocess.run(command, check=True, env={**os.environ, **constraints})
    stamp.touch()


def installed(venv: Path) -> dict[str, str]:
    """Return the versions of Python and of the libraries in an environment."""
    code = (
        "import importlib.metadata as m, json, platform, sys\n"
        "print(json.dumps({n: m.version(n) for n in sys.argv[1:]} | {'python': platform.python_version()}))"
    )
    command = [str(venv / "bin" / "python"), "-c", code, *LIBRARIES]
    found: dict[str, str] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


def run_suite(venv: Path, suite: str) -> dict[str, int]:
    """Run a suite's tests and return how many passed, failed and were skipped.

    What fails is run once more by itself: some tests measure time, and a busy machine is no library's fault.
    """
    with tempfile.TemporaryDirectory() as folder:
        first = run_tests(venv, suite, Path(folder))
        if first == NO_REPORT or not first["failed"]:
            return first
        return with_second_try(first, run_tests(venv, suite, Path(folder), "--lf"))


def run_tests(venv: Path, suite: str, folder: Path, *more: str) -> dict[str, int]:
    """Run tests once; the folder remembers which failed. A run that dies has failed, and is named."""
    report = folder / "report.xml"
    command = [str(venv / "bin" / "python"), "-m", "pytest", *SUITES[suite], "-n", "0", "-q", *more]
    command += ["-m", "not exhaustive and not faults", f"--junitxml={report}", "-o", f"cache_dir={folder}"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    found = read_report(report)
    report.unlink(missing_ok=True)  # a second try that dies must not be taken for this one
    if found is None:
        say(f"pytest ended without a report of suite {suite} (exit code {done.returncode}): {venv}")
        return NO_REPORT
    return found


def read_report(report: Path) -> dict[str, int] | None:
    """Return the counts of a JUnit report; None where pytest died before it was written, or while it was."""
    try:
        return count(ElementTree.parse(report).getroot().iter("testcase"))
    except (FileNotFoundError, ElementTree.ParseError):
        return None


def with_second_try(first: dict[str, int], again: dict[str, int]) -> dict[str, int]:
    """Return the counts of a run whose failed tests were run again."""
    return {**first, "passed": first["passed"] + again["passed"], "failed": again["failed"]}


def count(cases: Iterable[ElementTree.Element]) -> dict[str, int]:
    """Count the tests of a JUnit report; an error of a fixture is a failure of each test that wanted it."""
    outcomes = [
        "skipped" if case.find("skipped") is not None
        else "failed" if case.find("failure") is not None or case.find("error") is not None
        else "passed"
        for case in cases
    ]  # fmt: skip
    return {outcome: outcomes.count(outcome) for outcome in ("passed", "failed", "skipped")}


def record(combination: Combination, versions: dict[str, str], suite: str, counts: dict[str, int]) -> None:
    """Put a suite's counts into the results; what was counted with other versions is dropped."""
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    entry = results.get(combination.name, {})
    if entry.get("versions") != versions:
        entry = {"versions": versions, "suites": {}}
    entry["suites"][suite] = counts
    results[combination.name] = entry
    ordered = {item.name: results[item.name] for item in COMBINATIONS if item.name in results}
    RESULTS.write_text(json.dumps(ordered, indent=1) + "\n")


def run(names: list[str], suites: list[str], venvs: Path) -> int:
    """Run the combinations; return how many suites had a failing test."""
    n_failed = 0
    for combination in (item for item in COMBINATIONS if not names or item.name in names):
        python = interpreter(combination.python)
        if python is None:
            say(f"{combination.name}: no python{combination.python} here, left out")
            continue
        venv = venvs / combination.name
        install(combination, python, venv)
        for suite in suites or combination.suites:
            if suite == "training":
                install_forecast(venv)
            counts = run_suite(venv, suite)
            record(combination, installed(venv), suite, counts)
            say(f"{combination.name}: {suite}: {counts}")
            n_failed += counts["failed"] > 0
    PAGE.write_text(page(json.loads(RESULTS.read_text())))
    return n_failed


INTRODUCTION = """\
# Compatibility

Generated by `make test-versions` from [compatibility.json](compatibility.json), which the runs write: what
pip installed, and how many tests passed with it. Nothing is entered by hand. `lowest` has the lower bounds of
setup.py, the others have what pip finds on that Python, with dbt-core below 1.12 but for `dbt-1.12`. The page
has no row for a combination that has not been run.

A library newer than these works or is refused: what it computes is compared with the function before each
publication, and a stored form that has changed is refused by the name of its field.
"""


def page(results: dict[str, Any]) -> str:
    """Return docs/compatibility.md."""
    libraries = [["run", "Python", *LIBRARIES.values()]]
    passed = [["run", *SUITES]]
    for name, entry in results.items():
        versions = entry["versions"]
        libraries.append([name, versions["python"], *(versions[library] for library in LIBRARIES)])
        passed.append([name, *(_cell(entry["suites"].get(suite)) for suite in SUITES)])
    meaning = [f"* `{suite}`: `pytest {shlex.join(arguments)}`" for suite, arguments in SUITES.items()]
    parts = [
        INTRODUCTION,
        _table(libraries),
        "Tests that passed:\n",
        _table(passed),
        "\n".join(meaning) + "\n",
    ]
    return "\n".join(parts)


def _table(rows: list[list[str]]) -> str:
    written = [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join([written[0], "|---" * len(rows[0]) + "|", *written[1:]]) + "\n"


def _cell(counts: dict[str, int] | None) -> str:
    if counts is None:
        return "–"
    failed = f", **{counts['failed']} failed**" if counts["failed"] else ""
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    return f"{counts['passed']}{failed}{skipped}"


def main() -> None:
    """Run what the command line asks for."""
    shown_as_it_is = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=shown_as_it_is)
    parser.add_argument("command", choices=["run", "page"])
    parser.add_argument("names", nargs="*", help="combinations; all where none is named")
    parser.add_argument("--suites", nargs="+", choices=list(SUITES), default=[])
    parser.add_argument("--venvs", type=Path, default=ROOT / ".venv-versions")
    given = parser.parse_args()
    if given.command == "page":
        PAGE.write_text(page(json.loads(RESULTS.read_text())))
        return
    sys.exit(min(run(given.names, given.suites, given.venvs.resolve()), 1))


if __name__ == "__main__":
    main()
