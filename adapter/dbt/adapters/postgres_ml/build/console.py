"""What the console shows while a model is built: a live line on a terminal, else a log line now and then.

A thread of each build looks at its `Progress`: the build's own thread waits for Postgres or for the training
process, and those may be busy for minutes without a word.
"""

from __future__ import annotations

import contextvars
import threading

from dbt.adapters.postgres_ml.build.live_line import LiveLines, is_possible
from dbt.adapters.postgres_ml.build.node import NodeBuild
from dbt.flags import get_flags

POLL_S = 0.25
_LIVE = LiveLines()


class Console:
    """Shows how far one build is, until it is closed.

    Parameters
    ----------
    build : whose thread this is; dbt's log knows the node by the thread's context
    """

    def __init__(self, build: NodeBuild) -> None:
        self._build, self._over = build, threading.Event()
        self._is_live = is_possible(get_flags())
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._watch,), daemon=True)
        if self._is_live:
            _LIVE.add(build.spec.name, build.progress)
        self._thread.start()

    def close(self) -> None:
        """Show nothing any more."""
        self._over.set()
        self._thread.join()
        if self._is_live:
            _LIVE.remove(self._build.progress)

    def _watch(self) -> None:
        while not self._over.wait(POLL_S):
            if self._build.progress.due:
                text, fields = self._build.progress.line()
                # the log's file has the lines of a terminal too
                self._build.log("debug" if self._is_live else "info", text, fields)
