"""Between rows and search: checks, columns, split; and at the end the result as the adapter reads it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from postgres_ml.contract import json_file
from postgres_ml.contract.config import TrainingSpec
from postgres_ml.contract.exceptions import SpecError, TrainingDataError
from postgres_ml.contract.job import TrainingJob
from postgres_ml.contract.model import RunReference, TrainedModel
from postgres_ml.contract.sql_names import identifier
from postgres_ml.evaluate.drift_reference import training_statistics
from postgres_ml.evaluate.gates import gate_problem
from postgres_ml.evaluate.intervals import check_enough
from postgres_ml.features import column_checks
from postgres_ml.features import problem as problems
from postgres_ml.features.column_facts import ColumnFacts
from postgres_ml.features.feature_columns import FeatureColumns, choose_columns
from postgres_ml.features.holdout import holdout_of
from postgres_ml.features.problem import Problem
from postgres_ml.features.rare_classes import SettledSplit, settle_split
from postgres_ml.features.sizes import feature_notes, size_notes, weight_notes
from postgres_ml.features.transformer_rules import TEXT_STATISTICS, TEXT_VECTORIZER, members
from postgres_ml.fit.configured import check_missing
from postgres_ml.fit.fit import relative
from postgres_ml.fit.task import Deadline, Task
from postgres_ml.generate.sql.words import ENCODINGS, HINT
from postgres_ml.out_of_core.fit import LargeFit, Rows
from postgres_ml.out_of_core.plan import Sizes
from postgres_ml.out_of_core.rows import HOLDOUT, LEFT_OUT, TRAINING
from postgres_ml.process.memory import give_back
from postgres_ml.process.report import Report
from postgres_ml.publish.fitted import Fitted
from postgres_ml.search.fits import Fits
from postgres_ml.snapshot.copy import SnapshotSummary
from postgres_ml.snapshot.rows import Array, TrainingRows

LargeRowsOf = Callable[[Array, TrainingRows], Rows]


@dataclass(frozen=True)
class Prepared:
    """What a search begins with.

    Parameters
    ----------
    rows : all rows, with labels in the function's type; of a training that reads them in parts, some of them
    training, holdout : those of `rows` to learn from, and those held out
    large : what fits on all rows where they are read in parts; None where `rows` has them all
    fits : where AUTO fits its candidates; None is in threads of this process
    """

    task: Task
    rows: TrainingRows
    training: TrainingRows
    holdout: TrainingRows
    large: LargeFit | None = None
    fits: Fits | None = None

    @classmethod
    def of(cls, task: Task, rows: TrainingRows, mask: Array, large: LargeFit | None = None) -> Prepared:
        """Return it with the rows on their sides.

        Parameters
        ----------
        mask : of the rows that are held out
        """
        return cls(task, rows, rows.take(~mask), rows.take(mask), large)

    @property
    def counts(self) -> tuple[int, int]:
        """How many rows there are, those that are held out among them, and how many of these."""
        if self.large is None:
            return len(self.rows), len(self.holdout)
        return self.large.rows.count()


def prepare(job: TrainingJob, rows: TrainingRows, deadline: Deadline, report: Report) -> Prepared:
    """Return the task, all rows with labels in the function's type, the training rows and the hold-out.

    Raises
    ------
    TrainingDataError, SpecError
        Too few rows, one class only, a target that doesn't fit the problem type, nothing to predict from…
    """
    notes = list[str]()
    problem, rows, split = _settle(job, rows, notes)
    mask = split.holdout[~split.unknown]
    task = _task(job, problem, _columns(job, rows, notes), deadline)
    if job.code is None and not job.spec.auto:
        check_missing(task, job.spec.model_types[0], rows)  # also of those held out, which no fit sees
    prepared = Prepared.of(task, rows, mask)
    _tell(prepared, notes, report)
    return prepared


def prepare_large(
    job: TrainingJob, index: TrainingRows, large_rows: LargeRowsOf, sizes: Sizes, deadline: Deadline,
    report: Report,
) -> Prepared:  # fmt: skip
    """Return the same of rows that are read in parts, of which some are kept in memory.

    Parameters
    ----------
    index : the rows without their features
    large_rows : makes what reads the features, of each row's side and of the rows that aren't left out

    Raises
    ------
    TrainingDataError, SpecError
        As `prepare` says.
    """
    spec, notes = job.spec, list[str]()
    problem, index, split = _settle(job, index, notes)
    sides = np.where(split.holdout, HOLDOUT, TRAINING).astype(np.int8)
    sides[split.unknown] = LEFT_OUT
    large = large_rows(sides, index)
    look = large.look()
    give_back()
    n_sampled = max(sizes.n_fitting, sizes.n_sampled) if spec.auto else sizes.n_sampled
    sample, mask = large.sample(problem, n_sampled)
    task = _task(job, problem, _columns(job, sample, notes, look.facts), deadline)
    fit = LargeFit(task, large, look, sample, mask, Path(job.directory))
    prepared = Prepared.of(task, sample, mask, fit)
    _tell(prepared, notes, report)
    return prepared


def in_memory(prepared: Prepared, why: str, n_rows: int, report: Report) -> Prepared:
    """Return a training on as many rows as memory holds, where all of them can't be learned from in parts.

    Parameters
    ----------
    why : the reason, for people
    n_rows : that memory holds
    """
    large = prepared.large
    assert large is not None, "only of rows that are read in parts"
    rows, mask = large.sample, large.is_held
    if not prepared.task.spec.auto:  # AUTO has as many already
        rows, mask = large.rows.sample(prepared.task.problem, n_rows)
    if len(rows) < prepared.counts[0]:
        report.note(
            f"{why}: the model learns from {len(rows):,} of {prepared.counts[0]:,} rows, as many as "
            "max_memory holds",
            "warning",
        )
    large.rows.remove()
    return Prepared.of(prepared.task, rows, mask)


def _settle(
    job: TrainingJob, rows: TrainingRows, notes: list[str]
) -> tuple[Problem, TrainingRows, SettledSplit]:
    """Return the problem, the rows of classes that are known, and the split; features aren't looked at."""
    spec = job.spec
    _check_rows(job, len(rows), notes)
    _check_weights(job, rows, notes)
    if job.target is not None:
        rows = dataclasses.replace(rows, target=problems.label_values(rows.target, job.target.sql_type))
    problem = problems.resolve(spec, job.target, rows.target, notes)
    problems.check_interval(spec, problem)
    _check_gates(spec, problem)
    if problem.is_regression and job.target is not None and job.code is None:
        notes += size_notes(spec, job.target, rows.target.astype(np.float64))
    if problem.is_regression and rows.target.dtype == object:  # what is measured needs no exact digits
        rows = dataclasses.replace(rows, target=rows.target.astype(np.float64))
    mask = holdout_of(rows, spec.settings, notes)
    is_marked = spec.settings.split_column is not None
    codes = problem.encode(rows.target)
    split = settle_split(problem, codes, mask, job.target, notes, is_marked=is_marked)
    if split.unknown.any():
        rows = rows.take(~split.unknown)
        problem = problems.resolve(spec, job.target, rows.target, [])  # fewer classes, two perhaps
    if spec.interval is not None:
        check_enough(spec.interval, int(split.holdout.sum()))
    return problem, rows, split


def _check_gates(spec: TrainingSpec, problem: Problem) -> None:
    """Check that the model will have the gates' metrics: the config can't tell where the target decides."""
    names = [gate.metric for gate in spec.gates]
    text = gate_problem(names, problem.type, has_probabilities=problem.has_probabilities)
    if text:
        raise SpecError(text)


def _is_sql(job: TrainingJob) -> bool:
    return job.spec.runtime == "sql" or (job.spec.runtime == "auto" and "native" in job.lacking)


def _columns(
    job: TrainingJob, rows: TrainingRows, notes: list[str], facts: Mapping[str, ColumnFacts] | None = None
) -> FeatureColumns:
    """Return the columns to learn from; of free text the words, where its runtime can split them."""
    spec = job.spec
    splits_words = not _is_sql(job) or job.encoding in ENCODINGS
    columns = choose_columns(
        job.features, rows, notes, spec.preprocessors, count_words=spec.auto and splits_words, facts=facts
    )
    if not splits_words:
        _check_no_text_is_read(job, columns)
    if "xgboost" in spec.model_types and columns.sets is None and job.code is None:
        numbers = {column.name for column in job.features if column.kind == "number"}
        notes += feature_notes(rows.frame, [name for name in columns.numbers if name in numbers])
    return columns


def _check_no_text_is_read(job: TrainingJob, columns: FeatureColumns) -> None:
    """Refuse configured words and characters, which SQL knows in some encodings only."""
    kinds = ((TEXT_VECTORIZER, "split", "into words"), (TEXT_STATISTICS, "count", "by characters"))
    for transformer, verb, how in kinds:
        sets = [item for item in columns.sets or () if transformer in item.transformers]
        found = [name for item in sets for name in members(item, columns.sets or (), list(columns.kinds))]
        if found:
            names = ", ".join(f'"{name}"' for name in found)
            raise SpecError(
                f"preprocessors: SQL can't {verb} {names} {how} ({transformer}) in a database of encoding "
                f"{job.encoding}: {HINT}"
            )


def _task(job: TrainingJob, problem: Problem, columns: FeatureColumns, deadline: Deadline) -> Task:
    return Task(job.spec, problem, columns, job.n_threads, deadline, _is_sql(job))


def _tell(prepared: Prepared, notes: list[str], report: Report) -> None:
    """Say what was noticed of the rows, and what the columns look like."""
    task, training = prepared.task, prepared.training
    notes += column_checks.misread(prepared.rows.frame)
    if task.spec.auto:
        used = [name for name in prepared.rows.frame if name in task.columns.kinds]
        notes += column_checks.leaks(task.problem, training.frame[used], training.target)
    for text in notes:
        report.note(text, "warning" if text.startswith(("column", "classes")) else "info")
    n_rows, n_held = prepared.counts
    report.progress(f"{n_rows - n_held:,} rows to train on, {n_held:,} held out")


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


def _check_weights(job: TrainingJob, rows: TrainingRows, notes: list[str]) -> None:
    """Check that every row counts, and how much is known; note weights that are small beside penalties."""
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
    given = relative(rows) if job.spec.auto else rows
    assert given.weight is not None, "as rows have them"
    notes += weight_notes(job.weight, rows.weight, given.weight)


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
