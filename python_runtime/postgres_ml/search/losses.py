"""The loss by which auto compares candidates: one number a row."""

from __future__ import annotations

import numpy as np

from postgres_ml.evaluate import metrics
from postgres_ml.fit.task import Task
from postgres_ml.snapshot.rows import Array


def row_losses(task: Task, truth: Array, raw: Array) -> Array:
    """Return each row's loss, float64: -log of the true class's probability, or the squared error."""
    if task.problem.is_regression:
        return np.asarray(np.square(truth - raw, dtype=np.float64))
    return metrics.row_log_losses(truth, raw)


def loss_name(task: Task) -> str:
    """Return the name of the loss by which auto compares candidates."""
    return "mse" if task.problem.is_regression else "log_loss"
