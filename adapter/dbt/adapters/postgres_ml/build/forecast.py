"""A create_model node that forecasts: which column of the query is the time, and which tell series apart."""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import zoneinfo
from collections.abc import Sequence
from typing import Any

from dbt.adapters.postgres_ml.build.node import NodeBuild, TrainingQuery
from dbt.adapters.postgres_ml.catalog.read import StoredVersion
from dbt.adapters.postgres_ml.config.dbt_contract import check_contract

from postgres_ml.contract.column import Column
from postgres_ml.contract.config import TrainingSpec
from postgres_ml.contract.exceptions import SpecError, TrainingDataError
from postgres_ml.contract.forecast import EXTRA, HORIZON, column_name, ordered, table_columns
from postgres_ml.snapshot.copy import TIMES, SnapshotSummary, copy_snapshot, describe_query
from postgres_ml.snapshot.query import INTEGER_TYPES

LIBRARY = "statsforecast"
WHOLE = 2**62  # cells: a sample would tear holes into series


class ForecastBuild(NodeBuild):
    """The build of a node that forecasts series. Its query's features are the time, then the series
    columns.
    """

    def describe(self, cursor: Any) -> TrainingQuery:
        """Return the query and the roles of its columns; raises as every build does."""
        columns = describe_query(cursor, self.sql)
        found = roles(columns, self.spec)
        problems = check_contract(cursor, self.node, columns)
        if problems:
            raise SpecError("; ".join(problems))
        return TrainingQuery(self.sql, columns, found[:-1], found[-1])

    def lacking(self) -> list[str]:
        """Return that the library is missing, if it is: known before anything is read."""
        return [] if _library_version() else [f"a forecast needs the library {LIBRARY}: {EXTRA}"]

    @functools.cached_property
    def identity(self) -> dict[str, Any]:
        """The library that forecasts: another version is a change, for forecasts alone."""
        version = _library_version()
        return {LIBRARY: version} if version else {}

    def fits(self, query: TrainingQuery, serving: StoredVersion) -> bool:
        """Return whether the function that serves returns, by its name, the table that is asked for."""
        if serving.function_name != self.spec.function:
            return False
        time, *series = query.features
        wanted = table_columns(time, series, self.spec.settings.percentiles)
        return bool(serving.summary["columns"] == [list(pair) for pair in wanted])

    def copy_rows(self, cursor: Any, query: TrainingQuery) -> SnapshotSummary | None:
        """Copy all rows: a sample of them would be series with holes.

        Raises
        ------
        TrainingDataError
            There are more cells than `max_cells`, or no row has a target.
        """
        settings = self.spec.settings
        summary = copy_snapshot(
            cursor, query.sql, query.features, query.target, self.directory / "snapshot.bin",
            dataclasses.replace(settings, max_cells=WHOLE), self.spec.problem_type,
        )  # fmt: skip
        n_cells = summary.n_rows * len(query.columns)
        if n_cells > settings.max_cells:
            raise TrainingDataError(
                f"the query returns {n_cells:,} cells, more than max_cells ({settings.max_cells:,}), and a "
                "sample would tear holes into series: aggregate the rows, or set settings: "
                f"{{max_cells: {n_cells}}}"
            )
        return summary

    def session_identity(self, cursor: Any, query: TrainingQuery) -> dict[str, Any]:
        """Return the session's time zone, whose days a timestamp with time zone is meant in."""
        if query.features[0].kind != "timestamptz":
            return {}
        cursor.execute("select pg_catalog.current_setting('TimeZone')")
        name = cursor.fetchall()[0][0]
        try:
            zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError):  # a rule that Postgres alone reads: '<+02>-02'
            return {}
        return {"time_zone": name}

    def job_fields(self, cursor: Any, query: TrainingQuery) -> dict[str, Any]:
        """Return the time zone."""
        return self.session_identity(cursor, query)


def _library_version() -> str | None:
    """Return the library's version; None where it isn't installed. It is not imported here."""
    try:
        return importlib.metadata.version(LIBRARY)
    except importlib.metadata.PackageNotFoundError:
        return None


def roles(columns: Sequence[Column], spec: TrainingSpec) -> tuple[Column, ...]:
    """Return the time, the series columns, which are read as text, and the target.

    Raises
    ------
    TrainingDataError
        A column that the config names is missing or of another type, or one has no role; all in one message.
    """
    by_name = {column.name: column for column in columns}
    named = [("target", spec.target), ("time", spec.time), *(("series", name) for name in spec.series or ())]
    problems = [
        f'the query has no column "{name}" ({role}). It has: {", ".join(by_name)}'
        for role, name in named
        if name is not None and name not in by_name
    ]
    if problems:
        raise TrainingDataError("; ".join(problems))
    target, time = by_name[str(spec.target)], _time(columns, spec, problems)
    if target.kind != "number":
        problems.append(
            f'target "{target.name}" is of type {target.sql_type}, and a forecast is of numbers: cast it'
        )
    taken = {target.name, time.name if time else "", *(spec.series or ())}
    others = [c for c in columns if c.name not in taken]
    series = [by_name[name] for name in spec.series] if spec.series is not None else others
    if spec.series is not None and others and time is not None:
        names = ", ".join(f'"{c.name}"' for c in others)
        problems.append(f"{names}: neither target nor time nor in 'series': leave it out of the query")
    problems += [
        f'column "{c.name}" is of type {c.sql_type}, which tells no series apart: leave it out of the '
        "query, or cast it to text"
        for c in series
        if time is not None and c.sql_type not in (*INTEGER_TYPES, "boolean") and c.kind != "text"
    ]
    problems += _name_problems([*series, *([time] if time else [])], spec)
    if problems or time is None:
        raise TrainingDataError("the training query can't be forecast: " + "; ".join(problems))
    return (time, *(dataclasses.replace(c, kind="text") for c in series), target)


def _name_problems(columns: Sequence[Column], spec: TrainingSpec) -> list[str]:
    reserved = {HORIZON.name, *map(column_name, ordered(spec.settings.percentiles))}
    return [
        f'column "{c.name}" has the name of the argument or of a column of the forecast: select it under '
        "another one"
        for c in columns
        if c.name in reserved
    ]


def _time(columns: Sequence[Column], spec: TrainingSpec, problems: list[str]) -> Column | None:
    """Return the column that orders the rows; None, with a problem appended, where it isn't clear."""
    found = [c for c in columns if c.sql_type in TIMES and c.name not in (spec.target, *(spec.series or ()))]
    if spec.time is not None:
        [column] = [c for c in columns if c.name == spec.time]
        if column.sql_type in TIMES:
            return column
        problems.append(
            f'time "{column.name}" is of type {column.sql_type}, not a date or a timestamp: cast it'
        )
    elif not found:
        problems.append("it has no column of type date or timestamp, which a forecast needs: select one")
    elif len(found) > 1:
        names = ", ".join(c.name for c in found)
        problems.append(f"it has several columns of type date or timestamp ({names}): name one in 'time'")
    else:
        return found[0]
    return None
