"""The forecast as a function in plpgsql: its values stand in the body.

Input: series with their means and percentiles. Output: `FunctionBody`, the rows that the parity check holds
it against, and the table that MLflow keeps.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from postgres_ml.contract.column import Column
from postgres_ml.contract.exceptions import StorageError, TrainingDataError
from postgres_ml.contract.forecast import HORIZON, MEAN, table_columns
from postgres_ml.contract.model import FunctionBody
from postgres_ml.contract.sql_names import text, type_name
from postgres_ml.forecast.panel_checks import Key
from postgres_ml.snapshot.rows import Array
from postgres_ml.verify.rows import ESCAPES

MAX_VALUES = 2_000_000  # about 40 MB of text, which a session reads once, in a second
DOUBLE = "double precision"


@dataclass(frozen=True)
class Told:
    """What is told of one series.

    Parameters
    ----------
    times : ndarray of shape (horizon,), int64: microseconds in UTC
    mean : ndarray of shape (horizon,)
    quantiles : by level, the same shape
    """

    key: Key
    times: Array
    mean: Array
    quantiles: dict[float, Array]

    def values(self, percentile: str) -> Array:
        """Return the values of 'mean' or of a percentile."""
        return self.mean if percentile == MEAN else self.quantiles[float(percentile)]


@dataclass(frozen=True)
class Table:
    """All that the function tells.

    Parameters
    ----------
    time, series : columns of the query
    percentiles : as `contract.forecast.ordered` returns them
    """

    time: Column
    series: tuple[Column, ...]
    percentiles: tuple[str, ...]
    told: tuple[Told, ...]
    horizon: int

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """(name, SQL type) of what the function returns."""
        return table_columns(self.time, self.series, self.percentiles)

    def rows(self) -> Iterator[tuple[int, list[str | None]]]:
        """Yield each row's step and its cells as text, as Postgres reads them."""
        for one in self.told:
            times = time_texts(one.times, self.time)
            values = [one.values(percentile).tolist() for percentile in self.percentiles]
            for step in range(self.horizon):
                yield step + 1, [*one.key, times[step], *(repr(v[step]) for v in values)]


def check_size(n_series: int, horizon: int, n_percentiles: int) -> None:
    """Check that the function's body can hold the values.

    Raises
    ------
    TrainingDataError
    """
    n_values = n_series * horizon * n_percentiles
    if n_values > MAX_VALUES:
        raise TrainingDataError(
            f"{n_series:,} series x horizon {horizon} x {n_percentiles} values a step are {n_values:,} "
            f"values, and a function holds {MAX_VALUES:,}: lower horizon, ask for fewer percentiles, or "
            "divide the series between several models"
        )


def function_of(table: Table, name: str) -> FunctionBody:
    """Return the function.

    Parameters
    ----------
    name : unquoted
    """
    return FunctionBody(
        role="predict",
        name=name,
        arguments=((HORIZON.name, HORIZON.sql_type),),
        returns="record",
        language="plpgsql",
        body=_body(table),
        columns=table.columns,
        defaults=(table.horizon,),
    )


def _body(table: Table) -> str:
    ends: dict[bytes, int] = {}
    number_of = [ends.setdefault(one.times.tobytes(), len(ends)) for one in table.told]
    of_end = {number: one.times for number, one in zip(number_of, table.told, strict=True)}
    keys = [f"k{i}" for i in range(len(table.series))]
    values = [f"v{i}" for i in range(len(table.percentiles))]
    series = ",\n".join(
        _series_row(one, number, table) for one, number in zip(table.told, number_of, strict=True)
    )
    moments = ",\n".join(
        f"({number}, '{{{_quoted(time_texts(times, table.time))}}}'::{type_name(table.time.sql_type)}[])"
        for number, times in of_end.items()
    )
    arrays = ", ".join(["pg_catalog.unnest(e.times)", *(f"pg_catalog.unnest(s.{v})" for v in values)])
    selected = ", ".join([*(f"s.{key}" for key in keys), "a.at", *(f"a.{v}" for v in values)])
    return f"""
#variable_conflict use_column
begin
    if $1 is null or $1 < 1 or $1 > {table.horizon} then
        raise exception 'horizon must be from 1 to {table.horizon}, found %', coalesce($1::text, 'NULL')
            using errcode = 'invalid_parameter_value',
            hint = 'The model was trained with settings: {{horizon: {table.horizon}}}.';
    end if;
    return query
    select {selected}
    from (values
{series}
    ) as s ({", ".join([*keys, "ended", *values])})
    join (values
{moments}
    ) as e (number, times) on e.number = s.ended
    cross join lateral rows from ({arrays}) with ordinality as a ({", ".join(["at", *values, "step"])})
    where a.step <= $1;
end
"""


def _series_row(one: Told, number: int, table: Table) -> str:
    types = [kind for _, kind in table.columns]
    cells = [
        f"{'null' if value is None else text(value)}::{type_name(kind)}"
        for value, kind in zip(one.key, types, strict=False)
    ]
    arrays = [
        f"'{{{','.join(map(repr, one.values(percentile).tolist()))}}}'::{DOUBLE}[]"
        for percentile in table.percentiles
    ]
    return f"({', '.join([*cells, str(number), *arrays])})"


def _quoted(texts: Sequence[str]) -> str:
    return ",".join(f'"{moment}"' for moment in texts)


def time_texts(times: Array, column: Column) -> list[str]:
    """Return times as Postgres reads them whatever DateStyle and TimeZone are."""
    moments = times.view("M8[us]")
    if column.kind == "date":
        return [str(moment) for moment in np.datetime_as_string(moments, unit="D")]
    zone = "+00" if column.kind == "timestamptz" else ""
    if (times % 1_000_000).any():
        texts = np.datetime_as_string(moments, unit="us")
    else:
        texts = np.datetime_as_string(moments, unit="s")
    return [str(moment).replace("T", " ") + zone for moment in texts]


def write_parity(path: Path, table: Table) -> None:
    """Write the rows that a call of the function has to return, each as `verify.parity` reads it.

    Raises
    ------
    StorageError
        The file can't be written.
    """
    try:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            for _, cells in table.rows():
                expected = json.dumps(cells, ensure_ascii=False).translate(ESCAPES)
                file.write(f"{table.horizon}\t{expected}\t\\N\t\\N\n")
    except OSError as error:
        raise StorageError(f"the parity rows can't be written to {path}: {error.strerror}") from error
