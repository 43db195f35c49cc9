"""Messages of a training to the user as they come, and the duration of each phase."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Level = Literal["debug", "info", "progress", "library", "warning"]
"""`progress` is shown when there is time to read it; `library` is a library's warning, which changes nothing
that a caller of the function sees."""

USUAL_S = {"evaluate": 1.0, "refit": 1.0, "lower": 0.5, "explain": 1.5, "parity rows": 0.5, "artifacts": 0.5,
           "track": 1.5}  # fmt: skip
"""Seconds of the phases after the search, in their order, of a small model; for estimates."""


class Relay(Protocol):
    """Takes messages for the user, from any thread."""

    def __call__(self, level: Level, text: str, fields: dict[str, Any] | None = None) -> None:
        """Take a line for people and, for logs that machines read, what it says as fields."""


@dataclass
class Report:
    """Messages to the user, relayed as they come, and the duration of each phase.

    Parameters
    ----------
    relay : takes (level, text, fields)
    messages : what belongs on the card
    expected_s : seconds that each phase after the search is expected to take
    """

    relay: Relay
    messages: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    expected_s: dict[str, float] = field(default_factory=USUAL_S.copy)

    def note(self, text: str, level: Level = "info") -> None:
        """Relay a message and keep it for the card."""
        self.messages.append(text)
        self.relay(level, text, None)

    def progress(self, text: str, fields: dict[str, Any] | None = None) -> None:
        """Relay a line that the card doesn't keep, or how far a phase is.

        Parameters
        ----------
        text : empty where the fields are what `process.progress` makes a line of
        fields : `level`, if it isn't info; or `phase` and more, where `seconds_left` is until the last fit
        """
        fields = fields or {}
        if text:
            self.relay(fields.get("level", "info"), text, fields)
            return
        if "seconds_left" in fields:
            fields = {**fields, "seconds_left": round(fields["seconds_left"] + self._rest("refit"), 1)}
        self.relay("progress", text, fields)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Say that a phase begins, and measure it."""
        started = time.monotonic()
        fields: dict[str, Any] = {"phase": name}
        if name in self.expected_s:
            fields["seconds_left"] = round(self.expected_s[name] + self._rest(name), 1)
        self.relay("progress", "", fields)
        try:
            yield
        finally:
            self.seconds[name] = time.monotonic() - started
        seconds = round(self.seconds[name], 3)
        self.relay("debug", f"{name}: {seconds:.2f} s", {"phase": name, "seconds": seconds})

    def _rest(self, phase: str) -> float:
        """Return the seconds expected of the phases after this one."""
        names = list(self.expected_s)
        return sum(self.expected_s[name] for name in names[names.index(phase) + 1 :])
