"""Text is read as UTF-8 whatever the client's and the database's encodings are."""

import contextlib
import os
import random
from collections import Counter
from pathlib import Path

import psycopg2
import pytest
from dbt.tests.util import run_dbt, run_dbt_and_capture
from postgres_ml.contract.config import Settings
from postgres_ml.contract.exceptions import TrainingDataError
from postgres_ml.generate import create_statement, generate_sql
from postgres_ml.generate.sql.search import have_one_order
from postgres_ml.program import interpret
from postgres_ml.program.encoders import Category
from postgres_ml.program.program import Input, Program, Value
from postgres_ml.snapshot.copy import copy_snapshot, describe_query, split_target
from postgres_ml.snapshot.query import stored_columns
from postgres_ml.snapshot.reader import read_columns

WORDS = {
    "UTF8": ["Süd", "日本", "Łódź", "🦉"],
    "LATIN1": ["Süd", "Málaga"],
    "LATIN2": ["Łódź", "Süd"],
    "WIN1252": ["Süd", "5 €", "“so”"],
    "EUC_JP": ["日本", "東京"],
}


@contextlib.contextmanager
def database_of(server, encoding):
    """Make a database of an encoding; its name. It is dropped at the end."""
    name = f"encoding_{encoding.lower()}_{os.getpid()}"  # test processes share the server
    with contextlib.closing(
        psycopg2.connect(host=server.host, port=server.port, user=server.user, dbname=server.dbname)
    ) as admin:
        admin.autocommit = True
        with admin.cursor() as cursor:
            cursor.execute(f"drop database if exists {name}")
            cursor.execute(
                f"create database {name} template template0 encoding '{encoding}' lc_collate 'C' lc_ctype 'C'"
            )
            yield name
            cursor.execute(f"drop database {name} with (force)")


def connect(server, name):
    return psycopg2.connect(host=server.host, port=server.port, user=server.user, dbname=name)


def snapshot(connection, query, directory: Path):
    """Copy a query's rows and return its column c and its labels."""
    cursor = connection.cursor()
    settings = Settings()
    features, target = split_target(describe_query(cursor, query), "y")
    path = directory / "snapshot.bin"
    copy_snapshot(cursor, query, features, target, path, settings, None)
    read = read_columns(path, stored_columns(features, target, settings))
    return list(read["c0"]), list(read["label"])


@pytest.mark.parametrize("encoding", WORDS)
def test_texts_are_the_same_whatever_the_client_says(server, tmp_path, monkeypatch, encoding):
    words = WORDS[encoding]
    with database_of(server, encoding) as name:
        with (
            contextlib.closing(connect(server, name)) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            connection.set_client_encoding("UTF8")
            cursor.execute("create table t (c text, y text)")
            cursor.executemany("insert into t values (%s, %s)", [(word, word[::-1]) for word in words])
        # the server has no conversions between the others
        for client in ("UTF8", encoding, "SQL_ASCII"):
            monkeypatch.setenv("PGCLIENTENCODING", client)
            with contextlib.closing(connect(server, name)) as connection:
                before = connection.get_parameter_status("client_encoding")
                read, labels = snapshot(connection, "select * from t order by c", tmp_path)
                assert sorted(read) == sorted(words)
                assert sorted(labels) == sorted(word[::-1] for word in words)
                assert connection.get_parameter_status("client_encoding") == before


@pytest.mark.parametrize(
    ("query", "named"),
    [
        (r"select 'a' as b, convert_from('\xfc', 'SQL_ASCII') as c, 'x' as y", r'"c" has the value .\\xfc'),
        ("select 'Süd' as c, 'x' as y", '"c" has the value'),
        ("select 'x' as c, 'Süd' as y", '"y" has the value'),
        ("select 1 as \"größe\", 'x' as y", 'named "größe"'),
    ],
)
def test_a_database_without_an_encoding_is_refused_by_name(server, tmp_path, query, named):
    with database_of(server, "SQL_ASCII") as name, contextlib.closing(connect(server, name)) as connection:
        connection.set_client_encoding("UTF8")
        with pytest.raises(TrainingDataError, match=rf"(?s){named}.*SQL_ASCII.*encoding 'UTF8'"):
            snapshot(connection, query, tmp_path)


def test_ascii_needs_no_encoding(server, tmp_path):
    with database_of(server, "SQL_ASCII") as name, contextlib.closing(connect(server, name)) as connection:
        query = "select c, y from (values ('a', 'b'), ('', 'c'), (null, 'd')) t (c, y)"
        assert snapshot(connection, query, tmp_path) == (["a", "", None], ["b", "c", "d"])


ALPHABETS = {
    "UTF8": "aZ09 ~éß日本🦉żя",
    "LATIN2": "aZ09 ~éßżŁőđ",
    "WIN1251": "aZ09 ~яжЁёЂ",
    "KOI8R": "aZ09 ~яжЁюба",  # its letters are not in the order of the alphabet
    "EUC_JP": "aZ09 ~日本東京あア",
}


@pytest.mark.parametrize("encoding", ALPHABETS)
def test_texts_that_are_said_to_have_one_order_have_it(server, encoding):
    source = random.Random(0)
    with database_of(server, encoding) as name, contextlib.closing(connect(server, name)) as connection:
        connection.set_client_encoding("UTF8")
        cursor, said = connection.cursor(), Counter()
        for _ in range(3_000):
            pair = ["".join(source.choices(ALPHABETS[encoding], k=source.randint(0, 3))) for _ in range(2)]
            cursor.execute("""select %s < %s collate "C" """, pair)
            is_alike = cursor.fetchone() == (pair[0] < pair[1],)
            assert is_alike or not have_one_order(pair), pair
            said[is_alike, have_one_order(pair)] += 1
        assert said[True, True] > 1_000
        assert encoding != "KOI8R" or said[False, False] > 50  # else the rule would not be needed


@pytest.mark.parametrize("encoding", ALPHABETS)
def test_many_categories_are_found_in_each_encoding(server, encoding):
    letters = ALPHABETS[encoding]
    words = [a + b for a in letters for b in letters]
    for chosen in (words, words[:: len(letters)], [letters[-1] + word for word in words[:30]]):
        category = Category(0, tuple(chosen), tuple(float(k) for k in range(len(chosen))), -1.0, -2.0)
        program = Program((Input("t", "text", "text"),), (category,), (), Value(0), "double precision")
        with database_of(server, encoding) as name, contextlib.closing(connect(server, name)) as connection:
            connection.set_client_encoding("UTF8")
            cursor = connection.cursor()
            for body in generate_sql(program, "public", "place").functions:
                cursor.execute(create_statement(body, "public"))
            asked = [*words, "", None]
            cursor.execute(
                "select place(t) from unnest(%s::text[]) with ordinality u (t, n) order by n", (asked,)
            )
            assert [row[0] for row in cursor.fetchall()] == interpret.predict(program, {"t": asked})


MODEL = """
{{ config(materialized='create_model', target='y', auto=false, model_type='linear_learner',
          problem_type='regression', runtime='sql', settings={'min_rows': 50}) }}
select * from {{ ref('points') }}
"""
POINTS = "c,x,y\n" + "".join(
    f"{('Süd', 'Nord', 'Mitte')[i % 3]},{i % 17},{i % 17 + 10 * (i % 3)}\n" for i in range(200)
)


class InDatabase:
    """Mixin: a project in a database of an encoding, with a client that says another."""

    encoding = "LATIN1"

    @pytest.fixture(scope="class")
    def dbt_profile_target(self, server, server_target):
        with pytest.MonkeyPatch.context() as patch, database_of(server, self.encoding) as name:
            patch.setenv("PGCLIENTENCODING", "EUC_JP")  # no conversion from LATIN1
            yield {**server_target, "dbname": name}

    @pytest.fixture(scope="class")
    def seeds(self):
        return {"points.csv": POINTS}

    @pytest.fixture(scope="class")
    def models(self):
        return {"m.sql": MODEL}


class TestLatin1(InDatabase):
    def test_a_model_of_categories_is_built_and_predicts(self, project):
        assert all(result.status == "success" for result in run_dbt(["build"]))
        schema = project.test_schema
        rows = project.run_sql(
            f"select c, avg(abs({schema}.predict_m(c, x) - y)) from {schema}.points group by c", fetch="all"
        )
        assert {row[0] for row in rows} == {"Süd", "Nord", "Mitte"}
        assert all(error < 0.5 for _, error in rows)


class TestWithoutEncoding(InDatabase):
    encoding = "SQL_ASCII"

    def test_the_build_names_model_column_and_cure(self, project):
        results, log = run_dbt_and_capture(["build"], expect_pass=False)
        (message,) = [r.message for r in results if r.node.name == "m"]
        assert '"c" has the value' in message and "SQL_ASCII" in message
        assert "Traceback" not in log and "UnicodeDecodeError" not in log
