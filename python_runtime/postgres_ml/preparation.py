"""Between rows and search: checks, columns, split; and at the end the result as the adapter reads it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from postgres_ml.contract import json_file
from postgres_ml.contract.exceptions import TrainingDataError
from postgres_ml.contract.job import TrainingJob
from postgres_ml.contract.model import TrainedModel
from postgres_ml.evaluate.drift_reference import training_statistics
from postgres_ml.features import column_checks
from postgres_ml.features import problem as problems
from postgres_ml.features.holdout import holdout_of
from postgres_ml.features.preprocess import choose_columns
from postgres_ml.fit.task import Deadline, Task
from postgres_ml.lower import parse_pipeline
from postgres_ml.process.report import Report
from postgres_ml.program.program import Input
from postgres_ml.program.serialize import program_to_json
from postgres_ml.publish.fitted import Fitted
from postgres_ml.snapshot.copy import SnapshotSummary
from postgres_ml.snapshot.rows import TrainingRows


def prepare(
    job: TrainingJob, rows: TrainingRows, deadline: Deadline, report: Report
) -> tuple[Task, TrainingRows, TrainingRows, TrainingRows]:
    """Return the task, all rows with labels in the function's type, the training rows and the hold-out.

    Raises
    ------
    TrainingDataError, SpecError
        Too few rows, one class only, a target that doesn't fit the problem type, nothing to predict from…
    """
    spec, notes = job.spec, list[str]()
    _check_rows(job, len(rows), notes)
    if job.target is not None:
        rows = dataclasses.replace(rows, target=problems.label_values(rows.target, job.target.sql_type))
    problem = problems.resolve(spec, job.target, rows.target, notes)
    if problem.is_regression and rows.target.dtype == object:  # what is measured needs no exact digits
        rows = dataclasses.replace(rows, target=rows.target.astype(np.float64))
    mask = holdout_of(rows, spec.settings, notes)
    problems.check_split(problem, problem.encode(rows.target), mask, job.target)
    columns = choose_columns(job.features, rows, notes, spec.preprocessors)
    notes += column_checks.misread(rows.frame)
    if spec.auto:
        training = rows.take(~mask)
        used = [name for name in rows.frame if name in columns.kinds]
        notes += column_checks.leaks(problem, training.frame[used], training.target)
    for text in notes:
        report.note(text, "warning" if text.startswith("column") else "info")
    is_sql = spec.runtime == "sql" or (spec.runtime == "auto" and "native" in job.lacking)
    task = Task(spec, problem, columns, job.n_threads, deadline, is_sql)
    return task, rows, rows.take(~mask), rows.take(mask)


def _check_rows(job: TrainingJob, n_rows: int, notes: list[str]) -> None:
    """Check the number of rows, and say which rows of the query aren't among them."""
    path = Path(job.directory) / "snapshot.json"
    n_null = 0
    if path.exists():
        summary = json_file.read(SnapshotSummary, path)
        n_null = summary.n_null_target
        if n_null and job.target:
            notes.append(f'{n_null:,} rows are left out: their target "{job.target.name}" is NULL')
        if summary.sampled:
            notes.append(f"{summary.n_rows:,} of {summary.n_rows_query - n_null:,} rows are used (max_cells)")
    minimum = job.spec.settings.min_rows
    if n_rows < minimum:
        others = f" ({n_null:,} more have none)" if n_null else ""
        rows = "rows with a target" if job.target else "rows"
        raise TrainingDataError(
            f"the query returns {n_rows:,} {rows}{others}, fewer than {minimum:,}: "
            f"add rows, or lower settings: {{min_rows: {max(n_rows, 2)}}}"
        )


def inputs(job: TrainingJob) -> tuple[Input, ...]:
    """Return the function's arguments."""
    return tuple(Input(column.name, column.sql_type, column.kind) for column in job.features)


def evaluated_program(fitted: Fitted) -> str:
    """Return the scoring program, as JSON, of the pipeline that never saw the hold-out; '' without one."""
    if fitted.program is None:
        return ""
    if fitted.evaluated is fitted.pipeline:
        return program_to_json(fitted.program)
    return program_to_json(parse_pipeline(fitted.evaluated, inputs(fitted.job), fitted.return_type))


def trained_model(fitted: Fitted, report: Report, run_id: str) -> TrainedModel:
    """Return what the adapter publishes; MLflow's URI of the pipeline is not known yet."""
    problem, generated = fitted.task.problem, fitted.generated
    return TrainedModel(
        features=fitted.job.features,
        return_type=fitted.return_type,
        problem_type=problem.type,
        model_type=fitted.choice.candidate.model_type,
        objective=problem.objective,
        labels=problem.labels,
        metric=problem.metric,
        score=fitted.score,
        metrics=fitted.metrics,
        train_metrics=fitted.train_metrics,
        n_rows=len(fitted.rows),
        n_holdout=len(fitted.holdout),
        n_features=len(fitted.job.features),
        functions=generated.functions,
        runtime=fitted.runtime.name,
        runtime_reason=fitted.runtime.reason,
        n_nodes=generated.n_nodes,
        est_rows_per_s=generated.est_rows_per_s,
        mlflow_run_id=run_id,
        mlflow_model_uri="",
        parity_file=str(Path(fitted.job.directory) / "parity.copy"),
        messages=tuple(report.messages),
        seconds=report.seconds,
        explanation=fitted.explanation.to_dict() if fitted.explanation else None,
        hyperparameters=fitted.hyperparameters,
        artifact=fitted.artifact,
        evaluated_program=evaluated_program(fitted),
        statistics=training_statistics(
            fitted.job.features, fitted.rows.frame, fitted.evaluated.predict(fitted.holdout.frame)
        ),
        champion_score=fitted.comparison.score,
        champion_note=fitted.comparison.note,
    )
