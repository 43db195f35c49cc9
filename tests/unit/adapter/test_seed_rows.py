"""A seed's values as COPY reads them, and the types of the table that they are copied into."""

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from dbt.adapters.postgres_ml.seeds import copy_field, copy_rows, staging_type

BERLIN = timezone(timedelta(hours=2))


class Cursor:
    def copy_expert(self, statement, file):
        self.statement, self.text = statement, file.read()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, r"\N"),
        ("", ""),
        ("null", "null"),
        (r"\N", r"\\N"),
        (r"\.", r"\\."),
        ("a\n\\.\nb", r"a\n\\.\nb"),
        ("a\r\n\tb", r"a\r\n\tb"),
        ("""it's "quoted", $$""", """it's "quoted", $$"""),
        ("tail\\", "tail\\\\"),
        ("Süd 雪 \U0001f600", "Süd 雪 \U0001f600"),
        (True, "true"),
        (False, "false"),
        (7, "7"),
        (Decimal("181.0"), "181.0"),
        (Decimal("1E+2"), "1E+2"),
        (Decimal("-0.10"), "-0.10"),
        (Decimal("NaN"), "NaN"),
        (date(999, 1, 2), "0999-01-02"),
        (datetime(2020, 1, 2, 3, 4, 5, 6), "2020-01-02 03:04:05.000006"),
        (datetime(2020, 1, 2, tzinfo=BERLIN), "2020-01-02 00:00:00+02:00"),
        (timedelta(days=-1, seconds=5, microseconds=7), "-1 days 5.000007 seconds"),
        (timedelta(days=110_000, microseconds=1), "110000 days 0.000001 seconds"),
    ],
)
def test_copy_field(value, text):
    assert copy_field(value) == text


@pytest.mark.parametrize(
    ("values", "sql_type"),
    [
        (["a", None], None),
        ([None, None], None),
        ([], None),
        ([None, True], "boolean"),
        ([Decimal("1.5"), None], "numeric"),
        ([1], "numeric"),
        ([date(2020, 1, 1)], "date"),
        ([datetime(2020, 1, 1)], "timestamp"),
        ([datetime(2020, 1, 1), None, datetime(2020, 1, 1, tzinfo=BERLIN)], "timestamptz"),
        ([timedelta(1)], "interval"),
    ],
)
def test_staging_type(values, sql_type):
    assert staging_type(values) == sql_type


def test_a_row_is_a_line():
    cursor = Cursor()
    statement = copy_rows(cursor, "pg_temp.rows", [("a\nb", None), ("", Decimal("2"))])
    assert statement == cursor.statement == "copy pg_temp.rows from stdin"
    assert cursor.text == "a\\nb\t\\N\n\t2\n"
