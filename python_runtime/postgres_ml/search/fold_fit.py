"""One candidate on one split: fitted with early stopping, and its predictions of the rows held out."""

from __future__ import annotations

import functools
import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from postgres_ml.features.preprocess import category_places, feature_types
from postgres_ml.fit.candidates import Candidate, build_estimator
from postgres_ml.fit.stop import LateAt, StopAtDeadline, StopAtSize, forget_clock
from postgres_ml.fit.task import Deadline, Task
from postgres_ml.search.encoded_rows import EncodedRows
from postgres_ml.search.folds import Split
from postgres_ml.snapshot.rows import Array

MAX_ROUNDS = 3_000
# 4 / learning rate: the smaller the steps, the longer a pause between two gains
PATIENCE = 4.0
NETWORK_PATIENCE = 0.3  # of the epochs; the schedule's waves of learning rates are up to half of them long
# Products that a linear fit may take: 20 seconds of one core. lbfgs gets as many iterations as fit into them.
LINEAR_WORK = 2e10
FOLDING = 1.4  # times an additive model's rounds: reading their trees and adding them up takes as long again


@dataclass(frozen=True)
class FoldFit:
    """What one fit gave.

    Parameters
    ----------
    raw : predicted values, or probabilities of shape (n_rows, n_classes), of the split's `valid` rows
    n_rounds : trees per class or epochs up to the best; 0 for linear
    n_nodes : their tree nodes
    seconds : by the clock, on which other processes run as well
    cpu_s : of these, those of the processor: what the same fit takes again
    best_s : of the processor's, those up to the best round: what a fit of that many takes
    unit_s : processor seconds of one round, epoch or iteration
    is_cut : whether time ended it before it was through
    estimator : fitted, without this process's clock
    n_rows : it learned from
    columns, words : the fitted encoding, where it is asked for: as `fit.choice.KeptFit` has it
    """

    raw: Array
    n_rounds: int
    n_nodes: float
    seconds: float
    cpu_s: float
    best_s: float
    unit_s: float = 0.0
    is_cut: bool = False
    estimator: Any = None
    n_rows: int = 0
    columns: Any = None
    words: Any = None


def fit_split(
    task: Task,
    candidate: Candidate,
    encoded: EncodedRows,
    split: Split,
    until: Deadline,
    limit: int | None = None,
) -> FoldFit:
    """Return what the candidate predicts of the split's held-out rows.

    Parameters
    ----------
    until : boosting and epochs end there
    limit : of rounds, epochs or iterations; None leaves it to the candidate

    Raises
    ------
    ValueError
        The candidate can't be fitted on these rows (xgboost's XGBoostError is one).
    """
    started, started_cpu = until.clock(), time.thread_time()
    train, valid = encoded.pair_of(candidate, split)
    codes, held = encoded.codes[split.train], encoded.codes[split.valid]
    more: dict[str, Any] = {}
    fit_options: dict[str, Any] = {}
    if candidate.model_type == "xgboost":
        more = _boosting(task, candidate, until, limit or MAX_ROUNDS)
        fit_options = {"eval_set": [(valid, held)], "verbose": False}
        if encoded.weight is not None:
            fit_options["sample_weight_eval_set"] = [encoded.weight[split.valid]]
    elif candidate.model_type == "mlp":
        more = {"is_late": functools.partial(getattr, until, "passed"), "patience": NETWORK_PATIENCE}
        more["stop_epoch"] = limit
        fit_options = {"validation": (valid, held)}
        if encoded.weight is not None:
            fit_options["validation_weight"] = encoded.weight[split.valid]
    elif candidate.model_type == "additive":
        more = {"categorical": category_places(task.columns), "is_late": LateAt(until)}
        if limit is not None:
            more |= {"max_rounds": limit, "outer_bags": 1}
    elif candidate.is_linear and not task.problem.is_regression:
        n_products = max(1, train.size * (1 if len(task.problem.classes) == 2 else len(task.problem.classes)))
        more = {"max_iter": limit or int(np.clip(LINEAR_WORK / 4 / n_products, 20, 300)), "tol": 1e-3}
    if encoded.weight is not None:
        fit_options["sample_weight"] = encoded.weight[split.train]
    begun = time.thread_time()
    estimator = build_estimator(candidate, task.problem, task.spec.settings.seed, 1, **more)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator.fit(train, codes, **fit_options)
    raw = estimator.predict(valid) if task.problem.is_regression else estimator.predict_proba(valid)
    if not np.all(np.isfinite(raw)):
        raise ValueError("predictions that are not finite")
    inner = estimator.estimator_ if candidate.log_target else estimator
    rounds, n_run, nodes = _size(inner, candidate)
    unit_s, is_cut = _pace(inner, candidate, time.thread_time() - begun)
    forget_clock(estimator)
    if candidate.is_linear:  # as a function it computes in double precision
        inner.coef_, inner.intercept_ = np.float64(inner.coef_), np.float64(inner.intercept_)
    seconds, cpu_s = until.clock() - started, time.thread_time() - started_cpu
    best_s = cpu_s * rounds / n_run if n_run else cpu_s
    return FoldFit(
        raw.astype(np.float32), rounds, nodes, seconds, cpu_s, best_s, unit_s, is_cut, estimator, len(codes)
    )


def _pace(estimator: Any, candidate: Candidate, seconds: float) -> tuple[float, bool]:
    """Return processor seconds of a round, epoch or iteration, and whether time ended the fit too early.

    Parameters
    ----------
    seconds : of the processor, of the whole fit
    """
    if candidate.model_type == "xgboost":
        callback = estimator.callbacks[0]
        gaps = np.diff(callback.times)  # the first round's is not among them: what it prepares is done once
        # where the best round is long ago, the fit was through but for a part of its patience
        n_idle = len(callback.times) - 1 - int(estimator.get_booster().attr("best_iteration") or 0)
        is_cut = callback.is_late and n_idle < estimator.early_stopping_rounds / 2
        return float(np.median(gaps)) if len(gaps) else seconds, is_cut
    if candidate.model_type == "additive":  # it has rounds of each bag, of columns and then of pairs
        gaps = np.diff(estimator.is_late.times)
        return FOLDING * float(np.median(gaps)) if len(gaps) else seconds, estimator.is_late.is_late
    if candidate.model_type == "mlp":
        n_left = (estimator.stop_epoch or estimator.n_epochs) - estimator.n_iter_
        return seconds / estimator.n_iter_, n_left > 0 and bool(estimator.is_late())
    return seconds / max(1, int(np.max(getattr(estimator, "n_iter_", None) or 1))), False


def _boosting(task: Task, candidate: Candidate, until: Deadline, n_rounds: int) -> dict[str, Any]:
    stops = [StopAtDeadline(until), *([StopAtSize()] if task.spec.explain else [])]
    return {
        "n_estimators": min(n_rounds, candidate.parameters.get("n_estimators", n_rounds)),
        "early_stopping_rounds": max(20, round(PATIENCE / candidate.parameters["learning_rate"])),
        "callbacks": stops,
        "enable_categorical": True,
        "feature_types": feature_types(task.columns, task.problem),
    }


def _size(estimator: Any, candidate: Candidate) -> tuple[int, int, float]:
    """Return trees per class or epochs up to the best, how many there were, and tree nodes up to the best."""
    if candidate.model_type == "mlp":
        return int(estimator.best_epoch_), int(estimator.n_iter_), 0.0
    if candidate.model_type == "extra_trees":
        return 0, 0, sum(tree.tree_.node_count for tree in estimator.estimators_)
    if candidate.model_type != "xgboost":
        return 0, 0, 0.0
    booster = estimator.get_booster()
    n_run = booster.num_boosted_rounds()
    best = booster.attr("best_iteration")  # None where the time was over in the first round, before a score
    n_rounds = n_run if best is None else int(best) + 1
    n_nodes = sum(tree.count("\n") for tree in booster[:n_rounds].get_dump())
    return n_rounds, n_run, n_nodes
