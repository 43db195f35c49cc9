"""An additive model inside another estimator: probabilities are taken where scikit-learn takes them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from postgres_ml.components.additive import AdditiveClassifier
from postgres_ml.lower import parse_pipeline
from postgres_ml.program.interpret import predict_probabilities
from postgres_ml.program.program import Input
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_classification

NAMES = tuple("abcd")


@pytest.mark.parametrize("n_classes", [2, 3])
def test_calibration_reads_probabilities(n_classes: int) -> None:
    x, y = make_classification(300, 4, n_informative=4, n_redundant=0, n_classes=n_classes, random_state=0)
    frame = pd.DataFrame(x, columns=NAMES)
    tables = AdditiveClassifier(outer_bags=2, interactions=1, random_state=0)
    calibrated = CalibratedClassifierCV(tables, cv=2).fit(frame, y)
    inputs = tuple(Input(name, "double precision", "number") for name in NAMES)
    program = parse_pipeline(calibrated, inputs, "integer")
    found = predict_probabilities(program, {name: frame[name].tolist() for name in NAMES})
    np.testing.assert_allclose(found, calibrated.predict_proba(frame), rtol=0, atol=1e-12)
