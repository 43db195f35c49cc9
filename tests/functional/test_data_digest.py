"""The digest of a query's rows: what it notices, what it doesn't, and that both statements compute the same."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from postgres_ml.contract.config import Settings
from postgres_ml.snapshot.copy import copy_snapshot, describe_query, split_target
from postgres_ml.snapshot.digest import measure

ROWS = """select i % 3 = 0 as flag, i::smallint as s, i as n, i * 10000000000 as big, i / 7.0::real as r,
    i / 3.0::float8 as f, i / 9.0 as exact, 'a' || i as word, ('b' || i)::varchar(9) as short, ('c' || i)::char(5) as fixed,
    date '2020-01-01' + i as day, timestamp '2020-01-01' + i * interval '1 hour' as at,
    timestamptz '2020-01-01 00:00+00' + i * interval '1 hour' as moment, time '00:00' + i * interval '1 minute' as clock,
    i % 2 as y from generate_series(1, 60) as i"""
COLUMNS = [
    "flag",
    "s",
    "n",
    "big",
    "r",
    "f",
    "exact",
    "word",
    "short",
    "fixed",
    "day",
    "at",
    "moment",
    "clock",
    "y",
]
#: hashed as a record
OTHERS = ["fixed", "day", "at", "moment", "clock", "mood"]


def digest(cursor: Any, sql: str, settings: Settings | None = None) -> tuple[int, int]:
    settings = settings or Settings()
    return measure(cursor, sql, describe_query(cursor, sql, settings), settings)


@pytest.fixture
def cursor(connection: Any) -> Any:
    cursor = connection.cursor()
    cursor.execute(f"create temporary table rows as {ROWS}")
    return cursor


def test_neither_order_nor_workers_count(cursor: Any) -> None:
    expected = digest(cursor, "select * from rows")
    assert expected[1] == 60
    assert digest(cursor, "select * from rows order by md5(word)") == expected


@pytest.mark.parametrize("column", COLUMNS)
def test_values_that_change_places_within_a_column_are_another_digest(cursor: Any, column: str) -> None:
    columns = ", ".join(f"o.{c}" if c == column else f"r.{c}" for c in COLUMNS)
    # rows 4 and 9 differ in every column
    swapped = f"""select {columns} from rows as r
        join rows as o on o.n = case r.n when 4 then 9 when 9 then 4 else r.n end"""
    assert digest(cursor, swapped) != digest(cursor, "select * from rows")


@pytest.mark.parametrize("column", COLUMNS)
def test_a_value_that_is_gone_is_another_digest(cursor: Any, column: str) -> None:
    columns = ", ".join(f"case when n <> 4 then {c} end as {c}" if c == column else c for c in COLUMNS)
    assert digest(cursor, f"select {columns} from rows") != digest(cursor, "select * from rows")


def test_equal_rows_and_the_places_of_equal_values_count(cursor: Any) -> None:
    twice = "select * from rows union all select * from rows where n = 1"
    assert digest(cursor, twice) != digest(cursor, "select * from rows")
    # a pair of equal rows must not vanish, nor two columns of equal values be exchanged unnoticed
    assert digest(cursor, "select 1 as a, 2 as b") != digest(cursor, "select 2 as a, 1 as b")
    assert digest(cursor, "select 7 as a, 7 as b") != digest(cursor, "select 8 as a, 8 as b")


@pytest.mark.parametrize(
    "settings",
    [Settings(), Settings(holdout_column="flag"), Settings(holdout_time="at", holdout_after="2020-01-02")],
)
def test_the_copy_computes_the_same(cursor: Any, tmp_path: Path, settings: Settings) -> None:
    sql = "select * from rows"
    columns = describe_query(cursor, sql, settings)
    features, target = split_target(columns, "y", settings.split_column)
    summary = copy_snapshot(cursor, sql, features, target, tmp_path / "snapshot.bin", settings, None)
    assert (summary.digest, summary.n_rows_query) == digest(cursor, sql, settings)


def test_types_of_ones_own_are_hashed_too(cursor: Any, schema: str) -> None:
    cursor.execute(f"create type {schema}.mood as enum ('sad', 'ok')")
    ok, sad = (digest(cursor, f"select '{mood}'::{schema}.mood as m, 1 as y") for mood in ("ok", "sad"))
    assert ok != sad


def test_a_column_of_any_name_is_hashed(cursor: Any) -> None:
    assert digest(cursor, """select 1 as "a{0} %s ""b", 'x' as "{h}" """)[1] == 1


@pytest.mark.parametrize("pair", [*itertools.combinations(OTHERS, 2), ("day", "split")], ids="-".join)
def test_columns_that_are_hashed_as_a_record_alone(cursor: Any, schema: str, pair: tuple[str, str]) -> None:
    """Values that change places within a column, of queries in which nothing is joined by exclusive or."""
    cursor.execute(f"create type {schema}.mood as enum ('sad', 'ok', 'happy')")
    cursor.execute(
        f"""create temporary table alone as select n, fixed, day, at, clock, moment, flag as split,
        (array['sad', 'ok', 'happy'])[1 + n % 3]::{schema}.mood as mood from rows"""
    )
    settings = Settings(holdout_column="split") if "split" in pair else Settings()
    first, second = pair
    before = digest(cursor, f"select {first}, {second} from alone", settings)
    unnoticed = 0
    for n in range(
        2, 22
    ):  # row 1 and each of these differ in all columns, or the pair is the same without a change
        swapped = f"""select r.{first}, o.{second} from alone as r
            join alone as o on o.n = case r.n when 1 then {n} when {n} then 1 else r.n end"""
        cursor.execute(
            f"select count(distinct {first}) * count(distinct {second}) from alone where n in (1, {n})"
        )
        if cursor.fetchone()[0] == 4:
            unnoticed += digest(cursor, swapped, settings) == before
    assert unnoticed == 0


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # every value of two columns divided by 10,000, and back
        ("select i::numeric as a, i::numeric + 1 as b", "select i / 10000::numeric as a, (i + 1) / 10000::numeric as b"),
        ("select i::numeric as a, i * 10000::numeric as b", "select i * 10000::numeric as a, i::numeric as b"),
        # 1 and 10,000 change places between rows
        ("select 10000 ^ (i % 2)::numeric as a, i as b", "select 10000 ^ ((i + 1) % 2)::numeric as a, i as b"),
        # what had been read as signed, or cut to 32 bits
        ("select -i::bigint as a, 1 as b", "select 4294967296 - i as a, 1 as b"),
        ("select i::bigint as a, 1 as b", "select i * 4294967296 as a, 1 as b"),
        ("select i::bigint as a, i * 2::bigint as b", "select i::bigint << 32 as a, (i * 2)::bigint << 32 as b"),
    ],
)  # fmt: skip
def test_numbers_that_postgres_hashes_alike_are_told_apart(cursor: Any, before: str, after: str) -> None:
    found = {
        digest(cursor, f"{sql} from generate_series(1, {n}) as i") for sql in (before, after) for n in (1, 99)
    }
    assert len(found) == 4


def test_a_label_that_is_renamed_is_another_digest(cursor: Any, schema: str) -> None:
    """The function has the label's text: with the new one it would raise."""
    cursor.execute(f"create type {schema}.mood as enum ('sad', 'ok')")
    sql = (
        f"select (array['sad', 'ok'])[1 + i % 2]::{schema}.mood as m, i as y from generate_series(1, 9) as i"
    )
    cursor.execute(f"create temporary table moods as {sql}")
    before = digest(cursor, "select * from moods")
    cursor.execute(f"alter type {schema}.mood rename value 'sad' to 'blue'")
    assert digest(cursor, "select * from moods") != before
