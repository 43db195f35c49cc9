"""An external model from source to functions: what `pipeline.train` is for a model that is trained here.

Input: a job whose spec has a `source`, `snapshot.bin` if the dbt model has a query, the id of an MLflow run.
Output: `TrainedModel` and files.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from postgres_ml.contract.column import Column
from postgres_ml.contract.exceptions import SpecError, TrainingDataError
from postgres_ml.contract.job import TrainingJob
from postgres_ml.contract.model import (
    Evaluation,
    ModelSummary,
    RunReference,
    TrainedModel,
    registered_name,
)
from postgres_ml.evaluate import metrics as evaluate
from postgres_ml.external import load as sources
from postgres_ml.external.boosters import as_estimator
from postgres_ml.external.load import Loaded
from postgres_ml.external.mlflow_registry import PREDICT
from postgres_ml.external.returns import check_range
from postgres_ml.external.sample import plausible_rows
from postgres_ml.external.signature import Signature, describe
from postgres_ml.features.frame_types import as_fitted
from postgres_ml.features.problem import DEFAULT_METRIC, check_finite
from postgres_ml.process.report import Relay, Report
from postgres_ml.publish.deployment import Deployment, deploy, publish_artifact
from postgres_ml.serve.artifact import pack_pyfunc
from postgres_ml.serve.scorer import PyFunc
from postgres_ml.snapshot import rows as training_data
from postgres_ml.snapshot.rows import Array, TrainingRows
from postgres_ml.track.run_record import RunRecord, write_model
from postgres_ml.verify.refusals import REFUSED_SHARE, check_plausible, row_predictions
from postgres_ml.verify.rows import MAX_HOLDOUT_ROWS, write_rows


def publish_external(job: TrainingJob, run_id: Callable[[], str], relay: Relay) -> TrainedModel:
    """Load, evaluate and compile a model made elsewhere; return what is to be published.

    Raises
    ------
    PostgresMLError
        A source that can't be loaded or trusted, arguments that don't fit it, rows it can't be evaluated on.
    """
    directory, report = Path(job.directory), Report(relay, expected_s={})  # nothing to estimate from
    with report.phase("load"):
        loaded, signature = _load(job, report)
        rows = _rows(job, signature)
        target = job.target if rows is not None and signature.problem_type != "clustering" else None
        if target is not None and rows is not None:
            _check_target(target, signature, rows.target)
    sample, may_refuse = plausible_rows(loaded.model, signature.columns, loaded.example)
    if rows is not None:
        sample, may_refuse = rows.frame, REFUSED_SHARE
    check_plausible(_predictor(loaded).predict, sample.head(MAX_HOLDOUT_ROWS), may_refuse)
    is_number, evaluation = signature.problem_type == "regression", None
    predicted = row_predictions(_predictor(loaded), sample) if is_number or target is not None else []
    if is_number:
        check_range(signature.returns, predicted)
    with report.phase("evaluate"):
        if target is not None and rows is not None:
            evaluation = _evaluation(target, loaded, signature, rows, predicted, report)
    with report.phase("lower"):
        deployment = _deploy(job, loaded, signature, sample)
        for text in deployment.runtime.messages:
            report.note(text)
    with report.phase("parity rows"):
        ordinary = sample.head(MAX_HOLDOUT_ROWS if rows is not None else 0)
        parity_file = directory / "parity.copy"
        write_rows(
            parity_file, _predictor(loaded), deployment.program, signature.arguments, deployment.details,
            ordinary, sample, job.spec.settings.seed, may_refuse=may_refuse,
        )  # fmt: skip
    _write_record(job, loaded, signature, {} if evaluation is None else evaluation.metrics, sample)
    return TrainedModel(
        summary=_summary(loaded, signature, evaluation, 0 if rows is None else len(rows)),
        deployed=deployment.functions(parity_file, signature.columns),
        evaluation=evaluation,
        run=RunReference(run_id()),
        messages=tuple(report.messages),
        seconds=report.seconds,
    )


def _load(job: TrainingJob, report: Report) -> tuple[Loaded, Signature]:
    spec = job.spec
    loaded = sources.load(
        str(spec.source), trust=spec.trust, tracking_uri=job.tracking_uri, directory=Path(job.directory)
    )
    has_labels = job.target is not None or loaded.labelled
    labelled = has_labels if spec.problem_type is None else spec.problem_type != "regression"
    returns = spec.returns or loaded.returns
    model = as_estimator(loaded.model, loaded.origin, returns, labelled=labelled)
    loaded = dataclasses.replace(loaded, model=model)
    signature = describe(spec, loaded, job.features, job.target)
    report.note(f"source: {loaded.origin}, {loaded.model_type}")
    if loaded.pyfunc is None and loaded.method != PREDICT:
        report.note(
            f"MLflow's pyfunc of this model calls {loaded.method}; the function returns what predict does"
            + (", and its _probabilities beside it" if signature.has_probabilities else ""),
            "warning",
        )
    if loaded.pyfunc is None:
        loaded = dataclasses.replace(loaded, model=as_fitted(loaded.model, signature.columns))
    return loaded, signature


def _predictor(loaded: Loaded) -> Any:
    return PyFunc(loaded.model) if loaded.pyfunc else loaded.model


def _summary(
    loaded: Loaded, signature: Signature, evaluation: Evaluation | None, n_rows: int
) -> ModelSummary:
    return ModelSummary(
        features=signature.arguments,
        return_type=signature.returns,
        problem_type=signature.problem_type,
        model_type=loaded.model_type,
        objective="none" if evaluation is None else evaluation.metric,
        labels=tuple(map(str, signature.labels)),
        n_rows=n_rows,
        n_holdout=n_rows,
    )


def _evaluation(
    target: Column,
    loaded: Loaded,
    signature: Signature,
    rows: TrainingRows,
    predicted: Sequence[Any],
    report: Report,
) -> Evaluation:
    """Return the scores on the rows of the query that the model predicts: it saw none of them here.

    Parameters
    ----------
    predicted : for each row; None where the model refuses it

    Raises
    ------
    TrainingDataError
        It predicts none.
    """
    is_known = np.array([value is not None and value == value for value in predicted])
    n_known = int(is_known.sum())
    if not n_known:
        raise TrainingDataError("the model predicts none of the query's rows, so it can't be evaluated")
    if n_known < len(rows):
        report.note(
            f"the scores are of {n_known:,} rows; the model refuses {len(rows) - n_known:,} of the query's "
            f"{len(rows):,}, for which the function returns NULL"
        )
        rows = rows.take(is_known)
    known = np.array([value for value, one in zip(predicted, is_known, strict=True) if one])
    metrics = _metrics(target, signature, _predictor(loaded), rows, known)
    metric = DEFAULT_METRIC[signature.problem_type]
    return Evaluation(metric, metrics[metric], metrics)


def _check_target(target: Column, signature: Signature, values: Array) -> None:
    """Check that a target can be compared with predictions.

    Raises
    ------
    TrainingDataError
        Names the column, and how many rows of it can't be.
    """
    if signature.problem_type == "regression" and target.kind not in ("number", "boolean"):
        raise TrainingDataError(
            f'target "{target.name}" is {target.sql_type}, and the model predicts a number: select a number '
            "as the target, or leave `target` out"
        )
    check_finite(target, values)


def _write_record(
    job: TrainingJob,
    loaded: Loaded,
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


def _deploy(job: TrainingJob, loaded: Loaded, signature: Signature, sample: pd.DataFrame) -> Deployment:
    columns, returns = signature.arguments, signature.returns
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


def _metrics(
    target: Column, signature: Signature, model: Any, rows: TrainingRows, predicted: Array
) -> dict[str, float]:
    """Return the metrics on rows of which each is predicted."""
    if signature.problem_type == "regression":
        return evaluate.regression_metrics(rows.target.astype(np.float64), predicted)
    labels = signature.labels or tuple(sorted({*predicted.tolist(), *rows.target.tolist()}, key=str))
    codes, unknown = _codes(rows.target, labels)
    if unknown:
        raise TrainingDataError(
            f'target "{target.name}" has labels that the model does not know: {", ".join(unknown[:5])}; '
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
