"""Linear models: one weighted sum per output, and its labels.

Source: sklearn/linear_model/_base.py (LinearModel, LinearClassifierMixin), sklearn/linear_model/_logistic.py.
Exactness: scores are summed in column order; scikit-learn calls BLAS, whose order of summation differs and is
not specified (bound: n_features ulps of the greatest term). A label can differ only where the decision is
within that bound of 0.
Refused: several targets; single precision.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from postgres_ml.lower.builder import Builder, Facts, Matrix, Scores, floats, rows, unsupported
from postgres_ml.lower.compose import add_arithmetic
from postgres_ml.program.encoders import Arithmetic, Clip
from postgres_ml.program.program import BinaryLabel, MulticlassLabel, Value
from postgres_ml.program.scorers import Linear, Link

PROBABILITY = Facts(False, 1.0)


def parse_linear_regressor(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return X @ coef + intercept."""
    (slot,) = linear_scores(estimator, matrix, builder)
    return Scores(Value(slot), (slot,))


def parse_linear_classifier(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return the decision function and its labels, without probabilities."""
    decision = linear_scores(estimator, matrix, builder)
    return Scores(label_rule(estimator, decision, ()), decision)


def parse_logistic_regression(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return the decision function with logistic (two classes) or softmax probabilities."""
    decision = linear_scores(estimator, matrix, builder)
    if _is_one_vs_rest(estimator):
        probabilities = one_vs_rest_probabilities(decision, builder)
    elif len(decision) == 1:
        # softmax of (-d, d), which is logistic(2 d)
        doubled = builder.add(Arithmetic(decision[0], "*", 2.0), Facts(False))
        probabilities = complemented(builder.add(Link((doubled,), "logistic"), PROBABILITY), builder)
    else:
        probabilities = builder.add_wide(Link(decision, "softmax"), PROBABILITY)
    return Scores(label_rule(estimator, decision, probabilities), decision)


def parse_sgd_classifier(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return the decision function, with probabilities for log_loss and modified_huber."""
    decision = linear_scores(estimator, matrix, builder)
    probabilities: tuple[int, ...] = ()
    if estimator.loss == "log_loss":
        probabilities = one_vs_rest_probabilities(decision, builder)
    elif estimator.loss == "modified_huber":
        clipped = [builder.add(Clip(slot, -1.0, 1.0), PROBABILITY) for slot in decision]
        raised = [add_arithmetic(builder, slot, "+", 1.0) for slot in clipped]
        halves = tuple(add_arithmetic(builder, slot, "/", 2.0) for slot in raised)
        probabilities = complemented(halves[0], builder)
        if len(halves) > 1:
            probabilities = builder.add_wide(Link(halves, "normalize"), PROBABILITY)
    return Scores(label_rule(estimator, decision, probabilities), decision)


def linear_scores(estimator: Any, matrix: Matrix, builder: Builder) -> tuple[int, ...]:
    """Return the slots of X @ coef_.T + intercept_; columns of zero weight are left out.

    Raises
    ------
    UnsupportedModelError
        The matrix or the coefficients are in single precision, or there are several targets.
    """
    if matrix.single:
        raise unsupported(estimator, "a float32 matrix", "encode with dtype=float64")
    slots = builder.check(matrix)
    coefficients = np.asarray(estimator.coef_)
    if coefficients.dtype != np.float64:
        raise unsupported(estimator, f"coefficients of type {coefficients.dtype}", "train on float64")
    weights = np.atleast_2d(coefficients)
    if not hasattr(estimator, "classes_") and len(weights) > 1:
        raise unsupported(estimator, f"{len(weights)} targets", "train one model for each")
    intercepts = np.broadcast_to(np.atleast_1d(estimator.intercept_), (len(weights),))
    used = np.flatnonzero(np.any(weights != 0, axis=0))
    step = Linear(tuple(slots[i] for i in used), rows(weights[:, used]), floats(intercepts))
    return builder.add_wide(step, linear_facts(builder, step))


def linear_facts(builder: Builder, step: Linear) -> list[Facts]:
    """Return what is known of a linear step's slots; a sum that may overflow may be NaN."""
    known = [builder.facts[slot] for slot in step.slots]
    facts = []
    for weights, intercept in zip(step.weights, step.intercepts, strict=True):
        limit = sum(abs(w) * f.limit for w, f in zip(weights, known, strict=True) if w) + abs(intercept)
        finite = limit < 1e300 and all(f.limit < np.inf for f in known)
        facts.append(Facts(any(f.missing for f in known) or not finite, limit * 1.0001 if finite else np.inf))
    return facts


def label_rule(
    estimator: Any, decision: tuple[int, ...], probabilities: tuple[int, ...]
) -> BinaryLabel | MulticlassLabel:
    """Return scikit-learn's rule: the second class where the decision is > 0, else the greatest decision."""
    labels = tuple(estimator.classes_.tolist())
    if len(labels) == 2:
        return BinaryLabel((labels[0], labels[1]), decision[0], ">", 0.0, probabilities)
    return MulticlassLabel(labels, decision, probabilities)


def complemented(positive: int, builder: Builder) -> tuple[int, int]:
    """Return the slots of 1 - p and p."""
    negative = add_arithmetic(builder, add_arithmetic(builder, positive, "*", -1.0), "+", 1.0)
    return negative, positive


def one_vs_rest_probabilities(decision: tuple[int, ...], builder: Builder) -> tuple[int, ...]:
    """Return logistic probabilities, made to sum to 1 where there are more than two classes."""
    logistic = builder.add_wide(Link(decision, "logistic"), PROBABILITY)
    if len(decision) == 1:
        return complemented(logistic[0], builder)
    return builder.add_wide(Link(logistic, "normalize"), PROBABILITY)


def _is_one_vs_rest(estimator: Any) -> bool:
    """Return whether each class has a logistic model of its own.

    scikit-learn before 1.8 has the parameter `multi_class`; since then two classes are logistic and more
    are softmax, whatever the solver.
    """
    n_classes = len(estimator.classes_)
    choice = getattr(estimator, "multi_class", "auto")
    if choice in ("auto", "deprecated", "warn"):
        return n_classes <= 2 or estimator.solver == "liblinear"
    return bool(choice == "ovr")
