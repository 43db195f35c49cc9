"""Values that a snapshot, its digest or its hold-out could confuse: each pair of them, and each time zone."""

from __future__ import annotations

import itertools
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, strategies
from hypothesis import settings as hypothesis_settings
from postgres_ml.contract.config import Settings
from postgres_ml.contract.exceptions import TrainingDataError
from postgres_ml.features.problem import label_values
from postgres_ml.snapshot import rows as snapshot_rows
from postgres_ml.snapshot.copy import copy_snapshot, describe_query, split_target
from postgres_ml.snapshot.digest import measure

#: of each type values that are distinct, the special ones among them
VALUES = {
    "smallint": ["0", "1", "-1", "-32768", "32767"],
    "integer": ["0", "1", "-1", "-2147483648", "2147483647"],
    "bigint": ["0", "1", "-1", "-9223372036854775808", "9223372036854775807", "9007199254740993"],
    "real": ["0", "1", "-1", "NaN", "Infinity", "-Infinity", "1e-45", "3.4e38"],
    "double precision": ["0", "1", "-1", "NaN", "Infinity", "-Infinity", "5e-324", "1e308"],
    "numeric": ["0", "1", "-1", "NaN", "Infinity", "-Infinity", "1e-30", "1e30", "9007199254740993"],
    "boolean": ["true", "false"],
    "text": ["", " ", "0", "a", "A", "NaN", "NULL", "\u00e4", "a\u0308"],
    "character varying": ["", " ", "0", "a"],
    "character(5)": ["", "0", "a"],
    "date": ["1970-01-01", "2000-01-01", "infinity", "-infinity", "0044-03-15 BC"],
    "time": ["00:00", "00:00:00.000001", "24:00", "12:00"],
    "timetz": ["00:00+00", "00:00+01", "12:00+00"],
    "timestamp": ["1970-01-01", "2000-01-01", "infinity", "-infinity"],
    "timestamptz": ["1970-01-01 00:00+00", "2000-01-01 00:00+00", "infinity", "-infinity"],
}


def digest(cursor: Any, sql: str) -> int:
    return measure(cursor, sql, describe_query(cursor, sql), Settings())[0]


@pytest.mark.parametrize("sql_type", VALUES)
def test_each_pair_of_distinct_values_moves_the_digest(connection: Any, sql_type: str) -> None:
    cursor = connection.cursor()
    literals = ["null", *(f"'{value}'" for value in VALUES[sql_type])]
    if connection.server_version < 140000 and sql_type == "numeric":
        literals = [value for value in literals if "Infinity" not in value]
    digests = {
        value: digest(cursor, f"select {value}::{sql_type} as x, i as y from generate_series(1, 3) as i")
        for value in literals
    }
    same = [pair for pair in itertools.combinations(digests, 2) if digests[pair[0]] == digests[pair[1]]]
    assert not same, f"{sql_type}: one digest for {same}"


def test_a_zero_that_becomes_null_in_one_row_moves_the_digest(connection: Any) -> None:
    cursor = connection.cursor()
    query = (
        "select case when i = 7 then {} else i end::float8 as x, i % 2 as y from generate_series(1, 60) as i"
    )
    assert digest(cursor, query.format("0.0")) != digest(cursor, query.format("null"))


def labels_of(cursor: Any, tmp_path: Path, expression: str, problem_type: Any = None) -> Any:
    sql = f"select i as x, {expression} as label from generate_series(1, 40) as i"
    columns = describe_query(cursor, sql)
    features, target = split_target(columns, "label")
    path = tmp_path / "snapshot.bin"
    copy_snapshot(cursor, sql, features, target, path, Settings(), problem_type)
    assert target is not None
    return label_values(snapshot_rows.load(path, features, target).target, target.sql_type)


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ("90071992547409931", "90071992547499939"),
        ("1", "2"),
        ("-9223372036854775808", "9223372036854775807"),
        ("123456789012345678901234567890", "123456789012345678901234567891"),
    ],
)
def test_numeric_labels_are_those_of_the_database(
    connection: Any, tmp_path: Path, low: str, high: str
) -> None:
    found = labels_of(
        connection.cursor(), tmp_path, f"case when i > 20 then {high} else {low} end::numeric(38, 0)"
    )
    assert {Decimal(int(label)) for label in found} == {Decimal(low), Decimal(high)}


def test_numeric_labels_with_fractions_are_those_of_the_database(connection: Any, tmp_path: Path) -> None:
    values = ["0.1", "0.1234567890123456789", "10.5"]
    cases = f"(array[{', '.join(values)}])[i % 3 + 1]::numeric(38, 19)"
    found = labels_of(connection.cursor(), tmp_path, cases, "multiclass_classification")
    assert set(found) == {Decimal(value) for value in values}


@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    strategies.lists(
        strategies.decimals(allow_nan=False, allow_infinity=False, places=19, min_value=-(10**18), max_value=10**18),
        min_size=2, max_size=4, unique=True,
    )
)  # fmt: skip
@example([Decimal("90071992547409931"), Decimal("90071992547499939")])
def test_drawn_numeric_labels_survive(connection: Any, tmp_path: Path, values: list[Decimal]) -> None:
    cases = f"(array[{', '.join(format(v, 'f') for v in values)}]::numeric[])[i % {len(values)} + 1]"
    found = labels_of(connection.cursor(), tmp_path, cases, "multiclass_classification")
    assert {Decimal(str(label)) for label in found.tolist()} == set(values)


def test_numbers_that_are_measured_stay_doubles(connection: Any, tmp_path: Path) -> None:
    found = labels_of(connection.cursor(), tmp_path, "i / 7.0", None)
    assert found.dtype == float


@pytest.mark.parametrize(
    "after", ["2024-03-31", "2024-03-31T00:00:00", "2024-03-31T12:00+12:00", "2024-03-31T00:00:00Z"]
)
def test_a_point_in_time_is_in_utc_whatever_the_session(connection: Any, tmp_path: Path, after: str) -> None:
    cursor = connection.cursor()
    sql = """select i as x, timestamptz '2024-03-30 00:00+00' + i * interval '1 hour' as at, i % 2 as y
        from generate_series(0, 47) as i"""
    sides = {}
    for zone in ("UTC", "Pacific/Auckland", "America/Los_Angeles"):
        cursor.execute(f"set timezone = '{zone}'")
        chosen = Settings(holdout_time="at", holdout_after=after)
        features, target = split_target(describe_query(cursor, sql, chosen), "y", "at")
        path = tmp_path / "snapshot.bin"
        copy_snapshot(cursor, sql, features, target, path, chosen, None)
        split = snapshot_rows.load(path, features, target).split
        assert split is not None
        sides[zone] = int(split.sum())
    assert set(sides.values()) == {24}, sides


@pytest.mark.parametrize(
    ("column", "after", "wanted"),
    [
        ("timestamptz '2024-01-01'", "31/03/2024", "ISO 8601"),
        ("date '2024-01-01'", "20240331", "ISO 8601"),
        ("2024", "2024-03-31", "a number"),
    ],
)
def test_what_is_no_point_is_refused_before_training(
    connection: Any, column: str, after: str, wanted: str
) -> None:
    chosen = Settings(holdout_time="at", holdout_after=after)
    with pytest.raises(TrainingDataError, match=f"holdout: after must be .*{wanted}.*{after}"):
        describe_query(connection.cursor(), f"select 1 as x, {column} as at, 2 as y", chosen)


@pytest.mark.parametrize("after", ["2024-01-01T00:00+02:00", "2024-03-31T12:00"])
def test_a_day_that_begins_elsewhere_is_refused_for_a_date(connection: Any, after: str) -> None:
    """Postgres reads the time as a date, and would hold out the day before, or the whole day."""
    sql, chosen = (
        "select 1 as x, date '2024-01-01' as at, 2 as y",
        Settings(holdout_time="at", holdout_after=after),
    )
    with pytest.raises(TrainingDataError, match="not the beginning of a day in UTC: write the first day"):
        describe_query(connection.cursor(), sql, chosen)
    for fine in ("2024-03-31", "2024-03-31T02:00+02:00", "2024-03-31 00:00"):
        describe_query(connection.cursor(), sql, Settings(holdout_time="at", holdout_after=fine))
