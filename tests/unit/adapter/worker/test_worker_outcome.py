"""What the end of a child means for its job."""

from __future__ import annotations

import pytest
from dbt.adapters.postgres_ml.worker.outcome import Outcome, judge, readable

KEPT = {"_message": "gate not met: f1 0.5, not >= 0.9, kept v1", "is_refused": True}


@pytest.mark.parametrize(
    ("done", "verdict", "message"),
    [
        ({"success": True, "response": {"_message": "CREATE MODEL v1 f1=0.9 xgboost/sql"}}, "READY", "CREATE MODEL v1 f1=0.9 xgboost/sql"),
        ({"success": True, "response": {"_message": "unchanged, kept v1"}}, "READY", "unchanged, kept v1"),
        ({"success": True, "response": KEPT}, "FAILED", KEPT["_message"]),
        ({"success": True, "message": ""}, "READY", "done"),
        ({"success": False, "message": "target is missing"}, "FAILED", "target is missing"),
        ({"success": False, "message": "the connection was lost, and for 120 s there was no other"}, "again", "the connection was lost, and for 120 s there was no other"),
        ({"success": False, "message": "server closed the connection unexpectedly"}, "again", "server closed the connection unexpectedly"),
        ({"success": False, "message": "job 3 is not this worker's any more (another took it up)"}, "again", "job 3 is not this worker's any more (another took it up)"),
        ({"success": False}, "FAILED", "the build failed without a message"),
        (None, "again", "it was killed"),
    ],
)  # fmt: skip
def test_an_end_has_a_verdict_and_a_reason(
    done: dict[str, object] | None, verdict: str, message: str
) -> None:
    assert judge(done, "it was killed", 2) == Outcome(verdict, message)  # type: ignore[arg-type]  # a literal


def test_a_training_that_was_killed_gets_a_second_attempt() -> None:
    done = {
        "success": False,
        "message": "churn: the training process was killed (SIGKILL): most likely for its memory",
    }
    assert [judge(done, "", attempt).verdict for attempt in (1, 2)] == ["again", "FAILED"]


def test_callers_read_the_reason_and_not_dbts_files() -> None:
    said = """Runtime Error in model churn (models/churn.sql)
  100 rows are too few: min_rows is 500
  CONTEXT:  PL/pgSQL function postgres_ml.finish_job(bigint,integer,text) line 7 at RAISE
  > in macro materialization_create_model_postgres_ml (macros/materializations/create_model.sql)
  compiled code at target/run/x.sql"""
    assert readable(said) == "100 rows are too few: min_rows is 500"
