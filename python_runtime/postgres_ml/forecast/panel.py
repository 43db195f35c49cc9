"""The snapshot's rows as series on a grid of steps; `panel_checks` says what is wrong with them.

Input: rows of time, series columns and target. Output: `Panel`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from postgres_ml.contract.column import Column
from postgres_ml.contract.exceptions import TrainingDataError
from postgres_ml.contract.forecast import STEP_WORDS
from postgres_ml.forecast import calendar
from postgres_ml.forecast.calendar import Grid
from postgres_ml.forecast.panel_checks import (
    Key,
    check_density,
    check_unique,
    check_values,
    listed,
    long_enough,
    series_name,
    shown,
    zone_hint,
)
from postgres_ml.snapshot.rows import Array, TrainingRows


@dataclass(frozen=True)
class Series:
    """One series from its first row to its last.

    Parameters
    ----------
    key : values of the series columns, as text; None is NULL
    values : ndarray of shape (n_steps,), gaps interpolated
    observed : ndarray of shape (n_steps,), bool: the steps that have a row
    times : ndarray of shape (n_steps,), int64: microseconds in UTC, gaps interpolated
    day : of the month, as `Grid.days` has it
    last : time of the last step, as `Grid.lasts` has it
    """

    key: Key
    values: Array
    observed: Array
    times: Array
    day: int
    last: int

    def history(self, end: int) -> Array:
        """Return what was known before a step: no gap is interpolated towards a row from there on.

        Returns
        -------
        ndarray of shape (end,); the steps after the last row before `end` repeat that row's value
        """
        values = self.values[:end].copy()
        last = int(np.flatnonzero(self.observed[:end])[-1])
        values[last + 1 :] = values[last]
        return values


@dataclass(frozen=True)
class Panel:
    """All series.

    Parameters
    ----------
    columns : of the keys
    notes : what was done to them, for the log and the card
    """

    series: tuple[Series, ...]
    grid: Grid
    columns: tuple[Column, ...]
    notes: tuple[str, ...]

    def name(self, series: Series) -> str:
        """Return what messages call a series."""
        return series_name(self.columns, series.key)


def read_panel(
    rows: TrainingRows, columns: Sequence[Column], target: Column, frequency: str | None, zone: str | None
) -> Panel:
    """Return the rows as series.

    Parameters
    ----------
    columns : the time, then the series columns
    frequency : None finds the coarsest that fits
    zone : of the database session, whose days a timestamp with time zone may be meant in; None elsewhere

    Raises
    ------
    TrainingDataError
        Rows without a time, two rows of one series and time, times that no frequency fits…
    """
    time, series_columns = columns[0], tuple(columns[1:])
    if not len(rows):
        raise TrainingDataError("the query returns no row with a target, so there is nothing to forecast")
    times = rows.frame[time.name].to_numpy("M8[us]")
    values = rows.target.astype(np.float64)
    check_values(times, values, time, target)
    codes, keys = _codes(rows.frame, series_columns)
    order = np.lexsort((times.view(np.int64), codes))
    moments, values, codes = times.view(np.int64)[order], values[order], codes[order]
    starts = np.flatnonzero(np.append(True, codes[1:] != codes[:-1]))
    check_unique(moments, codes, keys, series_columns, time)
    # what is not forecast has no say in the frequency, nor in how dense rows are
    is_kept, short = long_enough(codes, starts, keys, series_columns)
    moments, values, codes = moments[is_kept], values[is_kept], codes[is_kept]
    starts = np.flatnonzero(np.append(True, codes[1:] != codes[:-1]))
    grid = _grid(moments, starts, codes, keys, series_columns, time, frequency, zone)
    notes = [_frequency_note(grid, frequency)]
    ends = np.append(starts[1:], len(values))
    named_keys, hint = [keys[code] for code in codes[starts]], zone_hint(time, zone)
    check_density(grid, starts, ends, named_keys, series_columns, frequency, hint)
    found = [
        _one(keys[codes[a]], grid, index, slice(a, b), values, moments)
        for index, (a, b) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True))
    ]
    panel = Panel(tuple(found), grid, series_columns, ())
    return Panel(panel.series, grid, series_columns, (*notes, *_remarks(panel), *short))


def _codes(frame: pd.DataFrame, columns: Sequence[Column]) -> tuple[Array, list[Key]]:
    """Return each row's series as a number, and the keys, in the order of the numbers."""
    if not columns:
        return np.zeros(len(frame), np.int64), [()]
    grouped = frame.groupby([column.name for column in columns], sort=True, dropna=False)
    codes = grouped.ngroup().to_numpy(np.int64)
    first = np.unique(codes, return_index=True)[1]
    texts = frame[[column.name for column in columns]].iloc[first].to_numpy(dtype=object)
    return codes, [tuple(v if isinstance(v, str) else None for v in row) for row in texts]


def _grid(
    moments: Array,
    starts: Array,
    codes: Array,
    keys: Sequence[Key],
    columns: Sequence[Column],
    time: Column,
    frequency: str | None,
    zone: str | None,
) -> Grid:
    zones: tuple[str | None, ...] = (None,) if zone in (None, "UTC") else (zone, None)
    if frequency is None:
        found = calendar.coarsest(moments, starts, zones)
        if found is None:
            raise TrainingDataError(
                f'the times in "{time.name}" are on no common step, not even of a minute: '
                f"round them in the query, as date_trunc('minute', \"{time.name}\") does, and aggregate"
            )
        return found
    tried = zones if calendar.is_by_day(frequency) else (None,)
    grids = [calendar.fit_grid(moments, starts, frequency, zone) for zone in tried]
    grid, fits = max(grids, key=lambda found: int(found[1].sum()))
    wrong = np.flatnonzero(~fits | calendar.repeated(grid.steps, starts))
    if len(wrong):
        row = wrong[0]
        raise TrainingDataError(
            f"frequency {frequency} does not fit: {len(wrong):,} of {len(moments):,} rows are not one "
            f"{STEP_WORDS[frequency]} after another; the first: {series_name(columns, keys[codes[row]])} at "
            f"{shown(moments[row])}. Aggregate the rows in the query, or leave 'frequency' out to find it"
            f"{zone_hint(time, zone)}"
        )
    return grid


def _frequency_note(grid: Grid, given: str | None) -> str:
    how = "as configured" if given else "found in the times"
    zone = f", by the clock of {grid.zone}" if grid.zone else ""
    return f"frequency {grid.frequency} ({STEP_WORDS[grid.frequency]}), {how}{zone}"


def _one(key: Key, grid: Grid, index: int, rows: slice, values: Array, moments: Array) -> Series:
    steps = grid.steps[rows]
    n = int(steps[-1]) + 1
    all_steps = np.arange(n)
    observed = np.zeros(n, bool)
    observed[steps] = True
    return Series(
        key,
        np.interp(all_steps, steps, values[rows]),
        observed,
        np.interp(all_steps, steps, moments[rows].astype(np.float64)).astype(np.int64),
        int(grid.days[index]),
        int(grid.lasts[index]),
    )


def _remarks(panel: Panel) -> list[str]:
    """Return what is to be said of the series: what was interpolated, and which never change."""
    notes = []
    gaps = [s for s in panel.series if not s.observed.all()]
    if gaps:
        n_gaps = sum(int((~s.observed).sum()) for s in gaps)
        notes.append(f"{n_gaps:,} steps without a row are interpolated, in {named(panel, gaps)}")
    constant = [s for s in panel.series if np.ptp(s.values) == 0]
    if constant:
        notes.append(f"one value in all rows, which is the forecast: {named(panel, constant)}")
    return notes


def named(panel: Panel, series: Sequence[Series]) -> str:
    """Return how many series, and the names of the first."""
    return listed([panel.name(one) for one in series], len(panel.series))
