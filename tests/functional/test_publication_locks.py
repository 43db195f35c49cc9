"""What a publication waits for: not for readers of the card; and where it must, not for ever."""

import pytest
from dbt.adapters.postgres_ml.catalog import exclusive_lock
from dbt.tests.util import run_dbt, run_dbt_and_capture

MODEL = """
{{ config(materialized='create_model', target='y', auto=false, model_type='linear_learner', runtime='sql',
          problem_type='regression') }}
select i % 17 as {{ var('feature', 'x') }}, {{ var('factor') }} * (i % 17) as y from generate_series(1, 600) as i
"""


class TestReadersOfTheCard:
    @pytest.fixture(scope="class")
    def models(self):
        return {"m.sql": MODEL, "scored.sql": "select {{ predict('m', ['1']) }} as predicted"}

    @pytest.fixture
    def reader(self, project, connection):
        """A session that has read the card and idles in its transaction."""
        # the first build makes it, the others keep it
        run_dbt(["build", "--select", "m", "--vars", "{factor: 2}"])
        connection.autocommit = False
        with connection.cursor() as cursor:
            cursor.execute(f'select version from "{project.test_schema}".m')
            yield cursor
        connection.rollback()

    def build(self, factor, expect_pass=True, feature=None):
        also = [] if feature is None else ["--full-refresh"]
        names = f"factor: {factor}, feature: {feature or 'x'}"
        [result] = run_dbt(
            ["build", "--select", "m", "--vars", f"{{{names}}}", *also], expect_pass=expect_pass
        )
        return result

    def test_a_publication_does_not_wait_for_them(self, reader, project, monkeypatch):
        monkeypatch.setattr(exclusive_lock, "PATIENCE_MS", 100)
        [(version,)] = project.run_sql("select version from {schema}.m", fetch="all")
        assert self.build(3).adapter_response["version"] == version + 1
        reader.execute(f'select round("{project.test_schema}".predict_m(10))')
        assert reader.fetchall() == [(30.0,)]  # the new function, which the open transaction doesn't keep out

    def test_a_card_of_an_older_release_waits_for_them_and_says_for_whom(self, reader, project, monkeypatch):
        pid = reader.connection.info.backend_pid
        reader.connection.rollback()
        project.run_sql(
            "drop view {schema}.m; "
            "create view {schema}.m as select model_name as model, version from postgres_ml.model_version "
            "where model_schema = '{schema}' and model_name = 'm' and is_serving; "
            "create view {schema}.theirs as select version from {schema}.m"
        )
        reader.execute(f'select version from "{project.test_schema}".m')
        [(version,)] = reader.fetchall()
        monkeypatch.setattr(exclusive_lock, "PATIENCE_MS", 100)
        failed = self.build(4, expect_pass=False)
        assert f"is in use: {project.test_schema}.m by process {pid} (" in failed.message
        assert "idle in transaction since" in failed.message
        assert f"select pg_terminate_backend({pid})" in failed.message
        reader.connection.rollback()
        published = self.build(4)
        assert published.adapter_response["version"] == version + 1
        assert project.run_sql("select model, version from {schema}.m", fetch="all") == [("m", version + 1)]
        assert project.run_sql("select version from {schema}.theirs", fetch="all") == [(version + 1,)]
        project.run_sql("drop view {schema}.theirs")

    @pytest.mark.parametrize("made", ["view", "table", "materialized view"])
    def test_a_relation_whose_place_it_takes_is_waited_for_as_long(self, reader, project, monkeypatch, made):
        """Other publications of the database wait behind this one, so it must not wait for ever."""
        pid = reader.connection.info.backend_pid
        reader.connection.rollback()
        project.run_sql(f"drop view {{schema}}.m; create {made} {{schema}}.m as select 1 as version")
        reader.execute(f'select version from "{project.test_schema}".m')
        monkeypatch.setattr(exclusive_lock, "PATIENCE_MS", 100)
        failed = self.build(5, expect_pass=False)
        assert f"is in use: {project.test_schema}.m by process {pid} (" in " ".join(failed.message.split())
        assert project.run_sql("select version from {schema}.m", fetch="all") == [(1,)]
        reader.connection.rollback()
        version = self.build(5).adapter_response["version"]
        assert project.run_sql("select version from {schema}.m", fetch="all") == [(version,)]

    def test_a_view_that_depends_on_a_function_is_waited_for_as_long(self, reader, project, monkeypatch):
        """--full-refresh drops a function whose argument has another name now, with the project's views on it."""
        pid = reader.connection.info.backend_pid
        reader.connection.rollback()
        run_dbt(["run", "--select", "scored", "--vars", "factor: 2"])
        schema = project.test_schema
        project.run_sql("create materialized view {schema}.above as select * from {schema}.scored")
        reader.execute(f'select predicted from "{schema}".above')  # which locks nothing below it
        monkeypatch.setattr(exclusive_lock, "PATIENCE_MS", 100)
        failed = self.build(6, expect_pass=False, feature="z")
        assert f"is in use: {schema}.above by process {pid} (" in " ".join(failed.message.split())
        reader.connection.rollback()
        assert self.build(6, feature="z").status == "success"
        assert project.run_sql("select to_regclass('{schema}.scored')", fetch="all") == [(None,)]

    @pytest.mark.parametrize(
        ("made", "named", "kept"),
        [
            ("create view {0}.theirs as select {0}.predict_m(1) as a", "view {0}.theirs", "a is not null"),
            (
                "create table {0}.theirs (a integer, b float8 default {0}.predict_m(1)); insert into {0}.theirs values (1)",
                "default value for column b of table {0}.theirs",
                "a = 1 and b is not null",
            ),
            (
                "create table {0}.theirs (a integer) partition by list ({0}.predict_m(a::float8)); "
                "create table {0}.part partition of {0}.theirs default; insert into {0}.theirs values (1)",
                "table {0}.theirs",
                "a = 1",
            ),
            (
                "create table {0}.theirs (a integer); create table {0}.log (b float8); "
                "create rule r as on insert to {0}.theirs do also insert into {0}.log values ({0}.predict_m(new.a::float8)); "
                "insert into {0}.theirs values (1)",
                "rule r on table {0}.theirs",
                "a = 1",
            ),
        ],
        ids=["view", "default", "partition key", "rule"],
    )
    def test_what_dbt_does_not_make_again_is_never_dropped(self, reader, project, made, named, kept):
        reader.connection.rollback()
        schema = project.test_schema
        with reader.connection.cursor() as cursor:
            cursor.execute(made.format(schema))
            reader.connection.commit()
            failed = self.build(7, expect_pass=False, feature="w")
            said = " ".join(failed.message.split())
            assert f"which dbt would not make again: {named.format(schema)}." in said
            cursor.execute(f"select count(*) from {schema}.theirs where {kept}")
            assert cursor.fetchall() == [(1,)]
            reader.connection.rollback()
            kind = "view" if made.startswith("create view") else "table"
            cursor.execute(f"drop {kind} {schema}.theirs; drop table if exists {schema}.log")
            reader.connection.commit()

    def test_a_model_in_use_is_not_dropped(self, reader, project, monkeypatch):
        pid = reader.connection.info.backend_pid
        monkeypatch.setattr(exclusive_lock, "PATIENCE_MS", 100)
        _, log = run_dbt_and_capture(
            ["run-operation", "drop_model", "--args", "{model: m}"], expect_pass=False
        )
        assert f"is in use: {project.test_schema}.m by process {pid} (" in " ".join(log.split())
        assert project.run_sql("select {schema}.predict_m(1) is null", fetch="all") == [(False,)]

    def test_who_waits_less_by_default_waits_less(self, reader, project):
        reader.execute(f'select version from "{project.test_schema}".m')
        reader.connection.rollback()
        cursor = reader.connection.cursor()
        cursor.execute("set lock_timeout = 70")
        exclusive_lock.execute_exclusively(
            cursor, "select set_config('a.b', current_setting('lock_timeout'), true)", []
        )
        cursor.execute("select current_setting('a.b'), current_setting('lock_timeout')")
        assert cursor.fetchall() == [("70ms", "70ms")]
