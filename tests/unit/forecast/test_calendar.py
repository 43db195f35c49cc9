"""Steps of time: pandas' own date arithmetic is the oracle."""

import numpy as np
import pandas as pd
import pytest
from postgres_ml.forecast import calendar

STARTS = np.array([0])


def microseconds(times):
    return pd.DatetimeIndex(times).as_unit("us").asi8


@pytest.mark.parametrize(
    ("frequency", "alias"),
    [
        ("Y", "YS"), ("Y", "YE"), ("Q", "QS"), ("Q", "QE"), ("M", "MS"), ("M", "ME"), ("W", "W"), ("D", "D"), ("H", "h"),
        ("30min", "30min"), ("15min", "15min"), ("10min", "10min"), ("5min", "5min"), ("1min", "min"),
    ],
)  # fmt: skip
def test_each_frequency_is_found_and_goes_on_as_pandas_goes_on(frequency, alias):
    times = pd.date_range("2019-01-01", periods=40, freq=alias)
    seen, ahead = microseconds(times[:33]), microseconds(times[33:])
    grid = calendar.coarsest(seen, STARTS, (None,))
    assert grid.frequency == frequency and grid.steps.tolist() == list(range(33))
    assert calendar.following(int(seen[-1]), int(grid.days[0]), grid, 7).tolist() == ahead.tolist()


def test_gaps_are_steps_without_a_row():
    times = pd.date_range("2024-01-01", periods=30, freq="D").delete([3, 4, 20])
    grid = calendar.coarsest(microseconds(times), STARTS, (None,))
    assert grid.frequency == "D" and len(grid.steps) == 27 and grid.steps[-1] == 29


def test_months_of_the_30th_end_a_february_and_go_on_on_the_30th():
    times = [pd.Timestamp("2023-11-30") + pd.DateOffset(months=i) for i in range(6)]
    grid = calendar.coarsest(microseconds(times[:5]), STARTS, (None,))
    assert grid.frequency == "M" and grid.days[0] == 30
    last = int(microseconds(times[4:5])[0])
    assert calendar.following(last, 30, grid, 1).tolist() == microseconds(times[5:]).tolist()


def test_each_series_has_a_weekday_of_its_own():
    mondays = pd.date_range("2024-01-01", periods=5, freq="7D")
    fridays = pd.date_range("2024-01-05", periods=5, freq="7D")
    grid = calendar.coarsest(microseconds([*mondays, *fridays]), np.array([0, 5]), (None,))
    assert grid.frequency == "W" and grid.steps.tolist() == [*range(5), *range(5)]


def test_days_of_a_zone_stay_days_when_the_clock_changes():
    days = pd.date_range("2024-03-25", periods=12, freq="D", tz="Europe/Berlin")  # 31 March has 23 hours
    utc = microseconds(days[:8].tz_convert("UTC").tz_localize(None))
    grid = calendar.coarsest(utc, STARTS, ("Europe/Berlin", None))
    assert (grid.frequency, grid.zone) == ("D", "Europe/Berlin") and grid.steps.tolist() == list(range(8))
    last = int(calendar.to_clock(utc[-1:], grid.zone)[0])
    ahead = calendar.following(last, 0, grid, 4)
    assert ahead.tolist() == microseconds(days[8:].tz_convert("UTC").tz_localize(None)).tolist()
    assert calendar.coarsest(utc, STARTS, (None,)).frequency == "H"


def test_times_between_minutes_have_no_frequency():
    times = pd.to_datetime(["2024-01-01 00:00:00", "2024-01-01 00:00:30", "2024-01-01 00:01:10"])
    assert calendar.coarsest(microseconds(times), STARTS, (None,)) is None
