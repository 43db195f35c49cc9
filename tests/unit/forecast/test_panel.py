"""Rows become series, and what is wrong with them is said with the series' name."""

import numpy as np
import pandas as pd
import pytest
from postgres_ml.contract.column import Column
from postgres_ml.contract.exceptions import TrainingDataError
from postgres_ml.forecast.panel import read_panel
from postgres_ml.snapshot.rows import TrainingRows

TIME = Column("day", "timestamp without time zone", "timestamp")
STORE = Column("store", "text", "text")
SOLD = Column("sold", "integer", "number")


def panel(rows, columns=(TIME, STORE), frequency=None, zone=None):
    frame = pd.DataFrame(
        {
            "day": pd.Series(pd.to_datetime([row[0] for row in rows], format="ISO8601")).astype(
                "datetime64[us]"
            ),
            "store": pd.Series([row[1] for row in rows], dtype=object),
        }
    )[[column.name for column in columns]]
    target = np.array([row[2] for row in rows], dtype=np.float64)
    keys = np.arange(len(rows), dtype=np.uint64)
    return read_panel(TrainingRows(frame, target, keys, ""), columns, SOLD, frequency, zone)


def days(store, n, start="2024-01-01", value=None):
    times = pd.date_range(start, periods=n, freq="D")
    return [(str(time), store, i if value is None else value) for i, time in enumerate(times)]


def test_series_are_sorted_whatever_the_order_of_rows():
    rows = [*days("B", 5), *days(None, 4), *days("A", 3)]
    found = panel(list(np.random.default_rng(0).permutation(np.array(rows, dtype=object))))
    assert [one.key for one in found.series] == [("A",), ("B",), (None,)]
    assert [one.values.tolist() for one in found.series] == [[0, 1, 2], [0, 1, 2, 3, 4], [0, 1, 2, 3]]
    assert found.notes[0] == "frequency D (day), found in the times"


def test_without_series_columns_there_is_one():
    found = panel(days("A", 4), columns=(TIME,))
    assert [one.key for one in found.series] == [()] and found.name(found.series[0]) == "the series"


def test_gaps_are_interpolated_and_said():
    rows = [row for i, row in enumerate(days("A", 9)) if i not in (2, 3)]
    found = panel(rows)
    assert found.series[0].values.tolist() == list(range(9)) and found.series[0].observed.sum() == 7
    assert "2 steps without a row are interpolated, in store=A" in found.notes


def test_what_precedes_a_step_is_told_by_rows_before_it():
    rows = [row for i, row in enumerate(days("A", 9)) if i not in (2, 5, 6)]
    [one] = panel(rows).series
    assert one.history(9).tolist() == one.values.tolist() == list(range(9))
    assert one.history(7).tolist() == [0, 1, 2, 3, 4, 4, 4]
    assert one.history(6).tolist() == [0, 1, 2, 3, 4, 4]
    assert one.history(3).tolist() == [0, 1, 1] and one.history(1).tolist() == [0]


def test_short_and_constant_series_are_named():
    found = panel([*days("A", 9), *days("B", 2), *days("C", 5, value=7)])
    assert [one.key for one in found.series] == [("A",), ("C",)]
    assert "not forecast, with fewer than 3 rows: 1 series (store=B)" in found.notes
    assert "one value in all rows, which is the forecast: 1 series (store=C)" in found.notes


@pytest.mark.parametrize(
    ("rows", "frequency", "text"),
    [
        ([], None, "no row with a target"),
        ([*days("A", 5), ("2024-01-03", "A", 1)], None, "1 rows have the series and time of another row; the first: store=A at 2024-01-03"),
        ([(None, "A", 1), *days("A", 5)], None, 'time "day" is NULL or infinite in 1 of 6 rows'),
        (days("A", 5, value=float("nan")), None, 'target "sold" is NaN or infinite in 5 of 5 rows'),
        ([("2024-01-01 00:00:10.5", "A", 1), ("2024-01-01 00:00:11", "A", 2), ("2024-01-01 00:00:13", "A", 2)], None, "on no common step"),
        ([("2024-01-01 00:00", "A", 1), ("2024-01-01 00:01", "A", 2), ("2024-01-07 11:07", "A", 2)], None, "the times are irregular: of 9,308 steps of one minute only 3"),
        ([("2024-01-01", "A", 1), ("2024-03-01", "A", 2), ("2024-06-01", "A", 3)], "H", "steps of one hour of store=A only 3 have a row"),
        (days("A", 5), "W", "frequency W does not fit: 4 of 5 rows are not one week after another; the first: store=A at 2024-01-02"),
        (days("A", 2), None, r"no series has 3 rows: store=A"),
    ],
)  # fmt: skip
def test_what_can_not_be_forecast_is_refused(rows, frequency, text):
    with pytest.raises(TrainingDataError, match=text):
        panel(rows, frequency=frequency)


def test_a_frequency_that_is_given_is_taken_even_if_most_steps_are_gaps():
    rows = [("2024-01-01", "A", 1), ("2024-01-04", "A", 4), ("2024-01-09", "A", 9), ("2024-01-10", "A", 10)]
    found = panel(rows, frequency="D")
    assert found.series[0].values.tolist() == list(range(1, 11))


@pytest.mark.parametrize("zone", ["Africa/Cairo", "America/Santiago", "America/Havana", "Asia/Beirut"])
@pytest.mark.parametrize("frequency", [None, "D"])
def test_each_day_of_a_zone_whose_clock_changes_at_midnight_is_a_row(zone, frequency):
    days_of_year = pd.date_range("2024-01-01", "2024-12-31")
    late = days_of_year.tz_localize(zone, nonexistent="shift_forward", ambiguous=np.zeros(366, bool))
    rows = [(str(at), "A", i) for i, at in enumerate(late.tz_convert("UTC").tz_localize(None))]
    found = panel(rows, frequency=frequency, zone=zone)
    assert (found.grid.frequency, found.grid.zone) == ("D", zone)
    [one] = found.series
    assert one.observed.all() and len(one.values) == 366
    assert one.last == days_of_year[-1:].as_unit("us").asi8[0]


@pytest.mark.parametrize("scale", [1e-13, 1e160])
def test_values_whose_errors_cannot_be_compared_are_refused(scale):
    with pytest.raises(
        TrainingDataError, match=r'target "sold" has values up to .*by a constant in the query'
    ):
        panel([(day, store, (5 + value) * scale) for day, store, value in days("A", 9)], (TIME,))


def test_times_that_no_calendar_has_are_refused():
    rows = [(day, store, value) for day, store, value in days("A", 5)]
    frame = pd.DataFrame({"day": np.array([f"9999-12-{k:02d}" for k in range(10, 15)], "M8[us]")})
    target = np.array([row[2] for row in rows], dtype=np.float64)
    read = TrainingRows(frame, target, np.arange(5, dtype=np.uint64), "")
    with pytest.raises(TrainingDataError, match=r'time "day" is in the years 9999 to 9999.*1 to 9000'):
        read_panel(read, (TIME,), SOLD, None, None)


def test_zeros_alone_are_no_tiny_values():
    assert len(panel(days("A", 9, value=0), (TIME,)).series) == 1


def test_series_that_are_left_out_decide_no_frequency_and_no_density():
    stores = [row for store in "ABC" for row in days(store, 20)]
    far = [("2024-01-01", "X", 1.0), ("2024-07-01", "X", 2.0)]
    odd = [("2024-01-01T00:07", "Y", 1.0)]
    found = panel([*stores, *far, *odd])
    assert [one.key for one in found.series] == [("A",), ("B",), ("C",)]
    assert found.grid.frequency == "D"
    assert "not forecast, with fewer than 3 rows: 2 series (store=X; store=Y)" in found.notes


def test_days_of_another_time_zone_are_told_by_the_zone():
    berlin = pd.date_range("2024-01-01", periods=400, freq="D", tz="Europe/Berlin").tz_convert("UTC")
    rows = [(str(at.tz_localize(None)), "A", 1.0) for at in berlin]
    time = Column("day", "timestamp with time zone", "timestamptz")
    with pytest.raises(
        TrainingDataError, match=r"the session's TimeZone, UTC: .*at time zone 'Europe/Berlin'"
    ):
        panel(rows, columns=(time, STORE), zone="UTC")
    with pytest.raises(TrainingDataError, match=r"frequency D does not fit.*the session's TimeZone, UTC"):
        panel(rows, columns=(time, STORE), frequency="D", zone="UTC")
    assert panel(rows, columns=(time, STORE), zone="Europe/Berlin").grid.frequency == "D"
