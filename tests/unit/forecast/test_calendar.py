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
    ahead = calendar.following(int(grid.lasts[0]), 0, grid, 4)
    assert ahead.tolist() == microseconds(days[8:].tz_convert("UTC").tz_localize(None)).tolist()
    assert calendar.coarsest(utc, STARTS, (None,)).frequency == "H"


MIDNIGHT_LEAPS = {  # the day of 2024 without a midnight, and the moment that Postgres truncates it to, in UTC
    "Africa/Cairo": ("2024-04-26", "2024-04-25 22:00"),
    "America/Santiago": ("2024-09-08", "2024-09-08 04:00"),
    "America/Havana": ("2024-03-10", "2024-03-10 05:00"),
    "Asia/Beirut": ("2024-03-31", "2024-03-30 22:00"),
}


@pytest.mark.parametrize("zone", MIDNIGHT_LEAPS)
@pytest.mark.parametrize(("frequency", "unit"), [("D", "days"), ("W", "weeks"), ("M", "months")])
def test_a_day_without_a_midnight_is_a_step(zone, frequency, unit):
    """Wherever in the series it is, its first and last rows too."""
    leap, moment = MIDNIGHT_LEAPS[zone]
    back = 8
    local = [pd.Timestamp(leap) + pd.DateOffset(**{unit: i}) for i in range(1 - back, 9)]
    utc = calendar.from_clock(microseconds(local), zone)
    assert utc[back - 1] == microseconds([moment])[0]
    for seen in (slice(0, -4), slice(back - 1, -4), slice(0, back)):
        grid = calendar.coarsest(utc[seen], STARTS, (zone, None))
        n = len(utc[seen])
        assert (grid.frequency, grid.zone) == (frequency, zone) and grid.steps.tolist() == list(range(n))
        assert grid.lasts.tolist() == [microseconds(local[seen])[-1]]
        ahead = calendar.following(int(grid.lasts[0]), int(grid.days[0]), grid, 4)
        assert ahead.tolist() == utc[seen.stop :][:4].tolist()


@pytest.mark.parametrize("zone", MIDNIGHT_LEAPS)
def test_days_after_one_without_a_midnight_begin_at_midnight(zone):
    leap = MIDNIGHT_LEAPS[zone][0]
    local = pd.date_range("2024-01-01", leap, freq="D")
    utc = calendar.from_clock(microseconds(local), zone)
    grid = calendar.coarsest(utc, STARTS, (zone, None))
    ahead = pd.DatetimeIndex(calendar.following(int(grid.lasts[0]), 0, grid, 3).view("M8[us]"), tz="UTC")
    expected = pd.date_range(leap, periods=4, freq="D")[1:]
    assert ahead.tz_convert(zone).tz_localize(None).tolist() == expected.tolist()


def test_a_leap_over_midnight_makes_no_step_of_what_is_none():
    """At 01:00 a day begins in Cairo once a year: on other days it is an hour that fits nothing."""
    days = pd.date_range("2024-04-20", periods=12, freq="D")
    utc = calendar.from_clock(microseconds(days), "Africa/Cairo")
    utc[9] += 3600 * 10**6
    _, fits = calendar.fit_grid(utc, STARTS, "D", "Africa/Cairo")
    assert np.flatnonzero(~fits).tolist() == [9]


@pytest.mark.parametrize(
    ("zone", "local", "utc"),
    [
        ("America/Havana", "2024-11-03 00:00", "2024-11-03 05:00"),  # shown twice
        ("Europe/Dublin", "2024-10-27 01:30", "2024-10-27 01:30"),  # twice, and summer is the standard time
        ("America/Havana", "2024-03-10 00:30", "2024-03-10 05:30"),  # leapt over
        ("Europe/Dublin", "2024-03-31 01:30", "2024-03-31 01:30"),
    ],
)
def test_the_clock_is_read_as_postgres_reads_it(zone, local, utc):
    """What Postgres returns for each is in the table."""
    assert calendar.from_clock(microseconds([local]), zone).tolist() == microseconds([utc]).tolist()


def test_times_between_minutes_have_no_frequency():
    times = pd.to_datetime(["2024-01-01 00:00:00", "2024-01-01 00:00:30", "2024-01-01 00:01:10"])
    assert calendar.coarsest(microseconds(times), STARTS, (None,)) is None
