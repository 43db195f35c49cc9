"""The table of what the fault suite tried, at the end of a run: collected over all xdist workers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest


def write(reporter: Any) -> None:
    """Write the table, if any fault was tried."""
    tried = [
        (dict(value), report.passed)
        for reports in reporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, value in report.user_properties
        if name == "fault"
    ]
    if not tried:
        return
    counts: Counter[tuple[str, str, str]] = Counter()
    for fault, _ in tried:
        counts[fault["fault"], fault["step"], fault["serves"]] += 1
    calls = sum(fault.get("calls", 0) for fault, _ in tried)
    reporter.write_sep("=", "faults tried")
    reporter.write_line(f"{'fault':<46} {'step':<12} {'tried':>5}  what serves afterwards")
    for (fault, step, serves), count in sorted(counts.items()):
        reporter.write_line(f"{fault:<46} {step:<12} {count:>5}  {serves}")
    failed = sum(not passed for _, passed in tried)
    reporter.write_line(f"{len(tried)} faults, {failed} failed, {calls:,} predictions made meanwhile")
