"""Additive models: tables of points, added up.

Source: postgres_ml/components/additive.py, whose `scores` is the definition.
Exactness: bit-exact sums of points, in the order of the terms; probabilities within 1e-15.
Refused: nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from postgres_ml.components.additive import Term
from postgres_ml.lower.builder import Builder, Facts, Matrix, Scores, floats, rows
from postgres_ml.lower.linear import PROBABILITY, complemented, label_rule
from postgres_ml.program.program import Value
from postgres_ml.program.scorers import Link, Table, TableSum


def parse_additive_regressor(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return the sum of the tables' points."""
    (slot,) = _scores(estimator, matrix, builder)
    return Scores(Value(slot))


def parse_additive_classifier(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return the sums of the tables' points with logistic (two classes) or softmax probabilities."""
    scores = _scores(estimator, matrix, builder)
    if len(scores) == 1:
        probabilities: tuple[int, ...] = complemented(
            builder.add(Link(scores, "logistic"), PROBABILITY), builder
        )
    else:
        probabilities = builder.add_wide(Link(scores, "softmax"), PROBABILITY)
    return Scores(label_rule(estimator, scores, probabilities))


def _scores(estimator: Any, matrix: Matrix, builder: Builder) -> tuple[int, ...]:
    slots = builder.numbers(matrix)
    step = TableSum(
        tuple(slots[axis.feature] for axis in estimator.axes_),
        tuple(axis.edges for axis in estimator.axes_),
        tuple(Table(term.axes, rows(term.points)) for term in estimator.terms_),
        floats(estimator.intercept_),
    )
    limits = np.abs(estimator.intercept_) + sum((_greatest(term) for term in estimator.terms_), np.zeros(1))
    return builder.add_wide(step, [Facts(False, float(limit) * 1.0001) for limit in limits])


def _greatest(term: Term) -> Any:
    return np.abs(term.points).max(axis=1)
