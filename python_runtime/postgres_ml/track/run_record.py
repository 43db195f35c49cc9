"""What MLflow is told of a training, as files, so that another process can tell it later.

Input: `Fitted`. Output in the job's folder, beside `artifacts/`: `record.json`, and the model for MLflow with
some rows as its example. Nothing here asks MLflow, which may be out of reach: the training is done.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle
import pandas as pd

from postgres_ml.contract import json_file
from postgres_ml.contract.exceptions import StorageError
from postgres_ml.fit import user_code
from postgres_ml.publish.fitted import Fitted

# MLflow's limits of a dataset's texts, in characters
MAX_NAME_LENGTH, MAX_SOURCE_LENGTH, MAX_SCHEMA_LENGTH = 500, 65_535, 1_048_575
CUT = " … (the whole query is the artifact training_query.sql)"


@dataclass(frozen=True)
class RunRecord:
    """Parameters, metrics and dataset of an MLflow run.

    Parameters
    ----------
    time : of the metrics, milliseconds since 1970: telling MLflow twice is telling it once
    searched : metrics of the search as (name, value, step)
    dataset : what MLflow's Dataset takes: name, digest, source, columns, profile; empty of a brought model
    model_uri : of a brought model that MLflow has already; empty where the folder holds one to be logged
    has_probabilities : whether the model knows probabilities
    """

    time: int
    parameters: dict[str, str]
    metrics: dict[str, float]
    searched: tuple[tuple[str, float, int], ...] = ()
    dataset: tuple[str, ...] = ()
    model_uri: str = ""
    has_probabilities: bool = False

    def write(self, directory: Path) -> None:
        """Write it into a job's folder.

        Raises
        ------
        StorageError
        """
        with _storing(directory):
            (directory / "record.json").write_text(json_file.to_json(self), encoding="utf-8")

    @classmethod
    def read(cls, directory: Path) -> RunRecord:
        """Return what `write` wrote."""
        return json_file.read(cls, directory / "record.json")


def write_record(fitted: Fitted, directory: Path) -> None:
    """Write the record of a training, its pipeline and some of its rows.

    Raises
    ------
    StorageError
        A file can't be written.
    """
    train = {f"train_{name}": value for name, value in fitted.evaluation.train_metrics.items()}
    record = RunRecord(
        time=int(time.time() * 1000),
        parameters={mlflow_name(name): str(value) for name, value in parameters(fitted).items()},
        metrics=fitted.evaluation.metrics | train,
        searched=search_metrics(fitted),
        dataset=_dataset(fitted),
        has_probabilities=fitted.task.problem.has_probabilities,
    )
    write_model(fitted.pipeline, fitted.holdout.frame, directory)
    record.write(directory)


def write_model(model: Any, rows: pd.DataFrame, directory: Path) -> None:
    """Write a model that MLflow is to keep, and the first of these rows as its example.

    Raises
    ------
    StorageError
        A file can't be written.
    """
    with _storing(directory), _own_code_by_value(), (directory / "model.pickle").open("wb") as file:
        cloudpickle.dump((model, rows.head(3)), file)


def read_model(directory: Path) -> tuple[Any, pd.DataFrame]:
    """Return the model and the rows that `write_model` wrote."""
    with (directory / "model.pickle").open("rb") as file:
        model, rows = cloudpickle.load(file)
    return model, rows


def mlflow_name(name: str) -> str:
    """Return a parameter's name as MLflow takes it: another character than it allows becomes a blank."""
    return re.sub(r"[^\w\-. :/]", " ", name)


def parameters(fitted: Fitted) -> dict[str, Any]:
    """Return the run's parameters: what was configured, and what was chosen."""
    spec, choice, problem = fitted.job.spec, fitted.choice, fitted.task.problem
    settings = {
        f"settings.{name}": getattr(spec.settings, name) for name in ("max_cells", "holdout", "seed", "refit")
    }
    return {
        "target": spec.target,
        "auto": spec.auto,
        **{name: getattr(spec, name) for name in ("interval", "weight") if getattr(spec, name) is not None},
        "problem_type": problem.type,
        "objective": problem.objective,
        "model_type": choice.candidate.model_type,
        "candidate": choice.candidate.name,
        "n_rows": fitted.n_rows,
        "n_holdout": fitted.n_holdout,
        "n_features": len(fitted.job.features),
        "n_nodes": fitted.generated.n_nodes,
        "runtime": fitted.deployment.runtime.name,
        **settings,
        **fitted.hyperparameters,
    }


def search_metrics(fitted: Fitted) -> tuple[tuple[str, float, int], ...]:
    """Return the search as two metrics that MLflow draws: each candidate's loss, and the least so far."""
    losses = [trial.loss for trial in fitted.choice.trials if trial.state == "done"]
    return tuple(
        (name, value, step)
        for name, values in (
            ("search_loss", losses),
            ("search_least_loss", list(itertools.accumulate(losses, min))),
        )
        for step, value in enumerate(values, start=1)
    )


def _dataset(fitted: Fitted) -> tuple[str, ...]:
    job = fitted.job
    columns = [{"name": c.name, "type": c.sql_type} for c in job.columns]
    return (
        job.spec.name[:MAX_NAME_LENGTH],
        fitted.rows.digest,
        "sql",
        _source(job.spec.database, job.query),
        _schema(columns),
        json.dumps({"num_rows": fitted.n_rows, "num_elements": fitted.n_rows * len(job.features)}),
    )


def _source(database: str, query: str) -> str:
    """Return the query as JSON of at most `MAX_SOURCE_LENGTH`: the whole one is `training_query.sql`."""
    whole = json.dumps({"database": database, "query": query})
    if len(whole) <= MAX_SOURCE_LENGTH:
        return whole
    # JSON has up to six characters for one of the query's; what is cut is no query that runs
    left = (MAX_SOURCE_LENGTH - len(json.dumps({"database": database, "query": CUT}))) // 6
    return json.dumps({"database": database, "query": query[:left] + CUT})


def _schema(columns: list[dict[str, str]]) -> str:
    """Return the columns as JSON, as many as fit into `MAX_SCHEMA_LENGTH`."""
    while len(text := json.dumps({"columns": columns})) > MAX_SCHEMA_LENGTH:
        columns = columns[: len(columns) * MAX_SCHEMA_LENGTH // len(text)]
    return text


@contextlib.contextmanager
def _own_code_by_value() -> Iterator[None]:
    """Let the classes that a dbt model in Python defines travel in the pickle: they are in no file."""
    module = sys.modules.get(user_code.MODULE)
    if module is not None:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        if module is not None:
            cloudpickle.unregister_pickle_by_value(module)


@contextlib.contextmanager
def _storing(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"the training's result can't be written to {directory}: {error.strerror}"
        ) from error
