"""Loads an external model: from what the config names to an object that predicts.

Input: a file, or an MLflow URI. Output: `Loaded`. What could run code is loaded with `trust: true` only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.pipeline import Pipeline

from postgres_ml.components.frame_reader import FrameTypes
from postgres_ml.contract.column import Column
from postgres_ml.contract.exceptions import ArtifactError
from postgres_ml.external import mlflow_registry, native_files, onnx_file
from postgres_ml.serve import audit, trial

SCHEME = re.compile(r"[a-z][a-z0-9-]+:", re.IGNORECASE)  # two letters or more: not a disk of Windows
PICKLES = (".joblib", ".pkl", ".pickle", audit.SKOPS)


@dataclass(frozen=True)
class Loaded:
    """A model and where it is from.

    Parameters
    ----------
    model : has `predict`
    origin : the file or registered version, for log and card
    columns : of MLflow's signature; () where there is none
    returns : SQL type of the signature's prediction, or None
    uri : MLflow's, of the very version that was loaded; '' of files
    pyfunc : folder of an MLflow model that only MLflow itself can run, else None
    example : MLflow's input example; None where there is none
    labelled : whether MLflow's signature says that labels are predicted
    untyped : inputs of MLflow's signature that no SQL type fits, in words
    method : of the estimator, which MLflow's pyfunc calls
    """

    model: Any
    origin: str
    columns: tuple[Column, ...] = ()
    returns: str | None = None
    uri: str = ""
    pyfunc: Path | None = None
    example: pd.DataFrame | None = None
    labelled: bool = False
    untyped: str = ""
    method: str = mlflow_registry.PREDICT

    @property
    def model_type(self) -> str:
        """The model's class, whatever stands before it so that it gets the frames it was fitted on."""
        steps = getattr(self.model, "steps", [])
        is_alone = len(steps) == 2 and isinstance(steps[0][1], FrameTypes)
        return type(steps[1][1] if is_alone else self.model).__name__


def load(source: str, *, trust: bool, tracking_uri: str, directory: Path) -> Loaded:
    """Return the model that the config names.

    Parameters
    ----------
    trust : load pickles whatever they name
    directory : where downloads go

    Raises
    ------
    ArtifactError
        There is no such model, it can't be read, or it could run code and isn't trusted.
    TrackingError
        MLflow can't be reached.
    """
    try:
        return _load(source, trust, tracking_uri, directory)
    finally:
        trial.close()


def _load(source: str, trust: bool, tracking_uri: str, directory: Path) -> Loaded:
    path = Path(source)
    if SCHEME.match(source) or path.is_dir():
        return _of_registry(mlflow_registry.fetch(source, tracking_uri, directory), trust)
    if not path.is_file():
        what = "file" if path.suffix else "file or folder"
        raise ArtifactError(
            f"source {source}: there is no such {what} (paths are relative to the dbt project)"
        )
    model = plain(read_file(path, trust))
    return Loaded(model, path.name, onnx_file.arguments_of(model))


def read_file(path: Path, trust: bool) -> Any:
    """Return the model in a file, by its suffix.

    Raises
    ------
    ArtifactError
        It is of another format, damaged, or could run code and isn't trusted.
    """
    if path.suffix.lower() in PICKLES:
        return audit.load(path, trust=trust)
    if path.suffix.lower() in native_files.LIGHTGBM:
        native_files.lightgbm_for(path)  # said before a process is started for the file
    trial.check(path, native_files.read)
    return native_files.read(path)


def _of_registry(found: mlflow_registry.Fetched, trust: bool) -> Loaded:
    described: dict[str, Any] = {"columns": found.columns, "returns": found.returns, "uri": found.uri}
    described |= {"example": found.example, "labelled": found.labelled}
    described |= {"untyped": found.untyped, "method": found.method}
    for flavor in ("sklearn", "xgboost", "lightgbm", "onnx"):
        if flavor in found.files:
            model = plain(read_file(found.files[flavor], trust))
            described["columns"] = found.columns or onnx_file.arguments_of(model)
            return Loaded(model, found.origin, **described)
    if not trust:
        raise ArtifactError(
            f"{found.origin} is a pyfunc of flavor {', '.join(found.flavors)}: loading it runs its code. If "
            "you know where it comes from, set trust: true in this model's config"
        )
    model = mlflow_registry.load_pyfunc(found.folder)
    return Loaded(model, found.origin, pyfunc=found.folder, **described)


def plain(model: Any) -> Any:
    """Return the model without the step that our own registered models have for frames of any driver.

    Raises
    ------
    ArtifactError
        It can't predict.
    """
    if isinstance(model, Pipeline) and type(model[0]).__name__ == "FrameReader":
        model = Pipeline(model.steps[1:])
    if not hasattr(model, "predict"):
        raise ArtifactError(
            f"the source holds a {type(model).__name__}, which has no `predict`: it must be an estimator, a "
            "pipeline or a booster"
        )
    return model
