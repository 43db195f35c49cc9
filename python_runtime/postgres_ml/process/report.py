"""Messages of a training to the user as they come, and the duration of each phase."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Level = Literal["debug", "info", "warning"]
SILENT_S = 5.0  # after so long without a line, one says what is being done


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
    silent_s : seconds without a line inside a phase, after which one says how long it takes by now
    """

    relay: Relay
    messages: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    silent_s: float = SILENT_S
    _said: float = field(default_factory=time.monotonic, repr=False)

    def note(self, text: str, level: Level = "info") -> None:
        """Relay a message and keep it for the card."""
        self.messages.append(text)
        self._say(level, text)

    def progress(self, text: str, fields: dict[str, Any] | None) -> None:
        """Relay how far the training is; the card doesn't keep it. The field `level` may say warning."""
        self._say((fields or {}).get("level", "info"), text, fields)

    @contextmanager
    def phase(self, name: str, level: Level = "debug") -> Iterator[None]:
        """Measure what is done inside, and say from time to time that it is going on.

        Parameters
        ----------
        level : of the line with its seconds
        """
        started, over = time.monotonic(), threading.Event()
        beat = threading.Thread(target=self._beat, args=(name, started, over), daemon=True)
        beat.start()
        try:
            yield
        finally:
            over.set()
            beat.join()
        self.seconds[name] = time.monotonic() - started
        seconds = round(self.seconds[name], 3)
        self._say(level, f"{name}: {seconds:.2f} s", {"phase": name, "seconds": seconds})

    def _say(self, level: Level, text: str, fields: dict[str, Any] | None = None) -> None:
        self._said = time.monotonic()
        self.relay(level, text, fields)

    def _beat(self, name: str, started: float, over: threading.Event) -> None:
        while not over.wait(max(0.01, self._said + self.silent_s - time.monotonic())):
            now = time.monotonic()
            if now - self._said >= self.silent_s:
                seconds = round(now - started, 1)
                text = f"{name}: going on, {seconds:.0f} s so far"
                self._say("info", text, {"phase": name, "seconds_so_far": seconds})
