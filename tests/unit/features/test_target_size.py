"""Targets that are too great, too small or too alike for what learns them: a warning or an error, with a cure."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from postgres_ml.contract.exceptions import TrainingDataError
from postgres_ml.features.problem import check_finite, label_values
from postgres_ml.features.target_size import size_notes
from support.training import column, make_spec
from xgboost import XGBRegressor

VALUES = np.linspace(-1, 1, 600)


def notes(scale: float, **changes: Any) -> list[str]:
    return size_notes(make_spec(**changes), column("y", "double precision"), VALUES * scale)


@pytest.mark.parametrize("model_types", [("xgboost",), ("xgboost", "linear_learner", "mlp")])
@pytest.mark.parametrize("scale", [1e-5, 1e-7, 1e-25])
def test_small_targets_of_trees_are_warned_of(scale: float, model_types: tuple[str, ...]) -> None:
    model = XGBRegressor(n_estimators=20).fit(VALUES[:, None], VALUES * scale)
    residual = VALUES * scale - model.predict(VALUES[:, None])
    assert 1 - residual.var() / (VALUES * scale).var() < 0.5, "the library itself learns next to nothing"
    (note,) = notes(scale, model_types=model_types)
    assert note.startswith('column "y", the target: its standard deviation is') and "multiply it" in note


@pytest.mark.parametrize(
    "changes",
    [
        {"model_types": ("linear_learner",)},
        {"model_types": ("xgboost",), "objective": "reg:absoluteerror"},
        {"model_types": ("xgboost",), "objective": "reg:logistic"},
    ],
)
def test_small_targets_of_others_are_not(changes: dict[str, Any]) -> None:
    assert notes(1e-7, **changes) == []


def test_usual_targets_are_not_warned_of() -> None:
    assert notes(1.0) == notes(1e6) == []


@pytest.mark.parametrize("scale", [1e160, 1e300])
def test_targets_whose_squares_overflow_are_refused(scale: float) -> None:
    with pytest.raises(TrainingDataError, match=r'target "y" has values up to .*divide it by a constant'):
        notes(scale, model_types=("linear_learner",))


def test_targets_whose_squares_vanish_are_refused() -> None:
    with pytest.raises(
        TrainingDataError, match=r'target "y" has no value beyond .*multiply it by a constant'
    ):
        notes(1e-200, model_types=("linear_learner",))


def test_an_infinity_beside_exact_labels_is_refused_by_name() -> None:
    given = np.array([Decimal(90071992547409931), Decimal("Infinity"), Decimal(5)], dtype=object)
    with pytest.raises(TrainingDataError, match='target "y" is NaN or infinite in 1 of 3 rows'):
        check_finite(column("y", "numeric"), label_values(given, "numeric"))
