"""Estimators around one estimator: labels, thresholds, transformed targets, frozen estimators.

Source: sklearn/model_selection/_classification_threshold.py, sklearn/compose/_target.py,
sklearn/frozen/_frozen.py.
Exactness: that of the estimator inside. A TransformedTargetRegressor around xgboost scales back in single
precision, and so does the program (but for numbers below 1e-38 or beyond 3e38); it applies a function in
single precision and the program in double: within 2 ulps of single precision, where the result does not
overflow it.
Refused: a positive label that is not the second in order; target transformers other than
FunctionTransformer, StandardScaler and MinMaxScaler.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from postgres_ml.lower.builder import (
    MAX_FLOAT64,
    Builder,
    Facts,
    Matrix,
    Scores,
    require,
    type_name,
    unsupported,
)
from postgres_ml.lower.compose import add_arithmetic, apply_ufunc
from postgres_ml.program.encoders import Clip
from postgres_ml.program.program import BinaryLabel, MulticlassLabel, Value
from postgres_ml.program.scorers import Linear

UFUNCS = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}


def parse_label_encoded_classifier(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return the inner estimator's scores with the original labels, and the tuned decision rule."""
    scores = inner_scores(estimator, estimator.estimator_, matrix, builder)
    if estimator.threshold is not None:
        scores = dataclasses.replace(scores, output=threshold_rule(estimator, scores, estimator.threshold))
    if estimator.class_multipliers is not None:
        scores = dataclasses.replace(scores, output=_weighted_rule(estimator, scores, builder))
    return relabelled(scores, estimator.classes_.tolist())


def _weighted_rule(estimator: Any, scores: Scores, builder: Builder) -> MulticlassLabel:
    """Return the label rule `greatest P(label) * multiplier`."""
    output = scores.output
    if not isinstance(output, MulticlassLabel) or len(output.probabilities) != len(
        estimator.class_multipliers
    ):
        raise unsupported(
            estimator,
            f"class_multipliers={estimator.class_multipliers!r} without a probability for each class",
        )
    products = tuple(
        add_arithmetic(builder, slot, "*", multiplier)
        for slot, multiplier in zip(output.probabilities, estimator.class_multipliers, strict=True)
    )
    return dataclasses.replace(output, scores=products)


def parse_threshold_classifier(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return the inner estimator's scores with the fixed or tuned threshold of scikit-learn's wrappers."""
    if hasattr(estimator, "best_threshold_"):
        threshold, positive = estimator.best_threshold_, estimator._curve_scorer._get_pos_label()
    else:
        threshold, positive = estimator.threshold, estimator.pos_label
    if positive not in (None, estimator.classes_[1]):
        raise unsupported(estimator, f"pos_label={positive!r}", "make the positive class the second in order")
    scores = inner_scores(estimator, estimator.estimator_, matrix, builder)
    by_probability = bool(scores.output.probabilities)
    if estimator.response_method != "auto":
        by_probability = estimator.response_method == "predict_proba"
    if threshold == "auto":
        threshold = 0.5 if by_probability else 0.0
    if by_probability:
        if scores.at_threshold is not None:
            # xgboost's probabilities are float32: 0.7 is compared as 0.69999999, unless it is a NumPy double
            dtype = np.result_type(np.empty(1, dtype=np.float32), threshold)
            threshold = dtype.type(threshold)
        return dataclasses.replace(scores, output=threshold_rule(estimator, scores, float(threshold)))
    if not isinstance(scores.output, BinaryLabel) or len(scores.decision) != 1:
        raise unsupported(estimator, "a threshold without a decision function of one column")
    output = dataclasses.replace(
        scores.output, score=scores.decision[0], operator=">=", threshold=float(threshold)
    )
    return dataclasses.replace(scores, output=output)


def parse_frozen_estimator(estimator: Any, matrix: Matrix, builder: Builder) -> Matrix | Scores:
    """Return what the estimator inside returns."""
    result: Matrix | Scores = builder.parse(estimator.estimator, matrix)
    return result


def parse_transformed_target_regressor(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return the inner prediction with the target's transformation undone."""
    scores = inner_scores(estimator, estimator.regressor_, matrix, builder)
    if not isinstance(scores.output, Value):
        raise unsupported(estimator, f"regressor={type(estimator.regressor_).__name__}", "use a regressor")
    slot, transformer = scores.output.slot, estimator.transformer_
    kind = type_name(transformer)
    if kind == "sklearn.FunctionTransformer":
        require(transformer, "inv_kw_args", None, {})
        if transformer.validate:
            builder.refuse(slot, missing=True, above=MAX_FLOAT64)
        if transformer.inverse_func is not None:
            slot = apply_ufunc(transformer, transformer.inverse_func, slot, builder)
    elif kind == "sklearn.StandardScaler":
        scaling = [("*", transformer.scale_[0])] if transformer.with_std else []
        slot = _scaled_back(
            estimator,
            builder,
            slot,
            scaling + ([("+", transformer.mean_[0])] if transformer.with_mean else []),
        )
    elif kind == "sklearn.MinMaxScaler":
        slot = _scaled_back(
            estimator, builder, slot, [("-", transformer.min_[0]), ("/", transformer.scale_[0])]
        )
    else:
        raise unsupported(estimator, f"transformer={type(transformer).__name__}", "use func and inverse_func")
    return Scores(Value(slot))


def _scaled_back(estimator: Any, builder: Builder, slot: int, operations: list[tuple[str, float]]) -> int:
    """Return the slot after the operations of the scaler that undo its own."""
    builder.refuse(slot, missing=False, above=MAX_FLOAT64)
    is_single = getattr(builder.step_of(slot), "dtype", "float64") == "float32"
    for operator, number in _in_single(estimator, operations) if is_single else operations:
        slot = add_arithmetic(builder, slot, operator, number)
        if is_single:
            slot = _rounded_to_single(builder, slot)
    return slot


def _in_single(estimator: Any, operations: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """Return the operations with the numbers as the scaler takes them for an array in single precision.

    Some versions of scikit-learn round them to single precision first; it is asked.
    """
    numbers = np.linspace(-3, 3, 101, dtype=np.float32)
    expected = estimator.transformer_.inverse_transform(numbers.reshape(-1, 1)).ravel()
    for dtype in (np.float64, np.float32):
        taken = [(operator, float(dtype(number))) for operator, number in operations]
        found = numbers
        for operator, number in taken:
            found = UFUNCS[operator](found.astype(np.float64), number).astype(np.float32)
        if found.dtype == expected.dtype and np.array_equal(found, expected):
            return taken
    name = type(estimator.transformer_).__name__
    raise unsupported(estimator, f"transformer={name} of numbers in single precision")


def _rounded_to_single(builder: Builder, slot: int) -> int:
    """Return the slot with 24 bits of its 53: c = x (2^29 + 1), then c - (c - x) (Veltkamp 1968).

    Of two numbers that are equally near it may take the other one than IEEE 754 does.
    """
    known = builder.facts[slot]
    multiple = add_arithmetic(builder, slot, "*", 2.0**29 + 1)
    below = builder.add(Linear((multiple, slot), ((1.0, -1.0),), (0.0,)), builder.facts[multiple])
    return builder.add(
        Linear((multiple, below), ((1.0, -1.0),), (0.0,)),
        dataclasses.replace(known, limit=known.limit * (1 + 2.0**-23)),
    )


def parse_log_target_regressor(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return the exponential of the inner prediction, limited and scaled back to the target's logarithm."""
    scores = inner_scores(estimator, estimator.estimator_, matrix, builder)
    if not isinstance(scores.output, Value):
        raise unsupported(estimator, f"{type(estimator.estimator_).__name__} inside", "use a regressor")
    slot = scores.output.slot
    limit = max(abs(estimator.low_), abs(estimator.high_))
    facts = Facts(builder.facts[slot].missing, limit)
    slot = builder.add(Clip(slot, float(estimator.low_), float(estimator.high_)), facts)
    slot = add_arithmetic(builder, slot, "*", estimator.scale_)
    slot = add_arithmetic(builder, slot, "+", estimator.mean_)
    return Scores(Value(apply_ufunc(estimator, np.exp, slot, builder)))


def inner_scores(owner: Any, estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return the scores of an estimator inside another.

    Raises
    ------
    UnsupportedModelError
        It is a transformer, or can't be compiled itself.
    """
    scores = builder.parse(estimator, matrix)
    if not isinstance(scores, Scores):
        raise unsupported(owner, f"{type(estimator).__name__} inside", "use an estimator that predicts")
    return scores


def relabelled(scores: Scores, labels: list[Any]) -> Scores:
    """Return the scores with labels that are positions replaced by what stands at these positions.

    Raises
    ------
    TypeError
        The scores are a regression's or a clustering's, which have no labels to rename.
    """
    output = scores.output
    if isinstance(output, BinaryLabel):
        first, second = (labels[int(code)] for code in output.labels)
        return Scores(dataclasses.replace(output, labels=(first, second)))
    if isinstance(output, MulticlassLabel):
        renamed = tuple(labels[int(code)] for code in output.labels)
        return Scores(dataclasses.replace(output, labels=renamed))
    raise TypeError(f"{type(output).__name__} has no labels to rename")


def threshold_rule(owner: Any, scores: Scores, threshold: float) -> BinaryLabel:
    """Return the label rule `P(second label) >= threshold`.

    Raises
    ------
    UnsupportedModelError
        The scores have other than two labels, or no probabilities.
    """
    output = scores.output
    if scores.at_threshold is not None:
        return scores.at_threshold(threshold)
    if not isinstance(output, BinaryLabel | MulticlassLabel) or len(output.probabilities) != 2:
        raise unsupported(owner, f"threshold={threshold!r} without two probabilities")
    first, second = output.labels
    return BinaryLabel(
        (first, second), output.probabilities[1], ">=", float(np.float64(threshold)), output.probabilities
    )
