"""Lines about a search in progress: few enough to read, and the same as fields for logs in JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from postgres_ml.evaluate import metrics as evaluate
from postgres_ml.fit.task import Task
from postgres_ml.fit.trial import Trial
from postgres_ml.search.ensemble import average
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

    def show(self, trials: Sequence[Trial], members: Sequence[tuple[Trial, float]]) -> None:
        """Take in all trials so far, and the best average of them."""
        now = self._task.deadline.clock() - self._started
        if self._n_shown >= 2 and now < self._next_s:
            return
        self._n_shown += 1
        self._next_s = now + EVERY_S
        fields = self._fields(trials, members)
        score = f"{fields['metric']} {abs(fields['score']):.5g}, {loss_name(self._task)} {fields['loss']:.5g}"
        self._on_progress(
            f"search: {len(trials)} tried, best so far {fields['best']} ({score}, on rows not learned from), "
            f"at most {fields['seconds_left']:.0f} s left",
            fields,
        )

    def _fields(self, trials: Sequence[Trial], members: Sequence[tuple[Trial, float]]) -> dict[str, Any]:
        best, _ = members[0]
        problem, raw = self._task.problem, average(members)
        score = evaluate.score_function(problem, problem.metric, best.threshold)(best.truth, raw)
        loss = evaluate.score_function(problem, loss_name(self._task), best.threshold)(best.truth, raw)
        return {
            "phase": "search",
            "trials": len(trials),
            "best": " + ".join(trial.candidate.name for trial, _ in members),
            "metric": problem.metric,
            "score": abs(score),
            "loss": abs(loss),
            "seconds_left": round(max(self._task.deadline.left, 0.0), 1),
        }
