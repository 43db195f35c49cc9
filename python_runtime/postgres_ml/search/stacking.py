"""A network on the columns and on the best candidates' scores, tried when the search has ended.

Input: trials that went through, whose predictions are out of fold. Output: one more trial among them, if its
blend is better beyond noise.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from postgres_ml.components.stacking import N_FOLDS, mean_and_scale, scores_of
from postgres_ml.contract.config import TrainingSpec
from postgres_ml.fit.candidates import Candidate, Member
from postgres_ml.fit.task import Task
from postgres_ml.fit.trial import Trial
from postgres_ml.process.progress import figure
from postgres_ml.search.choice import best_of
from postgres_ml.search.comparison import error_of, worse_metric
from postgres_ml.search.ensemble import greedy, n_fits
from postgres_ml.search.losses import loss_name
from postgres_ml.search.portfolio import is_wanted
from postgres_ml.search.progress import OnProgress
from postgres_ml.search.runner import Runner

# Of which the best one is below, whatever the blend's members.
KINDS = ("xgboost", "mlp", "linear_learner", "extra_trees")
# Trees of single rows at random thresholds say what rows like this one were: alone they are far from the
# best, and below a network they gain 1 to 2 % (decision 53). Their nodes are limited: the function has them.
FOREST = {"n_estimators": 50, "max_leaf_nodes": 2_000}
# Scores out of fold know a little of each row's target, by the estimators of the others: with 670 rows
# boosted trees on them seemed 3 % better than the blend and were 2 % worse.
MIN_ROWS, MIN_CLASS_ROWS = 1_000, 50
# By which the blend has to be better: on 11 data sets those of more than one standard error were 0.5 to 9 %
# better on test rows as well, the others within 0.3 %.
GAIN_ERRORS = 1.0
NO_GAIN = "a blend with it is not better beyond noise"
ANOTHER = "another stack of the same candidates is better"
TIME_SHARE = 0.8  # of the time left, for its trial and its final fits


def try_stacked(task: Task, runner: Runner, on_progress: OnProgress) -> bool:
    """Add a stacked network's trial to the runner's; return whether a blend with it is better.

    With time for it, and where AUTO compares all that it knows, another one is tried with the scores of a
    forest as well. Of the two the better one stays: they are of the same candidates, and one is computed.
    """
    base = _base(task, runner)
    if base is None or not _has_time(task, runner, base):
        return False
    losses = [_try(task, runner, base, on_progress)]
    if _takes_forest(task, len(runner.trials)) and _has_time(task, runner, base):
        first = runner.trials[-1]
        runner.run([Candidate("extra trees", "extra_trees", FOREST, encoding="codes")])
        if runner.trials[-1].state == "done" and _has_time(task, runner, base):
            losses.append(_try(task, runner, base, on_progress))
            if max(losses) < math.inf:
                worse = runner.trials[-1] if losses[0] <= losses[1] else first
                runner.trials = [_left_out(one, ANOTHER) if one is worse else one for one in runner.trials]
    return min(losses) < math.inf


def _try(task: Task, runner: Runner, base: Trial, on_progress: OnProgress) -> float:
    """Run a stacked trial on all others; return the loss of the best with it, infinite if that is no gain."""
    trials = without_stacks(runner.done)
    plain, _, _ = best_of(task, trials)
    below = _below(task, trials)
    candidate = _stacked(base, below)
    scores = np.hstack([scores_of(t.raw, is_regression=task.problem.is_regression) for t in below])
    center, scale = mean_and_scale(scores)
    runner.encoded.scores[candidate.name] = (scores - center) / scale
    (trial,) = runner.run([candidate])
    runner.late = [late for late in runner.late if late.candidate is not candidate]
    if trial.state != "done":
        return math.inf
    trial = _with_costs(task, trial, candidate, below)
    stacked, _, _ = best_of(task, [*trials, trial])
    gains = _gains(task, stacked, plain)
    runner.trials[-1] = trial if gains else _left_out(trial, NO_GAIN)
    name = loss_name(task)
    on_progress(
        f"{candidate.shown}: {name} {figure(trial.loss)}; the best with it {figure(stacked.loss)}, "
        f"without it {figure(plain.loss)}" + ("" if gains else ": within noise, so it is left out"),
        None,
    )
    return stacked.loss if gains else math.inf


def without_stacks(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials that are no stacks."""
    return [trial for trial in trials if not trial.candidate.below]


def _left_out(trial: Trial, note: str) -> Trial:
    """Return the trial as one that is not published."""
    return dataclasses.replace(trial, state="pruned", raw=trial.raw[:0], note=note)


def _base(task: Task, runner: Runner) -> Trial | None:
    """Return the best network's trial, whose settings the stacked one has; None where none is tried.

    That is: in SQL, which computes networks slowly; where rows count differently, since the scores' folds
    know nothing of that; where time was short; where rows are few, or so many that there is one fold only.
    """
    settings, folds = task.spec.settings, runner.encoded.folds
    n_rows = len(runner.encoded.codes)
    if (
        task.is_sql
        or not is_wanted("mlp", task)
        or runner.encoded.weight is not None
        or runner.budget.is_short
    ):
        return None
    if settings.max_trials and len(runner.trials) >= settings.max_trials:
        return None
    is_whole = len(folds.splits) == N_FOLDS and len(folds.predicted) == n_rows
    if not is_whole or n_rows < MIN_ROWS:
        return None
    if not task.problem.is_regression and np.bincount(runner.encoded.codes).min() < MIN_CLASS_ROWS:
        return None
    networks = [trial for trial in runner.trials if trial.candidate.model_type == "mlp"]
    done = [trial for trial in networks if trial.state == "done"]
    if done:
        return min(done, key=lambda trial: trial.loss)
    # alone none was worth more than the first fold, which says little of one that knows the scores
    dropped = [trial for trial in networks if trial.state == "pruned"]
    if not dropped:
        return None
    best = min(dropped, key=lambda trial: trial.loss)
    return dataclasses.replace(best, best_s=runner.budget.expected_s(best.candidate))


def _takes_forest(task: Task, n_trials: int) -> bool:
    """Return whether trees that no `model_type` names may be below: where AUTO compares all that it knows.

    `max_trials` has to leave room for them and for the stack.
    """
    limit = task.spec.settings.max_trials
    has_room = limit is None or n_trials + 2 <= limit
    return has_room and set(task.spec.model_types) == set(TrainingSpec.model_types)


def _below(task: Task, trials: Sequence[Trial]) -> list[Trial]:
    """Return the members of the best blend, and the best trial of each kind that is not among them."""
    found = [trial for trial, _ in greedy(task, trials)]
    for kind in KINDS:
        of_kind = [trial for trial in trials if trial.candidate.model_type == kind]
        if of_kind and not any(trial.candidate.model_type == kind for trial in found):
            found.append(min(of_kind, key=lambda trial: trial.loss))
    return found


def _with_costs(task: Task, trial: Trial, candidate: Candidate, below: Sequence[Trial]) -> Trial:
    """Return the stacked candidate's trial with the mean seconds of all fits that it is on all rows."""
    n = n_fits(task, candidate)
    n_networks = n - (N_FOLDS + 1) * len(below)
    seconds = n_networks * trial.best_s + (N_FOLDS + 1) * sum(one.best_s for one in below)
    return dataclasses.replace(trial, candidate=candidate, best_s=seconds / n)


def _stacked(base: Trial, below: Sequence[Trial]) -> Candidate:
    """Return the network of these settings that reads these trials' scores as well."""
    return dataclasses.replace(
        base.candidate,
        name=f"{base.candidate.name} on {len(below)} scores",
        below=tuple(Member(trial.candidate, trial.n_trees or None) for trial in below),
    )


def _has_time(task: Task, runner: Runner, base: Trial) -> bool:
    """Return whether its trial, and evaluation and refit after it, are likely to end in time."""
    budget, below = runner.budget, _below(task, without_stacks(runner.done))
    trial = _with_costs(task, base, _stacked(base, below), below)
    left = budget.task.deadline.left
    return budget.share_of(trial.candidate) * left + budget.final_s([(trial, 1.0)]) < TIME_SHARE * left


def _gains(task: Task, stacked: Trial, plain: Trial) -> bool:
    """Return whether the blend with the stacked network is better than the other by more than noise."""
    if not task.problem.is_regression and worse_metric(task, stacked, plain):
        return False
    return plain.loss - stacked.loss > GAIN_ERRORS * error_of(task, plain, stacked, loss_name(task))
