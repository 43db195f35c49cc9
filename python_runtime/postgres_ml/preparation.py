"""Between rows and search: checks, columns, split; and at the end the result as the adapter reads it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from postgres_ml.contract import json_file
from postgres_ml.contract.exceptions import SpecError, TrainingDataError
from postgres_ml.contract.job import TrainingJob
from postgres_ml.contract.model import RunReference, TrainedModel
from postgres_ml.contract.sql_names import identifier
from postgres_ml.evaluate.drift_reference import training_statistics
from postgres_ml.evaluate.intervals import check_enough
from postgres_ml.features import column_checks
from postgres_ml.features import problem as problems
from postgres_ml.features.feature_columns import choose_columns
from postgres_ml.features.holdout import holdout_of
from postgres_ml.features.rare_classes import settle_split
from postgres_ml.fit.task import Deadline, Task
from postgres_ml.generate.sql.words import ENCODINGS, HINT
from postgres_ml.process.report import Report
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
    _check_weights(job, rows)
    if job.target is not None:
        rows = dataclasses.replace(rows, target=problems.label_values(rows.target, job.target.sql_type))
    problem = problems.resolve(spec, job.target, rows.target, notes)
    problems.check_interval(spec, problem)
    if problem.is_regression and rows.target.dtype == object:  # what is measured needs no exact digits
        rows = dataclasses.replace(rows, target=rows.target.astype(np.float64))
    mask = holdout_of(rows, spec.settings, notes)
    is_marked = spec.settings.split_column is not None
    codes = problem.encode(rows.target)
    split = settle_split(problem, codes, mask, job.target, notes, is_marked=is_marked)
    mask = split.holdout[~split.unknown]
    if split.unknown.any():
        rows = rows.take(~split.unknown)
        problem = problems.resolve(spec, job.target, rows.target, [])  # fewer classes, two perhaps
    if spec.interval is not None:
        check_enough(spec.interval, int(mask.sum()))
    is_sql = spec.runtime == "sql" or (spec.runtime == "auto" and "native" in job.lacking)
    splits_words = not is_sql or job.encoding in ENCODINGS
    columns = choose_columns(
        job.features, rows, notes, spec.preprocessors, count_words=spec.auto and splits_words
    )
    if columns.word_columns and not splits_words:
        names = ", ".join(f'"{name}"' for group in columns.word_columns for name in group.names)
        raise SpecError(
            f"preprocessors: SQL can't split {names} into words (TextVectorizer) in a database of encoding "
            f"{job.encoding}: {HINT}"
        )
    notes += column_checks.misread(rows.frame)
    if spec.auto:
        training = rows.take(~mask)
        used = [name for name in rows.frame if name in columns.kinds]
        notes += column_checks.leaks(problem, training.frame[used], training.target)
    for text in notes:
        report.note(text, "warning" if text.startswith(("column", "classes")) else "info")
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


def _check_weights(job: TrainingJob, rows: TrainingRows) -> None:
    """Check that every row counts, and how much is known."""
    if rows.weight is None or job.weight is None:
        return
    wrong = {
        "NULL or NaN": int(np.isnan(rows.weight).sum()),
        "negative": int((rows.weight < 0).sum()),
        "zero": int((rows.weight == 0).sum()),
        "infinite": int(np.isposinf(rows.weight).sum()),
    }
    found = " and ".join(f"{what} in {n:,}" for what, n in wrong.items() if n)
    if found:
        raise TrainingDataError(
            f'weight "{job.weight.name}" is {found} of {len(rows):,} rows, and must be a positive number: '
            f"leave these rows out (where {identifier(job.weight.name)} > 0), or give them one (coalesce)"
        )


def trained_model(fitted: Fitted, report: Report, run_id: str, parity_file: Path) -> TrainedModel:
    """Return what the adapter publishes; MLflow has not been told yet."""
    predictions = fitted.evaluated.predict(fitted.holdout.frame)
    return TrainedModel(
        summary=fitted.summary,
        deployed=fitted.deployment.functions(parity_file, fitted.job.features),
        evaluation=fitted.evaluation,
        run=RunReference(run_id),
        explanation=fitted.explanation.to_dict() if fitted.explanation else None,
        statistics=training_statistics(fitted.job.features, fitted.rows.frame, predictions),
        messages=tuple(report.messages),
        seconds=report.seconds,
    )
