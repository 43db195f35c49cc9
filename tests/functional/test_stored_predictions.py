"""What stores a prediction function's values is renewed with a new version, or named with the statement for it."""

import pytest
from dbt.tests.util import run_dbt, run_dbt_and_capture, write_file

MODEL = """
{{{{ config(materialized='create_model', target='y', auto=false, model_type='linear_learner', runtime='sql'{more}) }}}}
select i::float8 as x, (i % 7)::float8 as z, case when i > {limit} then 'yes' else 'no' end as y
from generate_series(1, 600) as i
"""
ROWS = "select i::float8 as x, (i % 7)::float8 as z from generate_series(1, 600) as i"
COUNT = "select count(*) from {schema}.cust where {schema}.predict_m(x, z) = 'yes'"
STORING = """
create table {schema}.cust as {rows};
create index by_prediction on {schema}.cust ({schema}.predict_m(x, z));
create index partial on {schema}.cust (z) where {schema}.predict_m(x, z) = 'yes';
create function {schema}.wrapped(x float8) returns text language sql immutable
    begin atomic select {schema}.predict_m(x, 0); end;
create index by_wrapped on {schema}.cust ({schema}.wrapped(x));
create table {schema}.excluded (x float8, z float8, exclude ({schema}.predict_m(x, z) with =));
create table {schema}.parted (x float8, z float8) partition by list ({schema}.predict_m(x, z));
create table {schema}.parted_yes partition of {schema}.parted for values in ('yes');
create table {schema}.parted_no partition of {schema}.parted for values in ('no');
create index on {schema}.parted ({schema}.predict_m(x, z));
insert into {schema}.parted {rows};
create table {schema}.generated (x float8, z float8, p text generated always as ({schema}.predict_m(x, z)) stored);
insert into {schema}.generated {rows};
create table {schema}.checked (x float8, z float8, constraint known check ({schema}.predict_m(x, z) <> 'maybe'));
create domain {schema}.scored as float8 check ({schema}.predict_m(value, 1) <> 'maybe');
create view {schema}.seen as select x, {schema}.predict_m(x, z) as p from {schema}.cust;
create materialized view {schema}.kept as select * from {schema}.seen;
create materialized view {schema}.kept_again as select p, count(*) as n from {schema}.kept group by p;
create statistics {schema}.of_prediction on ({schema}.predict_m(x, z)) from {schema}.cust;
"""
WARNED = {
    "check constraint known",
    "check constraint scored_check",
    "generated column",
    "materialized view",
    "partition key",
    "statistics",
}


def statements(project, log):
    """Return the statements that the warnings give."""
    return [
        line.split("renew it: ")[1].strip().rstrip(";")
        for line in log.splitlines()
        if "keeps predictions of the version before; renew it: " in line
    ]


class TestDependents:
    @pytest.fixture(scope="class")
    def models(self):
        return {"m.sql": MODEL.format(limit=300, more="")}

    @pytest.fixture(scope="class")
    def renewed(self, project):
        run_dbt(["build"])
        for statement in STORING.strip().split(";\n"):
            inner = statement.replace("{schema}", project.test_schema).replace("{rows}", ROWS)
            if "begin atomic" in inner:
                inner += "; end"
            if inner.strip() and inner.strip() != "end":
                project.run_sql(inner.replace("; end; end", "; end"))
        write_file(MODEL.format(limit=450, more=""), project.project_root, "models", "m.sql")
        _, log = run_dbt_and_capture(["build", "--no-use-colors"])
        return log

    def test_an_index_answers_as_a_scan_does(self, project, renewed):
        found = []
        for setting in ("enable_seqscan", "enable_indexscan"):
            with project.adapter.connection_named("_test"):
                others = "enable_bitmapscan" if setting == "enable_indexscan" else "enable_seqscan"
                cursor = project.adapter.connections.get_thread_connection().handle.cursor()
                cursor.execute(f"set local {setting} = off; set local {others} = off")
                cursor.execute(COUNT.format(schema=project.test_schema))
                found.append(cursor.fetchone()[0])
        assert found[0] == found[1] < 200

    @pytest.mark.parametrize(
        "index", ["by_prediction", "partial", "by_wrapped", "excluded", "parted_yes", "parted_no"]
    )
    def test_indexes_are_rebuilt(self, project, renewed, index):
        assert f"reindexing {project.test_schema}.{index}" in renewed

    def test_what_cannot_be_rebuilt_is_named(self, project, renewed):
        for what in WARNED:
            assert f"m: {what}" in renewed, what

    def test_the_statements_renew(self, project, renewed):
        """In the order of the warnings; materialized views twice, since one reads the other."""
        schema = project.test_schema
        found = statements(project, renewed)
        assert len(found) >= 7
        for statement in [*found, *(s for s in found if s.startswith("refresh"))]:
            project.run_sql(statement.replace("{", "{{").replace("}", "}}"))
        scan = project.run_sql(f"select count(*) from {schema}.seen where p = 'yes'", fetch="one")[0]
        assert scan < 200
        for kept in ("generated where p = 'yes'", "kept where p = 'yes'", "parted_yes"):
            assert project.run_sql(f"select count(*) from {schema}.{kept}", fetch="one")[0] == scan, kept
        assert project.run_sql(f"select n from {schema}.kept_again where p = 'yes'", fetch="one")[0] == scan

    def test_a_rollback_renews_too(self, project, renewed):
        _, log = run_dbt_and_capture(["run-operation", "rollback_model", "--args", "{model: m}"])
        assert f"reindexing {project.test_schema}.by_prediction" in log
        assert "materialized view" in log
        count = project.run_sql(COUNT.format(schema=project.test_schema), fetch="one")[0]
        assert count > 250

    def test_reindex_false_names_the_indexes(self, project, renewed):
        write_file(MODEL.format(limit=150, more=", reindex=false"), project.project_root, "models", "m.sql")
        _, log = run_dbt_and_capture(["build", "--no-use-colors"])
        assert "reindexing" not in log
        assert f"reindex index {project.test_schema}.by_prediction" in statements(project, log)
