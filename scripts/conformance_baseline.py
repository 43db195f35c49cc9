"""Run dbt-tests-adapter's tests on plain dbt-postgres and on this adapter, and print where they differ."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TYPES = ("postgres", "postgres_ml")


def run_tests(adapter_type: str, report: Path) -> dict[str, str]:
    """Return the outcome of each test: passed, failed or error.

    Parameters
    ----------
    adapter_type : of TYPES
    report : where pytest writes its report
    """
    command = [sys.executable, "-m", "pytest", "tests/conformance", "-q", "-n", "2", "--dist", "loadgroup"]
    subprocess.run(
        [*command, f"--junitxml={report}"],
        cwd=ROOT,
        env={**os.environ, "CONFORMANCE_TYPE": adapter_type},
        check=False,  # failures are what is looked for
    )
    return read_report(report)


def read_report(report: Path) -> dict[str, str]:
    """Return the outcomes that a report of pytest holds, by class and test."""
    kinds = {"failure": "failed", "error": "error", "skipped": "skipped"}
    outcomes = {}
    for case in ET.parse(report).iter("testcase"):
        name = f"{case.get('classname', '').removeprefix('tests.conformance.')}::{case.get('name')}"
        problems = [kinds[child.tag] for child in case if child.tag in kinds]
        outcomes[name.split("@")[0]] = problems[0] if problems else "passed"
    return outcomes


def main() -> int:
    """Return 0 if every test has the same outcome on both."""
    with tempfile.TemporaryDirectory() as folder:
        found = {name: run_tests(name, Path(folder, f"{name}.xml")) for name in TYPES}
    lines = []
    for name, outcomes in found.items():
        counts = ", ".join(f"{count} {outcome}" for outcome, count in Counter(outcomes.values()).items())
        lines.append(f"{name}: {len(outcomes)} tests: {counts}")
    baseline, ours = found["postgres"], found["postgres_ml"]
    differences = sorted(name for name in baseline | ours if baseline.get(name) != ours.get(name))
    lines += [f"{name}: postgres {baseline.get(name)}, postgres_ml {ours.get(name)}" for name in differences]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
