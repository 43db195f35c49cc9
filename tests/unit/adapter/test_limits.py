"""What an error says of the limit that caused it."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest
from dbt.adapters.postgres_ml.build.preflight import rights_problems
from dbt.adapters.postgres_ml.limits import cure, explained

LIMITS = {
    "25P03": "idle_in_transaction_session_timeout",
    "25P04": "transaction_timeout",
    "57P05": "idle_session_timeout",
    "55P03": "lock_timeout",
    "57014": "statement_timeout",
    "53400": "temp_file_limit",
    "53300": "max_connections",
    "25006": "default_transaction_read_only",
}


def error_of(sqlstate: str | None, text: str = "text of the server\n") -> psycopg2.Error:
    class Made(psycopg2.Error):
        pgcode = sqlstate

    return Made(text)


@pytest.mark.parametrize("sqlstate", LIMITS)
def test_a_limit_is_named_whatever_the_servers_language(sqlstate: str) -> None:
    said, _, advice = explained(error_of(sqlstate)).partition("\n")
    assert said == "text of the server"
    assert LIMITS[sqlstate] in advice


@pytest.mark.parametrize("sqlstate", ["42P01", None])
def test_other_errors_are_left_as_they_are(sqlstate: str | None) -> None:
    assert explained(error_of(sqlstate)) == "text of the server"


def test_a_connection_that_was_lost_may_have_had_a_limit() -> None:
    assert "transaction_timeout" in cure(
        psycopg2.OperationalError("server closed the connection unexpectedly")
    )


def test_a_cancelled_query_is_no_timeout() -> None:
    assert cure(error_of("57014", "ERROR:  canceling statement due to user request")) == ""


class Session:
    """A cursor of a transaction that may write or not, of a role that lacks no right."""

    def __init__(self, is_read_only: bool) -> None:
        self.row = {
            "role": "trainer", "database": "d", "is_read_only": is_read_only, "is_standby": False,
            "has_temporary": True, "may_create_schema": True, "may_publish": True, "has_catalog": False,
        }  # fmt: skip
        self.row |= {"owns_catalog": False, "catalog_owner": None, "may_write_catalog": False, "layout": 0}
        self.description = [(name,) for name in self.row]

    def execute(self, query: str, parameters: Any) -> None:
        assert "transaction_read_only" in query

    def fetchall(self) -> list[tuple[Any, ...]]:
        return [tuple(self.row.values())]


def test_a_session_that_may_only_read_is_told_before_a_training() -> None:
    build: Any = SimpleNamespace(place=("ml", "m"), function="ml.predict_m")
    assert list(rights_problems(build, Session(is_read_only=False))) == []
    [said] = rights_problems(build, Session(is_read_only=True))
    assert re.search(r"publishing ml\.predict_m: the session may only read", said)
