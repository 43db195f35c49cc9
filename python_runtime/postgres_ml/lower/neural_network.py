"""MLPClassifier, MLPRegressor and our own networks: dense layers with an activation between them.

Source: sklearn/neural_network/_multilayer_perceptron.py (_forward_pass_fast, _predict), _base.py
(ACTIVATIONS).
Exactness: layers are summed in column order, BLAS sums in an order of its own; tanh, exp and so on differ
by the ulp of the runtime's libm (bound for probabilities: 1e-9; a label can differ only where two of them
are that close).
Refused: several targets, multilabel outputs, single precision.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from postgres_ml.lower.builder import (
    Builder,
    Facts,
    Matrix,
    Scores,
    floats,
    rows,
    several_classes,
    unsupported,
)
from postgres_ml.lower.linear import PROBABILITY, complemented, linear_facts
from postgres_ml.program.program import BinaryLabel, MulticlassLabel, Value
from postgres_ml.program.scorers import Activation, ActivationName, Linear, Link

ACTIVATIONS = ("identity", "relu", "tanh", "logistic", "silu")


def parse_mlp_regressor(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return the last layer's output."""
    outputs = _last_layer(estimator, matrix, builder)
    if len(outputs) > 1:
        raise unsupported(estimator, f"{len(outputs)} targets", "train one model for each")
    if estimator.out_activation_ == "exp":
        return Scores(Value(builder.add(Link(outputs, "exp"))))
    if estimator.out_activation_ != "identity":
        raise unsupported(estimator, f"out_activation_={estimator.out_activation_!r}")
    return Scores(Value(outputs[0]))


def parse_mlp_classifier(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return logistic (two classes: the second where p > 0.5) or softmax probabilities."""
    outputs = _last_layer(estimator, matrix, builder)
    labels = several_classes(estimator)
    if estimator.out_activation_ == "logistic" and len(outputs) == 1:
        positive = builder.add(Link(outputs, "logistic"), PROBABILITY)
        return Scores(BinaryLabel(labels, positive, ">", 0.5, complemented(positive, builder)))
    if estimator.out_activation_ == "softmax" and len(outputs) == len(labels):
        probabilities = builder.add_wide(Link(outputs, "softmax"), PROBABILITY)
        return Scores(MulticlassLabel(labels, probabilities, probabilities))
    raise unsupported(estimator, f"out_activation_={estimator.out_activation_!r} of {len(outputs)} outputs")


def _last_layer(estimator: Any, matrix: Matrix, builder: Builder) -> tuple[int, ...]:
    if estimator.activation not in ACTIVATIONS:
        raise unsupported(estimator, f"activation={estimator.activation!r}", f"use one of {ACTIVATIONS}")
    if matrix.single or any(weights.dtype != np.float64 for weights in estimator.coefs_):
        raise unsupported(estimator, "single-precision weights or columns", "train on float64")
    slots = builder.check(matrix)
    layers = list(zip(estimator.coefs_, estimator.intercepts_, strict=True))
    for number, (weights, intercepts) in enumerate(layers):
        step = Linear(slots, rows(weights.T), floats(intercepts))
        slots = builder.add_wide(step, linear_facts(builder, step))
        if number < len(layers) - 1 and estimator.activation != "identity":
            slots = builder.add_wide(Activation(slots, cast(ActivationName, estimator.activation)), Facts())
    return slots
