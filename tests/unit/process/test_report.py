"""Lines of a training: what a phase took, and that it is going on."""

from __future__ import annotations

import time

from postgres_ml.process.report import Report
from support.training import Recorder


def test_a_long_phase_says_that_it_is_going_on_and_a_short_one_only_its_seconds() -> None:
    lines = Recorder()
    report = Report(lines, silent_s=0.02)
    with report.phase("explain", "info"):
        time.sleep(0.1)
    assert lines.text.startswith("explain: going on, 0 s so far") and "explain: 0.1" in lines.text
    assert report.seconds["explain"] >= 0.1 and lines.lines[-1][0] == "info"
    lines.lines.clear()
    report.silent_s = 5.0
    with report.phase("load"):
        pass
    ((level, text),) = lines.lines
    assert level == "debug" and text.startswith("load: 0.0")


def test_progress_may_be_a_warning() -> None:
    lines = Recorder()
    report = Report(lines)
    report.progress("this went wrong", {"level": "warning"})
    report.progress("this went well", None)
    assert [level for level, _ in lines.lines] == ["warning", "info"] and report.messages == []
