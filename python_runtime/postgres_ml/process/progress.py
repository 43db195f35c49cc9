"""How far a build is, and when to say so: a line at least every 5 seconds, at most every 2.

Input: phases as they begin in either process, and what the search knows. Output: lines and fields. It runs
in dbt's process, which is awake while the training computes; who shows the lines asks `due` again and again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

LEAST_S = 2.0  # between two lines, however much there is to tell
MOST_S = 4.0  # between two lines, however little there is: on a busy machine too it is never above 5 seconds

PHASES = {
    "begin": "preparing the build",
    "wait": "waiting for another build of this model",
    "plan": "comparing query, rows and config with the last version",
    "snapshot": "copying the query's rows",
    "start": "starting the training process",
    "load": "loading and checking the rows",
    "search": "search",
    "evaluate": "fitting the chosen model and scoring it on the hold-out",
    "refit": "fitting it again on all rows",
    "lower": "writing its functions",
    "explain": "computing SHAP values",
    "parity rows": "predicting the rows of the parity check",
    "artifacts": "writing its files",
    "track": "logging to MLflow",
    "publish": "publishing the functions",
    "parity": "comparing the functions' predictions with the model's own",
    "register": "registering the version in MLflow",
}
"""By name, what a person calls it; in the order of a build."""
IN_DBT = ("begin", "wait", "plan", "snapshot", "start", "publish", "parity", "register")
"""The phases of dbt's own process, for which there is no estimate."""


class Progress:
    """Where one build stands. Methods may be called from any thread.

    Parameters
    ----------
    clock : seconds that only grow

    Attributes
    ----------
    n_warnings : what was said with the level warning
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._phase, self._began, self._said = "begin", clock(), clock()
        self._fields: dict[str, Any] = {}
        self._end: float | None = None
        self._has_news = False
        self.n_warnings = 0

    def begin(self, phase: str) -> None:
        """Begin a phase of dbt's own process."""
        self.take({"phase": phase})

    def take(self, fields: dict[str, Any]) -> None:
        """Take in what the training process says.

        Parameters
        ----------
        fields : `phase`; of a search also `trials`, `best`, `metric`, `score`; `seconds_left`, an estimate
        """
        with self._lock:
            if fields["phase"] != self._phase:
                self._phase, self._began = fields["phase"], self._clock()
            self._fields = fields
            if "seconds_left" in fields:
                self._end = self._clock() + fields["seconds_left"]
            elif fields["phase"] in IN_DBT:
                self._end = None
            self._has_news = True

    def said(self) -> None:
        """Note that a line about this build was just shown."""
        with self._lock:
            self._said = self._clock()

    @property
    def due(self) -> bool:
        """Whether it is time for a line."""
        with self._lock:
            silent = self._clock() - self._said
            return silent >= (LEAST_S if self._has_news else MOST_S)

    def line(self) -> tuple[str, dict[str, Any]]:
        """Return what to say now, and the same as fields; the news is told by that."""
        with self._lock:
            self._has_news, self._said = False, self._clock()
            return self._line()

    def shown(self) -> str:
        """Return what a live line shows now."""
        with self._lock:
            return self._line()[0]

    def _line(self) -> tuple[str, dict[str, Any]]:
        parts = [PHASES.get(self._phase, self._phase), *self._found()]
        left = None if self._end is None else self._end - self._clock()
        so_far = self._clock() - self._began
        if left is not None and left >= 0.5:
            parts.append(f"about {duration(left)} left")
        else:  # nothing to estimate from, or the estimate was too low
            parts.append(f"{duration(so_far)} so far")
        fields = {**self._fields, "phase": self._phase, "seconds_so_far": round(so_far, 1)}
        if left is not None:
            fields["seconds_left"] = round(max(left, 0.0), 1)
        return ", ".join(parts), fields

    def _found(self) -> list[str]:
        known = self._fields
        if "trials" not in known:
            return []
        n = known["trials"]
        found = [f"{n} candidate{'s' * (n != 1)} done"]
        if known.get("best"):
            found.append(f"best {known['metric']} {figure(known['score'])} ({known['best']})")
        return found


def figure(value: float) -> str:
    """Return four significant digits, without an exponent where a person would write none."""
    if abs(value) >= 1e4:
        digits = len(str(int(abs(value)))) - 4
        return f"{round(value, -digits):,.0f}"
    return f"{value:,.4g}"


def duration(seconds: float) -> str:
    """Return '8 s', '2 min' or '1 h 5 min'."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
