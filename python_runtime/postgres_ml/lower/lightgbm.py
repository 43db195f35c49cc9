"""LGBMClassifier, LGBMRegressor and a LightGBM Booster, read from LightGBM's own text form.

Source: LightGBM src/io/tree.cpp (Tree::Tree(const char*)), include/LightGBM/tree.h (NumericalDecision,
CategoricalDecision), src/boosting/gbdt_prediction.cpp; python-package/lightgbm/sklearn.py (predict).
Exactness: leaves are exact, raw scores equal to the last bit: doubles are compared with doubles and added in
tree order. Values within 1e-35 of zero count as zero, as LightGBM reads them.
Refused: zero_as_missing, linear trees, multiclassova, reg_sqrt, custom objectives.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from postgres_ml.contract.exceptions import UnsupportedModelError
from postgres_ml.lower.builder import Builder, Facts, Matrix, Scores, several_classes, unsupported
from postgres_ml.lower.compose import add_arithmetic
from postgres_ml.lower.linear import PROBABILITY, complemented
from postgres_ml.lower.tree import compact
from postgres_ml.program.program import MulticlassLabel, Value
from postgres_ml.program.scorers import Link, Tree, TreeEnsemble

ZERO = float(np.float32(1e-35))
"""Smaller absolute values are read as 0 (kZeroThreshold)."""
IDENTITY = ("regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank", "rank_xendcg")
EXPONENTIAL = ("poisson", "gamma", "tweedie")
CATEGORICAL_BIT, DEFAULT_LEFT_BIT = 1, 2
MISSING_NONE, MISSING_ZERO = 0, 1


@dataclass(frozen=True)
class ModelText:
    """LightGBM's text form, split into its header and trees.

    Parameters
    ----------
    objective : name, and its parameters ('sigmoid': '1')
    n_outputs : trees of one iteration
    averaged : whether the trees' mean is taken (boosting='rf')
    """

    objective: str
    parameters: dict[str, str]
    n_features: int
    n_outputs: int
    averaged: bool
    trees: tuple[Tree, ...]


def parse_lgbm_regressor(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return the raw score through the objective's link."""
    text = read_model_text(estimator.booster_.model_to_string(num_iteration=_n_rounds(estimator)))
    return Scores(Value(_value(estimator, text, matrix, builder)))


def parse_lgbm_classifier(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return probabilities, and the label of the greatest (two classes: the first where p is 0.5)."""
    text = read_model_text(estimator.booster_.model_to_string(num_iteration=_n_rounds(estimator)))
    return _classes(estimator, text, matrix, builder)


def parse_booster_classifier(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return the booster's probabilities, and the number of the class of the greatest."""
    text = read_model_text(estimator.booster.model_to_string())
    return _classes(estimator, text, matrix, builder)


def parse_booster_regressor(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return what Booster.predict returns, a number."""
    text = read_model_text(estimator.booster.model_to_string())
    return Scores(Value(_value(estimator, text, matrix, builder)))


def _classes(estimator: Any, text: ModelText, matrix: Matrix, builder: Builder) -> Scores:
    labels = several_classes(estimator)
    if text.objective not in ("binary", "multiclass"):
        raise unsupported(estimator, f"objective={text.objective!r}")
    raw = _raw_scores(estimator, text, matrix, builder)
    probabilities: tuple[int, ...]
    if text.objective == "binary":
        probabilities = complemented(_linked(estimator, text, raw, builder), builder)
    else:
        probabilities = builder.add_wide(Link(raw, "softmax"), PROBABILITY)
    # lightgbm 4.7 and newer have it, and scikit-learn's wrappers then prefer it to probabilities
    decision = raw if hasattr(estimator, "decision_function") else ()
    return Scores(MulticlassLabel(labels, probabilities, probabilities), decision)


def parse_lgbm_booster(booster: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return what Booster.predict returns: a number; several classes give the most likely one's number."""
    text = read_model_text(booster.model_to_string())
    if text.objective != "multiclass":
        return Scores(Value(_value(booster, text, matrix, builder)))
    raw = _raw_scores(booster, text, matrix, builder)
    probabilities = builder.add_wide(Link(raw, "softmax"), PROBABILITY)
    return Scores(MulticlassLabel(tuple(range(len(raw))), probabilities, probabilities))


def read_model_text(text: str) -> ModelText:
    """Return the parsed text form of a Booster (`Booster.model_to_string`)."""
    header, *blocks = text.split("\nend of trees")[0].split("\nTree=")
    settings = _settings(header)
    name, *parameters = settings.get("objective", "custom").split()
    n_outputs = int(settings["num_tree_per_iteration"])
    trees = tuple(_parse_tree(_settings(block), number % n_outputs) for number, block in enumerate(blocks))
    return ModelText(
        name,
        {key: value for key, _, value in (parameter.partition(":") for parameter in parameters)},
        int(settings["max_feature_idx"]) + 1,
        n_outputs,
        "average_output" in header.splitlines(),
        trees,
    )


def _n_rounds(estimator: Any) -> int:
    """Return how many iterations `predict` uses: up to the best where training stopped early, else all."""
    return int(estimator.best_iteration_ or -1)


def _raw_scores(owner: Any, text: ModelText, matrix: Matrix, builder: Builder) -> tuple[int, ...]:
    if matrix.sparse or matrix.single:
        raise unsupported(owner, "a sparse or float32 matrix", "make it dense and float64")
    slots = builder.coded(matrix, unseen=np.nan)
    if len(slots) != text.n_features:
        raise unsupported(owner, f"{text.n_features} features for {len(slots)} columns")
    categorical = {
        tree.split_index[n]
        for tree in text.trees
        for n, codes in enumerate(tree.categories)
        if codes is not None
    }
    for feature in sorted(categorical):
        if not builder.facts[slots[feature]].whole:
            detail = f"categorical feature {feature} of a column that may hold fractions"
            raise unsupported(owner, detail, "encode it with an OrdinalEncoder")
    used, trees = compact(slots, text.trees)
    divisor = float(len(trees) // text.n_outputs) if text.averaged else 1.0
    step = TreeEnsemble(used, trees, "<=", "float64", "float64", (0.0,) * text.n_outputs, divisor)
    return builder.add_wide(step, Facts(False))


def _value(owner: Any, text: ModelText, matrix: Matrix, builder: Builder) -> int:
    return _linked(owner, text, _raw_scores(owner, text, matrix, builder), builder)


def _linked(owner: Any, text: ModelText, scores: tuple[int, ...], builder: Builder) -> int:
    """Return the slot of the one prediction that the objective makes of the raw score."""
    if text.n_outputs != 1 or "sqrt" in text.parameters:
        raise unsupported(owner, f"objective={text.objective!r} with {text.parameters}")
    (raw,) = scores
    if text.objective in IDENTITY:
        return raw
    if text.objective in EXPONENTIAL:
        return builder.add(Link((raw,), "exp"), Facts(False))
    if text.objective in ("binary", "cross_entropy"):
        steepness = float(text.parameters.get("sigmoid", "1"))
        return builder.add(Link((add_arithmetic(builder, raw, "*", steepness),), "logistic"), PROBABILITY)
    raise unsupported(owner, f"objective={text.objective!r}")


def _settings(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def _parse_tree(settings: dict[str, str], output: int) -> Tree:
    """Return one tree; inner nodes come first, then the leaves."""
    if settings.get("is_linear", "0") != "0":
        raise UnsupportedModelError("Booster", "linear_tree=True", "use constant leaves")
    leaf_values = [float(value) for value in settings["leaf_value"].split()]
    splits = [int(value) for value in settings.get("split_feature", "").split()]
    if len(leaf_values) == 1:
        splits = []
    n_inner, n_leaves = len(splits), len(leaf_values)
    kinds = [int(value) for value in settings.get("decision_type", "").split()][:n_inner]
    raw = settings.get("threshold", "").split()[:n_inner]
    is_categorical = [bool(kind & CATEGORICAL_BIT) for kind in kinds]
    thresholds = [
        math.nan if chosen else _threshold(float(t)) for t, chosen in zip(raw, is_categorical, strict=True)
    ]
    codes = [
        _codes(settings, int(float(t))) if chosen else None
        for t, chosen in zip(raw, is_categorical, strict=True)
    ]
    left = [_child(text, n_inner) for text in settings.get("left_child", "").split()[:n_inner]]
    right = [_child(text, n_inner) for text in settings.get("right_child", "").split()[:n_inner]]
    default_left = [_default_left(k, t) for k, t in zip(kinds, thresholds, strict=True)]
    none = [-1] * n_leaves
    return Tree(
        (*splits, *none),
        (*thresholds, *[math.nan] * n_leaves),
        (*left, *none),
        (*right, *none),
        (*default_left, *[False] * n_leaves),
        (*[()] * n_inner, *((value,) for value in leaf_values)),
        (output,),
        (*codes, *[None] * n_leaves) if any(is_categorical) else (),
    )


def _child(text: str, n_inner: int) -> int:
    """Return a child's node number; LightGBM numbers leaves ~0, ~1 and so on."""
    number = int(text)
    return number if number >= 0 else n_inner + ~number


def _threshold(value: float) -> float:
    """Return the threshold that treats every value within 1e-35 of zero as it treats zero."""
    if abs(value) > ZERO:
        return value
    return ZERO if value >= 0 else math.nextafter(-ZERO, -math.inf)


def _default_left(kind: int, threshold: float) -> bool:
    """Return whether NaN goes left."""
    if kind & CATEGORICAL_BIT:
        return False
    missing = kind >> 2 & 3
    if missing == MISSING_ZERO:
        raise UnsupportedModelError("Booster", "zero_as_missing=True", "use NULL for missing values")
    # without missing values in training, NaN is read as 0
    return threshold >= 0 if missing == MISSING_NONE else bool(kind & DEFAULT_LEFT_BIT)


def _codes(settings: dict[str, str], number: int) -> tuple[int, ...]:
    """Return the categories that go left: the set bits of 32-bit words."""
    bounds = [int(value) for value in settings["cat_boundaries"].split()]
    words = [int(value) for value in settings["cat_threshold"].split()][bounds[number] : bounds[number + 1]]
    return tuple(32 * i + bit for i, word in enumerate(words) for bit in range(32) if word >> bit & 1)
