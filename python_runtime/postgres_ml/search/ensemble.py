"""The weighted average of a few trials: Caruana's greedy selection on out-of-fold predictions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from postgres_ml.components.stacking import N_FOLDS
from postgres_ml.evaluate.metrics import weighted_mean
from postgres_ml.fit.candidates import N_NETWORKS, Candidate, Member, reseeded
from postgres_ml.fit.task import Task
from postgres_ml.fit.trial import Trial
from postgres_ml.generate.sql.generate import CHAINED_NODES
from postgres_ml.search.losses import row_losses
from postgres_ml.snapshot.rows import Array

MAX_MEMBERS = 4  # three to sixteen score alike, and each member costs time in every prediction
N_STEPS = 40
MIN_WEIGHT = 0.04
LEAST_GAIN = 1e-12  # relative: less than this are sums in another order, whatever unit the target has
POOL = 16  # the best trials by their own loss; others never got a weight that mattered
# Nodes that a fit on all rows may have for each one of a trial, whose fold had two thirds of the rows.
NODES_PER_NODE = 1.6


def greedy(task: Task, trials: Sequence[Trial], max_members: int = MAX_MEMBERS) -> list[tuple[Trial, float]]:
    """Return members and weights of the average with the least loss, the heaviest first.

    Selection with replacement (Caruana et al. 2004), begun at the best trial; weights sum to 1. No member is
    taken with which the function could not be written.
    """
    trials = bearable(task, trials)
    pool = sorted(trials, key=lambda trial: trial.loss)[:POOL]
    pool += _best_of_other_types(pool, trials)
    if len(pool) < 2:
        return [(trial, 1.0) for trial in pool]
    truth, weight = pool[0].truth, pool[0].weight
    given = np.stack([_column(task, trial) for trial in pool])
    counts = np.zeros(len(pool), np.int64)
    total = np.zeros(given.shape[1])
    best_loss, best_counts = np.inf, counts
    for step in range(1, N_STEPS + 1):
        allowed = _allowed(task, pool, counts, max_members)
        losses = [_loss(task, truth, (total + given[i]) / step, weight) for i in allowed]
        chosen = allowed[int(np.argmin(losses))]
        counts[chosen] += 1
        total += given[chosen]
        if min(losses) < (1 - LEAST_GAIN) * best_loss:
            best_loss, best_counts = min(losses), counts.copy()
    weights = best_counts / best_counts.sum()
    weights = np.where(weights >= MIN_WEIGHT, weights, 0.0)
    weights /= weights.sum()
    order = sorted(np.flatnonzero(weights), key=lambda i: -weights[i])
    return [(pool[i], float(weights[i])) for i in order]


def _allowed(task: Task, pool: Sequence[Trial], counts: Array, max_members: int) -> list[int]:
    """Return the trials of the pool that may be added: members, and others while there is room for them."""
    members = [trial for trial, count in zip(pool, counts, strict=True) if count]
    if len(members) >= max_members:
        return np.flatnonzero(counts).tolist()
    return [i for i, trial in enumerate(pool) if counts[i] or bears(task, [*members, trial])]


def bears(task: Task, trials: Sequence[Trial]) -> bool:
    """Return whether a function of these trials together can be written: SQL's are of limited size."""
    return not task.is_sql or NODES_PER_NODE * sum(trial.n_nodes for trial in trials) <= CHAINED_NODES


def bearable(task: Task, trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials whose functions can be written; the smallest, if that is true of none."""
    found = [trial for trial in trials if bears(task, [trial])]
    return found or sorted(trials, key=lambda trial: trial.n_nodes)[:1]


def n_fits(task: Task, candidate: Candidate) -> int:
    """Return how many estimators are fitted for the candidate on all rows; of a stack with those on folds."""
    if candidate.below:
        return N_NETWORKS + (N_FOLDS + 1) * len(candidate.below)
    return N_NETWORKS if candidate.model_type == "mlp" and not task.is_sql else 1


def final_members(task: Task, members: Sequence[tuple[Trial, float]]) -> tuple[Member, ...]:
    """Return what is fitted on all rows: each network several times, from different seeds.

    A stack's networks learn from the same scores, so they are fitted together (`fit.fit`).
    """
    parts = []
    for trial, weight in members:
        n = 1 if trial.candidate.below else n_fits(task, trial.candidate)
        parts += [
            Member(reseeded(trial.candidate, number), trial.n_trees or None, weight / n)
            for number in range(n)
        ]
    return tuple(parts)


def average(members: Sequence[tuple[Trial, float]]) -> Array:
    """Return the members' averaged predictions."""
    return np.asarray(sum(weight * trial.raw.astype(np.float64) for trial, weight in members))


def _best_of_other_types(pool: list[Trial], trials: Sequence[Trial]) -> list[Trial]:
    """Return the best trial of each model type that the pool hasn't: what errs differently helps most."""
    present = {trial.candidate.model_type for trial in pool}
    others: dict[str, Trial] = {}
    for trial in trials:
        kind = trial.candidate.model_type
        if kind not in present and (kind not in others or trial.loss < others[kind].loss):
            others[kind] = trial
    return list(others.values())


def _column(task: Task, trial: Trial) -> Array:
    """Return what the loss of an average needs: the prediction, or the true class's probability."""
    if task.problem.is_regression:
        return trial.raw.astype(np.float64)
    return trial.raw[np.arange(len(trial.truth)), trial.truth].astype(np.float64)


def _loss(task: Task, truth: Array, column: Array, weight: Array | None) -> float:
    if task.problem.is_regression:
        return weighted_mean(np.square(column - truth), weight)
    return -weighted_mean(np.log(np.maximum(column, 1e-15)), weight)


def blend_loss(task: Task, members: Sequence[tuple[Trial, float]]) -> float:
    """Return the average's loss."""
    first = members[0][0]
    return weighted_mean(row_losses(task, first.truth, average(members)), first.weight)
