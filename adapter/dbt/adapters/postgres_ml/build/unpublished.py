"""A trained model that was not published: files of an earlier build in the node's folder."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from dbt.adapters.postgres_ml.log import logger

from postgres_ml.contract import json_file
from postgres_ml.contract.config import TrainingSpec
from postgres_ml.contract.job import RESULT
from postgres_ml.contract.model import TrainedModel
from postgres_ml.snapshot.digest import Digest


@dataclass(frozen=True)
class UnpublishedResult:
    """What a training in a folder came to, and what it followed from.

    Parameters
    ----------
    directory : of the node's trainings
    """

    directory: Path

    @property
    def _note(self) -> Path:
        return self.directory / "candidate.json"

    @property
    def _result(self) -> Path:
        return self.directory / RESULT

    def note_origin(
        self, spec: TrainingSpec, digest: Digest, champion: int | None = None, newest: int = 0
    ) -> None:
        """Note what the training of this folder follows from; the training process adds its result.

        Parameters
        ----------
        champion : the version that `promote: if_better` compares with; its score is part of the result
        newest : the newest version before this training; 0 where there is none
        """
        with self._note.open("w", encoding="utf-8") as stream:
            json.dump({**_origin(spec, digest, champion), "newest": newest}, stream)
            stream.flush()
            os.fsync(stream.fileno())  # as the result is: without the note that is worth nothing

    def exists(self) -> bool:
        """Return whether a training in this folder came to a result."""
        return self._note.exists() and self._result.exists()

    def is_publishable(
        self,
        spec: TrainingSpec,
        digest: Digest,
        published_run: str | None,
        champion: int | None = None,
        same: int | None = None,
    ) -> bool:
        """Return whether training now would make the same model for the same place, not published yet.

        Parameters
        ----------
        champion : as `note_origin` has it, now
        same : the newest version, if it follows from the same; where another checkout has published it since
            the training there is nothing to publish
        published_run : MLflow run of the newest version; its result is still there where dbt was killed right
            after the commit
        """
        if not self.exists():
            return False
        try:
            noted = json.loads(self._note.read_text(encoding="utf-8"))
        except ValueError:  # the machine went down before all of it was on the disk
            return False
        newest = noted.pop("newest", None)
        if noted != json.loads(json.dumps(_origin(spec, digest, champion))) or same not in (None, newest):
            return False
        trained = self.read()
        if trained is None or (trained.run is not None and trained.run.run_id == published_run):
            return False
        missing = [file.name for file in _files(trained) if not file.is_file()]
        if missing:
            logger.info(f"{self.directory} lacks {' and '.join(missing)}: the model is trained again")
        return not missing

    def read(self) -> TrainedModel | None:
        """Return the result; None where another release of this package wrote it in another form."""
        try:
            return self.at_home(json_file.read(TrainedModel, self._result))
        except (TypeError, KeyError, ValueError, AttributeError):  # as another form of the file has it
            logger.info(
                f"{self._result} was written by another release of dbt-postgres-ml and can't be read: "
                "the model is trained again"
            )
            return None

    def at_home(self, trained: TrainedModel) -> TrainedModel:
        """Return the result with its files in this folder: the project may have been moved since."""
        deployed = trained.deployed
        if deployed.parity_file is not None:
            home = str(self.directory / Path(deployed.parity_file).name)
            deployed = dataclasses.replace(deployed, parity_file=home)
        if deployed.artifact is not None:
            home = str(self.directory / Path(deployed.artifact.path).name)
            deployed = dataclasses.replace(
                deployed, artifact=dataclasses.replace(deployed.artifact, path=home)
            )
        return dataclasses.replace(trained, deployed=deployed)


def _files(trained: TrainedModel) -> list[Path]:
    """Return the files that a publication reads."""
    deployed = trained.deployed
    paths = [deployed.parity_file, deployed.artifact.path if deployed.artifact is not None else None]
    return [Path(path) for path in paths if path is not None]


def _origin(spec: TrainingSpec, digest: Digest, champion: int | None) -> dict[str, object]:
    return {
        "place": [spec.database, spec.schema, spec.name, spec.function],
        "digest": asdict(digest),
        "order": list(digest.columns),  # of the function's arguments
        "champion": champion,
    }
