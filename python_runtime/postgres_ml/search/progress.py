"""What a search tells while it goes on, and what it says at its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from postgres_ml.fit.choice import Choice
from postgres_ml.fit.task import Task
from postgres_ml.fit.trial import Trial
from postgres_ml.process.progress import figure
from postgres_ml.search.losses import loss_name

OnProgress = Callable[[str, dict[str, Any] | None], None]
UPDATE_S = 1.0  # the best of a hundred candidates takes a moment to find


class Progress:
    """Tells after a round what is known; `process.progress` says when a line is made of it.

    Parameters
    ----------
    on_progress : takes '' and the fields phase, trials, best, metric, score, loss, seconds_left
    """

    def __init__(self, task: Task, on_progress: OnProgress) -> None:
        self._task, self._on_progress = task, on_progress
        self._next_s = 0.0
        self._shown: Trial | None = None
        self._told: dict[str, Any] = {}

    def show(self, trials: Sequence[Trial], best_of: Callable[[], Trial], seconds_left: float) -> None:
        """Take in all trials so far, and a function of the candidate or blend that is best by now.

        Parameters
        ----------
        seconds_left : estimate for the search and the fits after it
        """
        now = self._task.deadline.clock()
        if self._shown is not None and now < self._next_s:
            return
        self._shown = best_of()
        self._next_s = self._task.deadline.clock() + UPDATE_S
        self._told = self._fields(trials, self._shown, seconds_left)
        self._on_progress("", self._told)

    def show_first(self, trials: Sequence[Trial]) -> None:
        """Take in the first trials, on the rows of one fold: the best of them could be published by now."""
        if trials:
            best = min(trials, key=lambda trial: trial.loss)
            self._told = self._fields(trials, best, max(self._task.deadline.left, 0.0))
            self._on_progress("", self._told)

    def end(self, text: str) -> None:
        """Say why the search ended, with what it has told last."""
        self._on_progress(text, self._told)

    def compare(self, choice: Choice) -> None:
        """Warn if what was called the best is not what is published, and had less loss."""
        shown = self._shown
        if shown is None or choice.loss is None or not shown.loss < choice.loss:
            return
        name = loss_name(self._task)
        self._on_progress(
            f"published is {choice.candidate.shown}, {name} {figure(choice.loss)}, and not the best so far, "
            f"{shown.candidate.shown}, {name} {figure(shown.loss)}: {choice.reason}",
            {"level": "warning"},
        )

    def _fields(self, trials: Sequence[Trial], best: Trial, seconds_left: float) -> dict[str, Any]:
        return {
            "phase": "search",
            "trials": len(trials),
            "best": best.candidate.shown,
            "metric": self._task.problem.metric,
            "score": abs(best.score),
            "loss": best.loss,
            "seconds_left": round(seconds_left, 1),
        }
