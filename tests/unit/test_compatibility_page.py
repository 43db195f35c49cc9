"""docs/compatibility.md says what the runs found, and setup.py allows nothing older than what was run."""

from __future__ import annotations

import json
import runpy
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def versions() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "scripts" / "versions.py"))


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "docs" / "compatibility.json").read_text())
    return found


def test_the_page_is_made_of_the_results(versions: dict[str, Any], results: dict[str, Any]) -> None:
    assert (ROOT / "docs" / "compatibility.md").read_text() == versions["page"](results)


def test_every_run_passed(results: dict[str, Any]) -> None:
    failed = {
        f"{name}: {suite}" for name, entry in results.items() for suite in entry["suites"]
        if entry["suites"][suite]["failed"] or not entry["suites"][suite]["passed"]
    }  # fmt: skip
    assert failed == set()


def test_the_lower_bounds_are_what_was_run(versions: dict[str, Any], results: dict[str, Any]) -> None:
    bounds, run = versions["lower_bounds"](), results["lowest"]["versions"]
    assert {name: run[name] for name in versions["LIBRARIES"]} == {
        name: bounds[name] for name in versions["LIBRARIES"]
    }
    assert {"unit", "boosters"} <= set(results["lowest"]["suites"])


def test_a_failed_test_is_shown(versions: dict[str, Any], results: dict[str, Any]) -> None:
    entry = {**results["newest-3.12"], "suites": {"unit": {"passed": 3, "failed": 1, "skipped": 2}}}
    assert "| 3, **1 failed**, 2 skipped | – |" in versions["page"]({"newest-3.12": entry})


def test_a_test_that_fails_alone_too_has_failed(versions: dict[str, Any]) -> None:
    report = ElementTree.fromstring(
        "<s><testcase/><testcase><failure/></testcase><testcase><error/></testcase><testcase><skipped/></testcase></s>"
    )
    first = versions["count"](report.iter("testcase"))
    assert first == {"passed": 1, "failed": 2, "skipped": 1}
    again = {"passed": 1, "failed": 1, "skipped": 0}
    assert versions["with_second_try"](first, again) == {"passed": 2, "failed": 1, "skipped": 1}


@pytest.mark.parametrize("text", [None, "", '<testsuites><testcase name="a"/>'])
def test_a_suite_that_dies_has_failed_and_the_next_one_runs(
    versions: dict[str, Any], text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def died(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        (argument,) = (item for item in command if item.startswith("--junitxml="))
        if text is not None:
            Path(argument.partition("=")[2]).write_text(text)
        return subprocess.CompletedProcess(command, -9)

    monkeypatch.setattr(subprocess, "run", died)
    assert versions["run_suite"](tmp_path, "unit") == {"passed": 0, "failed": 1, "skipped": 0}
    (line,) = capsys.readouterr().out.splitlines()
    assert line == f"pytest ended without a report of suite unit (exit code -9): {tmp_path}"


def test_forecasts_are_those_of_the_extra(versions: dict[str, Any]) -> None:
    assert f'"forecast": ["{versions["FORECAST"]}"]' in (ROOT / "setup.py").read_text()
