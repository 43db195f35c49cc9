"""Every value of a seed is what dbt-postgres makes of it; run on dbt-postgres, this tests the expectation."""

import pytest
from dbt.tests.util import run_dbt

SEED = r"""id,whole,fraction,flag,day,moment,offset_moment,words,empty,code,price,short,list,document
1,181.0,1.50,true,2020-01-01,2020-01-01 10:00:00,2020-01-01T00:00:00+02:00,"a ""b"", c
\.
d",,007,1.005,abc,"{1,2}","{""a"": 1}"
2,1e2,-0.25,FALSE,0999-12-31,2020-07-01 10:00:01,2020-07-01T00:00:00.25-05:00,"back\slash \N	tab",,,2,,,
3,,,,,,,,,,,,,
4,-5,1e-7,true,2024-02-29,2020-01-02 00:00:00,2020-07-01T00:00:00Z,null,,a,3,"  x ",{},[]
"""
TYPES = {
    "id": "integer",
    "whole": "integer",
    "fraction": "double precision",
    "flag": "boolean",
    "day": "date",
    "moment": "timestamp without time zone",
    "offset_moment": "timestamp without time zone",
    "words": "text",
    "empty": "integer",
    "code": "text",
    "price": "numeric",
    "short": "character varying",
    "list": "ARRAY",
    "document": "jsonb",
}
# '-' is NULL; a time with an offset is shown on the session's clock, here New York's
ROWS = [
    "1|181|1.5|true|2020-01-01|2020-01-01 10:00:00|2019-12-31 17:00:00|"
    'a "b", c\n\\.\nd|-|007|1.01|abc|{1,2}|{"a": 1}',
    "2|100|-0.25|false|0999-12-31|2020-07-01 10:00:01|2020-07-01 01:00:00.25|"
    "back\\slash \\N\ttab|-|-|2.00|-|-|-",
    "3|-|-|-|-|-|-|-|-|-|-|-|-|-",
    "4|-5|1e-07|true|2024-02-29|2020-01-02 00:00:00|2020-06-30 20:00:00|-|-|a|3.00|  x |{}|[]",
]


class SeedCase:
    @pytest.fixture(scope="class", autouse=True)
    def session_in_new_york(self):
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("PGTZ", "America/New_York")
            yield

    @staticmethod
    def rows(project, name):
        columns = ", ".join(f"{column}::text" for column in TYPES)
        rows = project.run_sql(f"select {columns} from {{schema}}.{name}", fetch="all")
        return ["|".join("-" if value is None else value for value in row) for row in rows]


class TestSeedValues(SeedCase):
    @pytest.fixture(scope="class")
    def seeds(self):
        return {"values.csv": SEED}

    @pytest.fixture(scope="class")
    def project_config_update(self):
        overrides = {"code": "text", "price": "numeric(10,2)", "short": "varchar(5)"}
        overrides |= {"list": "integer[]", "document": "jsonb"}
        return {"seeds": {"test": {"+quote_columns": True, "+column_types": overrides}}}

    def test_values(self, project):
        run_dbt(["seed"])
        assert self.rows(project, '"values"') == ROWS
        found = project.run_sql(
            "select column_name, data_type from information_schema.columns "
            "where table_schema = '{schema}' and table_name = 'values'",
            fetch="all",
        )
        assert dict(found) == TYPES
        run_dbt(["seed"])
        assert self.rows(project, '"values"') == ROWS


class TestSeedIntoAnOlderTable(SeedCase):
    """Without --full-refresh the table stays, and the new values are cast to its columns' types."""

    @pytest.fixture(scope="class")
    def seeds(self):
        return {"older.csv": "a,b,c,d\n1.5,true,2020-01-01,1e2\n-2.5,false,2020-12-31,3\n"}

    def test_values(self, project):
        project.run_sql(
            "create table {schema}.older (a integer, b text, c timestamp, d text, e int default 7)"
        )
        run_dbt(["seed"])
        found = project.run_sql("select a, b, c::text, d, e from {schema}.older", fetch="all")
        assert found == [
            (2, "true", "2020-01-01 00:00:00", "100", 7),
            (-3, "false", "2020-12-31 00:00:00", "3", 7),
        ]


class TestSeedThatDoesNotFit(SeedCase):
    """A failed seed leaves the old rows, and the next one finds no staging table in its way."""

    @pytest.fixture(scope="class")
    def seeds(self):
        return {"short.csv": "word\nabc\n"}

    @pytest.fixture(scope="class")
    def project_config_update(self):
        return {"seeds": {"test": {"+column_types": {"word": "varchar(3)"}}}}

    def test_values(self, project):
        path = project.project_root.join("seeds", "short.csv")
        run_dbt(["seed"])
        path.write("word\nabcd\n")
        results = run_dbt(["seed"], expect_pass=False)
        assert "value too long for type character varying(3)" in results[0].message
        assert project.run_sql("select word from {schema}.short", fetch="all") == [("abc",)]
        path.write("word\nxyz\n")
        run_dbt(["seed"])
        assert project.run_sql("select word from {schema}.short", fetch="all") == [("xyz",)]
