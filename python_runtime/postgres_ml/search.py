"""Fifth step: the candidates' cross-validation on the training rows, and the choice.

Input: the task and the training rows (never the hold-out). Output: `Choice`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from postgres_ml import evaluate, explicit
from postgres_ml.candidates import Candidate, automatic, build_estimator
from postgres_ml.exceptions import PostgresMLError
from postgres_ml.fit import Choice, StopAtDeadline, Task
from postgres_ml.preprocess import linear_columns, tree_columns
from postgres_ml.training_data import Array, TrainingRows, fold_numbers

MAX_TREES = 1_000
N_FOLDS = 5
# Above this, one fold of four tells enough: five cost five times as much, and choose 1 % better at best.
ONE_FOLD_ROWS = 20_000
# The folds' trees saw 80 % (or 75 %) of the rows, and more rows bear more trees: measured on nine data sets,
# a refit with 1.1 times the folds' mean is 0.9 % better than the average of the folds' five estimators.
TREES_PER_FOLD_TREE = 1.1


@dataclass(frozen=True)
class Trial:
    """A candidate's cross-validation.

    Parameters
    ----------
    score : the objective's metric, greater is better (mse negated)
    loss : log_loss, or mse for a regression
    n_trees, n_nodes : the folds' mean, times 1.1; 0 for a linear candidate
    threshold : probability from which class 1 is predicted
    truth : class codes or true values of the rows that were predicted
    raw : their predicted values, or probabilities of shape (n_rows, n_classes)
    """

    candidate: Candidate
    score: float
    loss: float
    n_trees: int
    n_nodes: int
    threshold: float
    seconds: float
    truth: Array
    raw: Array


def search(task: Task, rows: TrainingRows, message: Callable[[str], None]) -> Choice:
    """Return the configured candidate, or the winner of the cross-validation of all that auto compares.

    Raises
    ------
    SpecError
        A hyperparameter that doesn't exist, or not for this problem type.
    PostgresMLError
        `max_runtime` ended before any candidate was through.
    """
    if not task.spec.auto:
        return Choice(explicit.configured(task.spec, task.problem))
    trials: list[Trial] = []
    candidates = automatic(task.spec)
    matrices = Matrices(task, rows)
    for candidate in candidates:
        trial = cross_validate(task, candidate, matrices)
        if trial is not None:
            trials.append(trial)
            message(describe(trial, task.problem.metric))
    if not trials:
        raise PostgresMLError(
            f"max_runtime of {task.deadline.seconds:g} s ended before one candidate was through: raise it"
        )
    if len(trials) < len(candidates):
        message(f"max_runtime ended the search after {len(trials)} of {len(candidates)} candidates")
    best, reason = choose(task, trials)
    threshold = None if best.threshold == 0.5 else best.threshold
    return Choice(best.candidate, best.n_trees or None, threshold, tuple(trials), reason)


def describe(trial: Trial, metric: str) -> str:
    """Return one line about the trial."""
    size = f", {trial.n_trees} trees, {trial.n_nodes:,} nodes" if trial.n_trees else ""
    threshold = f" at threshold {trial.threshold:.3f}" if trial.threshold != 0.5 else ""
    return f"{trial.candidate.name}: {metric} {abs(trial.score):.5g}{threshold}, {trial.seconds:.1f} s{size}"


class Matrices:
    """The training rows as matrices and their folds, made once for all candidates.

    No encoder looks at the target, so that encoders fitted on all training rows tell nothing about a fold's.
    """

    def __init__(self, task: Task, rows: TrainingRows) -> None:
        self.task, self.rows = task, rows
        self.codes = task.problem.encode(rows.target)
        self.folds = self._folds()
        self._matrices: dict[bool, Array] = {}

    def of(self, candidate: Candidate) -> Array:
        """Return the rows as the candidate's estimator takes them, of shape (n_rows, n_encoded)."""
        key = candidate.is_linear
        if key not in self._matrices:
            encoder = (linear_columns if key else tree_columns)(self.task.columns)
            self._matrices[key] = encoder.fit_transform(self.rows.frame)
        return self._matrices[key]

    def _folds(self) -> list[Array]:
        """Return masks of the rows that are predicted."""
        strata = np.zeros(len(self.rows), np.int64) if self.task.problem.is_regression else self.codes
        if len(self.rows) > ONE_FOLD_ROWS:
            return [fold_numbers(self.rows.keys, strata, 4) == 0]
        folds = fold_numbers(self.rows.keys, strata, N_FOLDS)
        return [folds == fold for fold in range(N_FOLDS) if np.any(folds == fold)]


def cross_validate(task: Task, candidate: Candidate, matrices: Matrices) -> Trial | None:
    """Return the candidate's trial, or None if the deadline passed before it was through."""
    started = time.monotonic()
    matrix, codes = matrices.of(candidate), matrices.codes
    raw_parts, sizes = [], []
    for valid in matrices.folds:
        held = matrix[valid], codes[valid]
        estimator = _fit_fold(task, candidate, (matrix[~valid], codes[~valid]), held)
        if task.deadline.passed:
            return None
        raw_parts.append(
            estimator.predict(held[0]) if task.problem.is_regression else estimator.predict_proba(held[0])
        )
        sizes.append((0, 0) if candidate.is_linear else _size(estimator))
    predicted = np.concatenate([np.flatnonzero(valid) for valid in matrices.folds])
    order = np.argsort(predicted)
    truth, raw = codes[predicted[order]], np.concatenate(raw_parts)[order]
    n_trees, n_nodes = (TREES_PER_FOLD_TREE * float(np.mean(size)) for size in zip(*sizes, strict=True))
    return _trial(task, candidate, truth, raw, (math.ceil(n_trees), round(n_nodes)), started)


def _fit_fold(task: Task, candidate: Candidate, train: tuple[Array, Array], held: tuple[Array, Array]) -> Any:
    seed, n_threads = task.spec.settings.seed, task.n_threads
    if candidate.is_linear:
        return build_estimator(candidate, task.problem, seed, n_threads).fit(*train)
    estimator = build_estimator(
        candidate,
        task.problem,
        seed,
        n_threads,
        n_estimators=MAX_TREES,
        early_stopping_rounds=max(20, round(2 / candidate.parameters["learning_rate"])),
        callbacks=[StopAtDeadline(task.deadline)],
    )
    return estimator.fit(*train, eval_set=[held], verbose=False)


def _size(estimator: Any) -> tuple[int, float]:
    """Return the rounds up to the best one, and their nodes."""
    booster = estimator.get_booster()
    n_rounds = int(estimator.best_iteration) + 1
    n_nodes = sum(tree.count("\n") for tree in booster.get_dump())
    return n_rounds, n_nodes * n_rounds / booster.num_boosted_rounds()


def _trial(
    task: Task, candidate: Candidate, truth: Array, raw: Array, size: tuple[int, int], started: float
) -> Trial:
    problem, threshold = task.problem, 0.5
    if problem.metric == "f1":
        threshold = evaluate.choose_threshold(truth, raw)
    return Trial(
        candidate,
        score=evaluate.score_function(problem, problem.metric, threshold)(truth, raw),
        loss=-evaluate.score_function(problem, _loss(task), threshold)(truth, raw),
        n_trees=size[0],
        n_nodes=size[1],
        threshold=threshold,
        seconds=time.monotonic() - started,
        truth=truth,
        raw=raw,
    )


def _loss(task: Task) -> str:
    return "mse" if task.problem.is_regression else "log_loss"


def choose(task: Task, trials: list[Trial]) -> tuple[Trial, str]:
    """Return the trial to publish, and why.

    The best score by the objective's metric wins. Those within one standard error of the difference are
    its equals: accuracy and f1 count rows, and 40 of 4,000 are luck. Among equals the least loss decides,
    which sees how sure a wrong prediction was; and among equals in that, the fewest nodes.
    """
    metric = task.problem.metric
    best = max(trials, key=lambda trial: trial.score)
    alike = _alike(task, best, trials, metric)
    surest = min(alike, key=lambda trial: trial.loss)
    chosen = min(_alike(task, surest, alike, _loss(task)), key=lambda trial: trial.n_nodes)
    if chosen is best:
        return chosen, f"best {metric} of {len(trials)} candidates"
    return chosen, f"as good as {best.candidate.name} within the noise, and surer or smaller"


def _alike(task: Task, best: Trial, trials: list[Trial], metric: str) -> list[Trial]:
    def score(trial: Trial) -> tuple[Callable[[Array, Array], float], Array]:
        return evaluate.score_function(task.problem, metric, trial.threshold), trial.raw

    alike = [best]
    for trial in trials:
        if trial is best:
            continue
        pair = score(best), score(trial)
        (first, first_raw), (second, second_raw) = pair
        difference = first(best.truth, first_raw) - second(best.truth, second_raw)
        if difference <= evaluate.standard_error_of_difference(best.truth, *pair):
            alike.append(trial)
    return alike
