"""The scores of a pipeline on the hold-out, which it never saw, and on rows that it learned from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from postgres_ml.contract.model import Evaluation
from postgres_ml.evaluate import metrics
from postgres_ml.evaluate.champion import Comparison
from postgres_ml.features.problem import Problem
from postgres_ml.snapshot.rows import TrainingRows

TRAIN_SCORED = 100_000  # rows


def evaluate_pipeline(
    problem: Problem,
    pipeline: Any,
    training: TrainingRows,
    holdout: TrainingRows,
    own_metrics: Mapping[str, float],
    comparison: Comparison,
    held: Mapping[str, float] | None = None,
) -> Evaluation:
    """Return the scores of a fitted pipeline.

    Parameters
    ----------
    training, holdout : what it was fitted on, and what it never saw
    own_metrics : returned by the dbt model's own code, beside those that are measured here
    comparison : the serving version on the same hold-out
    held : metrics on the hold-out, where `holdout` are only some of its rows
    """
    if held is None:
        codes = problem.encode(holdout.target)
        held = metrics.evaluate(problem, pipeline, holdout.frame, codes, holdout.weight)
    held = {**held, **own_metrics}
    learned = some_of(problem, training)
    train = metrics.evaluate(problem, pipeline, learned.frame, problem.encode(learned.target), learned.weight)
    return Evaluation(
        metric=problem.metric,
        score=held[problem.metric],
        metrics=held,
        train_metrics=train,
        champion_score=comparison.score,
        champion_note=comparison.note or None,
    )


def some_of(problem: Problem, training: TrainingRows) -> TrainingRows:
    """Return every n-th training row, at most 100,000: scoring all may take longer than fitting.

    Rows come in random order. A clustering is scored on all rows, because inertia is a sum over them.
    """
    if problem.is_clustering:
        return training
    every = -(-len(training) // TRAIN_SCORED)
    return training.take(np.arange(len(training)) % every == 0)
