"""Statistics of the training: shares that add up, bins as Postgres's width_bucket counts them."""

import bisect

import numpy as np
import pandas as pd
import pytest
from postgres_ml.evaluate.drift_reference import (
    MAX_CATEGORIES,
    of_categories,
    of_numbers,
    training_statistics,
)
from support.training import column


def test_shares_are_those_of_width_bucket():
    values = np.array([1.0, 1.0, 2.0, 5.0, np.nan, 7.0, np.inf, -3.0])
    found = of_numbers(values)
    expected = dict.fromkeys(found["shares"], 0.0)
    for value in values:
        bin_ = bisect.bisect_right(found["edges"], value) if np.isfinite(value) else -1
        expected[str(bin_)] += 1 / len(values)
    assert found["shares"] == pytest.approx(expected)
    assert set(found["groups"]) == set(found["shares"])


def test_ten_groups_of_about_a_tenth():
    found = of_numbers(np.random.default_rng(0).normal(size=5000))
    totals = pd.Series({k: v for k, v in found["shares"].items() if k != "-1"}).groupby(found["groups"]).sum()
    assert len(totals) == 10
    assert totals.between(0.085, 0.115).all()


@pytest.mark.parametrize("values", [np.array([]), np.array([np.nan, np.nan]), np.full(9, 4.0)])
def test_columns_without_spread(values):
    found = of_numbers(values)
    assert len(found["edges"]) == 2 * bool(np.isfinite(values).any()), "the value, and what is above it"
    assert sum(found["shares"].values()) == pytest.approx(1.0)


def test_categories_beyond_the_most_frequent_are_one():
    found = of_categories(
        pd.Series([f"c{i}" for i in range(MAX_CATEGORIES + 7)] + ["c0", None], dtype=object)
    )
    assert found["categories"][0] == "c0"
    assert len(found["categories"]) == MAX_CATEGORIES
    assert found["shares"]["0"] == pytest.approx(7 / (MAX_CATEGORIES + 9))
    assert sum(found["shares"].values()) == pytest.approx(1.0)


def test_booleans_and_labels_are_written_as_postgres_writes_them():
    features = (column("vip", "boolean"), column("plan", "text"))
    frame = pd.DataFrame({"vip": [1.0, 0.0, np.nan], "plan": pd.Series(["a", None, "a"], dtype=object)})
    found = training_statistics(features, frame, np.array([True, False, True]))
    assert found["features"]["vip"]["categories"] == ["true", "false"]
    assert found["features"]["plan"]["shares"] == pytest.approx({"-1": 1 / 3, "0": 0.0, "1": 2 / 3})
    assert found["prediction"]["categories"] == ["true", "false"]


def test_what_is_above_the_greatest_value_has_a_bin_of_its_own():
    found = of_numbers(np.array([0.0, 1.0] * 50))
    assert found["shares"] == pytest.approx({"-1": 0.0, "0": 0.0, "1": 0.5, "2": 0.5, "3": 0.0})
    assert bisect.bisect_right(found["edges"], 1.0) == 2 and bisect.bisect_right(found["edges"], 100.0) == 3
    assert found["groups"]["3"] > found["groups"]["2"]


def test_edges_of_reals_are_as_postgres_prints_them():
    values = np.array([0.1, 0.2, 0.3] * 10, np.float32).astype(float)
    found = of_numbers(values, is_single=True)
    assert found["edges"][:3] == [0.1, 0.2, 0.3]
    assert np.float32(found["edges"][3]) == np.nextafter(np.float32(0.3), np.float32(np.inf))
    for printed, share in zip((0.1, 0.2, 0.3), ("1", "2", "3"), strict=True):
        assert str(bisect.bisect_right(found["edges"], printed)) == share
    greatest = of_numbers(np.array([float(np.finfo(np.float32).max)] * 4), is_single=True)
    assert len(greatest["edges"]) == 1, "nothing is above it"
