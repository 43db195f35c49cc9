"""What of a search fits into its time: folds, rows to learn from, how fast boosting has to learn.

Input: what one boosting round takes on these rows, measured at the beginning, with their classes, their
columns and what else the machine does. Output: `Plan`. Where time is short it is less of everything, in
this order: one fold instead of five; a greater learning rate, which needs fewer rounds; no other fit than
that of the fold; and last fewer rows. Few rows learned to the end are better than many that time leaves two
trees for.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from postgres_ml.fit.candidates import Candidate

# Rounds times learning rate by which boosting has learned what it can: 100 rounds of xgboost's default rate.
# More rows bear more trees: on 800,000 it still gained at twice as many.
LEARNED = 30.0
LEARNED_ROWS = 10_000
USUAL_RATE, FASTEST_RATE = 0.0878, 0.3  # of the first boosted candidate; and of xgboost's own defaults
FIRST_SHARE = 0.6  # of the time, which the first boosted candidate may take with its final fits
MIN_ROWS = 1_000  # that fits learn from, however short the time is
# Of wide tables with few rows, a round's time goes into histograms: with a quarter of xgboost's usual bins
# rounds of 500 columns and 8 classes took a third of the time. They are used below this share of it.
COARSE_BINS, COARSE_SHARE = 64, 0.67


@dataclass(frozen=True)
class Plan:
    """How much every trial does.

    Parameters
    ----------
    n_splits : fits of a trial that goes through
    least_rate : learning rates of boosting are raised to this
    row_share : of the rows of each fold, which fits learn from
    has_final_fit : whether a trial is begun only if there is time for one more fit of its candidate; else the
        fold's fit is as good a one to publish
    is_coarse : whether boosting sorts numbers into fewer bins
    """

    n_splits: int
    least_rate: float = 0.0
    row_share: float = 1.0
    has_final_fit: bool = True
    is_coarse: bool = False

    @property
    def is_hurried(self) -> bool:
        """Whether boosting learns faster than it would, and what is evaluated is published."""
        return self.least_rate > 0

    def adapted(self, candidate: Candidate) -> Candidate:
        """Return the candidate with the learning rate that it has time for; its name tells it."""
        if candidate.model_type != "xgboost":
            return candidate
        if self.is_coarse:
            candidate = coarse(candidate)
        if candidate.parameters["learning_rate"] >= self.least_rate:
            return candidate
        parameters = {**candidate.parameters, "learning_rate": self.least_rate}
        return dataclasses.replace(
            candidate, name=f"{candidate.name} at rate {self.least_rate:g}", parameters=parameters
        )


def coarse(candidate: Candidate) -> Candidate:
    """Return the boosted candidate with fewer bins."""
    return dataclasses.replace(candidate, parameters={**candidate.parameters, "max_bin": COARSE_BINS})


def n_rounds(rate: float, n_rows: float) -> float:
    """Return how many rounds of this learning rate boosting takes on so many rows, about."""
    return LEARNED / rate * (1 + math.log10(max(n_rows / LEARNED_ROWS, 1.0)))


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

    def needed(splits: int, rate: float, more_fits: float) -> float:
        return n_rounds(rate, n_rows) * round_s * (math.ceil(splits / n_threads) + more_fits)

    both, one = final_fits
    if needed(n_splits, USUAL_RATE, both) <= time:
        return Plan(n_splits)
    if needed(1, USUAL_RATE, both) <= time:
        return Plan(1)
    fastest = needed(1, FASTEST_RATE, one)
    if fastest <= time:
        rate = float(np.clip(FASTEST_RATE * fastest / time, USUAL_RATE, FASTEST_RATE))
        return Plan(1, float(f"{rate:.2g}"))
    share = time / needed(1, FASTEST_RATE, 0.0)
    return Plan(1, FASTEST_RATE, min(1.0, max(share, MIN_ROWS / n_rows)), has_final_fit=False)
