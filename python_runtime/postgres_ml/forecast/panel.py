"""The snapshot's rows as series on a grid of steps; what is wrong with them is said with the series' name.

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
from postgres_ml.features.problem import check_finite
from postgres_ml.features.sizes import LARGEST
from postgres_ml.forecast import calendar
from postgres_ml.forecast.calendar import Grid
from postgres_ml.snapshot.rows import Array, TrainingRows

LEAST_POINTS = 3  # of a series that is forecast
MAX_GAPS = 0.5  # share of steps without a row from which times are called irregular
MOST_STEPS_PER_ROW = 50  # of any series
MAX_NAMED = 5
TINIEST = 1e-6  # greatest value: an error of 1e-12 is none (`scores`)
FIRST_YEAR, LAST_YEAR = 1, 9000  # plots end with the year 9999, and forecasts go on after the last time
Key = tuple[str | None, ...]


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


def series_name(columns: Sequence[Column], key: Key) -> str:
    """Return 'store=A, item=7'; 'the series' of a query that has only one."""
    pairs = zip(columns, key, strict=True)
    return ", ".join(f"{c.name}={'NULL' if v is None else v}" for c, v in pairs) or "the series"


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
    _check_values(times, values, time, target)
    codes, keys = _codes(rows.frame, series_columns)
    order = np.lexsort((times.view(np.int64), codes))
    moments, values, codes = times.view(np.int64)[order], values[order], codes[order]
    starts = np.flatnonzero(np.append(True, codes[1:] != codes[:-1]))
    _check_unique(moments, codes, keys, series_columns, time)
    grid = _grid(moments, starts, codes, keys, series_columns, time, frequency, zone)
    notes = [_frequency_note(grid, frequency)]
    ends = np.append(starts[1:], len(values))
    _check_density(grid, starts, ends, [keys[code] for code in codes[starts]], series_columns, frequency)
    found = [
        _one(keys[codes[a]], grid, index, slice(a, b), values, moments)
        for index, (a, b) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True))
    ]
    panel = Panel(tuple(found), grid, series_columns, ())
    kept, more = _judged(panel)
    return Panel(kept, grid, series_columns, (*notes, *more))


def _check_values(times: Array, values: Array, time: Column, target: Column) -> None:
    n_missing = int(np.isnat(times).sum())
    if n_missing:
        raise TrainingDataError(
            f'time "{time.name}" is NULL or infinite in {n_missing:,} of {len(times):,} rows; leave them '
            f'out: where isfinite("{time.name}")'
        )
    check_finite(target, values)
    greatest = float(np.abs(values).max())
    if greatest > LARGEST or 0 < greatest < TINIEST:
        raise TrainingDataError(
            f'target "{target.name}" has values up to {greatest:.1e}, and errors are compared from '
            f"{TINIEST:.0e} to {LARGEST:.0e}: multiply or divide it by a constant in the query"
        )
    years = times.astype("M8[Y]").astype(np.int64) + 1970
    if years.min() < FIRST_YEAR or years.max() > LAST_YEAR:
        raise TrainingDataError(
            f'time "{time.name}" is in the years {years.min()} to {years.max()}, and forecasts are of the '
            f"years {FIRST_YEAR} to {LAST_YEAR}: leave the other rows out"
        )


def _codes(frame: pd.DataFrame, columns: Sequence[Column]) -> tuple[Array, list[Key]]:
    """Return each row's series as a number, and the keys, in the order of the numbers."""
    if not columns:
        return np.zeros(len(frame), np.int64), [()]
    grouped = frame.groupby([column.name for column in columns], sort=True, dropna=False)
    codes = grouped.ngroup().to_numpy(np.int64)
    first = np.unique(codes, return_index=True)[1]
    texts = frame[[column.name for column in columns]].iloc[first].to_numpy(dtype=object)
    return codes, [tuple(v if isinstance(v, str) else None for v in row) for row in texts]


def _check_unique(
    moments: Array, codes: Array, keys: Sequence[Key], columns: Sequence[Column], time: Column
) -> None:
    twice = np.flatnonzero((moments[1:] == moments[:-1]) & (codes[1:] == codes[:-1]))
    if not len(twice):
        return
    row = twice[0]
    hint = "sum or average them in the query"
    if not columns:
        hint += ", or select the columns that tell series apart"
    if time.kind == "timestamp":
        hint += ". A clock that is set back shows an hour twice: select a timestamp with time zone"
    raise TrainingDataError(
        f"{len(twice):,} rows have the series and time of another row; the first: "
        f"{series_name(columns, keys[codes[row]])} at {shown(moments[row])}. {hint[0].upper()}{hint[1:]}"
    )


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
        )
    return grid


def _check_density(
    grid: Grid,
    starts: Array,
    ends: Array,
    keys: Sequence[Key],
    columns: Sequence[Column],
    frequency: str | None,
) -> None:
    """Check that steps are mostly rows: what is interpolated nearly everywhere can't be forecast."""
    n_rows, n_steps = ends - starts, grid.steps[ends - 1] + 1
    words = STEP_WORDS[grid.frequency]
    if n_rows.sum() < (1 - MAX_GAPS) * n_steps.sum() and frequency is None:
        raise TrainingDataError(
            f"the times are irregular: of {n_steps.sum():,} steps of one {words} only {n_rows.sum():,} "
            "have a "
            "row. Aggregate by a longer step, add rows for the steps without one (with 0, if nothing "
            "happened "
            f"then), or set settings: {{frequency: {grid.frequency}}} to have the others interpolated"
        )
    sparse = np.flatnonzero(n_steps > MOST_STEPS_PER_ROW * np.maximum(n_rows, LEAST_POINTS))
    if len(sparse):
        at = sparse[0]
        raise TrainingDataError(
            f"of {n_steps[at]:,} steps of one {words} of {series_name(columns, keys[at])} only "
            f"{n_rows[at]:,} "
            "have a row: aggregate by a longer step, or leave that series out"
        )


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


def _judged(panel: Panel) -> tuple[tuple[Series, ...], list[str]]:
    """Return the series that are forecast, and what is to be said of them and of the others."""
    notes = []
    gaps = [s for s in panel.series if not s.observed.all()]
    if gaps:
        n_gaps = sum(int((~s.observed).sum()) for s in gaps)
        notes.append(f"{n_gaps:,} steps without a row are interpolated, in {named(panel, gaps)}")
    short = [s for s in panel.series if int(s.observed.sum()) < LEAST_POINTS]
    kept = tuple(s for s in panel.series if int(s.observed.sum()) >= LEAST_POINTS)
    if not kept:
        raise TrainingDataError(
            f"no series has {LEAST_POINTS} rows: {named(panel, short)}. Does a series column tell each row "
            "apart?"
        )
    if short:
        notes.append(f"not forecast, with fewer than {LEAST_POINTS} rows: {named(panel, short)}")
    constant = [s for s in kept if np.ptp(s.values) == 0]
    if constant:
        notes.append(f"one value in all rows, which is the forecast: {named(panel, constant)}")
    return kept, notes


def named(panel: Panel, series: Sequence[Series]) -> str:
    """Return how many series, and the names of the first."""
    names = "; ".join(panel.name(one) for one in series[:MAX_NAMED])
    more = "; …" if len(series) > MAX_NAMED else ""
    return names if len(panel.series) == 1 else f"{len(series):,} series ({names}{more})"


def shown(moment: int) -> str:
    """Return a time as messages show it."""
    text = str(np.array(moment, np.int64).view("M8[us]").item())
    return text.removesuffix(" 00:00:00")
