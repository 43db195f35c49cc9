"""AUTO's minute: what it knows after five seconds, and what it finds with two busy processes beside it.

    python benchmarks/bench_minute.py [--data FOLDER] [--sets a,b] [--seeds 1] [--results FOLDER] [--write]

Losses on the test rows of `bench_auto.py`, whose results of AUTO alone it takes where they are there. The
busy processes spin, each could have a core for itself. Run it on a quiet machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bench_auto
import numpy as np
import results
from auto_sets import SETS, Set, prepare

SPIN = "while True: pass"


@dataclass(frozen=True)
class Case:
    """A column of the table: a system, its seconds, and how many processes spin beside it."""

    title: str
    system: str
    budget: float
    busy: int = 0


ALONE = Case("60 s", "auto", 60)
FIVE = Case("5 s", "auto", 5)
BESIDE = Case("60 s beside two busy processes", "auto", 60, busy=2)
PLAIN = Case("xgboost, 100 rounds", "xgboost_default", 60)
CASES = (ALONE, FIVE, BESIDE, PLAIN)
Found = Mapping[tuple[str, str, int], dict[str, Any]]
"""What a worker printed, by set, title of the case and seed."""


def main() -> None:
    options = bench_auto.arguments()
    chosen = [item for item in SETS if bench_auto.is_wanted(item, options)]
    options.results.mkdir(parents=True, exist_ok=True)
    found = {}
    for seed in range(options.seeds):
        for item in chosen:
            for case in CASES:
                found[item.name, case.title, seed] = result(item, case, seed, options)
    text = table(chosen, found, options.seeds)
    print(text)
    if options.write:
        results.write_section("bench-minute", f"## AUTO's minute: `make bench-minute`\n\n{text}")


def result(item: Set, case: Case, seed: int, options: Any) -> dict[str, Any]:
    """Return what the worker printed, from its file where there is one."""
    options.budget = case.budget
    file = bench_auto.result_file(item, case.system, seed, options)
    if case.busy:
        file = file.with_suffix(f".busy{case.busy}.json")
    if options.again or not file.exists():
        with tempfile.TemporaryDirectory() as folder:
            prepare(item, options.data, Path(folder), seed)
            with spinning(case.busy):
                printed = bench_auto.run(case.system, Path(folder), seed, options)
        bench_auto.keep(printed, file)
        print(f"{item.name:24s} {seed} {case.title:32s} {printed}", flush=True)
    return dict(json.loads(file.read_text()))


@contextlib.contextmanager
def spinning(number: int) -> Iterator[None]:
    """Let so many processes use all the processor time that they get."""
    started = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(number)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def table(chosen: Sequence[Set], found: Found, n_seeds: int) -> str:
    """Return the losses as Markdown, each but AUTO's alone also beside that, in percent."""
    head = ["set", *(case.title for case in CASES), "training s of 5"]
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join(['---'] * len(head))} |"]
    ratios: dict[str, list[float]] = {case.title: [] for case in CASES[1:]}
    for item in chosen:
        loss = {case.title: _mean(found, item.name, case, n_seeds, "score") for case in CASES}
        cells = [_number(loss[ALONE.title])]
        for case in CASES[1:]:
            ratio = loss[case.title] / loss[ALONE.title]
            ratios[case.title].append(ratio)
            cells.append(f"{_number(loss[case.title])} ({100 * (ratio - 1):+.1f} %)")
        seconds = _mean(found, item.name, FIVE, n_seeds, "training_seconds")
        name = item.name if item.tuned_on else f"{item.name}*"
        lines.append(f"| {name} | {' | '.join(cells)} | {seconds:.1f} |")
    medians = [f"{100 * (float(np.nanmedian(values)) - 1):+.1f} %" for values in ratios.values()]
    lines.append(f"| median | | {' | '.join(medians)} | |")
    seeds = f"means of {n_seeds} seeds" if n_seeds > 1 else "one seed"
    about = (
        f"log_loss of classes, rmse of numbers, on the test quarter of `bench_auto.py`; {seeds}; "
        f"{results.processor()}, {os.cpu_count()} cores. In brackets beside AUTO's 60 s alone. * held out: "
        "the portfolio was put together without looking at it. `5 s`: `max_runtime: 5`."
    )
    return "\n".join([about, "", *lines])


def _mean(found: Found, name: str, case: Case, n_seeds: int, key: str) -> float:
    """Return the mean of the seeds; NaN where one of them has failed."""
    return float(np.mean([found[name, case.title, seed].get(key, np.nan) for seed in range(n_seeds)]))


def _number(loss: float) -> str:
    return f"{loss:.4f}" if loss < 100 else f"{loss:.1f}"


if __name__ == "__main__":
    main()
