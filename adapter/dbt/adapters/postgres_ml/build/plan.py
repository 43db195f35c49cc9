"""Decides what a build of a create_model node does: train, publish an earlier result, or keep the version.

Input: the config's policy, the newest trained version, what has changed. Output: `BuildPlan`. No training
process is started before this decision.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import psycopg2.errors
from dbt.adapters.postgres_ml.__version__ import version as package_version
from dbt.adapters.postgres_ml.build.node import NodeBuild, TrainingQuery
from dbt.adapters.postgres_ml.build.preflight import find_problems
from dbt.adapters.postgres_ml.build.runtimes import renew_runtime
from dbt.adapters.postgres_ml.build.unpublished import UnpublishedResult
from dbt.adapters.postgres_ml.catalog.read import STUB, StoredVersion, read_functions, read_versions
from dbt.adapters.postgres_ml.catalog.search_path import trusted_path

from postgres_ml.contract.config import TrainingSpec
from postgres_ml.contract.exceptions import ConcurrentBuildError, SpecError
from postgres_ml.snapshot import digest as digests
from postgres_ml.snapshot.digest import Digest

Action = Literal["train", "publish", "keep", "restore", "stub"]


@dataclass(frozen=True)
class Decision:
    """What to do, and why.

    Parameters
    ----------
    action : train; publish a model trained by an earlier build; keep the serving version; restore its
        functions, which are gone; publish a stub
    reason : for the log
    expected : what a training now would follow from; with the digest of the rows, if that was needed
    is_warning : whether the reason is a warning
    """

    action: Action
    reason: str
    expected: Digest
    is_warning: bool = False


@dataclass(frozen=True)
class BuildPlan:
    """What a build does.

    Parameters
    ----------
    newest : the newest version there was when this was decided, 0 for none
    newest_trained : the version that the next training is compared with
    serving : the version that serves
    superseded : signatures of functions of earlier versions that nothing needs any more
    """

    build: NodeBuild
    query: TrainingQuery
    decision: Decision
    newest: int
    newest_trained: StoredVersion | None
    serving: StoredVersion | None
    superseded: tuple[str, ...] = ()

    @property
    def action(self) -> Action:
        """What to do."""
        return self.decision.action

    @property
    def reason(self) -> str:
        """Why."""
        return self.decision.reason

    @property
    def is_warning(self) -> bool:
        """Whether the reason is a warning."""
        return self.decision.is_warning

    @property
    def leaves_transaction(self) -> bool:
        """Whether the build commits before it has a result, so that it publishes in a second transaction."""
        return self.action in ("train", "publish")

    def reason_of_training(self, expected: Digest) -> str:
        """Return why a version is trained: what changed since the newest one, after what the policy says."""
        newest = self.newest_trained
        if newest is None or self.reason == "--full-refresh":
            return self.reason
        changed = ", ".join(digests.changes(newest.digest, expected))
        if self.reason.startswith(("v", "retrain")):
            return f"{self.reason}; {changed or 'nothing'} changed"
        return changed or self.reason

    def check_not_overtaken(self, newest: int) -> None:
        """Check that the newest version is still the one that this build was planned with.

        Raises
        ------
        ConcurrentBuildError
            Another build, of another checkout or machine, published one in the meantime.
        """
        if newest != self.newest:
            raise ConcurrentBuildError(
                f"another build published v{newest} while this one trained, and v{newest} serves. What this "
                "build trained is kept: the next build publishes it if the data is still the same"
            )


def plan_build(build: NodeBuild, *, full_refresh: bool, is_empty: bool) -> BuildPlan:
    """Return what a build does, from the query's columns, the catalog and, if need be, its rows.

    Raises
    ------
    TrainingDataError, SpecError
        The query's columns can't be trained on, or don't fit the config.
    """
    cursor = build.cursor()
    query = build.describe(cursor)
    problems = find_problems(build, query, cursor)
    versions = _read_versions(build, cursor, problems)
    expected = Digest(
        data=0,
        n_rows=0,
        query=digests.query_digest(query.sql),
        columns={column.name: column.sql_type for column in query.columns},
        config=digests.training_config(build.spec) | build.identity | build.session_identity(cursor, query),
        versions=digests.versions(package_version),
    )
    planner = Planner(build, cursor, query, versions, expected, UnpublishedResult(build.directory))
    # an external model without a query has no rows to be evaluated on, so --empty means nothing to it
    decision = planner.decide_empty() if is_empty and query.columns else planner.decide(full_refresh)
    if decision.action == "train":
        problems += build.lacking()
    if problems and decision.action not in ("keep", "restore"):
        raise SpecError("; ".join(problems))
    plan = BuildPlan(
        build, query, decision, versions[0].version if versions else 0, planner.newest, planner.serving
    )
    return plan if plan.serving is None else _of_what_serves(plan, cursor, plan.serving)


def _read_versions(build: NodeBuild, cursor: Any, problems: list[str]) -> tuple[StoredVersion, ...]:
    """Return the catalog's versions; where the role may not read them, the preflight's problems say why."""
    try:
        with trusted_path(cursor):
            return read_versions(cursor, *build.place)
    except psycopg2.errors.InsufficientPrivilege as error:
        raise SpecError("; ".join(problems) or str(error).strip()) from error


def _of_what_serves(plan: BuildPlan, cursor: Any, serving: StoredVersion) -> BuildPlan:
    """Return the plan of a version that is kept with what its functions and its runtime need."""
    build = plan.build
    if plan.action not in ("keep", "restore") and serving.function_name != build.spec.function:
        build.log(
            "info",
            f"the function is {build.function} now; {serving.function_name} and those beside it stay as "
            f"v{serving.version} made them, for what still calls them: drop them when nothing does",
        )
    with trusted_path(cursor):
        if plan.action == "keep":
            plan = _with_functions(plan, cursor, serving)
        if plan.action in ("keep", "restore"):
            said = renew_runtime(cursor, build.spec.runtime, serving, build.config.credentials.embedded)
            if said:
                build.log("info", said)
    return plan


def _with_functions(plan: BuildPlan, cursor: Any, serving: StoredVersion) -> BuildPlan:
    """Return the plan with what the database has of the serving version's functions."""
    there = read_functions(cursor, *plan.build.place, serving.function_name)
    if there.serves:
        return replace(plan, superseded=there.superseded)
    reason = f"{plan.reason}, but its function is gone"
    return replace(plan, decision=replace(plan.decision, action="restore", reason=reason))


def champion_of(spec: TrainingSpec, serving: StoredVersion | None) -> int | None:
    """Return the version that `promote: if_better` compares a training with; None where nothing is."""
    return serving.version if serving is not None and spec.promote != "always" else None


@dataclass(frozen=True)
class Planner:
    """Compares what there is with what a training now would follow from.

    Parameters
    ----------
    cursor : in the node's transaction
    versions : the catalog's, the newest first
    expected : the digest now, without that of the rows
    unpublished : what an earlier build may have left
    """

    build: NodeBuild
    cursor: Any
    query: TrainingQuery
    versions: tuple[StoredVersion, ...]
    expected: Digest
    unpublished: UnpublishedResult

    @property
    def newest(self) -> StoredVersion | None:
        """The newest version that was trained: after a rollback it is not the one that serves."""
        return next((version for version in self.versions if version.state != STUB), None)

    @property
    def serving(self) -> StoredVersion | None:
        """The version that serves."""
        return next((version for version in self.versions if version.is_serving), None)

    @property
    def is_renamed(self) -> bool:
        """Whether the config's `function`, which `predict()` calls, is another than the one that serves."""
        return self.serving is not None and self.serving.function_name != self.build.spec.function

    @property
    def is_reordered(self) -> bool:
        """Whether the query returns the features of the newest version, which serves, in another order.

        Callers that give them by position follow the query.
        """
        serving = self.serving
        if serving is None or serving is not self.newest or not self.build.trains_here:
            return False
        taken = [name for name, _ in serving.summary["arguments"]]
        given = [column.name for column in self.query.features]
        return taken != given and sorted(taken) == sorted(given)

    @property
    def is_stub_serving(self) -> bool:
        """Whether what serves predicts NULL."""
        return self.serving is not None and self.serving.state == STUB

    def decide_empty(self) -> Decision:
        """Keep a function of the right signature under --empty: a stub would only be worse."""
        fits = self.serving is not None and self.build.fits(self.query, self.serving)
        return Decision("keep" if fits else "stub", "--empty", self.expected)

    def decide(self, full_refresh: bool) -> Decision:
        """Return what an ordinary build does.

        Raises
        ------
        SpecError
            The function is renamed, and the model is never trained again.
        """
        newest, policy = self.newest, self.build.spec.retrain
        if full_refresh:
            return Decision("train", "--full-refresh", self.expected)
        if newest is None or self.is_stub_serving:
            if self.unpublished.exists():
                return self._compare()
            return self._train("there is no version yet" if newest is None else "a stub serves")
        if policy == "never" and self.is_renamed and self.serving is not None:
            raise SpecError(
                f"v{self.serving.version} serves as function {self.serving.function_name}, and config "
                f"`function` is {self.build.spec.function} now, which a training makes, but 'retrain: never' "
                "lets none begin: set `function` back, or train once with dbt build --full-refresh"
            )
        if policy == "never":
            changed = self._changes(newest, self._unread(newest))
            also = f"; changed since: {', '.join(changed)}" if changed else ""
            return Decision("keep", f"retrain: never{also}", self.expected, is_warning=bool(changed))
        if isinstance(policy, float | int) and newest.age_s < policy and not self.is_renamed:
            return Decision("keep", f"v{newest.version} is {newest.age} old (retrain: after)", self.expected)
        if policy == "on_change" or self.unpublished.exists():
            return self._compare()
        return self._train(self._by_policy(newest))

    def _train(self, reason: str) -> Decision:
        return Decision("train", reason, self.expected)

    def _compare(self) -> Decision:
        """Decide by the digest; the rows are read only if nothing else decides already."""
        newest, expected = self.newest, self.expected
        changed: tuple[str, ...] = ("there is no version yet",)
        if newest is not None:
            changed = self._changes(newest, self._unread(newest))
        if not changed or self.unpublished.exists():
            data, n_rows = self.build.measure(self.cursor, self.query)
            expected = replace(expected, data=data, n_rows=n_rows)
            published = None if newest is None else newest.summary["mlflow_run_id"]
            if newest is not None:
                changed = self._changes(newest, expected)
            champion = champion_of(self.build.spec, self.serving)
            same = newest.version if newest is not None and not changed else None
            if self.unpublished.is_publishable(self.build.spec, expected, published, champion, same):
                return Decision("publish", "an earlier build trained it and could not publish it", expected)
        if newest is not None and self.build.spec.retrain != "on_change":
            return Decision("train", self._by_policy(newest), expected)
        if changed or self.serving is None or self.is_stub_serving:
            return Decision("train", ", ".join(changed) or "a stub serves", expected)
        return Decision("keep", "unchanged", expected)

    def _changes(self, newest: StoredVersion, expected: Digest) -> tuple[str, ...]:
        changed = digests.changes(newest.digest, expected)
        return (*changed, "columns (order)") if self.is_reordered else changed

    def _by_policy(self, newest: StoredVersion) -> str:
        if self.build.spec.retrain == "always":
            return "retrain: always"
        return f"v{newest.version} is {newest.age} old"

    def _unread(self, newest: StoredVersion) -> Digest:
        """Return the digest now, as if the rows were those of the version."""
        known = newest.digest or {}
        return replace(self.expected, data=known.get("data", 0), n_rows=known.get("n_rows", 0))
