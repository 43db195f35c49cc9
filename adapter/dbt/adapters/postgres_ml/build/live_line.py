"""A live line for each build on a terminal, below dbt's own lines, which keep their place in the log.

rich draws the lines. dbt writes to the stream that its handler got when dbt began, so the handler's stream is
replaced while lines are shown: what comes through it is printed above them.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, TextIO

from postgres_ml.process.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

DBT_LOGGER = "stdout_log"  # dbt_common's name of what writes to the console
REFRESH_HZ = 4


def is_possible(flags: Any) -> bool:
    """Return whether there is a terminal that shows the log as text, and somebody who looks at it.

    Parameters
    ----------
    flags : dbt's
    """
    if getattr(flags, "LOG_FORMAT", "default") == "json" or getattr(flags, "QUIET", False):
        return False
    if os.environ.get("CI") or os.environ.get("TERM") == "dumb" or not sys.stdout.isatty():
        return False
    return _handler() is not None


class LiveLines:
    """The lines of all builds that run; one object for the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._builds: list[tuple[str, Progress]] = []
        self._live: Live | None = None
        self._stream: TextIO | None = None

    def add(self, name: str, progress: Progress) -> None:
        """Show a build's line."""
        with self._lock:
            self._builds.append((name, progress))
            if self._live is None:
                self._start()

    def remove(self, progress: Progress) -> None:
        """Show a build's line no more."""
        with self._lock:
            self._builds = [entry for entry in self._builds if entry[1] is not progress]
            if not self._builds:
                self._stop()

    def _start(self) -> None:
        from rich.console import Console  # here: who parses or compiles needs none of it
        from rich.live import Live

        handler = _handler()
        assert handler is not None, "asked before"
        self._stream = handler.stream
        console = Console(file=self._stream, highlight=False)
        self._live = Live(
            get_renderable=self._lines,
            console=console,
            refresh_per_second=REFRESH_HZ,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        handler.setStream(AboveLines(console))  # type: ignore[arg-type]  # has what a handler calls
        self._live.start()

    def _stop(self) -> None:
        live, handler = self._live, _handler()
        self._live = None
        if live is not None:
            live.stop()
        if handler is not None and self._stream is not None:
            handler.setStream(self._stream)

    def _lines(self) -> RenderableType:
        from rich.text import Text

        shown = [f"{name}: {progress.shown()}" for name, progress in self._builds]
        return Text("\n".join(shown), style="cyan", no_wrap=True, overflow="ellipsis")


class AboveLines:
    """A stream whose lines a terminal shows above the live ones, each as it came."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def write(self, text: str) -> int:
        """Print text that ends a line."""
        from rich.text import Text

        self._console.print(Text.from_ansi(text.removesuffix("\n")), soft_wrap=True)
        return len(text)

    def flush(self) -> None:
        """Do nothing: what is printed is shown."""


def _handler() -> logging.StreamHandler[TextIO] | None:
    """Return what writes dbt's lines to the console."""
    handlers = logging.getLogger(DBT_LOGGER).handlers
    return next((handler for handler in handlers if isinstance(handler, logging.StreamHandler)), None)
