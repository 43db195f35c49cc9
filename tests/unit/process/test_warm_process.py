"""A training process that waits for its job."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from postgres_ml.contract.job import TRACKING_URI
from postgres_ml.process import warm


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Jobs that processes were started for; each process only echoes what it reads."""
    jobs: list[str] = []

    def start(job: str, tracking_uri: str) -> subprocess.Popen[bytes]:
        jobs.append(job)
        return subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    monkeypatch.setattr(warm, "start", start)
    return jobs


def end(process: subprocess.Popen[bytes]) -> bytes:
    return process.communicate(timeout=10)[0]


def test_a_process_that_waits_is_told_its_job(started: list[str]) -> None:
    warm.prepare("sqlite:///x")
    said = json.loads(end(warm.take(Path("/a/job.json"), "sqlite:///y")))
    assert said == {"job": "/a/job.json", "tracking_uri": "sqlite:///y"} and started == ["-"]


def test_without_one_that_lives_a_process_is_started(started: list[str]) -> None:
    warm.prepare("sqlite:///x")
    warm._processes[0].kill()
    warm._processes[0].communicate()
    end(warm.take(Path("/a/job.json"), "sqlite:///y"))
    assert started == ["-", "/a/job.json"]


def test_the_job_is_one_line_and_the_end_of_stdin_is_the_parents_end(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from postgres_ml.process.warm import wait_for_job; import os; print(wait_for_job(), os.environ.get('%s'), os.read(0, 9))"
    ask = [sys.executable, "-c", code % TRACKING_URI]
    text = json.dumps({"job": "j", "tracking_uri": "u"}).encode() + b"\nrest"
    assert subprocess.run(ask, input=text, capture_output=True, check=True).stdout == b"j u b'rest'\n"
    environment = {key: value for key, value in os.environ.items() if key != TRACKING_URI}
    gone = subprocess.run(ask, input=b"", capture_output=True, check=True, env=environment)
    assert gone.stdout == b"None None b''\n"
