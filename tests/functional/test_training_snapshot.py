"""The snapshot against a real server: columns, casts, one consistent read, sampling."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import psycopg2
import pytest
from postgres_ml.contract.column import Column
from postgres_ml.contract.config import ProblemType, Settings
from postgres_ml.contract.exceptions import StorageError, TrainingDataError
from postgres_ml.snapshot.copy import SnapshotSummary, copy_snapshot, describe_query, split_target
from postgres_ml.snapshot.rows import TrainingRows, holdout_mask, load
from support.training import Recorder


def take(
    cursor: Any, sql: str, path: Path, max_cells: int = 10**9, problem_type: ProblemType | None = None
) -> tuple[SnapshotSummary, TrainingRows]:
    features, target = split_target(describe_query(cursor, sql), "target")
    settings = Settings(max_cells=max_cells)
    summary = copy_snapshot(cursor, sql, features, target, path / "snapshot.bin", settings, problem_type)
    return summary, load(path / "snapshot.bin", features, target)


def test_columns_are_named_and_typed_as_postgres_has_them(connection: Any, schema: str) -> None:
    cursor = connection.cursor()
    cursor.execute(
        f"create type {schema}.mood as enum ('sad', 'ok'); create domain {schema}.cents as integer"
    )
    columns = describe_query(
        cursor,
        'select 1::smallint "order", 2::bigint b, 1.5::numeric(10, 2) n, 1::real r, '
        '\'x\'::varchar(9) "ümläut ""q""", \'y\'::char(3) c, true t, '
        f"'ok'::{schema}.mood m, 7::{schema}.cents d, current_date e, localtime(0) f, current_time g, "
        "localtimestamp(3) h, now() i -- a comment at the end",
    )
    assert [(c.name, c.sql_type, c.kind) for c in columns] == [
        ("order", "smallint", "number"),
        ("b", "bigint", "number"),
        ("n", "numeric", "number"),
        ("r", "real", "number"),
        ('ümläut "q"', "character varying", "text"),
        ("c", "character", "text"),
        ("t", "boolean", "boolean"),
        ("m", f"{schema}.mood", "text"),
        ("d", "integer", "number"),
        ("e", "date", "date"),
        ("f", "time without time zone", "time"),
        ("g", "time with time zone", "time"),
        ("h", "timestamp without time zone", "timestamp"),
        ("i", "timestamp with time zone", "timestamptz"),
    ]


def test_all_columns_that_can_not_be_used_are_told_at_once_with_cures(connection: Any) -> None:
    sql = """select 1 a, 2 a, now() - now() at_time, '{}'::jsonb j, array[1] l, 3, 'x'::"char" c"""
    with pytest.raises(TrainingDataError) as caught:
        describe_query(connection.cursor(), sql)
    text = str(caught.value)
    assert '2 columns are named "a": rename' in text
    assert 'column "at_time" is of type interval: use extract(epoch from "at_time")' in text
    assert """column "j" is of type jsonb: extract its values: ("j"->>'key')""" in text
    assert 'column "l" is of type integer[]: cast it' in text
    assert "column 6 has no name" in text and 'column "c" is of type "char"' in text


def test_describing_does_not_run_the_query(connection: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("create temp sequence used")
    describe_query(cursor, "select nextval('used') as n, 1 / (i - i) as target from generate_series(1, 9) i")
    cursor.execute("select is_called from used")
    assert cursor.fetchone() == (False,)


def test_a_target_that_is_not_there_is_told_with_the_likely_one() -> None:
    columns = [Column("churned", "text", "text"), Column("age", "integer", "number")]
    with pytest.raises(TrainingDataError, match=r'no column "churn".*did you mean "churned".*churned, age'):
        split_target(columns, "churn")
    with pytest.raises(TrainingDataError, match="no column besides the target"):
        split_target(columns[:1], "churned")


def test_more_features_than_a_composite_type_has_attributes_are_refused() -> None:
    columns = [Column(f"f{i}", "integer", "number") for i in range(1602)]
    with pytest.raises(TrainingDataError, match=r"1601 features.*at most 1600 attributes"):
        split_target(columns, "f0")


def test_values_arrive_exactly(connection: Any, tmp_path: Path) -> None:
    sql = """select * from (values
      (0.1::float8 + 0.2, null::text, true, 9223372036854775807, 'a'),
      ('NaN', '', false, null, 'b'), ('-Infinity', E'tab\\t,"quote"\\nline', null, -9223372036854775808, 'c'),
      (1e-320, 'it''s $$ \\N', null, 9007199254740993, 'd')) v(x, word, flag, big, target)"""
    summary, rows = take(connection.cursor(), sql, tmp_path)
    assert summary.n_rows == summary.n_rows_query == 4 and not summary.sampled
    at = {label: i for i, label in enumerate(rows.target.tolist())}
    x, word, flag, big = (rows.frame[n].tolist() for n in ("x", "word", "flag", "big"))
    assert x[at["a"]] == 0.1 + 0.2 and np.isnan(x[at["b"]]) and x[at["c"]] == -np.inf and x[at["d"]] == 1e-320
    assert word[at["a"]] is None and word[at["b"]] == "" and word[at["d"]] == "it's $$ \\N"
    assert word[at["c"]] == 'tab\t,"quote"\nline'
    assert flag[at["a"]] == 1 and flag[at["b"]] == 0 and np.isnan(flag[at["c"]])
    assert big[at["a"]] == 2.0**63 and big[at["d"]] == 2.0**53


def test_rows_without_a_target_are_counted_and_left_out(connection: Any, tmp_path: Path) -> None:
    sql = "select i, case when i % 4 = 0 then null else i % 3 = 0 end target from generate_series(1, 100) i"
    summary, rows = take(connection.cursor(), sql, tmp_path)
    assert (summary.n_rows_query, summary.n_rows, summary.n_null_target) == (100, 75, 25)
    assert len(rows) == 75 and not summary.sampled


def test_a_query_without_rows_gives_an_empty_snapshot(connection: Any, tmp_path: Path) -> None:
    summary, rows = take(connection.cursor(), "select 1 x, 2 target where false", tmp_path)
    assert (summary.n_rows_query, summary.n_rows, len(rows)) == (0, 0, 0)


def test_the_snapshot_sees_the_transaction_it_is_taken_in(server: Any, tmp_path: Path) -> None:
    own = psycopg2.connect(host=server.host, port=server.port, user=server.user, dbname=server.dbname)
    try:
        cursor = own.cursor()
        cursor.execute("create temp table fresh as select i x, i % 2 target from generate_series(1, 10) i")
        summary, _ = take(cursor, "select * from fresh", tmp_path)
        assert summary.n_rows == 10
    finally:
        own.close()


def test_a_volatile_query_runs_once(connection: Any, tmp_path: Path) -> None:
    cursor = connection.cursor()
    cursor.execute("create temp sequence used")
    sql = "select nextval('used') as x, i % 2 as target from generate_series(1, 500) i"
    take(cursor, sql, tmp_path, max_cells=200)
    cursor.execute("select last_value from used")
    assert cursor.fetchone() == (500,)


def sampled(cursor: Any, sql: str, path: Path, **options: Any) -> set[tuple[Any, ...]]:
    summary, rows = take(cursor, sql, path, **options)
    assert summary.sampled and summary.n_rows == len(rows)
    return set(zip(*(rows.frame[name].tolist() for name in rows.frame), rows.target.tolist(), strict=True))


def test_sampling_takes_the_same_rows_in_whatever_order_they_come(connection: Any, tmp_path: Path) -> None:
    cursor = connection.cursor()
    base = "select i x, i % 7 y, case when i % 3 = 0 then 'yes' else 'no' end target from generate_series(1, 6000) i"
    first = sampled(cursor, base, tmp_path, max_cells=3000)
    assert len(first) in (999, 1000)  # quotas are rounded down
    assert sampled(cursor, f"select * from ({base}) q order by random()", tmp_path, max_cells=3000) == first


def test_sampling_is_unbiased_and_apart_from_the_holdout(connection: Any, tmp_path: Path) -> None:
    sql = "select i x, i::float8 target from generate_series(1, 40000) i"
    summary, rows = take(connection.cursor(), sql, tmp_path, max_cells=8000, problem_type="regression")
    assert summary.n_rows == 4000
    # uniform on 1..40000: the mean's standard error is 11547 / sqrt(4000) = 183
    assert rows.frame["x"].mean() == pytest.approx(20000, abs=4 * 183)
    quarters = np.bincount((rows.frame["x"].to_numpy() - 1).astype(int) // 10000)
    assert np.all(np.abs(quarters - 1000) < 4 * 27)
    assert holdout_mask(rows.keys, 0.2).mean() == pytest.approx(0.2, abs=4 * 0.0063)


@pytest.mark.parametrize("problem_type", [None, "binary_classification"])
def test_sampling_keeps_every_class_and_the_shares(
    connection: Any, tmp_path: Path, problem_type: ProblemType | None
) -> None:
    sql = """select i x, case when i % 1000 = 0 then 'rare' when i % 5 = 0 then 'some' else 'most' end target
    from generate_series(1, 30000) i"""
    summary, rows = take(connection.cursor(), sql, tmp_path, max_cells=6000, problem_type=problem_type)
    counts = Counter(rows.target.tolist())
    assert summary.n_rows <= 3000
    assert counts["rare"] == 30  # all of them: fewer than 50
    assert counts["some"] / summary.n_rows == pytest.approx(0.2, abs=0.01)


def test_integer_classes_are_kept_and_many_values_are_not_classes(connection: Any, tmp_path: Path) -> None:
    classes = (
        "select i x, case when i % 2000 = 0 then 9 else i % 3 end target from generate_series(1, 20000) i"
    )
    _, rows = take(connection.cursor(), classes, tmp_path, max_cells=4000)
    assert Counter(rows.target.tolist())[9] == 10
    values = "select i x, i % 500 target from generate_series(1, 20000) i"
    summary, rows = take(connection.cursor(), values, tmp_path, max_cells=4000)
    assert summary.n_rows == 2000
    assert np.unique(rows.target).size < 500  # a plain sample leaves some out


def test_a_table_of_few_distinct_rows_is_thinned_evenly(connection: Any, tmp_path: Path) -> None:
    sql = "select i % 5 x, i % 2 = 0 target from generate_series(1, 50000) i"
    summary, rows = take(connection.cursor(), sql, tmp_path, max_cells=10000)
    assert summary.n_rows == pytest.approx(5000, abs=2)
    counts = Counter(zip(rows.frame["x"].tolist(), rows.target.tolist(), strict=True))
    assert len(counts) == 10
    assert all(count == pytest.approx(500, abs=100) for count in counts.values())


def test_more_classes_than_rows_that_fit_stay_within_the_limit(connection: Any, tmp_path: Path) -> None:
    sql = "select i x, 'class ' || i % 400 target from generate_series(1, 4000) i"
    summary, _ = take(connection.cursor(), sql, tmp_path, max_cells=1000)
    assert 200 <= summary.n_rows <= 500


def test_a_full_disk_is_told_and_the_connection_lives(connection: Any) -> None:
    cursor = connection.cursor()
    sql = "select i x, md5(i::text) || i target from generate_series(1, 200000) i"
    features, target = split_target(describe_query(cursor, sql), "target")
    with pytest.raises(StorageError, match=r"/dev/full: No space left on device"):
        copy_snapshot(cursor, sql, features, target, Path("/dev/full"), Settings(), None)
    cursor.execute("select 1")
    assert cursor.fetchone() == (1,)


def test_a_query_that_fails_fails_with_the_databases_words(connection: Any, tmp_path: Path) -> None:
    with pytest.raises(psycopg2.Error, match="division by zero"):
        take(connection.cursor(), "select 1 / (i - 5) x, i target from generate_series(1, 9) i", tmp_path)
    with pytest.raises(psycopg2.Error, match="nowhere"):
        describe_query(connection.cursor(), "select * from nowhere")
    assert Recorder().lines == []
