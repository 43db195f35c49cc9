"""What a round, an epoch and an iteration take on these rows, measured before the search begins.

A few of them on a part of the rows are enough, and take a few hundredths of the time at most. Input: the
first candidate of each model type. Output: what the budget expects, and the search's `Plan`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from postgres_ml.fit.candidates import Candidate
from postgres_ml.fit.task import Task
from postgres_ml.search.budget import Budget
from postgres_ml.search.encoded_rows import EncodedRows
from postgres_ml.search.fold_fit import fit_split
from postgres_ml.search.folds import LOOK_ROWS, Folds
from postgres_ml.search.plan import COARSE_SHARE, Plan, coarse
from postgres_ml.search.progress import OnProgress
from postgres_ml.snapshot.rows import spread_part

SHARE = 0.02  # of the time left, for each model type
UNITS = {"xgboost": 6, "mlp": 1, "linear_learner": 5}


def prepare(
    task: Task,
    encoded: EncodedRows,
    budget: Budget,
    candidates: Sequence[Candidate],
    on_progress: OnProgress,
) -> Plan:
    """Measure, decide on a plan, and make the folds those of the plan."""
    whole, few = encoded.folds, _some(task, encoded)
    n_rows = len(whole.splits[0].train)

    def measured(candidate: Candidate) -> float | None:
        try:
            seconds, n = _unit(task, candidate, few)
        except ValueError:  # its trial will say why
            return None
        return seconds * n_rows / n

    first = {candidate.model_type: candidate for candidate in reversed(candidates)}
    units = {}
    for kind, candidate in first.items():
        unit_s = None if task.deadline.passed else measured(candidate)
        if unit_s is not None:
            units[kind] = unit_s
            budget.note_unit(candidate, unit_s)
    found = budget.plan(n_rows)
    if found.is_hurried:
        faster = coarse(first["xgboost"])
        unit_s = measured(faster)
        if unit_s is not None and unit_s < COARSE_SHARE * units["xgboost"]:
            budget.note_unit(faster, unit_s)
            found = dataclasses.replace(budget.plan(n_rows), is_coarse=True)
    budget.adopt(found)
    if budget.is_short:
        encoded.folds = whole.fewer(found.n_splits, found.row_share, encoded.strata)
        on_progress(_said(found, whole, encoded.folds), None)
    return found


def _unit(task: Task, candidate: Candidate, few: EncodedRows) -> tuple[float, int]:
    """Return the seconds of a round, epoch or iteration, and the number of rows it learned from."""
    limit = UNITS[candidate.model_type]
    fitted = fit_split(task, candidate, few, few.folds.splits[0], task.deadline.part(SHARE), limit=limit)
    return fitted.unit_s, fitted.n_rows


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
