"""What a processor second takes on the clock, where other processes want the same cores."""

from __future__ import annotations

import math

MEMORY_S = 10.0  # of fits, of which a second counts a third as much as one of now


class Pace:
    """The share of the clock that fits have had lately.

    One fit alone says little: it may have been interrupted for as long as it computed, or not at all.
    """

    def __init__(self) -> None:
        self._seconds = self._cpu_s = 0.0

    def note(self, seconds: float, cpu_s: float) -> None:
        """Take in a fit.

        Parameters
        ----------
        seconds, cpu_s : that it took on the clock, and of the processor
        """
        fading = math.exp(-seconds / MEMORY_S)
        self._seconds = fading * self._seconds + seconds
        self._cpu_s = fading * self._cpu_s + cpu_s

    @property
    def slowness(self) -> float:
        """Seconds on the clock of a processor second; at least 1, which it also is before any fit."""
        return max(1.0, self._seconds / self._cpu_s) if self._cpu_s > 0 else 1.0
