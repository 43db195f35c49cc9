"""Voting, blending and calibration: averages of several estimators' predictions.

Source: sklearn/ensemble/_voting.py, sklearn/calibration.py (CalibratedClassifierCV, _CalibratedClassifier).
Exactness: members' probabilities are multiplied, added in order and divided as numpy.average does it, so the
average adds no error to that of the members; of xgboost's alone, without weights, NumPy does it in single
precision, so that probabilities are within 1e-7 and a tie may be decided otherwise; calibration by isotonic
regression within 1e-15.
Refused: voting='hard'; members without probabilities; folds in which a class is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from postgres_ml.lower.builder import MAX_FLOAT64, Builder, Facts, Matrix, Scores, floats, unsupported
from postgres_ml.lower.compose import add_arithmetic
from postgres_ml.lower.linear import PROBABILITY, complemented
from postgres_ml.lower.wrappers import inner_scores
from postgres_ml.program.encoders import PiecewiseLinear, Unary
from postgres_ml.program.program import MulticlassLabel, Value
from postgres_ml.program.scorers import Link, WeightedSum


def parse_voting_classifier(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return the members' weighted mean probabilities, and the label of the greatest."""
    if estimator.voting != "soft":
        raise unsupported(estimator, f"voting={estimator.voting!r}", "use voting='soft'")
    labels = tuple(estimator.classes_.tolist())
    groups = [
        probabilities_of(estimator, member, inner_scores(estimator, member, matrix, builder), len(labels))
        for member in estimator.estimators_
    ]
    mean = average(groups, estimator._weights_not_none, builder)
    return Scores(MulticlassLabel(labels, mean, mean))


def parse_voting_regressor(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return the members' weighted mean prediction."""
    return _mean_value(estimator, estimator.estimators_, estimator._weights_not_none, matrix, builder)


def _mean_value(owner: Any, members: Sequence[Any], weights: Any, matrix: Matrix, builder: Builder) -> Scores:
    groups = [(value_of(owner, member, inner_scores(owner, member, matrix, builder)),) for member in members]
    return Scores(Value(average(groups, weights, builder)[0]))


def parse_blended_classifier(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return the members' weighted mean probabilities, and the label of the greatest."""
    labels = tuple(estimator.classes_.tolist())
    groups = [
        probabilities_of(estimator, member, inner_scores(estimator, member, matrix, builder), len(labels))
        for member in estimator.estimators_
    ]
    mean = average(groups, estimator.weights_, builder)
    return Scores(MulticlassLabel(labels, mean, mean))


def parse_blended_regressor(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return the members' weighted mean prediction."""
    return _mean_value(estimator, estimator.estimators_, estimator.weights_, matrix, builder)


def parse_calibrated_classifier(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return the mean of the folds' calibrated probabilities, and the label of the greatest."""
    labels = tuple(estimator.classes_.tolist())
    groups = []
    for member in estimator.calibrated_classifiers_:
        # the member's labels may be positions, so they are counted only
        if len(member.estimator.classes_) != len(labels):
            raise unsupported(estimator, "a fold without one of the classes", "use fewer folds")
        groups.append(_calibrated(estimator, member, matrix, builder))
    mean = average(groups, None, builder)
    return Scores(MulticlassLabel(labels, mean, mean))


def average(groups: Sequence[tuple[int, ...]], weights: Any, builder: Builder) -> tuple[int, ...]:
    """Return the groups' weighted mean, position by position; weights None are all 1."""
    factors = [1.0] * len(groups) if weights is None else [float(weight) for weight in weights]
    limits = [builder.facts[slot].limit for group in groups for slot in group]
    facts = Facts(
        any(builder.facts[s].missing for g in groups for s in g), sum(limits) * max(map(abs, factors))
    )
    total = builder.add_wide(WeightedSum(tuple(groups), tuple(factors)), facts)
    divisor = float(len(groups) if weights is None else np.sum(factors))
    return tuple(add_arithmetic(builder, slot, "/", divisor) for slot in total)


def value_of(owner: Any, member: Any, scores: Scores) -> int:
    """Return the slot of the member's prediction.

    Raises
    ------
    UnsupportedModelError
        It is no regressor.
    """
    if not isinstance(scores.output, Value):
        raise unsupported(owner, f"{type(member).__name__} inside", "use regressors")
    return scores.output.slot


def probabilities_of(owner: Any, member: Any, scores: Scores, n_labels: int) -> tuple[int, ...]:
    """Return the slots of the member's probabilities of all labels.

    Raises
    ------
    UnsupportedModelError
        It has none, or not of all.
    """
    probabilities = scores.output.probabilities
    if len(probabilities) != n_labels:
        raise unsupported(owner, f"{type(member).__name__} inside, which has no probabilities,")
    return probabilities


def _calibrated(owner: Any, member: Any, matrix: Matrix, builder: Builder) -> tuple[int, ...]:
    """Return the slots of one fold's calibrated probabilities."""
    n_labels = len(member.classes)
    scores = inner_scores(owner, member.estimator, matrix, builder)
    # the decision function is preferred; of two probabilities only the second is calibrated
    responses = scores.decision or probabilities_of(owner, member.estimator, scores, n_labels)[-n_labels:]
    if member.method == "temperature":
        return _tempered(member.calibrators[0], scores, responses, builder)
    if n_labels == 2:
        responses = responses[-1:]
    calibrated = tuple(
        _calibrate(owner, calibrator, slot, builder)
        for calibrator, slot in zip(member.calibrators, responses, strict=True)
    )
    if n_labels == 2:
        return complemented(calibrated[0], builder)
    return builder.add_wide(Link(calibrated, "normalize"), PROBABILITY)


def _calibrate(owner: Any, calibrator: Any, slot: int, builder: Builder) -> int:
    kind = type(calibrator).__name__
    if kind == "_SigmoidCalibration":
        scaled = add_arithmetic(builder, slot, "*", float(calibrator.a_))
        negated = add_arithmetic(
            builder, add_arithmetic(builder, scaled, "+", float(calibrator.b_)), "*", -1.0
        )
        return builder.add(Link((negated,), "logistic"), PROBABILITY)
    if kind == "IsotonicRegression" and calibrator.out_of_bounds == "clip":
        builder.refuse(slot, missing=True, above=MAX_FLOAT64)
        x, y = floats(calibrator.X_thresholds_), floats(calibrator.y_thresholds_)
        if len(y) == 1:
            return builder.constant(y[0])
        return builder.add(PiecewiseLinear(slot, x, y), PROBABILITY)
    raise unsupported(owner, f"calibrator {kind}")


def _tempered(
    calibrator: Any, scores: Scores, responses: tuple[int, ...], builder: Builder
) -> tuple[int, ...]:
    """Return softmax(beta * logits); logits are decisions, or logarithms of probabilities."""
    for slot in responses:
        builder.refuse(slot, missing=True, above=MAX_FLOAT64)
    if not scores.decision:
        raised = [add_arithmetic(builder, slot, "+", 1e-12) for slot in responses]
        logits = tuple(builder.add(Unary(slot, "log"), Facts(False, 30.0)) for slot in raised)
    elif len(responses) == 1:
        logits = (add_arithmetic(builder, responses[0], "*", -1.0), responses[0])
    else:
        logits = responses
    scaled = tuple(add_arithmetic(builder, slot, "*", float(calibrator.beta_)) for slot in logits)
    return builder.add_wide(Link(scaled, "softmax"), PROBABILITY)
