"""Estimators around estimators: LabelEncodedClassifier.

Exactness: that of the estimator inside.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from postgres_ml.ir.program import BinaryLabel, MulticlassLabel
from postgres_ml.parse.builder import Builder, Matrix, Scores, unsupported


def parse_label_encoded_classifier(estimator: Any, matrix: Matrix, builder: Builder) -> Scores:
    """Return the inner estimator's scores with the original labels, and the tuned threshold if any."""
    scores: Scores = builder.parse(estimator.estimator_, matrix)
    output = scores.output
    if not isinstance(output, BinaryLabel | MulticlassLabel):
        raise unsupported(estimator, f"estimator={type(estimator.estimator_).__name__}", "use a classifier")
    if estimator.threshold is not None:
        output = threshold_rule(estimator, scores, float(estimator.threshold))
    labels = estimator.classes_.tolist()
    renamed = tuple(labels[int(code)] for code in output.labels)
    return dataclasses.replace(scores, output=dataclasses.replace(output, labels=renamed), at_threshold=None)


def threshold_rule(estimator: Any, scores: Scores, threshold: float) -> BinaryLabel:
    """Return the label rule `P(second label) >= threshold`.

    Raises
    ------
    UnsupportedModelError
        The scores have other than two labels, or no probabilities.
    """
    output = scores.output
    if not isinstance(output, BinaryLabel) or not output.probabilities:
        raise unsupported(estimator, f"threshold={threshold!r} without two probabilities")
    if scores.at_threshold is not None:
        return scores.at_threshold(threshold)
    return dataclasses.replace(output, score=output.probabilities[1], operator=">=", threshold=threshold)
