"""Messages of a training: where it is, what belongs on the card, what a phase took."""

from __future__ import annotations

import time
from typing import Any

import pytest
from postgres_ml.process.report import Report
from support.training import Recorder


def test_a_phase_says_that_it_begins_and_at_its_end_its_seconds() -> None:
    told: list[tuple[str, str, Any]] = []
    report = Report(lambda level, text, fields=None: told.append((level, text, fields)))
    with report.phase("explain"):
        time.sleep(0.01)
    (begin, end) = told
    assert begin[:2] == ("progress", "") and begin[2]["phase"] == "explain"
    rest = ("explain", "parity rows", "artifacts", "track")
    assert begin[2]["seconds_left"] == pytest.approx(sum(report.expected_s[name] for name in rest))
    assert end[0] == "debug" and end[1].startswith("explain: 0.0")
    assert report.seconds["explain"] >= 0.01


def test_a_phase_before_the_search_estimates_nothing_and_a_search_adds_what_follows_its_fits() -> None:
    told: list[Any] = []
    report = Report(lambda level, text, fields=None: told.append(fields))
    with report.phase("load"):
        pass
    assert "seconds_left" not in told[0]
    report.progress("", {"phase": "search", "seconds_left": 10.0})
    after = sum(report.expected_s.values()) - report.expected_s["evaluate"] - report.expected_s["refit"]
    assert told[-1]["seconds_left"] == pytest.approx(10 + after)


def test_progress_may_be_a_warning() -> None:
    lines = Recorder()
    report = Report(lines)
    report.progress("this went wrong", {"level": "warning"})
    report.progress("this went well", None)
    assert [level for level, _ in lines.lines] == ["warning", "info"] and report.messages == []
    report.note("this stays")
    assert report.messages == ["this stays"]
