"""Steps of time: which frequency fits a series' times, the number of each row's step, the times to come.

Times are ndarrays of int64, microseconds since 1970: in UTC, or on the clock of a time zone where days are
meant that a change of the clock makes longer or shorter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from postgres_ml.contract.forecast import FREQUENCIES
from postgres_ml.snapshot.rows import Array

MINUTE = 60_000_000
DAY = 1440 * MINUTE
MINUTES = {"W": 10_080, "D": 1440, "H": 60, "30min": 30, "15min": 15, "10min": 10, "5min": 5, "1min": 1}
MONTHS = {"Y": 12, "Q": 3, "M": 1}
#: periods of the seasons to look for, in steps; the first is the one that scores are scaled by
SEASONS = {
    "Y": (), "Q": (4,), "M": (12,), "W": (52,), "D": (7, 365), "H": (24, 168), "30min": (48, 336),
    "15min": (96, 672), "10min": (144, 1008), "5min": (288, 2016), "1min": (60, 1440),
}  # fmt: skip
LAST_DAY = 31


@dataclass(frozen=True)
class Grid:
    """The steps of rows that are sorted by series and time.

    Parameters
    ----------
    frequency : one of `contract.forecast.FREQUENCIES`
    zone : whose clock the times are on; None is UTC
    steps : ndarray of shape (n_rows,), int64: 0 in the first row of each series
    days : ndarray of shape (n_series,), int64: the day of the month on which steps of months are; 31 is the
        month's last day whatever its length
    lasts : ndarray of shape (n_series,), int64: the time of each series' last step, on the clock
    """

    frequency: str
    zone: str | None
    steps: Array
    days: Array
    lasts: Array


def to_clock(times: Array, zone: str | None) -> Array:
    """Return the times on the clock of a zone."""
    if zone is None:
        return times
    moments = pd.DatetimeIndex(times.view("M8[us]"), tz="UTC").tz_convert(zone).tz_localize(None)
    return np.asarray(moments.to_numpy("M8[us]").view(np.int64))


def from_clock(times: Array, zone: str | None) -> Array:
    """Return the times in UTC as Postgres reads them.

    One that the clock shows twice is the later; one that it leaps over is by the offset before the leap, so
    midnight is 01:00 where a day begins with daylight saving.
    """
    if zone is None:
        return times
    local = pd.DatetimeIndex(times.view("M8[us]"))
    later = np.zeros(len(local), bool)
    moments = _in_utc(local.tz_localize(zone, ambiguous=later, nonexistent="shift_forward"))
    is_none = np.asarray(local.tz_localize(zone, ambiguous=later, nonexistent="NaT").isna())
    before = moments[is_none] - 1  # the leap is at these moments
    moments[is_none] = times[is_none] - (to_clock(before, zone) - before)
    return moments


def _in_utc(moments: pd.DatetimeIndex) -> Array:
    naive = moments.tz_convert("UTC").tz_localize(None)
    return np.array(naive.to_numpy("M8[us]").view(np.int64))


def _steps_on_clock(times: Array, starts: Array, lengths: Array, zone: str | None) -> Array:
    """Return the times on the clock; a moment that stands for a step that the clock leaps over is that step.

    A day that begins at 01:00, for midnight is leapt over, is a step of midnights nevertheless. Steps have
    the time of day of the series' first row, or of its second, if that makes a step of the first.
    """
    if zone is None:
        return times
    local = to_clock(times, zone).copy()
    second = np.where(lengths > 1, starts + 1, starts)
    local[starts] = _meant(times[starts], local[starts], _time_of_day(local[second]), zone)
    return _meant(times, local, np.repeat(_time_of_day(local[starts]), lengths), zone)


def _meant(times: Array, local: Array, usual: Array, zone: str) -> Array:
    """Return the times on the clock, with the usual time of day where the clock leaps over that to these."""
    found = local.copy()
    other = np.flatnonzero(_time_of_day(local) != usual)
    for days in (0, 1):  # the leap may end on the day after
        meant = local[other] - _time_of_day(local[other]) - days * DAY + usual[other]
        is_same = from_clock(meant, zone) == times[other]
        found[other[is_same]] = meant[is_same]
    return found


def _time_of_day(local: Array) -> Array:
    return np.asarray(np.mod(local, DAY))


def fit_grid(times: Array, starts: Array, frequency: str, zone: str | None) -> tuple[Grid, Array]:
    """Return the rows' steps, and which rows are on a step.

    Parameters
    ----------
    times : ndarray of shape (n_rows,), sorted within each series
    starts : ndarray of shape (n_series,), the first row of each series
    """
    lengths = np.diff(np.append(starts, len(times)))
    times = _steps_on_clock(times, starts, lengths, zone)
    lasts = times[starts + lengths - 1]
    first = np.repeat(times[starts], lengths)
    if frequency in MINUTES:
        steps, rest = np.divmod(times - first, MINUTES[frequency] * MINUTE)
        return Grid(frequency, zone, steps, np.zeros(len(starts), np.int64), lasts), rest == 0
    moments = times.view("M8[us]")
    month = moments.astype("M8[M]")
    number, day = month.astype(np.int64), _day(moments)
    length = _month_length(month)
    is_end = np.minimum.reduceat((day == length).astype(np.int64), starts).astype(bool)
    is_cut = day[starts] == length[starts]  # the 28th of a February may be meant as a 30th
    days = np.where(is_cut, np.maximum.reduceat(day, starts), day[starts])
    days = np.where(is_end, LAST_DAY, days)
    clock = _time_of_day(times)
    steps, rest = np.divmod(number - np.repeat(number[starts], lengths), MONTHS[frequency])
    is_on_day = day == np.minimum(np.repeat(days, lengths), length)
    is_on_time = clock == np.repeat(clock[starts], lengths)
    return Grid(frequency, zone, steps, days, lasts), (rest == 0) & is_on_day & is_on_time


def coarsest(times: Array, starts: Array, zones: tuple[str | None, ...]) -> Grid | None:
    """Return the steps of the coarsest frequency that all rows fit, no two of a series in one; None if none.

    Parameters
    ----------
    zones : to try for days and what is longer; hours and minutes are UTC's
    """
    for frequency in FREQUENCIES:
        for zone in zones if is_by_day(frequency) else (None,):
            grid, fits = fit_grid(times, starts, frequency, zone)
            if fits.all() and not repeated(grid.steps, starts).any():
                return grid
    return None


def is_by_day(frequency: str) -> bool:
    """Return whether steps are whole days, which a change of the clock makes longer or shorter."""
    return frequency in MONTHS or frequency in ("W", "D")


def repeated(steps: Array, starts: Array) -> Array:
    """Return which rows have the step of the row before them, in the same series."""
    same = np.append(False, steps[1:] == steps[:-1])
    same[starts] = False
    return same


def following(last: int, day: int, grid: Grid, horizon: int) -> Array:
    """Return the times of the steps after a series' last, in UTC, of shape (horizon,).

    Parameters
    ----------
    last : time of the last step, as `Grid.lasts` has it
    day : of the month, as `Grid.days` has it
    """
    ahead = np.arange(1, horizon + 1, dtype=np.int64)
    if grid.frequency in MINUTES:
        return from_clock(last + ahead * (MINUTES[grid.frequency] * MINUTE), grid.zone)
    moment = np.array([last], np.int64).view("M8[us]")
    clock = last % DAY
    month = moment.astype("M8[M]") + ahead * MONTHS[grid.frequency]
    offset = np.minimum(day, _month_length(month)) - 1
    days = month.astype("M8[D]") + offset
    return from_clock(days.astype("M8[us]").view(np.int64) + clock, grid.zone)


def _day(moments: Array) -> Array:
    first = moments.astype("M8[M]").astype("M8[D]")
    return np.asarray((moments.astype("M8[D]") - first).astype(np.int64) + 1)


def _month_length(month: Array) -> Array:
    return np.asarray(((month + 1).astype("M8[D]") - month.astype("M8[D]")).astype(np.int64))
