"""Decides what a build of a create_model node does: train, publish an earlier result, or keep the version.

Input: the config's policy, the newest trained version, what has changed. Output: `Plan`. No training process
is started before this decision.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from dbt.adapters.postgres_ml.catalog.read import STUB, StoredVersion, read_functions

from postgres_ml.contract import json_file
from postgres_ml.contract.column import Column
from postgres_ml.contract.config import TrainingSpec
from postgres_ml.contract.exceptions import ConcurrentBuildError
from postgres_ml.contract.job import RESULT
from postgres_ml.contract.model import TrainedModel
from postgres_ml.snapshot import digest as digests
from postgres_ml.snapshot.copy import Cursor
from postgres_ml.snapshot.digest import Digest

Action = Literal["train", "publish", "keep", "restore", "stub"]


@dataclass(frozen=True)
class Plan:
    """What a build does.

    Parameters
    ----------
    action : train; publish a model trained by an earlier build; keep the serving version; restore its
        functions, which are gone; publish a stub
    reason : why, for the log
    newest : the newest version there was when this was decided, 0 for none
    serving : the version that serves
    is_warning : whether the reason is a warning
    superseded : signatures of functions of earlier versions that nothing needs any more
    """

    action: Action
    reason: str
    newest: int = 0
    serving: StoredVersion | None = None
    is_warning: bool = False
    superseded: tuple[str, ...] = ()

    @property
    def publishes(self) -> bool:
        """Whether a new version comes of it, gates permitting."""
        return self.action in ("train", "publish", "stub")


@dataclass(frozen=True)
class Candidate:
    """A trained model that was not published: files of an earlier build in the node's folder.

    Parameters
    ----------
    directory : where `write` put them
    """

    directory: Path

    @property
    def _note(self) -> Path:
        return self.directory / "candidate.json"

    def write(self, spec: TrainingSpec, digest: Digest) -> None:
        """Note what the training of this folder follows from; the training process adds its result."""
        self._note.write_text(json.dumps({"place": _place(spec), "digest": asdict(digest)}), encoding="utf-8")

    def exists(self) -> bool:
        """Return whether a training in this folder came to a result."""
        return self._note.exists() and (self.directory / RESULT).exists()

    def matches(self, spec: TrainingSpec, digest: Digest) -> bool:
        """Return whether training now would make the same model for the same place."""
        note = json.loads(self._note.read_text(encoding="utf-8"))
        return bool(note == json.loads(json.dumps({"place": _place(spec), "digest": asdict(digest)})))

    def read(self) -> TrainedModel:
        """Return the result."""
        return json_file.read(TrainedModel, self.directory / RESULT)


def _place(spec: TrainingSpec) -> list[str]:
    return [spec.database, spec.schema, spec.name, spec.function]


class Planner:
    """Compares what there is with what a training now would follow from.

    Parameters
    ----------
    cursor : in the node's transaction
    versions : the catalog's, the newest first
    expected : the digest now, without that of the rows
    measure : returns the digest of the query's rows, and how many there are

    Attributes
    ----------
    newest : the newest version that was trained
    expected : with the digest of the rows, if that was needed
    """

    def __init__(
        self,
        cursor: Cursor,
        spec: TrainingSpec,
        features: tuple[Column, ...],
        versions: tuple[StoredVersion, ...],
        expected: Digest,
        candidate: Candidate,
        measure: Callable[[Cursor], tuple[int, int]],
    ) -> None:
        self.cursor, self.spec, self.features = cursor, spec, features
        self.versions, self.expected, self.candidate = versions, expected, candidate
        self.measure = measure
        self.newest = newest_trained(versions)
        self.serving = next((version for version in versions if version.is_serving), None)

    def plan(self, *, full_refresh: bool, is_empty: bool) -> Plan:
        """Return what the build does."""
        plan = self._decide_empty() if is_empty else self._decide(full_refresh)
        serving = self.serving
        if plan.action == "keep" and serving is not None:
            there = read_functions(self.cursor, self.spec.schema, serving.function_name)
            if there.serves:
                plan = replace(plan, superseded=there.superseded)
            else:
                plan = replace(plan, action="restore", reason=f"{plan.reason}, but its function is gone")
        newest = self.versions[0].version if self.versions else 0
        return replace(plan, newest=newest, serving=serving)

    def _decide_empty(self) -> Plan:
        """A function of the right signature stays: a stub would only be worse (SPEC 8.13)."""
        arguments = [[column.name, column.sql_type] for column in self.features]
        if self.serving is not None and self.serving.summary["arguments"] == arguments:
            return Plan("keep", "--empty")
        return Plan("stub", "--empty")

    def _decide(self, full_refresh: bool) -> Plan:
        newest, policy = self.newest, self.spec.retrain
        if full_refresh:
            return Plan("train", "--full-refresh")
        if newest is None or (self.serving is not None and self.serving.state == STUB):
            if self.candidate.exists():
                return self._compare()
            return Plan("train", "there is no version yet" if newest is None else "a stub serves")
        if policy == "never":
            changed = digests.changes(newest.digest, self._unread(newest))
            also = f"; changed since: {', '.join(changed)}" if changed else ""
            return Plan("keep", f"retrain: never{also}", is_warning=bool(changed))
        if isinstance(policy, float | int) and newest.age_s < policy:
            return Plan("keep", f"v{newest.version} is {newest.age} old (retrain: after)")
        if policy == "on_change" or self.candidate.exists():
            return self._compare()
        return Plan("train", self._by_policy(newest))

    def _compare(self) -> Plan:
        """Decide by the digest; the rows are read only if nothing else decides already."""
        newest = self.newest
        changed: tuple[str, ...] = ("there is no version yet",)
        if newest is not None:
            changed = digests.changes(newest.digest, self._unread(newest))
        if not changed or self.candidate.exists():
            data, n_rows = self.measure(self.cursor)
            self.expected = replace(self.expected, data=data, n_rows=n_rows)
            if self._is_unpublished() and self.candidate.matches(self.spec, self.expected):
                return Plan("publish", "an earlier build trained it and could not publish it")
            if newest is not None:
                changed = digests.changes(newest.digest, self.expected)
        if newest is not None and self.spec.retrain != "on_change":
            return Plan("train", self._by_policy(newest))
        if changed or self.serving is None or self.serving.state == STUB:
            return Plan("train", ", ".join(changed) or "a stub serves")
        return Plan("keep", "unchanged")

    def _is_unpublished(self) -> bool:
        """Return whether there is a candidate; one published by a dbt that was killed then is none."""
        if not self.candidate.exists():
            return False
        published = None if self.newest is None else self.newest.summary["mlflow_run_id"]
        return not published or self.candidate.read().mlflow_run_id != published

    def _by_policy(self, newest: StoredVersion) -> str:
        return (
            "retrain: always" if self.spec.retrain == "always" else f"v{newest.version} is {newest.age} old"
        )

    def _unread(self, newest: StoredVersion) -> Digest:
        """Return the digest now, as if the rows were those of the version."""
        known = newest.digest or {}
        return replace(self.expected, data=known.get("data", 0), n_rows=known.get("n_rows", 0))


def newest_trained(versions: tuple[StoredVersion, ...]) -> StoredVersion | None:
    """Return the version that the next build is compared with (SPEC 8.12)."""
    return next((version for version in versions if version.state != STUB), None)


def reason_of_training(plan: Plan, newest: StoredVersion | None, expected: Digest) -> str:
    """Return why a version is trained: what changed since the newest one, after what the policy says."""
    if newest is None or plan.reason == "--full-refresh":
        return plan.reason
    changed = ", ".join(digests.changes(newest.digest, expected))
    if plan.reason.startswith("v") or plan.reason.startswith("retrain"):
        return f"{plan.reason}; {changed or 'nothing'} changed"
    return changed or plan.reason


def check_not_overtaken(plan: Plan, newest: int) -> None:
    """Check that the newest version is still the one that this build was planned with.

    Raises
    ------
    ConcurrentBuildError
        Another build, of another checkout or machine, published one in the meantime.
    """
    if newest != plan.newest:
        raise ConcurrentBuildError(
            f"another build published v{newest} while this one trained, and v{newest} serves. What this "
            "build trained is kept: the next build publishes it if the data is still the same"
        )
