"""What a build decides to do, from the catalog's versions and what changed, without dbt or a database."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from dbt.adapters.postgres_ml.build.external import ExternalModelBuild
from dbt.adapters.postgres_ml.build.node import TrainingQuery
from dbt.adapters.postgres_ml.build.plan import BuildPlan, Decision, Planner
from dbt.adapters.postgres_ml.build.unpublished import UnpublishedResult
from postgres_ml.contract import json_file
from postgres_ml.contract.column import Column
from postgres_ml.contract.exceptions import ConcurrentBuildError, SpecError
from postgres_ml.contract.model import ArtifactFile, RunReference

from tests.unit.adapter.builds import CALLS, QUERY, Build, digest, spec, trained, version


def planner(tmp_path: Path, *versions: Any, expected: Any = None, **changes: Any) -> Planner:
    unread = replace(expected or digest(), data=0, n_rows=0)
    return Planner(Build(**changes), None, QUERY, versions, unread, UnpublishedResult(tmp_path))  # type: ignore[arg-type]


def leave_result(tmp_path: Path, **changes: Any) -> None:
    UnpublishedResult(tmp_path).note_origin(Build().spec, digest(**changes), newest=1)
    text = json_file.to_json(trained(run=RunReference("run9", "models:/m-9", is_tracked=True)))
    (tmp_path / "trained.json").write_text(text, encoding="utf-8")


def test_the_first_build_trains(tmp_path: Path) -> None:
    decision = planner(tmp_path).decide(full_refresh=False)
    assert (decision.action, decision.reason) == ("train", "there is no version yet")


def test_nothing_changed_keeps_and_reads_the_rows_once(tmp_path: Path) -> None:
    planned = planner(tmp_path, version())
    decision = planned.decide(full_refresh=False)
    assert (decision.action, decision.reason) == ("keep", "unchanged")
    assert planned.build.n_measured == 1 and decision.expected.data == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"query": "other"}, "query"),
        ({"columns": {"x": "text"}}, "columns (x)"),
        ({"config": {"max_depth": 3}}, "config (max_depth)"),
        ({"versions": {"xgboost": "3"}}, "xgboost"),
    ],
)
def test_what_changed_is_said_and_the_rows_are_not_read(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    planned = planner(tmp_path, version(), expected=digest(**changes))
    decision = planned.decide(full_refresh=False)
    assert decision.action == "train" and reason in decision.reason
    assert planned.build.n_measured == 0  # type: ignore[attr-defined]


def test_other_rows_train(tmp_path: Path) -> None:
    planned = planner(tmp_path, version())
    planned.build.rows = (2, 12)  # type: ignore[attr-defined]
    decision = planned.decide(full_refresh=False)
    assert (decision.action, decision.reason) == ("train", "data (2 new rows)")


@pytest.mark.parametrize(
    ("retrain", "age_s", "action", "reason"),
    [
        ("always", 1.0, "train", "retrain: always"),
        ("never", 1e9, "keep", "retrain: never"),
        (3600.0, 60.0, "keep", "v1 is 60 seconds old (retrain: after)"),
        (3600.0, 7200.0, "train", "v1 is 2 hours old"),
    ],
)
def test_policies(tmp_path: Path, retrain: Any, age_s: float, action: str, reason: str) -> None:
    decision = planner(tmp_path, version(age_s=age_s), retrain=retrain).decide(full_refresh=False)
    assert (decision.action, decision.reason) == (action, reason) and not decision.is_warning


def test_never_warns_of_what_changed(tmp_path: Path) -> None:
    planned = planner(tmp_path, version(), expected=digest(query="other"), retrain="never")
    decision = planned.decide(full_refresh=False)
    assert decision.action == "keep" and decision.is_warning and "changed since: query" in decision.reason


def test_another_name_of_the_function_needs_a_training(tmp_path: Path) -> None:
    changed = digest(config={"function": "score_churn"})

    def renamed(**policy: Any) -> Planner:
        return planner(tmp_path, version(), expected=changed, function="score_churn", **policy)

    assert renamed(retrain=3600.0).decide(full_refresh=False).action == "train"
    assert renamed(retrain="never").decide(full_refresh=True).action == "train"
    with pytest.raises(
        SpecError, match="serves as function predict_churn, and config `function` is score_churn"
    ):
        renamed(retrain="never").decide(full_refresh=False)


def test_full_refresh_trains_whatever_the_policy(tmp_path: Path) -> None:
    decision = planner(tmp_path, version(), retrain="never").decide(full_refresh=True)
    assert (decision.action, decision.reason) == ("train", "--full-refresh")


def test_a_stub_that_serves_is_trained_over(tmp_path: Path) -> None:
    stub = version(2, state="STUB")
    decision = planner(tmp_path, stub, version(1, is_serving=False)).decide(full_refresh=False)
    assert (decision.action, decision.reason) == ("train", "a stub serves")


def test_empty_keeps_a_model_that_was_made_elsewhere_and_stubs_none_other(tmp_path: Path) -> None:
    """What arguments its function has follows from the model, and not from the query."""
    build = object.__new__(ExternalModelBuild)
    build.spec = spec()
    other = version(summary={**version().summary, "arguments": [["b", "text"], ["a", "text"]]})
    stub = version(state="STUB", summary=other.summary)
    for stored, action in (
        ((other,), "keep"),
        ((), "stub"),
        ((stub,), "stub"),
        ((version(state="STUB"),), "keep"),
        ((version(function_name="f"),), "stub"),
    ):
        planned = replace(planner(tmp_path, *stored), build=build)
        assert planned.decide_empty().action == action


AGE = Column("age", "integer", "number")
TWO = TrainingQuery("select * from t", (CALLS, AGE), (CALLS, AGE), None)


@pytest.mark.parametrize(
    ("serves", "reason"), [(("calls", "age"), "unchanged"), (("age", "calls"), "columns (order)")]
)
def test_features_in_another_order_are_a_change(tmp_path: Path, serves: tuple[str, ...], reason: str) -> None:
    """Callers that give them by position follow the query; its rows are the same."""
    arguments = [[name, "double precision"] for name in serves]
    stored = version(summary={**version().summary, "arguments": arguments})
    planned = replace(planner(tmp_path, stored), query=TWO)
    assert planned.decide(full_refresh=False).reason == reason
    # after a rollback the version that serves has arguments of its own
    newest = version(2, is_serving=False)
    planned = replace(planner(tmp_path, newest, stored), query=TWO)
    assert planned.decide(full_refresh=False).reason == "unchanged"


def test_a_result_that_was_compared_with_another_version_is_trained_again(tmp_path: Path) -> None:
    """`promote: if_better` compares with what served then; after a rollback something else may."""
    UnpublishedResult(tmp_path).note_origin(Build().spec, digest(query="new"), champion=2)
    text = json_file.to_json(trained(run=RunReference("run9", "models:/m-9", is_tracked=True)))
    (tmp_path / "trained.json").write_text(text, encoding="utf-8")
    for serving, action in ((2, "publish"), (3, "train")):
        stored = [version(number, is_serving=number == serving) for number in (3, 2)]
        planned = planner(tmp_path, *stored, expected=digest(query="new"), promote="if_better")
        assert planned.decide(full_refresh=False).action == action


def test_nothing_is_published_where_another_checkout_has_published_the_same(tmp_path: Path) -> None:
    leave_result(tmp_path)  # trained when v1 was the newest
    stored = version(2), version(is_serving=False)
    assert planner(tmp_path, *stored).decide(full_refresh=False).action == "keep"
    assert planner(tmp_path, *stored, retrain="always").decide(full_refresh=False).action == "train"


def test_a_result_of_another_order_is_not_published(tmp_path: Path) -> None:
    columns = {"calls": "integer", "age": "integer"}
    leave_result(tmp_path, columns=columns)
    unpublished = UnpublishedResult(tmp_path)
    assert unpublished.is_publishable(Build().spec, digest(columns=columns), None)
    turned = dict(reversed(columns.items()))
    assert not unpublished.is_publishable(Build().spec, digest(columns=turned), None)


def test_empty_keeps_a_function_of_the_same_arguments_and_stubs_another(tmp_path: Path) -> None:
    assert planner(tmp_path, version()).decide_empty().action == "keep"
    other = version(summary={"arguments": [["calls", "text"]]})
    assert planner(tmp_path, other).decide_empty().action == "stub"
    assert planner(tmp_path).decide_empty().action == "stub"
    renamed = planner(tmp_path, version(), function="score_churn")
    assert renamed.decide_empty().action == "stub"


def test_a_result_that_could_not_be_published_is_published(tmp_path: Path) -> None:
    leave_result(tmp_path)
    assert planner(tmp_path).decide(full_refresh=False).action == "publish"
    # by --full-refresh of rows that have not changed
    assert planner(tmp_path, version()).decide(full_refresh=False).action == "publish"


def test_a_result_of_other_rows_is_not_published(tmp_path: Path) -> None:
    leave_result(tmp_path, data=5)
    assert planner(tmp_path, version()).decide(full_refresh=False).action == "keep"


def test_a_result_that_was_published_right_before_a_kill_is_not_published_again(tmp_path: Path) -> None:
    leave_result(tmp_path)
    published = version(summary={**version().summary, "mlflow_run_id": "run9"})
    assert planner(tmp_path, published).decide(full_refresh=False).action == "keep"


@pytest.mark.parametrize(
    "old",
    [
        {"features": [], "return_type": "text", "mlflow_run_id": "run9", "is_tracked": True},  # of 0.1.0
        {"summary": "text", "deployed": "sql"},
        [],
    ],
)
def test_a_result_in_the_form_of_another_release_is_trained_again(tmp_path: Path, old: Any) -> None:
    leave_result(tmp_path)
    (tmp_path / "trained.json").write_text(json.dumps(old), encoding="utf-8")
    assert planner(tmp_path).decide(full_refresh=False).action == "train"
    assert UnpublishedResult(tmp_path).read() is None


def leave_result_with_files(folder: Path) -> None:
    folder.mkdir()
    leave_result(folder)
    result = trained(run=RunReference("run9", "models:/m-9", is_tracked=True))
    artifact = ArtifactFile(str(folder / "pipeline.packed"), "0" * 64, "3.11", {})
    deployed = replace(result.deployed, parity_file=str(folder / "parity.copy"), artifact=artifact)
    (folder / "trained.json").write_text(
        json_file.to_json(replace(result, deployed=deployed)), encoding="utf-8"
    )
    for name in ("parity.copy", "pipeline.packed"):
        (folder / name).write_text("rows\n", encoding="utf-8")


def test_the_result_of_a_project_that_was_moved_is_published_from_its_new_place(tmp_path: Path) -> None:
    leave_result_with_files(tmp_path / "old")
    new = (tmp_path / "old").rename(tmp_path / "new")
    assert planner(new).decide(full_refresh=False).action == "publish"
    read = UnpublishedResult(new).read()
    assert read is not None and read.deployed.artifact is not None
    assert read.deployed.parity_file == str(new / "parity.copy")
    assert read.deployed.artifact.path == str(new / "pipeline.packed")


@pytest.mark.parametrize("name", ["parity.copy", "pipeline.packed"])
def test_a_result_without_its_files_is_trained_again(tmp_path: Path, name: str) -> None:
    leave_result_with_files(tmp_path / "job")
    (tmp_path / "job" / name).unlink()
    assert planner(tmp_path / "job").decide(full_refresh=False).action == "train"


def test_a_note_that_never_came_to_the_disk_is_none(tmp_path: Path) -> None:
    """A machine that goes down may leave an empty file, which would fail every build after it."""
    leave_result(tmp_path)
    assert planner(tmp_path).decide(full_refresh=False).action == "publish"
    (tmp_path / "candidate.json").write_text("", encoding="utf-8")
    assert planner(tmp_path).decide(full_refresh=False).action == "train"


def plan(decision: str, newest: int = 1) -> BuildPlan:
    return BuildPlan(
        Build(), QUERY, Decision("train", decision, digest()), newest, version(), version()  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("decision", "changes", "said"),
    [
        ("--full-refresh", {"query": "other"}, "--full-refresh"),
        ("retrain: always", {}, "retrain: always; nothing changed"),
        ("v1 is 2 hours old", {"query": "other"}, "v1 is 2 hours old; query changed"),
        ("query", {"data": 7, "n_rows": 11}, "data (1 new row)"),
    ],
)
def test_the_reason_of_a_training_names_what_the_copied_rows_changed(
    decision: str, changes: dict[str, Any], said: str
) -> None:
    assert plan(decision).reason_of_training(digest(**changes)) == said


def test_a_build_that_was_overtaken_stops() -> None:
    plan("query").check_not_overtaken(1)
    with pytest.raises(ConcurrentBuildError, match="another build published v2 while this one trained"):
        plan("query").check_not_overtaken(2)


def test_origins_are_compared_as_json(tmp_path: Path) -> None:
    leave_result(tmp_path)
    note = json.loads((tmp_path / "candidate.json").read_text())
    assert note == {
        "place": ["d", "ml", "churn", "predict_churn"],
        "digest": json.loads(json.dumps(asdict(digest()))),
        "order": [],
        "champion": None,
        "newest": 1,
    }
