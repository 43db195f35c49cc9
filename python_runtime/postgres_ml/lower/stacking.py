"""Stacking: scores of other estimators as columns.

Source: postgres_ml/components/stacking.py.
Exactness: scores of XGBClassifier, LogisticRegression and our own classifiers are taken before the logistic
or softmax function, so they are as exact as these sums; exponential and logarithm differ by the ulp of the
runtime's libm. Of others they are log-odds of the probabilities.
Refused: classifiers without probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from postgres_ml.components.stacking import FAR, FLOOR, has_margins
from postgres_ml.lower.average import probabilities_of, value_of
from postgres_ml.lower.builder import Builder, Facts, Matrix, Scores, SlotColumn
from postgres_ml.lower.compose import add_arithmetic
from postgres_ml.lower.linear import PROBABILITY, complemented
from postgres_ml.lower.wrappers import inner_scores
from postgres_ml.program.encoders import Clip, Unary
from postgres_ml.program.scorers import Linear, Link


def parse_out_of_fold_scores(transformer: Any, matrix: Matrix, builder: Builder) -> Matrix:
    """Return each estimator's prediction, or its classes' log-odds or logarithms, standardised."""
    slots = [slot for one in transformer.estimators_ for slot in _scores(transformer, one, matrix, builder)]
    columns = []
    for slot, center, scale in zip(slots, transformer.center_, transformer.scale_, strict=True):
        centred = add_arithmetic(builder, slot, "-", center)
        columns.append(SlotColumn(add_arithmetic(builder, centred, "/", scale)))
    return Matrix(tuple(columns))


def _scores(transformer: Any, estimator: Any, matrix: Matrix, builder: Builder) -> Sequence[int]:
    scores = inner_scores(transformer, estimator, matrix, builder)
    if transformer.is_regression:
        return (value_of(transformer, estimator, scores),)
    probabilities = probabilities_of(transformer, estimator, scores, len(estimator.classes_))
    if has_margins(estimator):
        margins = _margins(scores, builder)
        if len(margins) == 1:
            facts = Facts(builder.facts[margins[0]].missing, FAR)
            return (builder.add(Clip(margins[0], -FAR, FAR), facts),)
        probabilities = builder.add_wide(Link(margins, "softmax"), PROBABILITY)
    if len(probabilities) > 2:
        return [_logarithm(builder, _clipped(builder, slot)) for slot in probabilities]
    negative, positive = complemented(_clipped(builder, probabilities[1]), builder)
    logs = _logarithm(builder, positive), _logarithm(builder, negative)
    return (builder.add(Linear(logs, ((1.0, -1.0),), (0.0,)), Facts(False, FAR)),)


def _margins(scores: Scores, builder: Builder) -> tuple[int, ...]:
    """Return the slots that the probabilities are computed from, by a logistic or softmax function."""
    if scores.decision:
        return scores.decision
    link = builder.step_of(scores.output.probabilities[-1])
    assert isinstance(link, Link), "what has margins computes probabilities so"
    return link.slots


def _clipped(builder: Builder, slot: int) -> int:
    return builder.add(Clip(slot, FLOOR, 1 - FLOOR), Facts(builder.facts[slot].missing, 1.0))


def _logarithm(builder: Builder, slot: int) -> int:
    return builder.add(Unary(slot, "log"), Facts(builder.facts[slot].missing, -float(np.log(FLOOR))))
