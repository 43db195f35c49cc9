"""Metrics on a hold-out that is read in parts: predictions of all rows, features of one part at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from postgres_ml.evaluate import metrics
from postgres_ml.features.problem import Problem
from postgres_ml.out_of_core.fit import Rows
from postgres_ml.out_of_core.rows import HOLDOUT
from postgres_ml.process.memory import give_back
from postgres_ml.snapshot.rows import Array


@dataclass(frozen=True)
class _Predicted:
    """What a pipeline has predicted, in the place of the pipeline."""

    labels: Array
    probabilities: Array

    def predict(self, _: Any) -> Array:
        return self.labels

    def predict_proba(self, _: Any) -> Array:
        return self.probabilities


def holdout_metrics(problem: Problem, pipeline: Any, rows: Rows) -> Mapping[str, float]:
    """Return all metrics of a pipeline on the hold-out, whatever its size.

    Single precision holds the probabilities, as xgboost computes them.
    """
    labels, probabilities, targets = [], [], []
    weights: list[Array] = []
    for (found, likely), target, weight in rows.map(partial(predicted, problem, pipeline), (HOLDOUT,)):
        labels.append(found)
        probabilities.append(likely)
        targets.append(target)
        weights += [] if weight is None else [weight]
    give_back()
    weight = np.concatenate(weights) if weights else None
    whole = _Predicted(np.concatenate(labels), np.concatenate(probabilities))
    codes = problem.encode(np.concatenate(targets))
    return metrics.evaluate(problem, whole, pd.DataFrame(), codes, weight)


def predicted(problem: Problem, pipeline: Any, frame: pd.DataFrame) -> tuple[Array, Array]:
    """Return labels and probabilities of a part's rows; values and no probabilities of a regression."""
    labels = np.asarray(pipeline.predict(frame))
    if problem.is_regression:
        return labels, np.empty((len(frame), 0), np.float32)
    return labels, np.asarray(pipeline.predict_proba(frame), np.float32)
