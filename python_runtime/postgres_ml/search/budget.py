"""How the time is spent: what a trial may cost, what the final fits need, and when more search is in vain."""

from __future__ import annotations

from collections.abc import Sequence

from postgres_ml.fit.candidates import Candidate
from postgres_ml.fit.task import Deadline, Task
from postgres_ml.fit.trial import Trial
from postgres_ml.search.ensemble import n_fits

# The evaluated pipeline is fitted on the training rows, the published one on all: 1 + 1.25 times a trial's
# fit on all folds' rows, and a tenth more trees.
FINAL_FITS = 2.5
ONE_FIT = 1.2
FIXED_S = 0.6  # evaluation of a small pipeline, importances included
SHARE = 0.06  # of the whole, for what isn't foreseen: another process on the same cores
GAIN = 0.002  # relative: what the loss has to fall by so that the search counts as going on
PATIENCE = 8  # trials without such a gain
ROUNDS_LEFT = 2.5  # a round of several candidates may take this part of the time left


class Budget:
    """The search's share of `max_runtime`, and its end without it.

    Parameters
    ----------
    n_splits : fits of a trial that goes through
    growth : rows of all training rows for each row that a fold's fit learns from
    """

    def __init__(self, task: Task, n_splits: int, growth: float) -> None:
        self.task, self.n_splits, self.growth = task, n_splits, growth
        self._cost: dict[str, float] = {}
        self._best_loss = float("inf")
        self._idle = 0
        self._reserve = FIXED_S + SHARE * task.deadline.seconds

    def note_cost(self, candidate: Candidate, seconds_a_fit: float) -> None:
        """Remember what one fit of the candidate's kind took: the greater of the last two, a little faded."""
        key = _kind(candidate)
        self._cost[key] = max(seconds_a_fit, 0.8 * self._cost.get(key, 0.0))

    def note_best(self, loss: float, n_trials: int, members: Sequence[tuple[Trial, float]]) -> None:
        """Remember the best loss after a round of trials, and keep time free for the fits it would need."""
        if loss < self._best_loss * (1 - GAIN):
            self._best_loss, self._idle = loss, 0
        else:
            self._idle += n_trials
        self._reserve = FIXED_S + SHARE * self.task.deadline.seconds + self.final_s(members)

    def final_s(self, members: Sequence[tuple[Trial, float]], fits: float = FINAL_FITS) -> float:
        """Return how long evaluation and refit of these members will take."""
        each = [
            n_fits(self.task, trial.candidate) * fits * self.growth * trial.best_s for trial, _ in members
        ]
        return max(sum(each) / self.task.n_threads, max(each, default=0.0))

    def affords(self, members: Sequence[tuple[Trial, float]]) -> bool:
        """Return whether there is time to fit these members at least once more, to evaluate them."""
        return self.final_s(members, ONE_FIT) <= self.task.deadline.left

    @property
    def left_s(self) -> float:
        """Seconds that may still go into trials."""
        return self.task.deadline.left - self._reserve

    @property
    def has_converged(self) -> bool:
        """Whether the last trials gained nothing."""
        return self._idle >= PATIENCE

    def allows(self, candidates: Sequence[Candidate]) -> bool:
        """Return whether a round of these trials is likely to end in time."""
        fits = [self._cost.get(_kind(candidate), 0.0) for candidate in candidates]
        rounds = max(1.0, self.n_splits / self.task.n_threads)
        seconds = max(sum(fits) * self.n_splits / self.task.n_threads, max(fits) * rounds)
        # a number of trials that is asked for has to be the same ones each time
        spread = 1.0 if len(candidates) == 1 or self.task.spec.settings.max_trials else ROUNDS_LEFT
        return seconds * spread < self.left_s

    def cut(self) -> Deadline:
        """Return when fits in progress have to end so that the best so far can be published."""
        return Deadline(max(self.left_s, 0.0), self.task.deadline.clock)

    def fit_deadline(self, cut: Deadline) -> Deadline:
        """Return when a fit that begins now has to end, so that there is time for the final fits like it."""
        clock = self.task.deadline.clock
        return Deadline(min(cut.left, self.task.deadline.left / (1 + FINAL_FITS * self.growth)), clock)


def _kind(candidate: Candidate) -> str:
    return candidate.model_type
