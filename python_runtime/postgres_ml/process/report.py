"""Messages of a training to the user as they come, and the duration of each phase."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Level = Literal["debug", "info", "warning"]


class Relay(Protocol):
    """Takes messages for the user."""

    def __call__(self, level: Level, text: str, fields: dict[str, Any] | None = None) -> None:
        """Take a line for people and, for logs that machines read, what it says as fields."""


@dataclass
class Report:
    """Messages to the user, relayed as they come, and the duration of each phase.

    Parameters
    ----------
    relay : takes (level, text, fields)
    messages : what belongs on the card
    """

    relay: Relay
    messages: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def note(self, text: str, level: Level = "info") -> None:
        """Relay a message and keep it for the card."""
        self.messages.append(text)
        self.relay(level, text)

    def progress(self, text: str, fields: dict[str, Any] | None) -> None:
        """Relay how far the training is; the card doesn't keep it."""
        self.relay("info", text, fields)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure what is done inside."""
        started = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - started
        seconds = round(self.seconds[name], 3)
        self.relay("debug", f"{name}: {seconds:.2f} s", {"phase": name, "seconds": seconds})
