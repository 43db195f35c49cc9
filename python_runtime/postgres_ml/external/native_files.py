"""Reads models in the formats of xgboost, lightgbm and ONNX, which hold data and no code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import xgboost

from postgres_ml.contract.exceptions import ArtifactError
from postgres_ml.external import onnx_file
from postgres_ml.external.xgboost_versions import check_fields

LIGHTGBM = (".txt", ".lgb")


def read(path: Path) -> Any:
    """Return the model in a file, by its suffix.

    Raises
    ------
    ArtifactError
        It is of another format, damaged, or of an xgboost whose fields the installed one does not know.
    """
    suffix = path.suffix.lower()
    if suffix == ".onnx":
        return onnx_file.read_onnx(path)
    if suffix in LIGHTGBM:
        return _lightgbm(path)
    try:
        return _xgboost(path)
    except (xgboost.core.XGBoostError, ValueError, KeyError) as error:
        raise _unreadable(path, "xgboost", error) from error


def _unreadable(path: Path, library: str, error: Exception) -> ArtifactError:
    reason = str(error).strip().splitlines()[0]
    return ArtifactError(f"source {path.name} is not a model that {library} can read: {reason}")


def lightgbm_for(path: Path) -> Any:
    """Return the module, which is no requirement of this package.

    Raises
    ------
    ArtifactError
        It isn't installed.
    """
    try:
        import lightgbm
    except ImportError as error:
        raise ArtifactError(
            f"source {path.name} needs the package lightgbm, which isn't installed in dbt's environment: "
            "pip install lightgbm"
        ) from error
    return lightgbm


def _lightgbm(path: Path) -> Any:
    lightgbm = lightgbm_for(path)
    try:
        return lightgbm.Booster(model_file=str(path))
    except (lightgbm.basic.LightGBMError, ValueError, KeyError) as error:
        raise _unreadable(path, "lightgbm", error) from error


def _xgboost(path: Path) -> Any:
    """Return XGBClassifier or XGBRegressor where the file is of one of them, else the Booster."""
    booster = xgboost.Booster(model_file=str(path))
    check_fields(path, booster)
    kind = json.loads(booster.attr("scikit_learn") or "{}").get("_estimator_type", "")
    if kind not in ("classifier", "regressor"):
        return booster
    model = xgboost.XGBClassifier() if kind == "classifier" else xgboost.XGBRegressor()
    model.load_model(str(path))
    return model
