"""What a round, an epoch and an iteration take on these rows, measured before the search begins.

A few of them on a part of the rows are enough, and take a few hundredths of the time at most. Input: the
first candidate of each model type. Output: what the budget expects, and the search's `Plan`.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from postgres_ml.fit.candidates import Candidate
from postgres_ml.fit.task import Task
from postgres_ml.lower.xgboost_booster import read_booster
from postgres_ml.search.budget import Budget
from postgres_ml.search.encoded_rows import EncodedRows
from postgres_ml.search.fold_fit import fit_split
from postgres_ml.search.folds import LOOK_ROWS, Folds
from postgres_ml.search.plan import COARSE_SHARE, Plan, coarse
from postgres_ml.search.progress import OnProgress
from postgres_ml.snapshot.rows import spread_part

SHARE = 0.02  # of the time left, for each model type
WHOLE_SHARE, WHOLE_ROUNDS = 0.1, 3  # where rows are many, for boosting on all of them
MANY = 4  # times the rows of a look
UNITS = {"xgboost": 6, "mlp": 1, "linear_learner": 5, "additive": 3}


def prepare(
    task: Task,
    encoded: EncodedRows,
    budget: Budget,
    candidates: Sequence[Candidate],
    on_progress: OnProgress,
) -> tuple[Plan, EncodedRows]:
    """Measure, and return a plan and the rows of its folds."""
    whole = encoded.folds
    first = {candidate.model_type: candidate for candidate in reversed(candidates)}
    found = _measured(task, encoded, budget, first)
    budget.adopt(found)
    if not budget.is_short:
        return found, encoded
    folds = whole.fewer(found.n_splits, found.row_share, encoded.strata)
    on_progress(_said(found, whole, folds), None)
    if found.row_share < 1:
        return found, encoded.only(folds)
    encoded.folds = folds
    return found, encoded


def _measured(task: Task, encoded: EncodedRows, budget: Budget, first: Mapping[str, Candidate]) -> Plan:
    """Return the plan that follows from probes of the first candidate of each model type."""
    few, n_rows = _some(task, encoded), len(encoded.folds.splits[0].train)
    units = {}
    for kind, candidate in first.items():
        if not task.deadline.passed and (measured := _unit(task, candidate, few, n_rows, budget)) is not None:
            units[kind] = measured[0]
            budget.note_unit(candidate, *measured)
    found = budget.plan(n_rows)
    if found == Plan(len(encoded.folds.splits)) or task.deadline.passed:
        return found
    boosted = first["xgboost"]
    if n_rows > MANY * LOOK_ROWS:
        # a round of a hundred times the rows takes more than a hundred times as long: they fit no cache
        budget.note_unit(boosted, _whole_unit(task, boosted, encoded))
        return budget.plan(n_rows)
    faster = _unit(task, coarse(boosted), few, n_rows, budget) if found.is_hurried else None
    if faster is not None and faster[0] < COARSE_SHARE * units["xgboost"]:
        budget.note_unit(boosted, *faster)
        return dataclasses.replace(budget.plan(n_rows), is_coarse=True)
    return found


def _unit(
    task: Task, candidate: Candidate, few: EncodedRows, n_rows: int, budget: Budget
) -> tuple[float, float] | None:
    """Return the processor seconds of a round, epoch or iteration, and of the encoding.

    None if it can't be fitted.

    Parameters
    ----------
    n_rows : that the seconds are for
    """
    limit, started = UNITS[candidate.model_type], time.thread_time()
    try:
        few.matrix(candidate.encoding)
        encoding_s = time.thread_time() - started
        fitted = fit_split(task, candidate, few, few.folds.splits[0], task.deadline.part(SHARE), limit=limit)
    except ValueError:  # its trial will say why
        return None
    budget.note_pace(fitted)
    if candidate.model_type == "xgboost":
        budget.note_reading(_reading_s(fitted.estimator))
    if candidate.model_type == "additive":  # bins, and pairs of columns that are compared
        encoding_s += max(fitted.cpu_s - 2 * limit * fitted.unit_s, 0.0)
    return fitted.unit_s * n_rows / fitted.n_rows, encoding_s * n_rows / fitted.n_rows


def _reading_s(estimator: Any) -> float:
    """Return the processor seconds in which lowering reads one tree node of a boosted estimator."""
    booster = getattr(estimator, "estimator_", estimator).get_booster()
    seconds = []
    for _ in range(2):  # the first time takes longer than any other
        started = time.thread_time()
        parts = read_booster(booster, None, in_place=True)
        seconds.append(time.thread_time() - started)
    return min(seconds) / max(1, sum(tree.n_nodes for tree in parts.trees))


def _whole_unit(task: Task, candidate: Candidate, encoded: EncodedRows) -> float:
    """Return the processor seconds of a boosting round on all rows of a fold."""
    whole = encoded.folds.splits[0]
    split = dataclasses.replace(whole, valid=whole.valid[:LOOK_ROWS])
    return fit_split(
        task, candidate, encoded, split, task.deadline.part(WHOLE_SHARE), limit=WHOLE_ROUNDS
    ).unit_s


def _some(task: Task, encoded: EncodedRows) -> EncodedRows:
    """Return some of the rows, encoded by themselves: all of them are encoded only for who is tried."""
    if len(encoded.codes) <= LOOK_ROWS:
        return encoded
    mask = np.zeros(len(encoded.codes), bool)
    mask[spread_part(encoded.strata, LOOK_ROWS / len(mask))] = True
    return EncodedRows(task, encoded.rows.take(mask))


def _said(found: Plan, whole: Folds, folds: Folds) -> str:
    parts = []
    if len(whole.splits) > found.n_splits:
        parts.append(f"{found.n_splits} fold instead of {len(whole.splits)}")
    if found.is_coarse:
        parts.append("fewer bins of numbers")
    if found.least_rate:
        parts.append(f"learning rates of at least {found.least_rate:g}")
    if found.row_share < 1:
        n, of = len(folds.splits[0].train), len(whole.splits[0].train)
        parts.append(f"candidates learn from {n:,} of {of:,} rows")
    return f"max_runtime is short for these rows: {', '.join(parts)}"
