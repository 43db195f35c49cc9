"""The published pipeline as MLflow keeps it: a model that predicts where nothing of ours is installed.

Input: the pipeline and its columns. Output: a logged model of the flavors sklearn and python_function. The
modules of this package that its pickle names travel with it as MLflow's code_paths.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cloudpickle
import importlib_metadata
import mlflow
import mlflow.sklearn
import pandas as pd
from mlflow.models import Model, ModelSignature
from mlflow.models.model import MLMODEL_FILE_NAME
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import AnyType
from sklearn.pipeline import Pipeline

from postgres_ml.components.frame_reader import FrameReader
from postgres_ml.contract.column import Column
from postgres_ml.evaluate.anomalies import has_rule
from postgres_ml.serve.artifact import own_modules
from postgres_ml.serve.audit import OWN_MODULES, globals_of
from postgres_ml.track import pyfunc
from postgres_ml.track.pyfunc import IS_ANOMALY, PROBABILITIES, BoosterModel

OUTPUT_TYPES = {
    "smallint": DataType.long,
    "integer": DataType.long,
    "bigint": DataType.long,
    "boolean": DataType.boolean,
    "real": DataType.double,
    "double precision": DataType.double,
    "numeric": DataType.double,
}
MODEL_NAME = "pipeline"
PACKAGE = "postgres_ml"
#: beside another version of this package, what is missing here is found there
INIT = "from pkgutil import extend_path\n\n__path__ = extend_path(__path__, __name__)\n"
DISTRIBUTIONS = {"sklearn": "scikit-learn"}
# It advises against pickles each time; skops, which it advises, refuses xgboost's and our own classes.
logging.getLogger("mlflow.sklearn").setLevel(logging.ERROR)


def log_model(
    run_id: str,
    model: Any,
    columns: Sequence[Column],
    returns: str,
    has_probabilities: bool,
    example: pd.DataFrame,
) -> str:
    """Log the model in a run and return its URI.

    Parameters
    ----------
    model : fitted; what the function predicts with
    columns : the function's arguments
    returns : SQL type of the prediction
    example : a few rows
    """
    pipeline = with_reader(model, columns, "" if hasattr(model, "classes_") else returns)
    params = [*[PROBABILITIES] * has_probabilities, *[IS_ANOMALY] * has_rule(model)]
    with tempfile.TemporaryDirectory() as folder, _unread_distributions():
        names = {name.partition(":")[0] for name in globals_of(cloudpickle.dumps(pipeline))}
        logged = Model.log(
            artifact_path=None,
            name=MODEL_NAME,
            flavor=Flavor,
            flavor_name="sklearn",
            run_id=run_id,
            sk_model=pipeline,
            serialization_format="cloudpickle",
            signature=signature(columns, returns, params),
            input_example=example,
            code_paths=[str(write_code(names, Path(folder)))],
            pip_requirements=requirements(names),  # inferring them would start a process and take 10 s
        )
    uri: str = logged.model_uri
    return uri


class Flavor:
    """MLflow's sklearn flavor, whose python_function is `registered_pyfunc`."""

    @staticmethod
    def save_model(path: str, mlflow_model: Model, flavor_name: str = "", **arguments: Any) -> None:
        """Save the model into a folder.

        Parameters
        ----------
        flavor_name : what `Model.log` of MLflow's later releases keeps for itself, and the first hand on
        """
        mlflow.sklearn.save_model(path=path, mlflow_model=mlflow_model, **arguments)
        described = mlflow_model.flavors[mlflow.pyfunc.FLAVOR_NAME]
        described["loader_module"] = pyfunc.__name__
        described["data"] = described.pop("model_path")
        mlflow_model.save(str(Path(path) / MLMODEL_FILE_NAME))


def with_reader(model: Any, columns: Sequence[Column], returns: str = "") -> Pipeline:
    """Return the model behind a step that takes frames of any driver.

    Parameters
    ----------
    returns : SQL type of a predicted number; '' of labels
    """
    reader = FrameReader(
        names=tuple(column.name for column in columns),
        texts=tuple(column.name for column in columns if column.kind == "text"),
        moments={c.name: c.kind for c in columns if c.kind not in ("number", "boolean", "text")},
        returns=returns,
    )
    if isinstance(model, Pipeline):
        return Pipeline([("frame", reader), *model.steps])
    estimator = model if hasattr(model, "fit") else BoosterModel(model)
    return Pipeline([("frame", reader), ("model", estimator)])


def signature(columns: Sequence[Column], returns: str, params: Sequence[str]) -> ModelSignature:
    """Return columns and prediction as MLflow describes them.

    Parameters
    ----------
    params : names of what may be asked for instead of the prediction

    Numbers and booleans are of type any: MLflow refuses an int64 column where it was told double, and
    a column with a missing value where it was told long.
    """
    inputs = [
        ColSpec(DataType.string if column.kind == "text" else AnyType(), column.name, required=False)
        for column in columns
    ]
    outputs = Schema([ColSpec(OUTPUT_TYPES.get(returns, DataType.string))])
    asked = [ParamSpec(name, DataType.boolean, False) for name in params]
    return ModelSignature(Schema(inputs), outputs, ParamSchema(asked) if asked else None)


def write_code(modules: set[str], folder: Path) -> Path:
    """Write the modules of this package that a pickle names, and what they import; return their folder.

    All that any pipeline is made of are among them: a process that loads two models takes both from the
    first one's folder.
    """
    needed = {name for name in modules if name.startswith(f"{PACKAGE}.")} | set(OWN_MODULES)
    for name, _, source in own_modules(sorted(needed)):
        place = folder.joinpath(*name.split("."))
        place = place.with_suffix(".py") if source else place / "__init__.py"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(source or INIT, encoding="utf-8")
    return folder / PACKAGE


def requirements(modules: set[str]) -> list[str]:
    """Return the distributions that the modules are of, at the versions of this process."""
    libraries = {name.partition(".")[0] for name in modules} | {"sklearn", "numpy", "pandas", "cloudpickle"}
    if "postgres_ml.serve.onnx_model" in modules:
        libraries.add("onnxruntime")
    libraries -= {PACKAGE, *sys.stdlib_module_names}
    found = sorted(filter(None, map(_distribution, libraries)))
    return [f"{name}=={importlib.metadata.version(name)}" for name in found]


@contextlib.contextmanager
def _unread_distributions() -> Iterator[None]:
    """Spare MLflow reading the file lists of all distributions, which takes 0.4 s.

    It would compare our requirements with what is installed, of which they have just been read.
    """
    read = importlib_metadata.packages_distributions
    importlib_metadata.packages_distributions = dict
    try:
        yield
    finally:
        importlib_metadata.packages_distributions = read


def _distribution(library: str) -> str | None:
    """Return the distribution of an import package; None where it is of none, as a file of the user's.

    packages_distributions() reads the file lists of all distributions (0.5 s): it is asked last.
    """
    for name in (DISTRIBUTIONS.get(library, library), f"{library}-cpu"):  # xgboost's and xgboost-cpu's
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            importlib.metadata.version(name)
            return name
    return next(iter(importlib.metadata.packages_distributions().get(library, [])), None)
