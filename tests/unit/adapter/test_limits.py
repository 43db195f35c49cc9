"""What an error says of the limit that caused it."""

from __future__ import annotations

import psycopg2
import pytest
from dbt.adapters.postgres_ml.limits import check_writable, cure, explained
from dbt_common.exceptions import DbtRuntimeError

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
    """A cursor of a transaction that may write or not."""

    def __init__(self, read_only: str) -> None:
        self.read_only = read_only

    def execute(self, query: str) -> None:
        assert "transaction_read_only" in query

    def fetchall(self) -> list[tuple[str]]:
        return [(self.read_only,)]


def test_a_session_that_may_only_read_is_told_before_a_training() -> None:
    check_writable(Session("off"), "publishing ml.predict_m")
    with pytest.raises(DbtRuntimeError, match=r"publishing ml\.predict_m: the session may only read"):
        check_writable(Session("on"), "publishing ml.predict_m")
