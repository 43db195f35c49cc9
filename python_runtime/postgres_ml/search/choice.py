"""Which trial, or which blend of trials, is fitted and published."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

import numpy as np

from postgres_ml.fit.candidates import Candidate, blend_title
from postgres_ml.fit.choice import Choice, KeptFit, OutOfFold
from postgres_ml.fit.task import Task
from postgres_ml.fit.trial import Trial
from postgres_ml.process.progress import figure
from postgres_ml.search.comparison import error_of, score_of, worse_metric
from postgres_ml.search.decision_rule import choose_class_multipliers, tunes_class_multipliers
from postgres_ml.search.ensemble import MAX_MEMBERS, average, bearable, final_members, greedy
from postgres_ml.search.losses import loss_name
from postgres_ml.search.runner import scored
from postgres_ml.search.sql_choice import fast_instead

# Standard errors of the difference by which a blend has to beat the best single candidate, and within which
# the smaller of two candidates is taken. SQL pays for each node and weight in every call.
BLEND_ERRORS = {False: 0.5, True: 2.0}
SMALLER_ERRORS = {False: 0.1, True: 1.0}
# Of the loss: what a fit on all rows gains over a fold's (0.9 to 3 % on nine data sets), so that one which
# is worse by no more than this and can be fitted again is the better one to publish.
REFIT_GAIN = 0.02
# Of the loss: a blend of fewer members that is worse by no more than this is published, and time is kept free
# for it, where there is none for the evaluation and the refit of the better one.
ALIKE = 0.01
N_KEPT = 4  # of the best trials, by loss and by score
Members = Sequence[tuple[Trial, float]]


class RowsFor(Protocol):
    """The share of the rows on which there is time to fit members once more; None where there is none."""

    def __call__(self, members: Members, *, with_refit: bool = False) -> float | None:
        """Return it.

        Parameters
        ----------
        with_refit : whether they shall be evaluated, and then fitted on all rows
        """


def decide(
    task: Task, trials: Sequence[Trial], rows_for: RowsFor, kept: Mapping[str, KeptFit] | None = None
) -> Choice:
    """Return what to publish, of trials that went through.

    What is best is fitted again if there is time, on as many rows as there is time for. If there is none,
    what is nearly as good is fitted, or else the best is published as one of the folds has it.

    Parameters
    ----------
    rows_for : of these members
    kept : fits of single folds, by the candidate's name
    """
    kept = kept or {}
    best, members, reason = best_of(task, trials)
    share, is_kept = rows_for(members), all(trial.candidate.name in kept for trial, _ in members)
    with_refit, cheaper = partial(rows_for, with_refit=True), None
    if with_refit(members) is None:
        cheaper = _cheaper(task, trials, best, with_refit, ALIKE)
    if cheaper is None and share is None:
        cheaper = _cheaper(task, trials, best, rows_for, REFIT_GAIN if is_kept else np.inf)
    if cheaper is not None:
        trial, members, part = cheaper
        return _chosen(task, trial, _instead(task, trial, best), trials, members, part, kept)
    if share is None and is_kept:
        reason += "; max_runtime leaves no time to fit it again, so a fold's fit of it is published"
        choice = _chosen(task, best, reason, trials, members, 1.0, kept)
        return dataclasses.replace(choice, is_fold_fit=True)
    # without a fit that was kept, what the deadline leaves of another one has to do
    return _chosen(task, best, reason, trials, members, share or 1.0, kept)


def best_of(task: Task, trials: Sequence[Trial]) -> tuple[Trial, Members, str]:
    """Return the best candidate or blend to publish, its members, and why it is the best.

    Where the function will be SQL, it may be one that SQL computes faster and that is nearly as good.
    """
    trials = bearable(task, trials)
    best, members, reason = _best_scored(task, trials)
    fast = fast_instead(task, trials, best, members) if task.is_sql else None
    return (best, members, reason) if fast is None else (fast[0], [(fast[0], 1.0)], fast[1])


def _best_scored(task: Task, trials: Sequence[Trial]) -> tuple[Trial, Members, str]:
    """Return the best candidate or blend by score and loss."""
    single, reason = choose(task, trials)
    if single.is_cut:
        reason += f" ({single.note})"
    if task.spec.explain:
        return single, [(single, 1.0)], f"{reason}; no blend, since explain is true"
    members = greedy(task, trials)
    blend, name = blended(task, members), loss_name(task)
    if len(members) > 1:
        if _gains(task, blend, single):
            text = f"a weighted average of {len(members)}: {name} {figure(blend.loss)}, "
            return blend, members, f"{text}the best candidate alone {figure(single.loss)}"
        reason += "; a blend is not better beyond noise"
    elif blend.candidate.below and blend is not single and _gains(task, blend, single):
        # a stack blends by itself, and is judged as a blend
        return blend, members, f"{name} {figure(blend.loss)}, the best other candidate {figure(single.loss)}"
    return single, [(single, 1.0)], reason


def _cheaper(
    task: Task,
    trials: Sequence[Trial],
    best: Trial,
    rows_for: Callable[[Members], float | None],
    margin: float,
) -> tuple[Trial, Members, float] | None:
    """Return the largest blend, or the candidate, that there is time to fit and that is nearly as good.

    Parameters
    ----------
    margin : share of the best's loss by which it may be worse
    """
    possible = [trial for trial in trials if rows_for([(trial, 1.0)]) is not None]
    most = 1 if task.spec.explain else MAX_MEMBERS
    for n in range(most if possible else 0, 0, -1):
        members = greedy(task, possible, n)
        trial = blended(task, members)
        share = rows_for(members)
        if share is not None and trial.loss <= best.loss + margin * best.loss:
            return trial, members, share
    return None


def _instead(task: Task, trial: Trial, best: Trial) -> str:
    """Return the scores of what is published and of what was better, and why."""
    name = loss_name(task)
    return (
        f"{name} {figure(trial.loss)}; max_runtime leaves no time to fit {best.candidate.shown}, "
        f"{name} {figure(best.loss)}, again"
    )


def publishable(task: Task, trials: Sequence[Trial], members: Members) -> list[Trial]:
    """Return the trials that might be published, as the search stands: their fits are worth keeping."""
    by_loss = sorted(trials, key=lambda trial: trial.loss)[:N_KEPT]
    by_score = sorted(trials, key=lambda trial: -trial.score)[:N_KEPT]
    return [*by_loss, *by_score, *(trial for trial, _ in members)]


def blended(task: Task, members: Members) -> Trial:
    """Return the members' average as a trial; of a single member its own."""
    if len(members) == 1:
        return members[0][0]
    name = " + ".join(f"{weight:.2f} {trial.candidate.name}" for trial, weight in members)
    title = blend_title([trial.candidate for trial, _ in members])
    weights = {trial.candidate.name: round(weight, 4) for trial, weight in members}
    size = sum(trial.n_trees for trial, _ in members), sum(trial.n_nodes for trial, _ in members)
    return scored(
        task, Candidate(name, "ensemble", weights, title=title), members[0][0].truth, average(members), size,
        sum(trial.seconds for trial, _ in members), members[0][0].weight,
    )  # fmt: skip


def _chosen(
    task: Task,
    trial: Trial,
    reason: str,
    trials: Sequence[Trial],
    members: Members,
    share: float,
    kept: Mapping[str, KeptFit],
) -> Choice:
    parts = final_members(task, members)
    n_trees = trial.n_trees or None if len(parts) == 1 else None
    choice = Choice(trial.candidate, n_trees, None, tuple(trials), reason, parts if len(parts) > 1 else ())
    if all(member.candidate.name in kept for member, _ in members):
        fits = tuple(
            dataclasses.replace(kept[member.candidate.name], weight=weight) for member, weight in members
        )
        choice = dataclasses.replace(choice, fold_fits=fits)
    choice = dataclasses.replace(choice, row_share=share, loss=trial.loss)
    if task.spec.interval is not None:
        choice = dataclasses.replace(choice, out_of_fold=OutOfFold(np.arange(len(trial.raw)), trial.raw))
    if trial.threshold != 0.5:
        return dataclasses.replace(choice, threshold=trial.threshold)
    if tunes_class_multipliers(task.problem):
        return dataclasses.replace(
            choice, class_multipliers=choose_class_multipliers(trial.truth, trial.raw, trial.weight)
        )
    return choice


def _gains(task: Task, blend: Trial, single: Trial) -> bool:
    """Return whether the blend is better than the single candidate by more than noise."""
    if not task.problem.is_regression and worse_metric(task, blend, single):
        return False
    error = error_of(task, single, blend, loss_name(task))
    return single.loss - blend.loss > BLEND_ERRORS[task.is_sql] * error


def choose(task: Task, trials: Sequence[Trial]) -> tuple[Trial, str]:
    """Return the single candidate to publish, and why.

    The best score by the objective's metric wins. Those within one standard error of the difference are
    its equals: accuracy and f1 count rows, and 40 of 4,000 are luck. Among equals the least loss decides,
    which sees how sure a wrong prediction was; and among equals in that, the fewest nodes.
    """
    metric = task.problem.metric
    best = max(trials, key=lambda trial: trial.score)
    alike = _alike(task, best, trials, metric, 1.0)
    surest = min(alike, key=lambda trial: trial.loss)
    small = _alike(task, surest, alike, loss_name(task), SMALLER_ERRORS[task.is_sql])
    chosen = min(small, key=_cost)
    if chosen is not surest and task.is_sql:
        return chosen, (
            f"as good as {surest.candidate.shown} within noise ({loss_name(task)} {figure(chosen.loss)}, not "
            f"{figure(surest.loss)}), and {_size(chosen)} instead of {_size(surest)}, which SQL computes"
        )
    if chosen is best:
        return chosen, f"best {metric} of {len(trials)} candidates"
    return chosen, f"as good as {best.candidate.shown} within noise, and more certain or smaller"


def _size(trial: Trial) -> str:
    if trial.candidate.model_type == "additive":
        return "tables"
    return f"{trial.n_nodes:,} tree nodes" if trial.n_nodes else f"{_cost(trial):,} weights"


def _cost(trial: Trial) -> int:
    """Return tree nodes, or weights of a network; a linear candidate and tables count nothing."""
    layers: tuple[int, ...] = trial.candidate.parameters.get("hidden_layer_sizes", ())
    return trial.n_nodes + sum(width * width for width in layers)


def _alike(task: Task, best: Trial, trials: Sequence[Trial], metric: str, errors: float) -> list[Trial]:
    alike = [best]
    for trial in trials:
        if trial is not best:
            difference = score_of(task, metric, best) - score_of(task, metric, trial)
            if difference <= errors * error_of(task, best, trial, metric):
                alike.append(trial)
    return alike
