"""What a forecast is asked for, and the table that it returns: names that config, training and macros share.

Runs in dbt's process too: nothing but the standard library.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from postgres_ml.contract.column import STRINGS, Column

#: Redshift's, and quarters
FREQUENCIES = ("Y", "Q", "M", "W", "D", "H", "30min", "15min", "10min", "5min", "1min")
#: in words, of one step
STEP_WORDS = {
    "Y": "year", "Q": "quarter", "M": "month", "W": "week", "D": "day", "H": "hour", "30min": "30 minutes",
    "15min": "15 minutes", "10min": "10 minutes", "5min": "5 minutes", "1min": "minute",
}  # fmt: skip
MEAN = "mean"
DEFAULT_PERCENTILES = (MEAN, "0.1", "0.5", "0.9")
MAX_PERCENTILES = 5  # Redshift's, besides the mean
#: the function's argument
HORIZON = Column("horizon", "integer", "number")
EXTRA = "pip install 'dbt-postgres-ml[forecast]'"


def ordered(percentiles: Iterable[str]) -> tuple[str, ...]:
    """Return the mean first, if it is among them, then the percentiles from the lowest."""
    given = set(percentiles)
    return (*[MEAN] * (MEAN in given), *sorted(given - {MEAN}, key=float))


def column_name(percentile: str) -> str:
    """Return the name of a percentile's column: 'p10' of '0.1'; of the mean 'mean'."""
    return MEAN if percentile == MEAN else f"p{round(100 * float(percentile))}"


def table_columns(
    time: Column, series: Sequence[Column], percentiles: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """Return (name, SQL type) of what the function returns: series, time, then the values."""
    return (
        *((column.name, _returned(column.sql_type)) for column in series),
        (time.name, time.sql_type),
        *((column_name(percentile), "double precision") for percentile in percentiles),
    )


def table_type(columns: Iterable[tuple[str, str]]) -> str:
    """Return 'table(store text, day date, mean double precision)', for people."""
    return "table(" + ", ".join(f"{name} {kind}" for name, kind in columns) + ")"


def _returned(sql_type: str) -> str:
    """Return text for all types of strings: their lengths are not known here."""
    return "text" if sql_type in STRINGS else sql_type
