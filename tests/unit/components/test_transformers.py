"""Our own transformers against pandas, NumPy and scikit-learn."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from postgres_ml.components.transformers import (
    PERIODS,
    DateTimeVectorizer,
    PiecewiseLinear,
    QuantileNormal,
    RobustSmoothClip,
)
from sklearn.base import clone
from sklearn.preprocessing import QuantileTransformer

X = np.column_stack(
    [np.random.default_rng(0).normal(50, 9, size=400), np.random.default_rng(1).integers(0, 3, size=400)]
)


def with_missing() -> np.ndarray:
    holes = X.copy()
    holes[::7, 0] = np.nan
    return holes


@pytest.mark.parametrize("transformer", [RobustSmoothClip(), PiecewiseLinear(5), QuantileNormal(20)])
def test_is_a_scikit_learn_transformer(transformer: Any) -> None:
    fitted = clone(transformer).fit(with_missing())
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.transform(X), fitted.transform(X))
    with pytest.raises(ValueError, match="features"):
        fitted.transform(X[:, :1])
    with pytest.raises(ValueError, match="infinity"):
        fitted.transform(np.full((1, 2), np.inf))


def test_date_parts_are_pandas() -> None:
    frame = pd.DataFrame(
        {
            "a": pd.to_datetime(["2024-02-29 13:45:59.5", None, "1969-12-31 23:59:59.0"]).astype(
                "datetime64[us]"
            ),
            "b": pd.to_datetime(["1900-01-01", "2000-12-31", "2026-06-15"]).astype("datetime64[us]"),
        }
    )
    parts = ("year", "quarter", "month", "day", "weekday", "day_of_year", "hour", "minute", "second")
    found = DateTimeVectorizer(parts).fit(frame).transform(frame)
    expected = [getattr(frame[column].dt, part) for column in frame for part in parts]
    assert np.array_equal(found, np.column_stack(expected).astype(float), equal_nan=True)


def test_epoch_is_exact_to_the_microsecond() -> None:
    frame = pd.DataFrame({"a": pd.to_datetime(["2024-02-29 13:45:59.123457"]).astype("datetime64[us]")})
    assert DateTimeVectorizer(["epoch"]).fit_transform(frame).tolist() == [[1709214359.123457]]


def test_cyclical_parts_come_round() -> None:
    frame = pd.DataFrame({"a": pd.to_datetime(["2024-01-01 00:00", "2024-12-31 23:00"])})
    found = DateTimeVectorizer(list(PERIODS), cyclical=True).fit(frame).transform(frame)
    assert found.shape == (2, 2 * len(PERIODS))
    assert np.allclose(found[:, ::2] ** 2 + found[:, 1::2] ** 2, 1)
    # an hour before midnight is near midnight
    hour = 2 * list(PERIODS).index("hour")
    assert np.linalg.norm(found[0, hour : hour + 2] - found[1, hour : hour + 2]) < 0.3


@pytest.mark.parametrize("parts", [["century"], []])
def test_unknown_part(parts: list[str]) -> None:
    with pytest.raises(ValueError, match="use some of"):
        DateTimeVectorizer(parts).fit(pd.DataFrame({"a": pd.to_datetime(["2024-01-01"])}))


def test_robust_smooth_clip() -> None:
    fitted = RobustSmoothClip().fit(with_missing())
    lower, middle, upper = np.nanquantile(with_missing()[:, 0], [0.25, 0.5, 0.75])
    z = (X[:, 0] - middle) / (upper - lower)
    assert np.allclose(fitted.transform(X)[:, 0], z / np.sqrt(1 + (z / 3) ** 2))
    # a few steps from the middle, the limit is 3
    assert np.allclose(fitted.transform([[1e300, 0.0], [-1e300, 0.0]])[:, 0], [3, -3])
    assert np.isnan(fitted.transform([[np.nan, 0.0]])[0, 0])
    constant = RobustSmoothClip().fit(np.ones((9, 1)))
    assert constant.transform([[1.0], [2.0]]).ravel().tolist() == [0.0, 1 / np.sqrt(1 + 1 / 9)]


def test_piecewise_linear_adds_up_to_the_place_among_the_quantiles() -> None:
    fitted = PiecewiseLinear(4).fit(X[:, :1])
    edges = fitted.edges_[0]
    assert np.allclose(edges, np.quantile(X[:, 0], [0, 0.25, 0.5, 0.75, 1]))
    points = np.array([edges[0] - 5, edges[0], (edges[1] + edges[2]) / 2, edges[4], edges[4] + 5])[:, None]
    assert np.allclose(fitted.transform(points).sum(axis=1), [0, 0, 1.5, 4, 4])
    assert fitted.transform([[np.nan]]).tolist() == [[0, 0, 0, 0]]
    assert PiecewiseLinear(3).fit(np.ones((5, 1))).transform([[1.0]]).shape == (1, 0)


def test_piecewise_linear_merges_equal_quantiles() -> None:
    fitted = PiecewiseLinear(12).fit(X[:, 1:])
    assert fitted.edges_[0].tolist() == sorted(set(fitted.edges_[0].tolist()))
    assert fitted.transform(X[:, 1:]).shape[1] == len(fitted.edges_[0]) - 1


def test_quantile_normal_is_near_scikit_learns() -> None:
    reference = QuantileTransformer(n_quantiles=100, output_distribution="normal").fit(X[:, :1])
    ours = QuantileNormal(100).fit(X[:, :1])
    inner = np.quantile(X[:, 0], np.linspace(0.05, 0.95, 50))[:, None]
    assert np.max(np.abs(ours.transform(inner) - reference.transform(inner))) < 0.01
    assert np.max(np.abs(ours.transform([[-1e9], [1e9]]))) < 3


def test_quantile_normal_of_missing_and_constant_columns() -> None:
    fitted = QuantileNormal(10).fit(np.column_stack([np.ones(9), np.full(9, np.nan)]))
    found = fitted.transform([[1.0, 2.0], [np.nan, np.nan]])
    assert np.array_equal(found, [[0.0, 0.0], [np.nan, np.nan]], equal_nan=True)


def test_parameters_are_checked() -> None:
    with pytest.raises(ValueError, match="n_pieces=0"):
        PiecewiseLinear(0).fit(X)
    with pytest.raises(ValueError, match="n_quantiles=1"):
        QuantileNormal(1).fit(X)
