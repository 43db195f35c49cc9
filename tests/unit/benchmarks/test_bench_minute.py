"""bench_minute.py: what is run beside which processes, what is taken from files, and the table."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import auto_sets
import bench_auto
import bench_minute
import psutil
import pytest

SET = auto_sets.Set("sklearn_wine", "target", auto_sets.MULTI, "load_wine")
OTHER = auto_sets.Set("sklearn_diabetes", "target", auto_sets.NUMBER, "load_diabetes")


def _busy() -> list[psutil.Process]:
    children = psutil.Process().children()
    return [child for child in children if child.cmdline()[-1] == bench_minute.SPIN]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float, int]]:
    """System, budget and busy processes of each run, of which none takes place."""
    seen: list[tuple[str, float, int]] = []

    def run(system: str, folder: Path, seed: int, options: Any) -> dict[str, Any]:
        time.sleep(0.1)  # a process's command line is its parent's until it has begun
        seen.append((system, options.budget, len(_busy())))
        return {"score": len(seen) / 10, "training_seconds": 4.5}

    monkeypatch.setattr(bench_auto, "run", run)
    return seen


def test_each_case_runs_once_with_its_seconds_and_neighbours(
    runs: list[tuple[str, float, int]], tmp_path: Path
) -> None:
    options = bench_auto.arguments(["--sets", SET.name, "--results", str(tmp_path)])
    found = {
        (SET.name, case.title, 0): bench_minute.result(SET, case, 0, options) for case in bench_minute.CASES
    }
    assert runs == [("auto", 60, 0), ("auto", 5, 0), ("auto", 60, 2), ("xgboost_default", 60, 0)]
    assert not _busy()
    for case in bench_minute.CASES:
        assert bench_minute.result(SET, case, 0, options) == found[SET.name, case.title, 0]
    assert len(runs) == len(bench_minute.CASES)
    assert "| sklearn_wine* | 0.1000 | 0.2000 (+100.0 %) | 0.3000 (+200.0 %) |" in bench_minute.table(
        [SET], found, 1
    )


def test_a_result_of_bench_auto_is_auto_alone(runs: list[tuple[str, float, int]], tmp_path: Path) -> None:
    options = bench_auto.arguments(["--sets", SET.name, "--results", str(tmp_path)])
    bench_auto.keep({"score": 7.0}, bench_auto.result_file(SET, "auto", 0, options))
    assert bench_minute.result(SET, bench_minute.ALONE, 0, options) == {"score": 7.0}
    assert not runs


def test_a_run_that_failed_is_a_gap_in_the_table() -> None:
    found: dict[tuple[str, str, int], dict[str, Any]] = {
        (item.name, case.title, 0): {"score": 1.0, "training_seconds": 5.0}
        for item in (SET, OTHER)
        for case in bench_minute.CASES
    }
    found[SET.name, bench_minute.FIVE.title, 0] = {"error": "not done after 150 s"}
    text = bench_minute.table([SET, OTHER], found, 1)
    assert "| 1.0000 | nan (+nan %) | 1.0000 (+0.0 %) |" in text
    assert "| median | | +0.0 % |" in text
