"""What a round, an epoch and an iteration take on these rows, measured before the search begins.

A few of them on a part of the rows are enough, and take a few hundredths of the time at most. Input: the
first candidate of each model type. Output: what the budget expects, and the search's `Plan`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from postgres_ml.fit.candidates import Candidate
from postgres_ml.fit.task import Task
from postgres_ml.search.budget import Budget
from postgres_ml.search.encoded_rows import EncodedRows
from postgres_ml.search.fold_fit import fit_split
from postgres_ml.search.folds import LOOK_ROWS, Folds
from postgres_ml.search.plan import Plan
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
    whole = encoded.folds
    few = _some(task, encoded)
    split = few.folds.splits[0]
    n_rows = len(whole.splits[0].train)
    for candidate in {candidate.model_type: candidate for candidate in reversed(candidates)}.values():
        if task.deadline.passed:
            break
        try:
            fitted = fit_split(
                task, candidate, few, split, task.deadline.part(SHARE), limit=UNITS[candidate.model_type]
            )
        except ValueError:  # its trial will say why
            continue
        budget.note_unit(candidate, fitted.unit_s * n_rows / fitted.n_rows)
    found = budget.plan(n_rows)
    if budget.is_short:
        encoded.folds = whole.fewer(found.n_splits, found.row_share, encoded.strata)
        on_progress(_said(found, whole, encoded.folds), None)
    return found


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
    if found.least_rate:
        parts.append(f"learning rates of at least {found.least_rate:g}")
    if found.row_share < 1:
        n, of = len(folds.splits[0].train), len(whole.splits[0].train)
        parts.append(f"candidates learn from {n:,} of {of:,} rows")
    return f"max_runtime is short for these rows: {', '.join(parts)}"
