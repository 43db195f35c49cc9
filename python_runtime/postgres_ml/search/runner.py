"""Rounds of trials: a first look at each candidate, then all folds of those worth it, on several threads.

What is computed never depends on which fit ends first: a round's candidates are fixed before it begins, and
are judged when the round is over. So the same trials give the same result, on two threads or on twenty.
Threads, since xgboost and NumPy let go of Python's lock while they compute; every fit runs on one core.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from postgres_ml.evaluate import metrics as evaluate
from postgres_ml.fit.candidates import Candidate
from postgres_ml.fit.choice import KeptFit
from postgres_ml.fit.task import Deadline, Task
from postgres_ml.fit.trial import State, Trial
from postgres_ml.search.budget import Budget
from postgres_ml.search.decision_rule import choose_threshold, has_threshold
from postgres_ml.search.encoded_rows import EncodedRows
from postgres_ml.search.fits import Fits, Found, Job
from postgres_ml.search.fold_fit import FoldFit
from postgres_ml.search.folds import Split
from postgres_ml.search.losses import row_losses
from postgres_ml.snapshot.rows import Array

# The folds' trees saw 80 % of the rows, and more rows bear more trees: measured on nine data sets, a refit
# with 1.1 times the folds' mean is 0.9 % better than the average of the folds' five estimators. Networks too
# are no worse with more epochs than their folds' best (1.15 times on three sets).
ROUNDS_PER_FOLD_ROUND = 1.1
# A candidate goes on after the first look unless it is worse than the best of its kind by more than this
# share of the loss and by more than twice the standard error of the rows' differences.
LOOK_MARGIN = 0.03
# What errs differently helps a blend even if it is worse alone, but not when it is this much worse than the
# best of all; then the other folds of a network would be the dearest part of the search for nothing. Those of
# an additive model, which is tried to be published by itself, are spared sooner.
OTHER_MARGIN = 0.25


class Runner:
    """Runs trials and keeps them.

    Parameters
    ----------
    fits : where their fits run
    on_looks : told of a round's first looks, as trials on the rows of one fold, while no other than a linear
        candidate is through: each of them could be published

    Attributes
    ----------
    trials : all so far, in the order of the candidates
    kept : by the candidate's name, an estimator of the best trials, fitted on one fold
    """

    def __init__(
        self,
        task: Task,
        encoded: EncodedRows,
        budget: Budget,
        fits: Fits,
        on_looks: Callable[[Sequence[Trial]], None] = lambda trials: None,
    ) -> None:
        self.task, self.encoded, self.budget = task, encoded, budget
        self._on_looks = on_looks
        self.trials: list[Trial] = []
        self.kept: dict[str, KeptFit] = {}
        self._looks: dict[str, Array] = {}
        self.late: list[Trial] = []  # whom time ended after the first fold, as that has them
        self._fits = fits
        self._clock = task.deadline.clock

    @property
    def done(self) -> list[Trial]:
        """The trials that went through."""
        return [trial for trial in self.trials if trial.state == "done"]

    def run(self, candidates: Sequence[Candidate]) -> list[Trial]:
        """Return the candidates' trials."""
        folds, cut = self.encoded.folds, self.budget.cut()
        looks = self._fit([(candidate, folds.look) for candidate in candidates], cut)
        looked_s = self._seconds()
        firsts = [
            self._scored(candidate, [look], (folds.look,)) if isinstance(look, FoldFit) else None
            for candidate, look in zip(candidates, looks, strict=True)
        ]
        if folds.looks_at_fold and all(trial.candidate.is_linear for trial in self.done):
            self._on_looks([*self._on_first_fold(), *(first for first in firsts if first is not None)])
        worth = self._judge(candidates, looks)
        rest = folds.splits[1:] if folds.looks_at_fold else folds.splits
        jobs = [(candidate, split) for candidate in worth for split in rest]
        fits = iter(self._fit(jobs, cut))
        trials = []
        for candidate, look, first in zip(candidates, looks, firsts, strict=True):
            found = [look]
            if candidate in worth:
                fitted = [next(fits) for _ in rest]
                found = [look] * folds.looks_at_fold + fitted
                if fitted == ["late"] and not folds.looks_at_fold:
                    found = [look]  # it learnt from fewer rows, and may still be the best there is
                    if isinstance(look, FoldFit):
                        self._keep_fit(candidate, look)
            trial = self._trial(candidate, found, is_whole=candidate in worth)
            if first is not None:
                trial = dataclasses.replace(trial, first_s=looked_s, first_loss=first.loss)
                if trial.state == "late" and folds.looks_at_fold:
                    self.late.append(dataclasses.replace(first, finished_s=looked_s))
            trials.append(trial)
        self.trials += trials
        return trials

    def publishable(self) -> list[Trial]:
        """Return the trials to choose from: those that went through, or else what their first fold tells.

        Where time ended a candidate after its first fold, and that was better than all others were there, it
        is judged by that fold, and so are the others.
        """
        on_first = self._on_first_fold()
        best, late = (min((t.loss for t in part), default=math.inf) for part in (on_first, self.late))
        if late >= best:
            return self.done
        self.encoded.folds = self.encoded.folds.fewer(1, 1.0, self.encoded.strata)
        return [*on_first, *self.late]

    def _on_first_fold(self) -> list[Trial]:
        """Return the trials that went through, as they are on the rows that the first fold predicts."""
        folds = self.encoded.folds
        if not folds.looks_at_fold:
            return self.done
        mask = np.isin(folds.predicted, folds.look.valid)
        return [_restricted(self.task, trial, mask) for trial in self.done]

    def _seconds(self) -> float:
        """Return the seconds since the search began."""
        return self._clock() - self.budget.begun

    def keep(self, trials: Sequence[Trial]) -> None:
        """Forget the fits of all other trials: only the best could be published."""
        names = {trial.candidate.name for trial in trials}
        self.kept = {name: fit for name, fit in self.kept.items() if name in names}

    def _fit(self, jobs: Sequence[Job], cut: Deadline) -> list[Found]:
        # the longest first, so that no thread is left with one of them at the end
        order = sorted(range(len(jobs)), key=lambda number: _weight(jobs[number][0]))
        sorted_jobs = [jobs[number] for number in order]
        given = self._fits.run(self.encoded, sorted_jobs, cut, lambda: self.budget.fit_deadline(cut))
        by_number = dict(zip(order, given, strict=True))
        found = [by_number[number] for number in range(len(jobs))]
        for (candidate, split), fitted in zip(jobs, found, strict=True):
            if isinstance(fitted, FoldFit) and any(split is whole for whole in self.encoded.folds.splits):
                self.budget.note_pace(fitted)
                self.budget.note_cost(candidate, fitted.cpu_s, fitted.best_s)
                self._keep_fit(candidate, fitted)
        return found

    def _keep_fit(self, candidate: Candidate, fitted: FoldFit) -> None:
        if candidate.below or (fitted.is_cut and candidate.name in self.kept):
            return  # a stack is no stack without those below; another fold's may be whole
        self.kept[candidate.name] = KeptFit(
            candidate, fitted.estimator, fitted.n_rows, fitted.columns, words=fitted.words
        )

    def _judge(self, candidates: Sequence[Candidate], looks: Sequence[Found]) -> list[Candidate]:
        """Return the candidates that go on, after comparing them with the best look of each model type."""
        split = self.encoded.folds.look
        losses = {
            candidate.name: row_losses(self.task, self.encoded.codes[split.valid], look.raw)
            for candidate, look in zip(candidates, looks, strict=True)
            if isinstance(look, FoldFit)
        }
        for candidate in candidates:
            if candidate.name in losses:
                found = losses[candidate.name]
                best = self._looks.get(candidate.model_type)
                if best is None or self._mean(found) < self._mean(best):
                    self._looks[candidate.model_type] = found
        return [
            candidate
            for candidate in candidates
            if candidate.name in losses and not self._is_hopeless(candidate, losses[candidate.name])
        ]

    def _is_hopeless(self, candidate: Candidate, losses: Array) -> bool:
        counts = self.encoded.weight_of(self.encoded.folds.look.valid)
        given_up = self.task.spec.settings.sql_tolerance if self.task.is_sql else 0.0
        look_margin = max(LOOK_MARGIN, given_up)
        if is_hopeless(losses, self._looks[candidate.model_type], look_margin, counts):
            return True
        best = min(self._looks.values(), key=self._mean)
        margin = {"mlp": OTHER_MARGIN, "additive": look_margin}.get(candidate.model_type)
        return margin is not None and is_hopeless(losses, best, margin, counts)

    def _mean(self, losses: Array) -> float:
        """Return the mean loss of a look."""
        return evaluate.weighted_mean(losses, self.encoded.weight_of(self.encoded.folds.look.valid))

    def _trial(self, candidate: Candidate, found: Sequence[Found], *, is_whole: bool) -> Trial:
        fits = [item for item in found if isinstance(item, FoldFit)]
        why = next((item for item in found if isinstance(item, str)), "")
        seconds = sum(item.seconds for item in fits)
        # a fit that the time cut short is one of fewer trees or epochs, and as good as it scores
        state: State = "late" if why == "late" else "failed" if why else "done" if is_whole else "pruned"
        nothing = np.empty(0, np.float32)
        loss = math.nan
        if state == "pruned":
            truth = self.encoded.codes[self.encoded.folds.look.valid]
            loss = self._mean(row_losses(self.task, truth, fits[0].raw))
        trial = Trial(
            candidate, math.nan, loss, 0, 0, 0.5, seconds, nothing, nothing, 0.0, self._seconds(),
            state=state, note=why,
        )  # fmt: skip
        if state != "done":
            return trial
        splits = self.encoded.folds.splits
        done = self._scored(candidate, fits[-len(splits) :], splits)
        return dataclasses.replace(done, seconds=seconds, finished_s=trial.finished_s)

    def _scored(self, candidate: Candidate, fits: Sequence[FoldFit], splits: Sequence[Split]) -> Trial:
        """Return a trial of these fits, one for each of the splits."""
        predicted = np.concatenate([split.valid for split in splits])
        order = np.argsort(predicted)
        truth = self.encoded.codes[predicted[order]]
        raw = np.concatenate([item.raw for item in fits])[order]
        is_cut = any(item.is_cut for item in fits)
        more = 1.0 if is_cut else ROUNDS_PER_FOLD_ROUND  # one cut short is fitted again as what it scored
        n_trees = math.ceil(more * float(np.mean([item.n_rounds for item in fits])))
        for name in ("n_epochs", "n_estimators"):
            n_trees = min(n_trees, candidate.parameters.get(name, n_trees))
        n_nodes = round(more * float(np.mean([item.n_nodes for item in fits])))
        n_rows = len(self.encoded.folds.splits[0].train)
        best_s = float(np.mean([item.best_s * n_rows / max(item.n_rows, 1) for item in fits]))
        counts = self.encoded.weight_of(predicted[order])
        seconds = sum(item.seconds for item in fits)
        done = scored(self.task, candidate, truth, raw, (n_trees, n_nodes), seconds, counts)
        unit_s = float(np.mean([item.unit_s for item in fits]))
        note = f"time ended it after {n_trees} rounds" if is_cut else ""
        return dataclasses.replace(done, best_s=best_s, unit_s=unit_s, is_cut=is_cut, note=note)


def scored(
    task: Task,
    candidate: Candidate,
    truth: Array,
    raw: Array,
    size: tuple[int, int],
    seconds: float,
    weight: Array | None = None,
) -> Trial:
    """Return a trial that went through, from what it predicted.

    Parameters
    ----------
    size : trees per class or epochs, and tree nodes
    weight : how much each row counts
    """
    problem, threshold = task.problem, 0.5
    if has_threshold(problem):
        threshold = choose_threshold(truth, raw, problem.metric, weight)
    score = evaluate.score_function(problem, problem.metric, threshold)(truth, raw, weight)
    loss = evaluate.weighted_mean(row_losses(task, truth, raw), weight)
    return Trial(candidate, score, loss, *size, threshold, seconds, truth, raw, weight=weight)


def _restricted(task: Task, trial: Trial, mask: Array) -> Trial:
    """Return a trial that went through, scored by some of the rows that it predicted."""
    weight = None if trial.weight is None else trial.weight[mask]
    size = trial.n_trees, trial.n_nodes
    part = scored(task, trial.candidate, trial.truth[mask], trial.raw[mask], size, trial.seconds, weight)
    names = "best_s", "finished_s", "unit_s", "is_cut", "note", "first_s", "first_loss"
    return dataclasses.replace(part, **{name: getattr(trial, name) for name in names})


def is_hopeless(losses: Array, best: Array, margin: float, weight: Array | None = None) -> bool:
    """Return whether rows' losses are worse than the best's, by more than this share and beyond doubt."""
    difference = losses - best
    mean = evaluate.weighted_mean(difference, weight)
    if weight is None:
        error = float(np.std(difference)) / math.sqrt(len(difference))
    else:
        error = math.sqrt(float(np.sum(np.square(weight * (difference - mean))))) / float(weight.sum())
    return bool(mean > max(margin * evaluate.weighted_mean(best, weight), 2 * error))


def _weight(candidate: Candidate) -> int:
    return ("mlp", "additive", "xgboost", "extra_trees", "linear_learner").index(candidate.model_type)
