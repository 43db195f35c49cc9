"""What a build shows: lines of the log in pipes, live lines on a terminal that give way to dbt's own."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from dbt.adapters.postgres_ml.build import live_line
from dbt.adapters.postgres_ml.build.console import Console
from dbt.adapters.postgres_ml.build.live_line import LiveLines, is_possible
from dbt.adapters.postgres_ml.log import logger
from dbt_common.events.event_manager_client import add_callback_to_manager, get_event_manager
from dbt_common.exceptions import EventCompilationError
from postgres_ml.process import progress as progress_module
from postgres_ml.process.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """What dbt writes to, as its handler does."""
    stream = Terminal()
    handler = logging.StreamHandler(stream)
    own = logging.getLogger("a logger of this test")
    own.addHandler(handler)
    own.propagate = False
    monkeypatch.setattr(live_line, "DBT_LOGGER", own.name)
    monkeypatch.setattr(live_line, "sys", SimpleNamespace(stdout=stream))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.delenv("CI", raising=False)
    yield stream
    own.removeHandler(handler)


def flags(**changes: Any) -> Any:
    return SimpleNamespace(**{"LOG_FORMAT": "default", "QUIET": False, **changes})


def test_live_lines_are_for_somebody_who_looks(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_possible(flags())
    assert not is_possible(flags(LOG_FORMAT="json")) and not is_possible(flags(QUIET=True))
    monkeypatch.setenv("CI", "true")
    assert not is_possible(flags())
    monkeypatch.delenv("CI")
    monkeypatch.setattr(live_line.sys, "stdout", io.StringIO())
    assert not is_possible(flags())


def test_live_lines_give_way_to_dbts_own_and_leave_nothing_behind(terminal: Terminal) -> None:
    log = logging.getLogger(live_line.DBT_LOGGER)
    handler = log.handlers[0]  # pytest adds its own
    shown, builds = LiveLines(), [Progress(), Progress()]
    for name, progress in zip(("churn", "fraud"), builds, strict=True):
        progress.begin("parity")
        shown.add(name, progress)
    long = "1 of 2 OK created sql create_model model ml.customer_churn ........ [CREATE MODEL in 9.99s]"
    log.warning("\x1b[32m%s\x1b[0m", long)
    time.sleep(0.3)
    for progress in builds:
        shown.remove(progress)
    text = terminal.getvalue()
    assert f"\x1b[32m{long}\x1b[0m\n" in text, "one line, in its own colour, not broken"
    _, after = text.split(long)
    assert "fraud: comparing the" in after and "…" in after, "drawn again below, within the width"
    assert handler.stream is terminal  # type: ignore[attr-defined]
    assert text.endswith("\x1b[2K"), "the last thing that happened: the live lines were wiped away"
    log.warning("dbt goes on")
    assert terminal.getvalue().endswith("dbt goes on\n")


def test_in_a_pipe_a_thread_of_the_build_writes_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "LEAST_S", 0.0)
    told: list[tuple[str, str, Any]] = []
    build: Any = SimpleNamespace(
        progress=Progress(),
        spec=SimpleNamespace(name="churn"),
        log=lambda level, text, fields: told.append((level, text, fields)),
    )
    monkeypatch.setattr("dbt.adapters.postgres_ml.build.console.POLL_S", 0.01)
    monkeypatch.setattr("dbt.adapters.postgres_ml.build.console.get_flags", lambda: flags(LOG_FORMAT="json"))
    console = Console(build)
    build.progress.begin("snapshot")
    for _ in range(200):
        time.sleep(0.01)
        if told:
            break
    console.close()
    ((level, text, fields),) = told
    assert (level, text) == ("info", "copying the query's rows, 0 s so far") and fields["phase"] == "snapshot"


def test_warnings_are_dbts_and_end_the_build_where_they_shall(monkeypatch: pytest.MonkeyPatch) -> None:
    # dbt-core 1.12 lets --warn-error end the build at a library's warnings too, unless a flag says otherwise
    monkeypatch.setattr(get_event_manager(), "require_warn_or_error_handling", False, raising=False)
    fired: list[Any] = []
    add_callback_to_manager(fired.append)
    try:
        logger.warn_or_error("{0}: {1}", "churn", 'column "a" is constant')
        logger.warning("a library has something to say")
        monkeypatch.setattr(get_event_manager(), "_warn_error", True)
        logger.warning("a library has something to say")
        with pytest.raises(EventCompilationError, match="is constant"):
            logger.warn_or_error("{0}: {1}", "churn", 'column "a" is constant')
    finally:
        get_event_manager().callbacks.remove(fired.append)
    assert [event.info.level for event in fired] == ["warn"] * 3
    assert "WARNING" in fired[0].info.msg and fired[0].info.msg.endswith('churn: column "a" is constant')
