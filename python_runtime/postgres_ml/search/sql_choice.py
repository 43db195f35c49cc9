"""Where the function will be SQL: which candidate it computes fast, and what that gives up.

Input: what would be published otherwise. Output: a candidate whose loss is within `settings.sql_tolerance` of
its loss, with the reason in words; None where there is none.

Source: the times of steps are those of generate/sql/cost.py. Of trees a row meets about as many conditions as
a balanced tree of as many leaves is deep; a column of a linear model is an addition or two, one of its pieces
likewise. Measured in SQL, 50 trees of depth 6 (300 conditions) took twice the time of an additive model of 20
columns and 10 pairs, and were still faster than rows fetched, predicted and written back; 100 of them were
not (benchmarks/RESULTS.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from postgres_ml.features.date_columns import n_numbers
from postgres_ml.fit.candidates import Candidate
from postgres_ml.fit.task import Task
from postgres_ml.fit.trial import Trial
from postgres_ml.generate.sql.cost import CALL, LOOKUP, TERM, tree_microseconds
from postgres_ml.process.progress import figure
from postgres_ml.search.comparison import worse_metric
from postgres_ml.search.losses import loss_name
from postgres_ml.search.portfolio import n_outputs

SMALL_CONDITIONS = 300.0
LEAST_GAIN = 1.5  # times as many rows a second: less than this is not worth a worse prediction
PIECES = 12  # of a number in the encoding 'ladder'; others than 'scaled' cost as much
WORDS = 130.0  # microseconds in which SQL splits texts into words, whatever reads them: 7,500 rows a second
Members = Sequence[tuple[Trial, float]]


def fast_instead(
    task: Task, trials: Sequence[Trial], best: Trial, members: Members
) -> tuple[Trial, str] | None:
    """Return the trial to publish instead of the best, and what is given up and won; None for the best.

    Additive and linear models come first, of which the one with the least loss is taken, then small trees.

    Parameters
    ----------
    best : the candidate or blend that is the best by score and loss
    members : of the blend, or the candidate alone
    """
    tolerance, slow = task.spec.settings.sql_tolerance, microseconds(task, members)
    possible = [
        trial
        for trial in trials
        if trial is not best
        and trial.loss <= best.loss * (1 + tolerance)
        and slow >= LEAST_GAIN * microseconds(task, [(trial, 1.0)])
        and not worse_metric(task, trial, best, tolerance)
    ]
    for is_fast in (_is_sum, _is_small):
        found = [trial for trial in possible if is_fast(task, trial)]
        if found:
            chosen = min(found, key=lambda trial: trial.loss)
            return chosen, _traded(task, chosen, best, slow)
    return None


def microseconds(task: Task, members: Members) -> float:
    """Return the time to expect of a row in SQL on one core, to about a factor of two."""
    total = CALL + (WORDS if task.columns.word_columns else 0.0)
    for trial, _ in members:
        candidate = trial.candidate
        if candidate.model_type == "xgboost":
            total += tree_microseconds(conditions(task, trial), trial.n_nodes)
        elif candidate.model_type == "additive":
            n_axes = _n_columns(task) + 2 * candidate.parameters["interactions"]
            total += LOOKUP * n_outputs(task) * n_axes
        else:
            total += TERM * _n_terms(task, candidate)
    return total


def conditions(task: Task, trial: Trial) -> float:
    """Return the conditions of trees that a row meets, about."""
    n_trees = max(trial.n_trees, 1) * n_outputs(task)
    n_leaves = (trial.n_nodes / n_trees + 1) / 2
    return n_trees * math.log2(max(n_leaves, 1.0))


def _is_sum(task: Task, trial: Trial) -> bool:
    candidate = trial.candidate
    # one with bends took 10 microseconds a row on churn_ibm_telco: tables are faster, and come first
    return candidate.model_type == "additive" or (candidate.is_linear and candidate.encoding == "scaled")


def _is_small(task: Task, trial: Trial) -> bool:
    return trial.candidate.model_type == "xgboost" and conditions(task, trial) <= SMALL_CONDITIONS


def _n_columns(task: Task) -> int:
    columns = task.columns
    return n_numbers(columns.numbers, columns.kinds) + len(columns.texts)


def _n_terms(task: Task, candidate: Candidate) -> int:
    """Return the additions of a linear model's row, or the products of a network's."""
    layers: tuple[int, ...] = candidate.parameters.get("hidden_layer_sizes", ())
    width = _n_columns(task) * (1 if candidate.encoding == "scaled" else PIECES)
    products = 0
    for layer in (*layers, n_outputs(task)):
        products, width = products + width * layer, layer
    return 2 * products


def _traded(task: Task, chosen: Trial, best: Trial, slow: float) -> str:
    """Return both losses, the share that is lost of the one, and how much faster SQL will be."""
    lost = chosen.loss / best.loss - 1 if best.loss > 0 else 0.0
    worse = f"{100 * lost:.2g} % worse" if lost > 0 else "no worse"
    faster = slow / microseconds(task, [(chosen, 1.0)])
    return (
        f"{loss_name(task)} {figure(chosen.loss)} instead of {figure(best.loss)} of {best.candidate.shown} "
        f"({worse}, sql_tolerance {100 * task.spec.settings.sql_tolerance:g} %), and by estimate about "
        f"{faster:.2g} times as many rows a second in SQL"
    )
