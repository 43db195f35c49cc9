"""The candidates that auto begins with, in the order in which they are tried.

Strong published defaults beat random points in a short budget. Order and values were measured on nine data
sets (docs/training.md). Sources: r89, r33, r40 from AutoGluon's portfolios of 2023 and 2025 (TabRepo,
TabArena); td from pytabkit's tuned defaults (XGB-TD) and the networks from its RealMLP (Holzmüller et al.
2024, "Better by default"). Learning rates below 0.04 were raised: a search of a minute can't pay for them.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from postgres_ml.features.preprocess import TABLES
from postgres_ml.fit.candidates import Candidate
from postgres_ml.fit.task import Task
from postgres_ml.snapshot.rows import Array

R89 = {"learning_rate": 0.0878, "max_depth": 5, "colsample_bytree": 0.663, "min_child_weight": 0.63}
XGBOOST: dict[str, dict[str, Any]] = {
    "r89": {**R89, "subsample": 0.8},
    "reg6": {
        "learning_rate": 0.04, "max_depth": 6, "colsample_bynode": 0.7, "subsample": 0.9, "reg_lambda": 3.0,
    },
    "shallow": {
        "learning_rate": 0.06, "max_depth": 3, "colsample_bytree": 0.6, "subsample": 0.8,
        "min_child_weight": 3.0,
    },
    "r89 sets": {**R89, "max_cat_to_onehot": 4},
    "leaf31": {
        "learning_rate": 0.05, "grow_policy": "lossguide", "max_depth": 0, "max_leaves": 31,
        "colsample_bynode": 0.7, "min_child_weight": 3.0, "subsample": 0.9,
    },
    "r40": {
        "learning_rate": 0.05, "grow_policy": "lossguide", "max_depth": 10, "max_leaves": 35,
        "colsample_bylevel": 0.638, "colsample_bynode": 0.924, "min_child_weight": 0.14, "reg_alpha": 3.5,
        "reg_lambda": 1.3, "subsample": 0.695,
    },
    "r33": {"learning_rate": 0.04, "max_depth": 10, "colsample_bytree": 0.692, "min_child_weight": 0.6},
    "stumps2": {"learning_rate": 0.08, "max_depth": 2, "colsample_bytree": 0.7, "subsample": 0.8},
    "default": {"learning_rate": 0.3, "max_depth": 6},
}  # fmt: skip
# Few trees, for SQL, which pays for each condition of a row: 50 of depth 6 are the most that count as small
# (`sql_choice`). Of sizes of as many conditions they were the best or within 1 % of it on seven of nine data
# sets (decision 48); below 10,000 rows mostly at a learning rate of 0.1, above at 0.2.
SMALL = {"max_depth": 6, "n_estimators": 50, "colsample_bynode": 0.8, "subsample": 0.9}
SMALL_RATE, MANY_ROWS_RATE, MANY_ROWS = 0.1, 0.2, 10_000
LEAST_SMALL = 5  # trees of each class
TD_CLASSES = {
    "learning_rate": 0.08, "max_depth": 6, "min_child_weight": 5e-6, "reg_lambda": 0.0,
    "colsample_bylevel": 0.9, "subsample": 0.65,
}  # fmt: skip
TD_NUMBERS = {
    "learning_rate": 0.05, "max_depth": 9, "min_child_weight": 2.0, "reg_lambda": 0.0, "subsample": 0.7,
}  # fmt: skip
ADDITIVE = {"learning_rate": 0.1, "max_leaves": 3, "interactions": 10, "outer_bags": 5}
ORDER = (
    "linear scaled 1", "xgboost r89", "mlp quantile", "xgboost reg6", "xgboost shallow", "xgboost r89 sets",
    "linear ladder 0.1", "mlp ladder", "xgboost td", "additive", "xgboost leaf31", "mlp smooth",
    "xgboost r40", "linear scaled 0.03", "xgboost r33", "linear ladder 0.01", "xgboost stumps2",
    "mlp ladder wide", "xgboost default",
)  # fmt: skip
"""Model type, then a configuration of it: for linear and mlp the encoding, for linear also 1 / penalty."""
NETWORK_SEEDS = {"mlp quantile": 3, "mlp ladder": 7, "mlp smooth": 11, "mlp ladder wide": 17}
"""Added to the settings' seed, so that another order of candidates changes none of them."""
FAST_IN_SQL = ("additive", "xgboost small")
FOR_SQL = (*ORDER[:2], *FAST_IN_SQL, *(name for name in ORDER[2:] if name not in FAST_IN_SQL))
"""The order where the function will be SQL: what it computes fast comes before the search converges."""
LOG_TWINS = ("linear scaled 1", "xgboost reg6", "mlp quantile", "linear ladder 0.1", "xgboost shallow",
             "mlp ladder", "additive", "xgboost small")  # fmt: skip
WITHOUT_VIEWS = ("linear scaled 1", "mlp quantile", "linear scaled 0.03")
"""Where the preprocessing is configured all encodings are the same: one of each is enough."""
FOR_WORDS = ("linear scaled 10", "linear scaled 3")
"""Tried besides where words are counted, of which each tells little: they bear less of a penalty."""
MODEL_TYPES = {"linear": "linear_learner", "xgboost": "xgboost", "mlp": "mlp", "additive": "additive"}
MAX_LADDER_COLUMNS = 100  # a dozen columns for each number: beyond this the matrix is too wide to pay
MLP_STEPS = 2_000  # of Adam: more of them gained nothing measurable below 20,000 rows
HIDDEN, WIDE = (128, 128), (256, 256)
# SQL computes every multiplication of a row by itself: 1,500 of them, not 19,000
SQL_HIDDEN = (24, 24)


def portfolio(task: Task, target: Array) -> list[Candidate]:
    """Return the candidates for the task, the first of them the quickest.

    Parameters
    ----------
    target : class codes or true values of the training rows
    """
    n_rows, is_regression = len(target), task.problem.is_regression
    log = is_regression and target.min() > 0 and _skewness(target) > 1
    candidates = []
    names = FOR_SQL if task.is_sql else ORDER
    if task.columns.word_columns:
        names = (names[0], *FOR_WORDS, *names[1:])
    for name in names:
        candidate = _candidate(name, task, n_rows, float(target.std()) if is_regression else 1.0)
        if candidate is None:
            continue
        candidates.append(candidate)
        if log and name in LOG_TWINS:
            candidates.append(
                dataclasses.replace(candidate, name=f"{candidate.name} of the logarithm", log_target=True)
            )
    return candidates


def _candidate(name: str, task: Task, n_rows: int, scale: float) -> Candidate | None:
    family, _, variant = name.partition(" ")
    if not is_wanted(MODEL_TYPES[family], task):
        return None
    if family == "additive":
        return None if task.columns.word_columns else Candidate(name, name, dict(ADDITIVE), encoding=TABLES)
    if family == "xgboost":
        parameters = _boosted(variant, task, n_rows)
        if parameters is None:
            return None
        if task.problem.is_regression and "reg_alpha" in parameters:
            # it was tuned on a standardised target, and counts in the target's unit
            parameters = {**parameters, "reg_alpha": parameters["reg_alpha"] * scale}
        return Candidate(name, "xgboost", {"max_cat_to_onehot": 100, **parameters}, encoding="codes")
    encoding, _, rest = variant.partition(" ")
    if task.columns.sets is not None and name not in (*WITHOUT_VIEWS, *FOR_WORDS):
        return None
    if encoding == "ladder" and not 0 < len(task.columns.numbers) <= MAX_LADDER_COLUMNS:
        return None
    if family == "linear":
        strength = float(rest)
        penalty = {"alpha": 1 / strength} if task.problem.is_regression else {"C": strength}
        return Candidate(name, "linear_learner", penalty, encoding=encoding)
    parameters = network(task, n_rows, rest == "wide", NETWORK_SEEDS[name])
    return Candidate(name, "mlp", parameters, encoding=encoding)


def _boosted(variant: str, task: Task, n_rows: int) -> dict[str, Any] | None:
    """Return xgboost's parameters of a variant; None where it is not for these rows."""
    if variant == "r89 sets" and (not task.columns.texts or task.columns.sets is not None):
        return None
    if variant == "td":
        return TD_NUMBERS if task.problem.is_regression else TD_CLASSES
    if variant != "small":
        return XGBOOST[variant]
    n_trees = SMALL["n_estimators"] // n_outputs(task)
    if n_trees < LEAST_SMALL:
        return None
    rate = SMALL_RATE if n_rows < MANY_ROWS else MANY_ROWS_RATE
    return {**SMALL, "learning_rate": rate, "n_estimators": n_trees}


def n_outputs(task: Task) -> int:
    """Return how many scores a row has: one for each of more than two classes."""
    n_classes = len(task.problem.classes)
    return n_classes if n_classes > 2 else 1


def is_wanted(model_type: str, task: Task) -> bool:
    """Return whether candidates of the type are tried.

    Where the function will be SQL, networks are not, unless there would be nothing else; nor where each row
    shall be explained, which a network's scores can't be.
    """
    wanted = task.spec.model_types
    if task.spec.explain and model_type == "mlp":
        return False
    if model_type == "mlp" and task.is_sql and "xgboost" in wanted:
        return False
    return model_type in wanted


def network(task: Task, n_rows: int, wide: bool, seed: int) -> dict[str, Any]:
    """Return a network's parameters; steps and batches follow from the rows alone, never from the clock."""
    regression = task.problem.is_regression
    batch = 64 if n_rows <= 1_000 else 128 if n_rows <= 2_000 else 256 if n_rows <= 8_000 else 512
    n_epochs = int(np.clip(MLP_STEPS * batch / n_rows, 16, 200))
    hidden = SQL_HIDDEN if task.is_sql else WIDE if wide else HIDDEN
    return {
        "hidden_layer_sizes": hidden,
        "learning_rate": 0.05 if regression else 0.015,
        "dropout": 0.1 if regression and not wide else 0.3,
        "weight_decay": 0.02,
        "batch_size": batch,
        "n_epochs": n_epochs,
        "random_state": task.spec.settings.seed + seed,
    }


def _skewness(values: Array) -> float:
    centred = values - values.mean()
    spread = float(np.std(values))
    return float(np.mean(centred**3) / spread**3) if spread > 0 else 0.0
