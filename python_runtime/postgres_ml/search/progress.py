"""Lines about a search in progress: few enough to read, and the same as fields for logs in JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from postgres_ml.fit.choice import Choice
from postgres_ml.fit.task import Task
from postgres_ml.fit.trial import Trial
from postgres_ml.search.losses import loss_name

OnProgress = Callable[[str, dict[str, Any] | None], None]
EVERY_S = 5.0


class Progress:
    """Says after a round what is known, but for the first two rounds at most every 5 seconds.

    Parameters
    ----------
    on_progress : takes a line, and the fields phase, trials, best, metric, score, loss, seconds_left
    """

    def __init__(self, task: Task, on_progress: OnProgress) -> None:
        self._task, self._on_progress = task, on_progress
        self._n_shown = 0
        self._next_s = 0.0
        self._started = task.deadline.clock()
        self._shown: Trial | None = None

    def show(self, trials: Sequence[Trial], best_of: Callable[[], Trial]) -> None:
        """Take in all trials so far, and a function of the candidate or blend that is best by now."""
        now = self._task.deadline.clock() - self._started
        if self._n_shown >= 2 and now < self._next_s:
            return
        self._n_shown += 1
        self._next_s = now + EVERY_S
        self._shown = best_of()
        fields = self._fields(trials, self._shown)
        score = f"{fields['metric']} {abs(fields['score']):.5g}, {loss_name(self._task)} {fields['loss']:.5g}"
        self._on_progress(
            f"search: {len(trials)} tried, best so far {fields['best']} ({score}, on rows not learned from), "
            f"at most {fields['seconds_left']:.0f} s left",
            fields,
        )

    def compare(self, choice: Choice) -> None:
        """Warn if what was called the best is not what is published, and had less loss."""
        shown = self._shown
        if shown is None or choice.loss is None or not shown.loss < choice.loss:
            return
        name = loss_name(self._task)
        self._on_progress(
            f"published is {choice.candidate.name}, {name} {choice.loss:.5g}, and not the best so far, "
            f"{shown.candidate.name}, {name} {shown.loss:.5g}: {choice.reason}",
            {"level": "warning"},
        )

    def _fields(self, trials: Sequence[Trial], best: Trial) -> dict[str, Any]:
        return {
            "phase": "search",
            "trials": len(trials),
            "best": best.candidate.name,
            "metric": self._task.problem.metric,
            "score": abs(best.score),
            "loss": best.loss,
            "seconds_left": round(max(self._task.deadline.left, 0.0), 1),
        }
