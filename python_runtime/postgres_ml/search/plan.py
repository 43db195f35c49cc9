"""What of a search fits into its time: folds, rows to learn from, how fast boosting has to learn.

Input: what one boosting round takes on these rows, measured at the beginning, with their classes, their
columns and what else the machine does. Output: `Plan`. Where time is short it is less of everything, in this
order: one fold instead of five, a greater learning rate, which needs fewer rounds, and last fewer rows. Few
rows learned to the end are better than many rows that time leaves two trees for.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from postgres_ml.fit.candidates import Candidate

# Rounds times learning rate by which boosting has learned what it can: 100 rounds of xgboost's default rate.
LEARNED = 30.0
USUAL_RATE, FASTEST_RATE = 0.0878, 0.3  # of the first boosted candidate; and of xgboost's own defaults
FIRST_SHARE = 0.6  # of the time, which the first boosted candidate may take with its final fits
MIN_ROWS = 1_000  # that fits learn from, however short the time is


@dataclass(frozen=True)
class Plan:
    """How much every trial does.

    Parameters
    ----------
    n_splits : fits of a trial that goes through
    least_rate : learning rates of boosting are raised to this
    row_share : of the rows of each fold, which fits learn from
    """

    n_splits: int
    least_rate: float = 0.0
    row_share: float = 1.0

    @property
    def is_hurried(self) -> bool:
        """Whether boosting learns faster than it would, and what is evaluated is published."""
        return self.least_rate > 0

    def adapted(self, candidate: Candidate) -> Candidate:
        """Return the candidate with the learning rate that it has time for; its name tells it."""
        rate = candidate.parameters.get("learning_rate", math.inf)
        if candidate.model_type != "xgboost" or rate >= self.least_rate:
            return candidate
        parameters = {**candidate.parameters, "learning_rate": self.least_rate}
        return dataclasses.replace(
            candidate, name=f"{candidate.name} at rate {self.least_rate:g}", parameters=parameters
        )


def n_rounds(rate: float) -> float:
    """Return how many rounds of this learning rate boosting takes, about."""
    return LEARNED / rate


def plan(
    seconds: float,
    round_s: float,
    n_splits: int,
    n_rows: int,
    n_threads: int,
    final_fits: tuple[float, float],
) -> Plan:
    """Return what fits into the time.

    Parameters
    ----------
    seconds : for search, evaluation and refit
    round_s : of a boosting round on one fold's rows, on one core
    n_splits, n_rows : folds, and rows that each of them learns from
    final_fits : what evaluation and refit take, in fits of a fold; and evaluation alone, which has to do
        where boosting is hurried
    """
    time = FIRST_SHARE * max(seconds, 0.0)

    def needed(splits: int, rate: float) -> float:
        fits = final_fits[rate > USUAL_RATE]
        return n_rounds(rate) * round_s * (math.ceil(splits / n_threads) + fits)

    if needed(n_splits, USUAL_RATE) <= time:
        return Plan(n_splits)
    if needed(1, USUAL_RATE) <= time:
        return Plan(1)
    if needed(1, FASTEST_RATE) <= time:
        rate = FASTEST_RATE * needed(1, FASTEST_RATE) / time
        return Plan(1, float(f"{np.clip(rate, USUAL_RATE, FASTEST_RATE):.2g}"))
    share = time / needed(1, FASTEST_RATE)
    return Plan(1, FASTEST_RATE, min(1.0, max(share, MIN_ROWS / n_rows)))
