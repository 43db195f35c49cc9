"""Gates, the catalog's row, responses and a version's functions, without dbt's project and without a database."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dbt.adapters.postgres_ml.build import gates
from dbt.adapters.postgres_ml.build.gates import check_gates, find_refusal, refusal_text
from dbt.adapters.postgres_ml.build.plan import BuildPlan, Decision
from dbt.adapters.postgres_ml.build.publication import publication_of, version_row
from dbt.adapters.postgres_ml.build.response import kept_response, response
from dbt.adapters.postgres_ml.build.stub import stub_model
from dbt.adapters.postgres_ml.build.trained import Closing, Result
from dbt.adapters.postgres_ml.catalog import champion, versions
from dbt_common.exceptions import CompilationError
from postgres_ml.contract.config import Gate
from postgres_ml.contract.exceptions import (
    GateError,
    PostgresMLError,
    SpecError,
    TrackingError,
    TrainingCancelledError,
    TrainingProcessError,
)

from tests.unit.adapter.builds import CALLS, QUERY, Build, digest, evaluation, spec, trained, version

BAD = Gate("f1", ">=", 0.95)
WARNING = Gate("f1", ">=", 0.95, "warn")


class Process:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.refused: list[str] = []

    def refuse(self, reason: str) -> None:
        self.refused.append(reason)


def result(serving: Any = None, process: Any = None, **spec_changes: Any) -> Result:
    build: Any = Build(**spec_changes)
    build.function = "ml.predict_churn"
    plan = BuildPlan(build, QUERY, Decision("train", "query", digest()), 1, serving, serving)
    return Result(plan, trained(), "query", {"data": 1}, process)


def test_a_result_without_gates_is_published() -> None:
    assert check_gates(result(version())) is None


def test_a_stub_has_nothing_to_be_gated_by() -> None:
    given = result(None, gates=(BAD,))
    plan = dataclasses.replace(given.plan, decision=Decision("stub", "--empty", digest()))
    assert check_gates(Result(plan, trained(evaluation=None, run=None), "--empty")) is None


def test_a_gate_that_warns_refuses_and_tells_mlflow_and_the_log() -> None:
    process = Process()
    given = result(version(), process, gates=(WARNING,))
    refusal = check_gates(given)
    assert refusal is not None and process.refused == ["gate not met: f1 is 0.9, not >= 0.95"]
    assert given.build.said == [  # type: ignore[attr-defined]
        (
            "warning",
            "gate not met: f1 is 0.9, not >= 0.95; the new version is refused, v1 serves on (MLflow run run2)",
        )
    ]


@pytest.mark.parametrize(("gate", "serving"), [(BAD, version()), (WARNING, None)])
def test_a_gate_of_severity_error_or_without_a_version_that_serves_fails_the_node(
    gate: Gate, serving: Any
) -> None:
    with pytest.raises(GateError, match=r"f1 is 0\.9, not >= 0\.95"):
        check_gates(result(serving, gates=(gate,)))


class LostProcess(Process):
    """Can't tell MLflow, for the reason that its test gives."""

    def __init__(self, failure: PostgresMLError) -> None:
        super().__init__()
        self.failure = failure

    def refuse(self, reason: str) -> None:
        super().refuse(reason)
        raise self.failure


@pytest.mark.parametrize(
    "failure", [TrackingError("MLflow is\naway"), TrainingProcessError("it didn't answer within 60 s")]
)
def test_an_mlflow_that_is_away_does_not_decide_over_a_refusal(
    monkeypatch: pytest.MonkeyPatch, failure: PostgresMLError
) -> None:
    warnings: list[str] = []
    monkeypatch.setattr(gates, "logger", SimpleNamespace(warning=warnings.append))
    process = LostProcess(failure)
    given = result(version(), process, gates=(WARNING,))
    refusal = check_gates(given)
    assert refusal is not None and process.refused == [refusal.text]
    assert "v1 serves on" in given.build.said[0][1]  # type: ignore[attr-defined]
    assert warnings == [
        "churn: the version is refused, but its MLflow run could not be marked so: "
        + str(failure).replace("\n", " ")
    ]
    with pytest.raises(GateError, match="the new version is refused"):
        check_gates(result(version(), LostProcess(failure), gates=(BAD,)))


def test_a_gate_of_severity_error_tells_mlflow_too() -> None:
    process = Process()
    with pytest.raises(GateError):
        check_gates(result(version(), process, gates=(BAD,)))
    assert len(process.refused) == 1


def test_a_build_that_is_cancelled_while_mlflow_is_told_of_a_refusal_is_cancelled() -> None:
    process = LostProcess(TrainingCancelledError("cancelled: the training was stopped"))
    with pytest.raises(TrainingCancelledError):
        check_gates(result(version(), process, gates=(WARNING,)))


def test_a_process_for_mlflow_that_can_not_be_started_is_a_problem_to_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(champion.subprocess, "run", fail)
    monkeypatch.setattr(champion, "tracking_uri", lambda _: "http://mlflow")
    problem = champion._ask_mlflow(None, "ml.churn", "run2", "", 1)
    assert problem == "the process that tells it can't be started: Resource temporarily unavailable"


def test_promotion_compares_on_the_same_hold_out() -> None:
    chosen = spec(promote="if_better")
    assert find_refusal(chosen, evaluation(0.9, champion_score=0.85), version()) is None
    refusal = find_refusal(chosen, evaluation(0.9, champion_score=0.9), version())
    assert refusal is not None and refusal.severity == "warn"
    assert find_refusal(chosen, evaluation(0.9, champion_score=0.95), None) is None, "nothing serves"


def test_a_gate_needs_a_metric_that_there_is() -> None:
    with pytest.raises(SpecError, match="this model has no auc; it has f1"):
        find_refusal(spec(gates=(Gate("auc", ">", 0.5),)), evaluation(), None)
    with pytest.raises(SpecError, match="this model has no f1"):
        find_refusal(spec(gates=(BAD,)), None, None)


def test_what_an_endpoint_refuses_names_no_run() -> None:
    refusal = find_refusal(spec(gates=(WARNING,)), evaluation(), version())
    assert refusal is not None and "MLflow" not in refusal_text(refusal, version(), "")


def test_the_row_of_a_trained_model() -> None:
    row = json.loads(version_row(result(version()), 2))
    assert row["version"] == 2 and row["model_schema"] == "ml" and row["state"] == "READY"
    assert row["signature"] == "(calls integer) returns text" and row["n_features"] == 1
    assert (row["metric"], row["score"], row["mlflow_run_id"]) == ("f1", 0.9, "run2")
    assert row["digest"] == {"data": 1} and row["changes"] == "query" and row["is_champion"] is False
    assert row["labels"] == ["no", "yes"] and row["functions"][0]["name"] == "predict_churn"


def test_a_version_is_as_old_as_its_training_however_late_it_is_published() -> None:
    """`retrain: {after: …}` and the test model_age count from there."""
    ended = "2026-01-05T12:04:00+00:00"
    given = result(version())
    given = Result(given.plan, trained(trained_at=ended), "query", {"data": 1})
    assert json.loads(version_row(given, 2))["trained_at"] == ended
    now = datetime.now(timezone.utc)
    stub = stub_model(spec(problem_type="regression"), (CALLS,), None)
    row = json.loads(version_row(Result(given.plan, stub, "--empty"), 2))
    assert abs(datetime.fromisoformat(row["trained_at"]) - now) < timedelta(minutes=1)


def test_the_row_of_what_was_not_evaluated_and_has_no_run() -> None:
    given = result(version())
    given = Result(given.plan, trained(evaluation=None, run=None), "query", None)
    row = json.loads(version_row(given, 1))
    assert (row["metric"], row["score"], row["metrics"]) == ("", None, {})
    assert (row["mlflow_run_id"], row["mlflow_model_uri"], row["is_champion"]) == ("", "", None)


@pytest.mark.parametrize(
    ("problem_type", "role", "returns"),
    [("multiclass_classification", "probabilities", "text"), ("regression", None, "double precision")],
)
def test_a_stub_has_the_functions_of_its_problem(problem_type: Any, role: Any, returns: str) -> None:
    target = SimpleNamespace(sql_type="text")
    stub = stub_model(spec(problem_type=problem_type), (CALLS,), target)  # type: ignore[arg-type]
    roles = [body.role for body in stub.deployed.functions]
    assert roles == (["predict"] if role is None else ["predict", role])
    assert stub.summary.return_type == returns and stub.evaluation is None and stub.run is None
    said = response(stub, "ml.predict_churn", 1)
    assert str(said) == "CREATE STUB v1: it predicts NULL" and said.score is None


def test_what_the_console_says() -> None:
    said = response(trained(), "ml.predict_churn", 3)
    assert str(said) == "CREATE MODEL v3 f1=0.9 xgboost/sql" and said.mlflow_run_id == "run2"
    assert str(response(trained(evaluation=None), "f", 1)) == "CREATE MODEL v1 not evaluated xgboost/sql"
    plan = result(version(7)).plan
    assert str(kept_response(plan, None)) == "query, kept v7"
    refusal = find_refusal(spec(gates=(WARNING,)), evaluation(), version())
    assert str(kept_response(plan, refusal)) == "gate not met: f1 is 0.9, not >= 0.95, kept v7"


def test_what_macros_read_of_a_publication() -> None:
    published = publication_of(trained(), "churned")
    assert (published.runtime, published.metric, published.score) == ("sql", "f1", 0.9)
    assert publication_of(trained(evaluation=None, run=None)).score is None


KIND = {"arguments": [["a", "integer"]], "composite": [], "returns": "text", "language": "sql"}
STORED = {
    "version": 3,
    "functions": [
        {**KIND, "role": "part", "name": "predict_churn__0", "body": "x"},
        {
            **KIND,
            "role": "predict",
            "name": "predict_churn",
            "body": 'select "ml"."predict_churn__0"(a) || \'predict_churn__0(\'',
        },
    ],
}


def test_a_pinned_copy_calls_its_own_parts() -> None:
    part, predict = versions.pinned_copy(STORED, "ml")["functions"]
    assert predict["name"] == "predict_churn__v3" and part["name"] == "predict_churn__0__v3_0"
    assert predict["body"] == 'select "ml"."predict_churn__0__v3_0"(a) || \'predict_churn__0(\''
    assert STORED["functions"][1]["name"] == "predict_churn", "the stored version is as it was"


def test_a_clone_calls_the_functions_of_its_own_schema() -> None:
    _, predict = versions.cloned_functions(STORED, "ml", "dev")
    assert predict["body"].startswith('select "dev"."predict_churn__0"(a)')


class Cursor:
    """Answers each query with the next of the given rows."""

    def __init__(self, *answers: list[tuple[Any, ...]]) -> None:
        self.answers = list(answers)

    def execute(self, sql: str, parameters: Any = None) -> None:
        if "format_type" in sql:
            self.found = [(name, name) for name in parameters[0]]
        elif "savepoint" not in sql:
            self.found = self.answers.pop(0)

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self.found


FUNCTION = json.dumps(STORED["functions"])
ROW = ("predict_churn", "sql", "f1", 0.8, "SUPERSEDED", "run1", "model.shop.churn", FUNCTION)


def test_a_rollback_takes_the_version_before() -> None:
    cursor: Any = Cursor([(3, "predict_churn")], [(2,)], [(2, *ROW)])
    assert versions.version_to_serve(cursor, "ml", "churn", None)["version"] == 2


@pytest.mark.parametrize(
    ("answers", "asked", "said"),
    [
        ([[(1, "predict_churn")], [(None,)]], None, "no version before v1 is kept"),
        ([[(3, "predict_churn")]], 3, "v3 serves already"),
        ([[(3, "predict_churn")], [], [("v1, v3",)]], 2, "has no v2; the catalog keeps v1, v3"),
        ([[(3, "predict_other")], [(2, *ROW)]], 2, "v2 was published as function predict_churn"),
    ],
)
def test_a_rollback_that_cannot_be_says_why(answers: Any, asked: int | None, said: str) -> None:
    cursor: Any = Cursor(*answers)
    with pytest.raises(CompilationError, match=said):
        versions.version_to_serve(cursor, "ml", "churn", asked)


def test_what_a_node_opened_is_closed_and_a_process_that_ended_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "snapshot.bin").write_bytes(b"rows")
    told: list[str] = []
    process: Any = SimpleNamespace(
        job=SimpleNamespace(directory=str(tmp_path)), start=lambda: told.append("start"),
        abandon=told.append, is_running=True,
    )  # fmt: skip
    with Closing() as closing:
        assert closing.start(process) is process
    assert told == ["start", "the dbt node failed or was cancelled before its function was published"]
    assert not (tmp_path / "snapshot.bin").exists()
    process.is_running = False
    with Closing() as closing:
        closing.start(process)
    assert told[2:] == ["start"]
