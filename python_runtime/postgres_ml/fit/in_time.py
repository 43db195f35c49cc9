"""The fits after the search, within what `max_runtime` leaves: for the evaluation, then on all rows.

A fit that time would cut short is worse than one that the search made on a fold: then that one is published.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from sklearn.pipeline import Pipeline

from postgres_ml.fit.choice import Choice
from postgres_ml.fit.fit import fit_pipeline, fold_pipeline
from postgres_ml.fit.task import Deadline, Task
from postgres_ml.process.report import Report
from postgres_ml.snapshot.rows import TrainingRows, spread_part

SCORES_SHARE = 0.15  # of the time left: half a million rows of a network took a tenth of 30 s to score
# Times the evaluation's, which has to be left for a fit on all rows: that takes 1.25 as a rule. Where the
# deadline ends it, nothing is lost but the time, and without it what is published is 1 to 3 % worse.
LEFT_FOR_REFIT = {True: 1.1, False: 1.5}
STOPPED = ("xgboost", "mlp", "additive", "ensemble")
"""Model types that a deadline cuts short; a fit of the others is whole, however late."""


Fit = Callable[[Deadline], Pipeline]
"""Fits what was chosen on rows that are not in memory, until a deadline."""


def fit_to_evaluate(
    task: Task, choice: Choice, training: TrainingRows, report: Report, fit: Fit | None = None
) -> tuple[Choice, Pipeline]:
    """Return a pipeline that never saw the hold-out, and the choice, which says if it is a fold's fit.

    Parameters
    ----------
    fit : where `training` are only some of the rows to learn from
    """
    if not choice.is_fold_fit:
        until = task.deadline.before(choice.lower_s).part(1 - SCORES_SHARE)
        pipeline = (
            fit(until)
            if fit is not None
            else fit_pipeline(task, choice, _some(task, choice, training, report), until)
        )
        kept = choice if choice.fold_fits else choice.instead
        if not (until.passed and kept is not None and choice.candidate.model_type in STOPPED):
            return choice, pipeline
        choice = kept
        reason = f"{choice.reason}; max_runtime ended its fit, so a fold's fit of it is published"
        choice = dataclasses.replace(choice, is_fold_fit=True, reason=reason)
    n_rows = max(fit.n_rows for fit in choice.fold_fits)
    report.note(
        f"max_runtime leaves no time to fit {choice.candidate.shown} again: it is published as the search "
        f"fitted it, on {n_rows:,} of {len(training):,} training rows; raise max_runtime for a better model",
        "warning",
    )
    return choice, fold_pipeline(task, choice, training)


def refit(
    task: Task, choice: Choice, rows: TrainingRows, report: Report, fit: Fit | None = None
) -> Pipeline | None:
    """Return the chosen pipeline fitted on all rows, or None where settings or the time left forbid it.

    Parameters
    ----------
    fit : where `rows` are only some of all
    """
    if not task.spec.settings.refit or choice.is_fold_fit:
        return None
    # all rows take longer than the training rows, and a refit that the deadline cut short would be worse
    until = task.deadline.before(choice.lower_s)
    is_stopped = choice.candidate.model_type in STOPPED
    if until.left < LEFT_FOR_REFIT[is_stopped] * report.seconds["evaluate"]:
        report.note(
            "max_runtime leaves no time to fit again on all rows: the evaluated pipeline is published"
        )
        return None
    pipeline = (
        fit(until)
        if fit is not None
        else fit_pipeline(task, choice, _some(task, choice, rows, report), until)
    )
    if until.passed and is_stopped:
        report.note("max_runtime ended the fit on all rows: the evaluated pipeline is published")
        return None
    return pipeline


def _some(task: Task, choice: Choice, rows: TrainingRows, report: Report) -> TrainingRows:
    """Return the choice's share of the rows, and say so where it isn't all of them."""
    if choice.row_share >= 1:
        return rows
    codes = np.zeros(len(rows), np.int64) if task.problem.is_regression else task.problem.encode(rows.target)
    mask = np.zeros(len(rows), bool)
    mask[spread_part(codes, choice.row_share)] = True
    report.note(
        f"max_runtime is short: the model learns from {mask.sum():,} of {len(rows):,} rows", "warning"
    )
    return rows.take(mask)
