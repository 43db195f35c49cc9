"""What is wrong with the rows of a forecast, said with the series' name; before anything is fitted.

Input: times, values and series of the rows. Output: errors, and rows that are left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from postgres_ml.contract.column import Column
from postgres_ml.contract.exceptions import TrainingDataError
from postgres_ml.contract.forecast import STEP_WORDS
from postgres_ml.features.problem import check_finite
from postgres_ml.features.sizes import LARGEST
from postgres_ml.forecast.calendar import Grid
from postgres_ml.snapshot.rows import Array

LEAST_POINTS = 3  # of a series that is forecast
MAX_GAPS = 0.5  # share of steps without a row from which times are called irregular
MOST_STEPS_PER_ROW = 50  # of any series
MAX_NAMED = 5
TINIEST = 1e-6  # greatest value: an error of 1e-12 is none (`scores`)
FIRST_YEAR, LAST_YEAR = 1, 9000  # plots end with the year 9999, and forecasts go on after the last time
Key = tuple[str | None, ...]


def series_name(columns: Sequence[Column], key: Key) -> str:
    """Return 'store=A, item=7'; 'the series' of a query that has only one."""
    pairs = zip(columns, key, strict=True)
    return ", ".join(f"{c.name}={'NULL' if v is None else v}" for c, v in pairs) or "the series"


def listed(names: Sequence[str], n_all: int) -> str:
    """Return how many series of all they are, and the names of the first."""
    shown_names = "; ".join(names[:MAX_NAMED])
    more = "; …" if len(names) > MAX_NAMED else ""
    return shown_names if n_all == 1 else f"{len(names):,} series ({shown_names}{more})"


def shown(moment: int) -> str:
    """Return a time as messages show it."""
    text = str(np.array(moment, np.int64).view("M8[us]").item())
    return text.removesuffix(" 00:00:00")


def check_values(times: Array, values: Array, time: Column, target: Column) -> None:
    """Check that each row has a time and a number, of a size and in years that can be forecast.

    Raises
    ------
    TrainingDataError
        Here and below: what is wrong, and what to write in the query.
    """
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


def check_unique(
    moments: Array, codes: Array, keys: Sequence[Key], columns: Sequence[Column], time: Column
) -> None:
    """Check that no series has two rows of one time.

    Parameters
    ----------
    moments, codes : of the rows in the order of series and time: microseconds, and the series' number
    keys : of the series, by their number
    """
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


def long_enough(
    codes: Array, starts: Array, keys: Sequence[Key], columns: Sequence[Column]
) -> tuple[Array, list[str]]:
    """Return which rows are of series that can be forecast, and what is to be said of the others.

    Raises
    ------
    TrainingDataError
        There is no such series.
    """
    counts = np.diff(np.append(starts, len(codes)))
    short = [series_name(columns, keys[codes[starts[n]]]) for n in np.flatnonzero(counts < LEAST_POINTS)]
    shown_names = listed(short, len(counts))
    if len(short) == len(counts):
        raise TrainingDataError(
            f"no series has {LEAST_POINTS} rows: {shown_names}. Does a series column tell each row apart?"
        )
    note = f"not forecast, with fewer than {LEAST_POINTS} rows: {shown_names}"
    return np.repeat(counts >= LEAST_POINTS, counts), [note] if short else []


def zone_hint(time: Column, zone: str | None) -> str:
    """Return what to look at where days may be those of another time zone than the session's."""
    if time.kind != "timestamptz":
        return ""
    return (
        f". Days are those of the session's TimeZone, {zone or 'UTC'}: if the data's are of another one, "
        f"set it, or select (\"{time.name}\" at time zone 'Europe/Berlin')::date"
    )


def check_density(
    grid: Grid,
    starts: Array,
    ends: Array,
    keys: Sequence[Key],
    columns: Sequence[Column],
    frequency: str | None,
    hint: str,
) -> None:
    """Check that steps are mostly rows: what is interpolated nearly everywhere can't be forecast."""
    n_rows, n_steps = ends - starts, grid.steps[ends - 1] + 1
    words = STEP_WORDS[grid.frequency]
    if n_rows.sum() < (1 - MAX_GAPS) * n_steps.sum() and frequency is None:
        raise TrainingDataError(
            f"the times are irregular: of {n_steps.sum():,} steps of one {words} only {n_rows.sum():,} have "
            "a row. Aggregate by a longer step, add rows for the steps without one (with 0, if nothing "
            f"happened then), or set settings: {{frequency: {grid.frequency}}} to have the others "
            f"interpolated{hint}"
        )
    sparse = np.flatnonzero(n_steps > MOST_STEPS_PER_ROW * np.maximum(n_rows, LEAST_POINTS))
    if len(sparse):
        at = sparse[0]
        raise TrainingDataError(
            f"of {n_steps[at]:,} steps of one {words} of {series_name(columns, keys[at])} only "
            f"{n_rows[at]:,} have a row: aggregate by a longer step, or leave that series out{hint}"
        )
