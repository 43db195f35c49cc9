"""Numbers that are too great, too small or too alike for what learns them: a warning or an error, with a cure."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from postgres_ml.contract.exceptions import TrainingDataError
from postgres_ml.features.problem import check_finite, label_values
from postgres_ml.features.sizes import feature_notes, size_notes, weight_notes
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


def test_features_that_single_precision_makes_alike_are_warned_of() -> None:
    """Seconds since 1970 of one minute are one number to xgboost, and p-values of 1e-60 are 0."""
    seconds, tiny = 1.7e9 + 16 * VALUES, 1e-60 * VALUES
    for values in (seconds, tiny):
        model = XGBRegressor(n_estimators=20).fit(values[:, None], VALUES)
        assert np.ptp(model.predict(values[:, None])) < 0.5 * np.ptp(VALUES), (
            "the library learns little of it"
        )
    frame = pd.DataFrame({"seconds": seconds, "tiny": tiny, "usual": VALUES, "id": np.arange(600.0)})
    found = feature_notes(frame.assign(empty=np.nan, same=1e9), [*frame, "empty", "same"])
    assert [note.split(":")[0] for note in found] == ['column "seconds"', 'column "tiny"']
    assert "subtract a constant" in found[0] and "take its logarithm" in found[1]


def test_days_written_as_whole_numbers_are_not() -> None:
    days = pd.date_range("2020-01-01", "2024-12-31").strftime("%Y%m%d").astype(float)
    assert feature_notes(pd.DataFrame({"day": days}), ["day"]) == []


def test_weights_that_are_small_beside_penalties_are_warned_of() -> None:
    some, weight = np.full(600, 1 / 600), column("w")
    model = XGBRegressor(n_estimators=20).fit(VALUES[:, None], VALUES, sample_weight=some)
    assert np.ptp(model.predict(VALUES[:, None])) < 0.5, "the library itself learns next to nothing"
    (note,) = weight_notes(weight, some, some)
    assert note.startswith('column "w", the weight, is 1.7e-03') and '"w" / avg("w") over ()' in note
    assert weight_notes(weight, some, some * 600) == []


@pytest.mark.parametrize("scale", [1e200, 1e-60])
def test_weights_that_single_precision_does_not_add_up_are_refused(scale: float) -> None:
    given = np.linspace(1, 2, 600) * scale
    with pytest.raises(TrainingDataError, match=r'column "w", the weight, is from .*divide it by its mean'):
        weight_notes(column("w"), given, given)
