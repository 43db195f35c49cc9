"""Decides what a build of a create_model node does: train, publish an earlier result, or keep the version.

Input: the config's policy, the newest trained version, what has changed. Output: `Plan`. No training process
is started before this decision.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from dbt.adapters.postgres_ml.catalog import STUB, StoredVersion

from postgres_ml import spec as specs
from postgres_ml.digest import Digest
from postgres_ml.spec import TrainedModel, TrainingSpec

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
    """

    action: Action
    reason: str
    newest: int = 0
    serving: StoredVersion | None = None
    is_warning: bool = False


def newest_trained(versions: tuple[StoredVersion, ...]) -> StoredVersion | None:
    """Return the version that the next build is compared with (SPEC 8.12)."""
    return next((version for version in versions if version.state != STUB), None)


def retrains_by_age(policy: str | float, newest: StoredVersion) -> str | None:
    """Return why `retrain: {after: …}` trains now, or None."""
    if isinstance(policy, float | int) and newest.age_s >= policy:
        return f"v{newest.version} is {newest.age} old"
    return None


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
        return self._note.exists() and (self.directory / "trained.json").exists()

    def matches(self, spec: TrainingSpec, digest: Digest) -> bool:
        """Return whether training now would make the same model for the same place."""
        note = json.loads(self._note.read_text(encoding="utf-8"))
        return bool(note == json.loads(json.dumps({"place": _place(spec), "digest": asdict(digest)})))

    def read(self) -> TrainedModel:
        """Return the result."""
        return specs.read(TrainedModel, self.directory / "trained.json")


def _place(spec: TrainingSpec) -> list[str]:
    return [spec.database, spec.schema, spec.name, spec.function]
