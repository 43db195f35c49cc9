"""The search for the best candidate, on the training rows (never the hold-out).

Input: the task and the training rows. Output: `Choice`. In the order of the flow: `folds` and
`encoded_rows` prepare the rows, `proposals` (the `portfolio`, then `optuna_sampler`) says what to try,
`runner` tries it, `budget` says for how long, `stacking` adds a network on what they predict, `ensemble` and
`choice` decide.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Sequence

from postgres_ml.contract.exceptions import PostgresMLError
from postgres_ml.fit import configured
from postgres_ml.fit.candidates import Candidate
from postgres_ml.fit.choice import Choice, OutOfFold
from postgres_ml.fit.task import Task
from postgres_ml.fit.trial import Trial
from postgres_ml.search.budget import Budget
from postgres_ml.search.choice import ALIKE, Members, best_of, decide, publishable
from postgres_ml.search.encoded_rows import EncodedRows
from postgres_ml.search.ensemble import MAX_MEMBERS, blend_loss, greedy
from postgres_ml.search.fits import Fits, LocalFits
from postgres_ml.search.portfolio import portfolio
from postgres_ml.search.probe import prepare
from postgres_ml.search.progress import OnProgress, Progress
from postgres_ml.search.proposals import Proposals, with_dear_tables_later
from postgres_ml.search.runner import Runner
from postgres_ml.search.stacking import try_stacked, without_stacks
from postgres_ml.snapshot.rows import TrainingRows

# A linear model within a second; then within a few the better of boosted trees and a network, whose losses
# may differ by a fifth. Where the function will be SQL the second would be additive, and take longer.
FIRST_ROUNDS = {False: (1, 2), True: (1, 1)}
MAX_TRIALS = 400
MUCH = 0.25  # of the time left, for final fits
EXPLAINED = (
    "explain: true: candidates are single models whose rows can be explained exactly: linear models, "
    "additive tables, and boosted trees of a size that the function bears; no neural networks and no blends"
)


def search(task: Task, rows: TrainingRows, on_progress: OnProgress, fits: Fits | None = None) -> Choice:
    """Return the configured candidate, or the best that auto finds in its time.

    Parameters
    ----------
    fits : where candidates are fitted, which is closed at the end; None is in threads of this process
    on_progress : takes a line for people, and the same as fields or None

    Raises
    ------
    SpecError
        A hyperparameter that doesn't exist, or not for this problem type.
    PostgresMLError
        No candidate can be fitted on these rows.
    """
    if not task.spec.auto:
        return Choice(configured.configured_candidate(task.spec, task.problem))
    with contextlib.closing(fits or LocalFits(task.n_threads)) as where:
        return _searched(task, rows, on_progress, where)


def _searched(task: Task, rows: TrainingRows, on_progress: OnProgress, fits: Fits) -> Choice:
    """Return the best that is found in the task's time."""
    encoded = EncodedRows(task, rows)
    splits = encoded.folds.splits
    budget = Budget(task, len(splits), len(rows) / len(splits[0].train), fits.n_at_once)
    candidates = portfolio(task, encoded.codes)
    plan, encoded = prepare(task, encoded, budget, candidates, on_progress)
    if task.spec.explain:
        on_progress(EXPLAINED, None)
    if plan.row_share < 1:
        candidates = portfolio(task, encoded.codes)  # a network's batches follow from the number of rows
    candidates = [plan.adapted(candidate) for candidate in with_dear_tables_later(task, candidates, budget)]
    progress = Progress(task, on_progress)
    runner = Runner(task, encoded, budget, fits, progress.show_first)
    end = _try(task, runner, Proposals(task, candidates, plan), progress, fits.round_size)
    if runner.done and try_stacked(task, runner, on_progress):
        _take_stock(task, runner, progress, 1, 0)
    trials = runner.publishable()
    if not trials:
        return _simplest(candidates, runner.trials, on_progress)
    progress.end(end)
    choice = decide(task, trials, budget.rows_for, runner.kept)
    progress.compare(choice)
    # predictions were needed to compare and to blend; the table of trials does without
    told = tuple(dataclasses.replace(trial, raw=trial.raw[:0]) for trial in runner.trials)

    def complete(one: Choice) -> Choice:
        return dataclasses.replace(
            one,
            trials=told,
            fit_s=budget.fit_s,
            lower_s=budget.best_lower_s,
            out_of_fold=_out_of_fold(one, encoded, len(rows)),
        )

    plain = without_stacks(trials)
    if choice.fold_fits or len(plain) in (0, len(trials)):
        return complete(choice)
    instead = complete(decide(task, plain, budget.rows_for, runner.kept))
    return dataclasses.replace(complete(choice), instead=instead if instead.fold_fits else None)


def _out_of_fold(choice: Choice, encoded: EncodedRows, n_rows: int) -> OutOfFold | None:
    """Return what the choice's trial predicted, by place in the training rows.

    None where trials had a part of the rows, or where a fold's fit is published: it has learned from rows
    that the others predicted.
    """
    if choice.out_of_fold is None or choice.is_fold_fit or len(encoded.codes) != n_rows:
        return None
    return dataclasses.replace(choice.out_of_fold, rows=encoded.folds.predicted)


def _take_stock(task: Task, runner: Runner, progress: Progress, n_new: int, n_more: int) -> None:
    """Note how good the best is by now, forget what can't be published, and say how far the search is.

    Parameters
    ----------
    n_new : trials of the last round
    n_more : trials that are still to come
    """
    best = functools.cache(functools.partial(best_of, task, runner.done))
    members = greedy(task, runner.done, 1 if task.spec.explain else MAX_MEMBERS)
    published = best()[1] if task.spec.explain or task.is_sql else members
    kept_for = _sooner(task, runner, published) if len(published) > 1 else published
    runner.budget.note_best(blend_loss(task, members), n_new, kept_for)
    plain = without_stacks(runner.done)  # a stack has no fold's fit: what is published instead needs its own
    others = greedy(task, plain) if 0 < len(plain) < len(runner.done) else ()
    kept = publishable(task, runner.done, [*members, *published, *others])
    runner.keep([*kept, *publishable(task, runner.late, ())])
    left_s = runner.budget.estimate_left_s(len(runner.trials), n_more)
    progress.show(runner.trials, lambda: best()[0], left_s)


def _sooner(task: Task, runner: Runner, members: Sequence[tuple[Trial, float]]) -> Members:
    """Return the blend that time is kept free for: where its final fits would take much of what is left, one
    of fewer members that is as good but for a trifle, which is chosen if there is no time for the other.
    """
    budget, found, loss = runner.budget, members, blend_loss(task, members)
    if budget.final_s(members) < MUCH * task.deadline.left:
        return members
    for n in range(len(members) - 1, 0, -1):
        fewer = greedy(task, runner.done, n)
        if blend_loss(task, fewer) <= (1 + ALIKE) * loss and budget.final_s(fewer) < budget.final_s(found):
            found = fewer
    return found


def _try(task: Task, runner: Runner, proposals: Proposals, progress: Progress, round_size: int) -> str:
    """Run rounds of trials until something ends them; return what."""
    limit = task.spec.settings.max_trials or MAX_TRIALS
    sizes = iter(FIRST_ROUNDS[task.is_sql])
    while len(runner.trials) < limit:
        size = min(next(sizes, round_size), limit - len(runner.trials))
        if proposals.is_exhausted and not runner.done:
            break
        batch = proposals.next(size, runner.trials, runner.budget)
        if not batch:
            return f"the search reached max_runtime after {_count(runner.trials)}"
        trials = runner.run(batch)
        proposals.learn(trials)
        if runner.done:
            n_more = min(max(proposals.n_left, round_size), limit - len(runner.trials))
            _take_stock(task, runner, progress, len(trials), n_more)
        if runner.budget.has_converged:
            return f"the search converged after {_count(runner.trials)}"
    return f"the search ended after {_count(runner.trials)}"


def _count(trials: Sequence[Trial]) -> str:
    states = [trial.state for trial in trials]
    text = f"{len(states)} candidate" + "s" * (len(states) != 1)
    if "pruned" in states:
        text += f", {states.count('pruned')} of them dropped after the first fold"
    return text


def _simplest(candidates: Sequence[Candidate], trials: Sequence[Trial], on_progress: OnProgress) -> Choice:
    """Return the first candidate, untried, where time was too short for any trial."""
    failed = [trial.note for trial in trials if trial.state == "failed"]
    if failed or not candidates:
        why = "; ".join(dict.fromkeys(failed)) or "no model type is left"
        raise PostgresMLError(f"no candidate can be fitted on these rows: {why}")
    reason = "max_runtime is too short to compare candidates, so the simplest one is fitted"
    on_progress(reason + "; raise max_runtime to get a better model", {"level": "warning"})
    return Choice(candidates[0], n_trees=20 if candidates[0].model_type == "xgboost" else None, reason=reason)


__all__ = ["OnProgress", "Trial", "search"]
