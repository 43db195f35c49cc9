"""Which trial, or which blend of trials, is fitted and published."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from postgres_ml.evaluate import metrics as evaluate
from postgres_ml.fit.candidates import Candidate
from postgres_ml.fit.choice import Choice
from postgres_ml.fit.task import Task
from postgres_ml.fit.trial import Trial
from postgres_ml.search.decision_rule import choose_class_multipliers, tunes_class_multipliers
from postgres_ml.search.ensemble import average, final_members, greedy
from postgres_ml.search.losses import loss_name
from postgres_ml.search.runner import scored
from postgres_ml.snapshot.rows import Array

# Standard errors of the difference by which a blend has to beat the best single candidate, and within which
# the smaller of two candidates is taken. SQL pays for each node and weight in every call.
BLEND_ERRORS = {False: 0.5, True: 2.0}
# By how many its score may be below the single one's, which is the greatest of a dozen and so partly luck: at
# one, a blend on churn_ibm_telco was refused that was better in log loss (0.4190, not 0.4206) for f1 at 1.01.
WORSE_ERRORS = 2.0
SMALLER_ERRORS = {False: 0.1, True: 1.0}


def decide(
    task: Task, trials: Sequence[Trial], affordable: Callable[[Sequence[tuple[Trial, float]]], bool]
) -> Choice:
    """Return what to fit, of trials that went through.

    Parameters
    ----------
    affordable : whether there is time to fit these members
    """
    possible = [trial for trial in trials if affordable([(trial, 1.0)])] or [
        min(trials, key=lambda trial: trial.seconds)
    ]
    single, reason = choose(task, possible)
    members = greedy(task, possible)
    while len(members) > 1 and not affordable(members):
        members = greedy(task, possible, len(members) - 1)
    if len(members) > 1:
        blend = _blend(task, members)
        if _gains(task, blend, single):
            name = loss_name(task)
            reason = (
                f"a weighted average of {len(members)}: {name} {blend.loss:.5g}, "
                f"the best candidate alone {single.loss:.5g}"
            )
            return _chosen(task, blend, reason, trials, members)
        reason += "; a blend is not better beyond noise"
    return _chosen(task, single, reason, trials, [(single, 1.0)])


def _blend(task: Task, members: Sequence[tuple[Trial, float]]) -> Trial:
    name = " + ".join(f"{weight:.2f} {trial.candidate.name}" for trial, weight in members)
    weights = {trial.candidate.name: round(weight, 4) for trial, weight in members}
    size = sum(trial.n_trees for trial, _ in members), sum(trial.n_nodes for trial, _ in members)
    return scored(
        task, Candidate(name, "ensemble", weights), members[0][0].truth, average(members), size,
        sum(trial.seconds for trial, _ in members),
    )  # fmt: skip


def _chosen(
    task: Task,
    trial: Trial,
    reason: str,
    trials: Sequence[Trial],
    members: Sequence[tuple[Trial, float]],
) -> Choice:
    parts = final_members(task, members)
    n_trees = trial.n_trees or None if len(parts) == 1 else None
    choice = Choice(trial.candidate, n_trees, None, tuple(trials), reason, parts if len(parts) > 1 else ())
    if trial.threshold != 0.5:
        return dataclasses.replace(choice, threshold=trial.threshold)
    if tunes_class_multipliers(task.problem):
        return dataclasses.replace(choice, class_multipliers=choose_class_multipliers(trial.truth, trial.raw))
    return choice


def _gains(task: Task, blend: Trial, single: Trial) -> bool:
    """Return whether the blend is better than the single candidate by more than noise."""
    if not task.problem.is_regression and _worse_metric(task, blend, single):
        return False
    error = _error(task, single, blend, loss_name(task))
    return single.loss - blend.loss > BLEND_ERRORS[task.is_sql] * error


def _worse_metric(task: Task, first: Trial, second: Trial) -> bool:
    metric = task.problem.metric
    return second.score - first.score > WORSE_ERRORS * _error(task, first, second, metric)


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
            f"as good as {surest.candidate.name} within noise ({loss_name(task)} {chosen.loss:.5g}, not "
            f"{surest.loss:.5g}), and {_size(chosen)} instead of {_size(surest)}, each of which SQL computes"
        )
    if chosen is best:
        return chosen, f"best {metric} of {len(trials)} candidates"
    return chosen, f"as good as {best.candidate.name} within noise, and more certain or smaller"


def _size(trial: Trial) -> str:
    return f"{trial.n_nodes:,} tree nodes" if trial.n_nodes else f"{_cost(trial):,} weights"


def _cost(trial: Trial) -> int:
    """Return tree nodes, or weights of a network; a linear candidate counts nothing."""
    layers: tuple[int, ...] = trial.candidate.parameters.get("hidden_layer_sizes", ())
    return trial.n_nodes + sum(width * width for width in layers)


def _alike(task: Task, best: Trial, trials: Sequence[Trial], metric: str, errors: float) -> list[Trial]:
    alike = [best]
    for trial in trials:
        if trial is not best:
            difference = _score(task, metric, best) - _score(task, metric, trial)
            if difference <= errors * _error(task, best, trial, metric):
                alike.append(trial)
    return alike


def _function(task: Task, metric: str, trial: Trial) -> Callable[[Array, Array], float]:
    return evaluate.score_function(task.problem, metric, trial.threshold)


def _score(task: Task, metric: str, trial: Trial) -> float:
    return _function(task, metric, trial)(trial.truth, trial.raw)


def _error(task: Task, first: Trial, second: Trial, metric: str) -> float:
    pair = [(_function(task, metric, trial), trial.raw) for trial in (first, second)]
    return evaluate.standard_error_of_difference(first.truth, pair[0], pair[1])
