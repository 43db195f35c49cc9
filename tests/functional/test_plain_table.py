"""Which queries are plain tables, and what Dask's workers read of one under the snapshot that is held."""

from __future__ import annotations

import pandas as pd
import psycopg2
import pytest
from dbt.adapters.postgres_ml.build.plain_table import HeldSnapshot, PlainTable, hold_snapshot, plain_table
from postgres_ml.contract.config import Settings
from postgres_ml.contract.exceptions import TrainingDataError
from postgres_ml.out_of_core.worker_read import Source, ranges, read_part
from postgres_ml.snapshot.copy import describe_query, split_target
from postgres_ml.snapshot.query import around_rows, data_digest_query

N_ROWS = 5_000
SET_UP = """
set search_path to "{schema}";
create type mood as enum ('sad', 'ok');
create table t as
    select i::smallint as a, case when i % 7 = 0 then null else i / 3.0 end as "B b", 'x' || i % 9 as "t""q",
        date '2020-01-01' + i as day, (array['sad', 'ok'])[1 + i % 2]::mood as m,
        case when i % 11 = 0 then null else i % 2 = 0 end as y
    from generate_series(1, {n}) as i;
create view v as select a, y from t;
create materialized view mv as select a, y from t;
create table parent (a int, y boolean) partition by range (a);
create table part partition of parent for values from (0) to (100);
create table base (a int, y boolean);
create table child () inherits (base);
create table guarded (a int, y boolean);
alter table guarded enable row level security;
create unlogged table u as select a, y from t;
create temporary table temporary_t as select 1 as a, true as y;
"""
PLAIN = [
    "select * from t",
    'select a as x, "B b" as a, "t""q", y from t as other',
    "select y, a from (select * from t) as inner_query",
    "select * from u",
    "select * from part",
    "select * from child",
]
OTHERS = [
    "select a, y from t where a > 5",
    "select a, y from t limit 10",
    "select a, y from t order by a",
    "select distinct a, y from t",
    "select a, y from t tablesample bernoulli (50)",
    "select a + 1 as a, y from t",
    "select a, y, 1 as one from t",
    "select a, y, ctid::text from t",
    "select a, (select max(a) from u) as most, y from t",
    "select a, y from t for update",
    "select a, y from t union all select a, y from u",
    "select t.a, t.y from t join u using (a)",
    "select t.a, t.y from t cross join lateral (select where t.a > 5) as few",
    "select a, y from t group by a, y",
    "select a, y from v",
    "select a, y from mv",
    "select * from parent",
    "select * from base",
    "select * from guarded",
    "select * from temporary_t",
    "select 1 as a, true as y",
    "values (1, true)",
]


class TestPlainTable:
    @pytest.fixture
    def cursor(self, connection, schema):
        with connection.cursor() as made:
            made.execute(SET_UP.format(schema=schema, n=N_ROWS))
            yield made

    @pytest.fixture
    def found(self, cursor) -> PlainTable:
        made = plain_table(cursor, "select * from t")
        assert made is not None
        return made

    @pytest.mark.parametrize("sql", PLAIN)
    def test_columns_of_one_table_are_found(self, cursor, sql):
        made = plain_table(cursor, sql)
        assert made is not None
        cursor.execute(f"select * from ({sql}) query order by query")
        names, rows = [column.name for column in cursor.description], cursor.fetchall()
        cursor.execute(f"select * from ({made.select}) query order by query")
        assert ([column.name for column in cursor.description], cursor.fetchall()) == (names, rows)

    @pytest.mark.parametrize("sql", OTHERS)
    def test_whatever_is_more_than_that_is_not(self, cursor, sql):
        assert plain_table(cursor, sql) is None

    def test_a_transaction_that_has_written_reads_its_own_rows(self, cursor):
        cursor.execute("begin")
        cursor.execute("select from t")
        assert plain_table(cursor, "select a, y from t") is not None
        cursor.execute("update t set y = null where a = 1")  # no exported snapshot shows it
        assert plain_table(cursor, "select a, y from t") is None
        cursor.execute("rollback")

    def test_who_may_not_read_the_table_itself_has_a_copy(self, cursor, schema):
        cursor.execute(f'create role reader_{schema}; grant usage on schema "{schema}" to reader_{schema}')
        cursor.execute(f"grant select (a, y) on t to reader_{schema}; set role reader_{schema}")
        try:
            assert plain_table(cursor, "select a, y from t") is None  # may have a policy by columns
        finally:
            cursor.execute(f"reset role; drop owned by reader_{schema}; drop role reader_{schema}")

    def hold(self, connection, cursor, table) -> HeldSnapshot | None:
        columns = describe_query(cursor, table.select)
        _, target = split_target(columns, "y")
        dsn = f"{connection.dsn}"
        return hold_snapshot(dsn, "", table, columns, target, Settings())

    def test_workers_read_what_was_there_whatever_has_changed(self, connection, cursor, found):
        expected = self.rows(cursor, "select * from t where y is not null")
        columns = describe_query(cursor, "select * from t")
        cursor.execute(data_digest_query("select * from t", columns, Settings(), connection.server_version))
        digest = cursor.fetchall()[0][0]
        held = self.hold(connection, cursor, found)
        assert held is not None
        try:
            cursor.execute("delete from t where a < 1000; update t set a = 7, y = true where a < 2000")
            cursor.execute("insert into t select * from t")
            source = self.source(connection, cursor, found, held)
            features, target = split_target(columns, "y")
            pages = ranges(held.n_pages, 7)
            parts = [read_part(source, span, features, target, None) for span in pages]
            assert sum(len(part.frame) > 0 for part in parts) > 3  # a new table ends with empty pages
            frame = pd.concat([part.frame for part in parts])
            assert (held.n_rows, held.n_labelled, held.digest) == (N_ROWS, len(expected), int(digest))
            assert sorted(frame["a"].astype(int)) == sorted(row[0] for row in expected)
            assert sorted(frame['t"q'].astype(str)) == sorted(row[2] for row in expected)
            assert frame["B b"].isna().sum() == sum(row[1] is None for row in expected)
            cursor.execute("set lock_timeout = '100ms'")
            with pytest.raises(psycopg2.errors.LockNotAvailable):
                cursor.execute("truncate t")
        finally:
            held.close()
        cursor.execute("truncate t")  # nothing holds it any longer
        with pytest.raises(TrainingDataError, match=r"a Dask worker can't read .*snapshot"):
            read_part(source, pages[0], features, target, None)

    def test_a_table_that_somebody_locks_is_not_waited_for(self, connection, cursor, found, monkeypatch):
        monkeypatch.setattr("dbt.adapters.postgres_ml.build.plain_table.LOCK_TIMEOUT", "100ms")
        columns = describe_query(cursor, found.select)
        cursor.execute("begin; lock table t in access exclusive mode")
        assert hold_snapshot(connection.dsn, "", found, columns, None, Settings()) is None
        cursor.execute("rollback")

    @staticmethod
    def rows(cursor, sql):
        cursor.execute(sql)
        return cursor.fetchall()

    @staticmethod
    def source(connection, cursor, table: PlainTable, held: HeldSnapshot) -> Source:
        features, target = split_target(describe_query(cursor, table.select), "y")
        around = around_rows(features, target, Settings(), None)
        return Source(dsn=connection.dsn, role="", **held.source(table, around))
