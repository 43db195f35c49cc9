"""The metrics, by hand; and the percentiles."""

import numpy as np
import pytest
from postgres_ml.contract.forecast import column_name, ordered
from postgres_ml.forecast.scores import Predicted, loss, metrics, season_scale
from postgres_ml.forecast.spread import quantiles, standard_quantiles

ACTUAL, SEEN = np.array([10.0, 20.0, 0.0, 40.0]), np.array([True, True, True, False])
WINDOW = Predicted(ACTUAL, SEEN, np.array([12.0, 17.0, 1.0, 99.0]), {0.1: ACTUAL - 5, 0.9: ACTUAL + 5}, 2.0)


def test_the_metrics_leave_out_steps_without_a_row():
    found = metrics([WINDOW])
    assert found["mase"] == pytest.approx((2 + 3 + 1) / 3 / 2)
    assert found["wape"] == pytest.approx(6 / 30)
    assert found["mape"] == pytest.approx((2 / 10 + 3 / 20) / 2)  # a value of 0 has no percentage
    assert found["rmse"] == pytest.approx(np.sqrt((4 + 9 + 1) / 3))
    # 2 * (0.1 * 5 * 3) / 30 for either percentile
    assert found["average_weighted_quantile_loss"] == pytest.approx(2 * 0.1 * 15 / 30)
    assert found["coverage"] == 1.0
    assert loss("rmse", WINDOW) == pytest.approx(found["rmse"])


def test_a_series_that_repeats_itself_has_no_mase():
    values = np.tile([1.0, 2.0, 3.0], 5)
    assert season_scale(values, np.ones(15, bool), 3) == 0
    exact = Predicted(values[:3], np.ones(3, bool), values[:3], {}, 0.0)
    assert metrics([exact])["mase"] == 0
    wrong = Predicted(values[:3], np.ones(3, bool), values[:3] + 1, {}, 0.0)
    assert "mase" not in metrics([wrong]) and metrics([wrong])["mae"] == 1


def test_percentiles_are_the_errors_own_where_there_are_many():
    random = np.random.default_rng(0)
    errors = 3 * random.standard_t(4, size=4000)
    found = standard_quantiles((0.1, 0.5, 0.9), errors, 1)
    assert found == pytest.approx(np.quantile(errors, (0.1, 0.5, 0.9)), rel=0.05, abs=0.05)
    assert standard_quantiles((0.1, 0.9), np.empty(0), 5) == pytest.approx((-1.2816, 1.2816), abs=1e-4)
    told = quantiles(np.array([1.0, 10.0]), np.array([1.0, 2.0]), (0.1, 0.9), np.array([-2.0, 2.0]), 0.0)
    assert told[0.1].tolist() == [0.0, 6.0] and told[0.9].tolist() == [3.0, 14.0]


def test_percentiles_have_an_order_and_names():
    assert ordered(("0.9", "mean", "0.05", "0.9")) == ("mean", "0.05", "0.9")
    assert [column_name(name) for name in ("mean", "0.05", "0.29", "0.9")] == ["mean", "p5", "p29", "p90"]
