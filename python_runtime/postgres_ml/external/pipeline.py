"""A brought model from source to functions: what `pipeline.train` is for a model that is trained here.

Input: a job whose spec has a `source`, `snapshot.bin` if the dbt model has a query, the id of an MLflow run.
Output: `TrainedModel` and files.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from postgres_ml.contract.exceptions import SpecError, TrainingDataError
from postgres_ml.contract.job import TrainingJob
from postgres_ml.contract.model import Details, TrainedModel, registered_name
from postgres_ml.evaluate import metrics as evaluate
from postgres_ml.external import load as sources
from postgres_ml.external.signature import Signature, describe
from postgres_ml.features.problem import DEFAULT_METRIC
from postgres_ml.process.report import Relay, Report
from postgres_ml.publish.deployment import Deployment, deploy, publish_artifact
from postgres_ml.serve.artifact import pack_pyfunc
from postgres_ml.serve.scorer import PyFunc
from postgres_ml.snapshot import rows as training_data
from postgres_ml.snapshot.rows import TrainingRows
from postgres_ml.track.run_record import RunRecord, write_model
from postgres_ml.verify.rows import MAX_HOLDOUT_ROWS, as_frame, hostile_rows, write_rows


def bring(job: TrainingJob, run_id: str, relay: Relay) -> TrainedModel:
    """Load, evaluate and compile a model made elsewhere; return what is to be published.

    Raises
    ------
    PostgresMLError
        A source that can't be loaded or trusted, arguments that don't fit it, rows it can't be evaluated on.
    """
    spec, directory, report = job.spec, Path(job.directory), Report(relay)
    assert spec.source is not None, "of brought models only"
    with report.phase("load"):
        loaded = sources.load(
            spec.source, trust=spec.trust, tracking_uri=job.tracking_uri, directory=directory
        )
        signature = describe(spec, loaded, job.features, job.target)
        report.note(f"source: {loaded.origin}, {type(loaded.model).__name__}")
        model = PyFunc(loaded.model) if loaded.pyfunc else loaded.model
        rows = _rows(job, signature)
    with report.phase("evaluate"):
        metrics = _evaluate(job, signature, model, rows) if rows is not None and job.target else {}
        metric = DEFAULT_METRIC[signature.problem_type] if metrics else ""
    sample = rows.frame if rows is not None else _invented(signature)
    with report.phase("lower"):
        deployed = _deploy(job, loaded, signature, sample)
        for text in (deployed.runtime.message, *deployed.runtime.generated.messages):
            report.note(text)
    with report.phase("parity rows"):
        ordinary = sample.head(MAX_HOLDOUT_ROWS if rows is not None else 0)
        roles = {body.role for body in deployed.runtime.generated.functions}
        details: Details | None = "distances" if "distances" in roles else None
        write_rows(
            directory / "parity.copy", model, deployed.program, signature.columns,
            "probabilities" if signature.has_probabilities else details, ordinary, sample,
            spec.settings.seed,
        )  # fmt: skip
    _write_record(job, loaded, signature, metrics, sample)
    n_rows = 0 if rows is None else len(rows)
    generated = deployed.runtime.generated
    return TrainedModel(
        features=signature.columns,
        return_type=signature.returns,
        problem_type=signature.problem_type,
        model_type=type(loaded.model).__name__,
        objective=metric or "none",
        labels=tuple(map(str, signature.labels)),
        metric=metric,
        score=metrics.get(metric),
        metrics=metrics,
        train_metrics={},
        n_rows=n_rows,
        n_holdout=n_rows,
        n_features=len(signature.columns),
        functions=generated.functions,
        runtime=deployed.runtime.name,
        runtime_reason=deployed.runtime.reason,
        n_nodes=generated.n_nodes,
        est_rows_per_s=generated.est_rows_per_s,
        mlflow_run_id=run_id,
        mlflow_model_uri="",
        parity_file=str(directory / "parity.copy"),
        messages=tuple(report.messages),
        seconds=report.seconds,
        artifact=deployed.artifact,
    )


def _write_record(
    job: TrainingJob,
    loaded: sources.Loaded,
    signature: Signature,
    metrics: dict[str, float],
    sample: pd.DataFrame,
) -> None:
    """Write what MLflow is told; a pyfunc, and a version of the model of this name, are there already."""
    own = f"models:/{registered_name(job.spec.schema, job.spec.name)}/"
    is_there = loaded.pyfunc is not None or loaded.uri.startswith(own)
    directory = Path(job.directory)
    if not is_there:
        write_model(loaded.model, sample, directory)
    RunRecord(
        time=int(time.time() * 1000),
        parameters={"source": str(job.spec.source), "origin": loaded.origin},
        metrics=metrics,
        model_uri=loaded.uri if is_there else "",
        has_probabilities=signature.has_probabilities,
    ).write(directory)


def _deploy(
    job: TrainingJob, loaded: sources.Loaded, signature: Signature, sample: pd.DataFrame
) -> Deployment:
    columns, returns = signature.columns, signature.returns
    labels = signature.labels if signature.has_probabilities else None
    if loaded.pyfunc is None:
        return deploy(job, loaded.model, columns, returns, labels, sample)
    if job.spec.runtime not in ("auto", "python"):
        raise SpecError(f"runtime {job.spec.runtime}: an MLflow pyfunc runs in runtime python only")
    if "python" in job.lacking:
        raise SpecError(f"an MLflow pyfunc runs in runtime python only, and {job.lacking['python']}")
    artifact = pack_pyfunc(loaded.pyfunc, columns, returns)
    reason = "an MLflow pyfunc has no scoring program"
    return publish_artifact(job, artifact, columns, returns, None, reason, None, sample)


def _rows(job: TrainingJob, signature: Signature) -> TrainingRows | None:
    path = Path(job.directory) / "snapshot.bin"
    if not path.exists():
        return None
    rows = training_data.load(path, job.features, job.target, job.spec.settings.seed)
    if not len(rows):
        raise TrainingDataError("the query returns no rows to evaluate the model on")
    names = [column.name for column in signature.columns]
    return TrainingRows(rows.frame[names], rows.target, rows.keys, rows.digest)


def _invented(signature: Signature) -> pd.DataFrame:
    """Return rows of plausible values, for a model that comes without any."""
    empty = as_frame({c.name: [] for c in signature.columns}, signature.columns)
    frame = as_frame(hostile_rows(None, signature.columns, empty, 0), signature.columns)
    numbers = frame.select_dtypes(float)
    frame[numbers.columns] = numbers.where(numbers.abs() < 1e6, 1.5)
    return frame


def _evaluate(job: TrainingJob, signature: Signature, model: Any, rows: TrainingRows) -> dict[str, float]:
    """Return the metrics on all rows of the query: a brought model saw none of them here."""
    if signature.problem_type == "regression":
        return evaluate.regression_metrics(
            rows.target.astype(np.float64), np.asarray(model.predict(rows.frame))
        )
    assert job.target is not None
    predicted = np.asarray(model.predict(rows.frame))
    labels = signature.labels or tuple(sorted({*predicted.tolist(), *rows.target.tolist()}, key=str))
    codes, unknown = _codes(rows.target, labels)
    if unknown:
        raise TrainingDataError(
            f'target "{job.target.name}" has labels that the model does not know: {", ".join(unknown[:5])}; '
            f"it knows {', '.join(map(str, labels[:5]))}"
        )
    guesses, _ = _codes(predicted, labels)
    if signature.has_probabilities:
        return evaluate.classification_metrics(codes, guesses, np.asarray(model.predict_proba(rows.frame)))
    certain = np.eye(len(labels))[guesses]
    scores = evaluate.classification_metrics(codes, guesses, certain)
    return {name: value for name, value in scores.items() if name not in ("auc", "log_loss")}


def _codes(values: Any, labels: Sequence[Any]) -> tuple[Any, list[str]]:
    """Return positions in `labels`, compared as Postgres prints them, and the values that are none."""
    position = {_name(label): i for i, label in enumerate(labels)}
    names = [_name(value) for value in np.asarray(values).tolist()]
    return np.array([position.get(name, -1) for name in names]), sorted(set(names) - set(position))


def _name(label: Any) -> str:
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    if isinstance(label, bool):
        label = int(label)
    return str(label)
