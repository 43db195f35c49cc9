"""How the time is spent: what a trial may cost, what the final fits need, and when more search is in vain.

All estimates come from what was measured in this run: first from a short probe of each model type, then from
the trials' own fits. Costs are kept in processor seconds, and are multiplied by what one of them takes on the
clock: a probe of a hundredth of a second that another process interrupts would take ten times as long.
"""

from __future__ import annotations

from collections.abc import Sequence

from postgres_ml.fit.candidates import Candidate
from postgres_ml.fit.task import Deadline, Task
from postgres_ml.fit.trial import Trial
from postgres_ml.search.ensemble import n_fits
from postgres_ml.search.fold_fit import FoldFit
from postgres_ml.search.pace import Pace
from postgres_ml.search.plan import Plan, n_rounds, plan

# The evaluated pipeline is fitted on the training rows, the published one on all: 1 + 1.25 times a trial's
# fit on all folds' rows, and a tenth more trees.
FINAL_FITS = 2.5
ONE_FIT = 1.2
FIXED_S = 0.6  # evaluation of a small pipeline, importances included
SHARE = 0.06  # of the whole, for what isn't foreseen: another process on the same cores
GAIN = 0.002  # relative: what the loss has to fall by so that the search counts as going on
PATIENCE = 8  # trials without such a gain
ROUNDS_LEFT = 2.5  # a round of several candidates may take this part of the time left
ITERATIONS = 100.0  # of a linear classifier's solver, about
# Boostings of an additive model's fit for each bag, each of as many rounds as one of xgboost's, about: of
# columns and of pairs, whose trees have one or two of them each, so there are twice as many.
BOOSTINGS = 4.0
HURRIED_SHARE = 0.7  # of the time left, for a fit whose candidate learns as fast as time allows
# Lowering parses the published and the evaluated pipeline, and writes bodies and JSON: as often as this the
# time in which the probe reads a tree node, if the function will be SQL (38 microseconds a node, of which
# reading takes some 4), and if not (7).
LOWERING = {False: 2.5, True: 7.0}
LINEAR_FINAL = 3.0  # its final fit goes on to a finer tolerance


class Budget:
    """The search's share of `max_runtime`, and its end without it.

    Parameters
    ----------
    n_splits : fits of a trial that goes through
    growth : rows of all training rows for each row that a fold's fit learns from
    n_at_once : fits of trials that run side by side; None is the task's number of threads

    Attributes
    ----------
    begun : when the search began, by the deadline's clock
    is_short, is_hurried : whether trials do less than they would with enough time; and learn faster
    """

    def __init__(self, task: Task, n_splits: int, growth: float, n_at_once: int | None = None) -> None:
        self._n_at_once = n_at_once or task.n_threads
        self.task, self.n_splits, self.growth = task, n_splits, growth
        self.row_share = 1.0
        self.is_short = self.is_hurried = False
        self._final_fits, self._one_fit = FINAL_FITS, ONE_FIT
        self._n_rows = 0.0
        self._lower_s = 0.0
        self._unit_s: dict[str, float] = {}
        self._encoding_s: dict[str, float] = {}
        self._node_s = 0.0
        self._pace = Pace()
        self._cost: dict[str, float] = {}
        self._best_cost: dict[str, float] = {}
        self._best_loss = float("inf")
        self._idle = 0
        self.begun = task.deadline.clock()
        self._unforeseen = FIXED_S + SHARE * task.deadline.seconds
        self._reserve = self._unforeseen

    def note_pace(self, fitted: FoldFit) -> None:
        """Learn from a fit what a processor second takes on the clock."""
        self._pace.note(fitted.seconds, fitted.cpu_s)

    def note_unit(self, candidate: Candidate, seconds: float, encoding_s: float = 0.0) -> None:
        """Remember what a round, epoch or iteration of the kind takes on a fold's rows, by a probe.

        Parameters
        ----------
        seconds : of the processor
        encoding_s : of all rows for the candidate's kind, once, and what a fit does besides its rounds
        """
        self._unit_s[_kind(candidate)], self._encoding_s[_kind(candidate)] = seconds, encoding_s

    def note_reading(self, seconds_a_node: float) -> None:
        """Remember what it takes to read a tree node of a fitted booster, by a probe."""
        self._node_s = seconds_a_node

    def lower_s(self, members: Sequence[tuple[Trial, float]]) -> float:
        """Return how long it will take to write the functions of these members."""
        n_nodes = sum(trial.n_nodes for trial, _ in members)
        return self._pace.slowness * LOWERING[self.task.is_sql] * self._node_s * n_nodes

    def plan(self, n_rows: int) -> Plan:
        """Return what trials have time for, given what a boosting round takes.

        Parameters
        ----------
        n_rows : that each fold learns from
        """
        self._n_rows = float(n_rows)
        if "xgboost" not in self._unit_s:
            return Plan(self.n_splits)
        seconds = self.task.deadline.left - self._unforeseen
        fits = FINAL_FITS * self.growth, ONE_FIT * self.growth
        round_s = self._pace.slowness * self._unit_s["xgboost"]
        return plan(seconds, round_s, self.n_splits, n_rows, self._n_at_once, fits)

    def adopt(self, found: Plan) -> None:
        """Expect of trials and final fits what the plan says."""
        self.is_short, self.is_hurried = found != Plan(self.n_splits), found.is_hurried
        self._one_fit = ONE_FIT if found.has_final_fit else 0.0
        self._final_fits = self._one_fit if found.is_hurried else FINAL_FITS
        self.n_splits, self.row_share = found.n_splits, found.row_share
        self._n_rows *= found.row_share
        for kind in self._unit_s:
            self._unit_s[kind] *= found.row_share
            self._encoding_s[kind] *= found.row_share

    def note_cost(self, candidate: Candidate, seconds_a_fit: float, best_s: float) -> None:
        """Remember what one fit of the candidate's kind took: the greater of the last two, a little faded.

        Parameters
        ----------
        seconds_a_fit : of the processor
        best_s : of the seconds, those up to the best round
        """
        key = _kind(candidate)
        self._cost[key] = max(seconds_a_fit, 0.8 * self._cost.get(key, 0.0))
        self._best_cost[key] = max(best_s, 0.8 * self._best_cost.get(key, 0.0))

    def note_best(self, loss: float, n_trials: int, members: Sequence[tuple[Trial, float]]) -> None:
        """Remember the best loss after a round of trials, and keep time free for the fits it would need."""
        if loss < self._best_loss * (1 - GAIN):
            self._best_loss, self._idle = loss, 0
        else:
            self._idle += n_trials
        # where rows are many, some of them have to do: the final fits then take what is left
        self._lower_s = self.lower_s(members)
        kept_free = self._unforeseen + self._lower_s
        # without time for even one fit, those of the search are published: then it has the rest of the time
        has_time = kept_free + self.row_share * self.final_s(members, ONE_FIT) <= self.task.deadline.left
        self._reserve = kept_free + (self.row_share * self.final_s(members) if has_time else 0.0)

    def final_s(self, members: Sequence[tuple[Trial, float]], fits: float | None = None) -> float:
        """Return how long evaluation and refit of these members will take on all rows."""
        fits = self._final_fits if fits is None else fits
        growth = self.growth / self.row_share
        each = [self._n_fits(trial.candidate) * fits * growth * trial.best_s for trial, _ in members]
        # the fits that a network becomes run side by side, as the members do
        counts = [n_fits(self.task, trial.candidate) for trial, _ in members]
        longest = max((seconds / n for seconds, n in zip(each, counts, strict=True)), default=0.0)
        return self._pace.slowness * max(sum(each) / self.task.n_threads, longest)

    def rows_for(self, members: Sequence[tuple[Trial, float]], *, with_refit: bool = False) -> float | None:
        """Return the share of the training rows on which there is time to fit these members once more.

        None where it is less than the rows that the members' trials learned from.

        Parameters
        ----------
        with_refit : whether all rows shall be learned from after that, if the settings say so
        """
        left = self.task.deadline.left - self.lower_s(members)
        is_refitted = with_refit and self.task.spec.settings.refit
        needed = self.final_s(members, self._final_fits if is_refitted else ONE_FIT)
        share = 1.0 if needed <= left else max(left, 0.0) / needed
        return share if share >= self.row_share else None

    @property
    def best_lower_s(self) -> float:
        """Seconds that lowering the best is expected to take."""
        return self._lower_s

    @property
    def fit_s(self) -> float:
        """Seconds that evaluation and refit of the best are expected to take, in one fit on all rows."""
        return max(self._reserve - self._unforeseen - self._lower_s, 0.0) * ONE_FIT / FINAL_FITS

    def estimate_left_s(self, n_trials: int, n_more: int) -> float:
        """Return how long search and final fits will take from now on, if the trials go on as they did.

        Parameters
        ----------
        n_trials : so far
        n_more : that the portfolio or `max_trials` has; the search may converge before, or try more
        """
        each = (self.task.deadline.clock() - self.begun) / max(n_trials, 1)
        search_s = min(max(self.left_s, 0.0), each * n_more)
        return search_s + self._reserve - self._unforeseen

    @property
    def left_s(self) -> float:
        """Seconds that may still go into trials."""
        return self.task.deadline.left - self._reserve

    @property
    def has_converged(self) -> bool:
        """Whether the last trials gained nothing."""
        return self._idle >= PATIENCE

    def expected_s(self, candidate: Candidate) -> float:
        """Return what one fit of the candidate on a fold's rows will take; 0 where nothing was measured."""
        kind = _kind(candidate)
        if kind in self._cost:
            return self._pace.slowness * self._cost[kind]
        units = 1.0 if self.task.problem.is_regression else ITERATIONS
        if kind == "xgboost":
            units = n_rounds(candidate.parameters["learning_rate"], self._n_rows)
        elif kind == "additive":
            rounds = n_rounds(candidate.parameters["learning_rate"], self._n_rows)
            units = BOOSTINGS * candidate.parameters["outer_bags"] * rounds
        elif kind == "mlp":
            units = candidate.parameters["n_epochs"]
        seconds = units * self._unit_s.get(kind, 0.0) + self._encoding_s.get(kind, 0.0)
        return self._pace.slowness * seconds

    def share_of(self, candidate: Candidate) -> float:
        """Return the share of the time left that the fits of the candidate's trial will take."""
        return self._of_folds_s(self.expected_s(candidate)) / max(self.task.deadline.left, 1e-9)

    def _of_folds_s(self, seconds: float) -> float:
        """Return how long fits on all folds take side by side, of which one fold's take these seconds."""
        return seconds * self.n_splits / self._n_at_once

    def allows(self, candidates: Sequence[Candidate]) -> bool:
        """Return whether a round of these trials is likely to end in time, with the final fits of each."""
        fits = [self.expected_s(candidate) for candidate in candidates]
        longest = max(fits) * max(1.0, self.n_splits / self._n_at_once)
        seconds = max(self._of_folds_s(sum(fits)), longest)
        # a number of trials that is asked for has to be the same ones each time
        is_free = seconds <= longest or bool(self.task.spec.settings.max_trials)
        spread = 1.0 if is_free else ROUNDS_LEFT
        finals = max(self._final_of(candidate) for candidate in candidates)
        reserve = max(self._reserve, self._unforeseen + finals)
        return seconds * spread < self.task.deadline.left - reserve

    def _final_of(self, candidate: Candidate) -> float:
        """Return what it takes to fit the candidate once more, on the share of rows that it learns from.

        Nothing where time is short, since the fold's fit can be published.
        """
        if self.is_short:
            return 0.0
        kind = _kind(candidate)
        known = kind in self._best_cost
        fit_s = self._pace.slowness * self._best_cost[kind] if known else self.expected_s(candidate)
        return self._one_fit * self.growth * fit_s * max(1.0, self._n_fits(candidate) / self.task.n_threads)

    def _n_fits(self, candidate: Candidate) -> float:
        """Return how many fits of a fold the candidate's final fit is, for the same rows."""
        if candidate.is_linear and not self.task.problem.is_regression:
            return LINEAR_FINAL
        return n_fits(self.task, candidate)

    def cut(self) -> Deadline:
        """Return when fits in progress have to end so that the best so far can be published."""
        return Deadline(max(self.left_s, 0.0), self.task.deadline.clock)

    def fit_deadline(self, cut: Deadline) -> Deadline:
        """Return when a fit that begins now has to end, so that there is time for the final fits like it.

        In a hurry it may go on: a fold's fit that is whole is better than one that is cut short for another.
        """
        share = max(1 / (1 + self._final_fits * self.growth), HURRIED_SHARE if self.is_hurried else 0.0)
        return Deadline(min(cut.left, share * self.task.deadline.left), self.task.deadline.clock)


def _kind(candidate: Candidate) -> str:
    return candidate.model_type
