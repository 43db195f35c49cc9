"""The whole training, in the order in which it happens. Read this first.

Input: a job, `snapshot.bin` in its directory, the id of an MLflow run, which is opened meanwhile. Output:
`TrainedModel` and files. The rows are copied before (`snapshot`). Afterwards MLflow is told, by the files
(`track`); then come gates, publication and its check (`verify.parity`, the adapter's macros), and plots.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from sklearn.pipeline import Pipeline

from postgres_ml import preparation
from postgres_ml.contract.exceptions import UnsupportedModelError
from postgres_ml.contract.job import TrainingJob
from postgres_ml.contract.model import Evaluation, FunctionBody, TrainedModel
from postgres_ml.evaluate import metrics
from postgres_ml.evaluate.champion import Comparison, score_champion
from postgres_ml.evaluate.evaluation import evaluate_pipeline
from postgres_ml.evaluate.intervals import Interval, calibrate
from postgres_ml.explain import Explanation, explain
from postgres_ml.explain.path_conditions import MAX_CONDITIONS
from postgres_ml.explain.row_function import row_function
from postgres_ml.explain.terms import LOG_TARGET, TARGET
from postgres_ml.features.problem import return_type
from postgres_ml.fit.candidates import Candidate
from postgres_ml.fit.choice import Choice
from postgres_ml.fit.in_time import fit_to_evaluate, refit
from postgres_ml.fit.task import Deadline, Task
from postgres_ml.fit.user_code import UserCode
from postgres_ml.generate.sql.words import check_encoding
from postgres_ml.out_of_core.fit import LargeFit, obstacle
from postgres_ml.out_of_core.plan import Sizes, encoded_bytes, peak_text, plan_memory
from postgres_ml.out_of_core.rows import HOLDOUT, TRAINING, LargeRows
from postgres_ml.out_of_core.score import holdout_metrics
from postgres_ml.process.memory import give_back, used_bytes
from postgres_ml.process.report import USUAL_S, Relay, Report
from postgres_ml.program.program import Program
from postgres_ml.publish.deployment import Deployment, deploy, evaluated_program
from postgres_ml.publish.fitted import Fitted
from postgres_ml.publish.interval import interval_functions
from postgres_ml.publish.scorecard import Scorecard, scorecard, scorecard_function
from postgres_ml.search import search
from postgres_ml.search.fits import Fits
from postgres_ml.snapshot import on_disk
from postgres_ml.snapshot import rows as snapshot_rows
from postgres_ml.snapshot.file import ROWS
from postgres_ml.snapshot.query import stored_columns
from postgres_ml.snapshot.reader import count_rows
from postgres_ml.snapshot.rows import TrainingRows
from postgres_ml.track.artifacts import write_artifacts
from postgres_ml.track.run_record import write_record
from postgres_ml.verify.rows import write_parity

EXPLAIN_S, EXPLAIN_SHARE = 2.0, 0.05  # for SHAP values at least, and of max_runtime
EXPLAIN_MOST_S = 15.0
REFIT_GROWTH = 1.25  # what a fit on all rows takes, of one on the training rows


Loaded = tuple[preparation.Prepared, Sizes | None]
Load = Callable[[TrainingJob, Path, Report], Loaded]


def train(
    job: TrainingJob, run_id: Callable[[], str], relay: Relay, load_rows: Load | None = None
) -> TrainedModel:
    """Train, evaluate and compile; return what is to be published.

    Parameters
    ----------
    run_id : returns the MLflow run's id, and waits until the store is open; '' where it doesn't answer
    load_rows : has the rows elsewhere than in `snapshot.bin`; None is `load`

    Raises
    ------
    PostgresMLError
        Rows that can't be trained on, a config that doesn't fit them, a store that can't be written.
    """
    spec, directory, report = job.spec, Path(job.directory), Report(relay)
    with report.phase("load"):
        prepared, sizes = (load_rows or load)(job, directory / "snapshot.bin", report)
        task, code = prepared.task, UserCode.of_job(job)
    with report.phase("search"):
        choice = choose(task, prepared.training, code, report, prepared.fits)
        if sizes is not None and (why := why_in_memory(prepared, choice)):
            prepared = preparation.in_memory(prepared, why, sizes.n_fitting, report)
    rows, large = prepared.rows, prepared.large
    fit = partial(large.fit, choice) if large is not None else None
    if choice.fit_s:
        report.expected_s |= {
            "evaluate": choice.fit_s, "refit": REFIT_GROWTH * choice.fit_s,
            "lower": max(choice.lower_s, USUAL_S["lower"]),
        }  # fmt: skip
    with report.phase("evaluate"):
        tested = evaluate(job, prepared, choice, code, report)
    with report.phase("refit"):
        refitted = refit(task, tested.choice, rows, report, fit and partial(fit, (TRAINING, HOLDOUT)))
        pipeline = refitted or tested.pipeline
    counts = prepared.counts  # without the rows of workers that were lost
    if large is not None:
        large.rows.remove()
    with report.phase("lower"):
        lowered = lower(job, prepared, tested, pipeline, report)
    with report.phase("explain"):
        explanation = explain_model(task, lowered.deployment.program, pipeline, rows, report)
        deployment = lowered.deployment
        if spec.explain:
            deployment = deployment.with_functions(explain_rows(explanation, job, report))
    fitted = Fitted(
        job, task, rows, prepared.holdout, tested.choice, tested.pipeline, pipeline, lowered.evaluation,
        deployment, explanation, lowered.returns, tested.interval, lowered.card, counts,
    )  # fmt: skip
    with report.phase("parity rows"):
        write_parity(directory / "parity.copy", fitted)
    with report.phase("artifacts"):
        write_artifacts(fitted, report, directory / "artifacts", run_id())
        write_record(fitted, directory)
    if sizes is not None:
        report.progress(peak_text())
    return preparation.trained_model(fitted, report, run_id(), directory / "parity.copy")


class Tested(NamedTuple):
    """The choice, fitted on the training rows and evaluated on the hold-out.

    Parameters
    ----------
    choice : with the number of trees that it was evaluated with
    interval : where one is configured
    """

    choice: Choice
    pipeline: Pipeline
    evaluation: Evaluation
    interval: Interval | None


class Lowered(NamedTuple):
    """The pipeline of all rows as functions, and the evaluation with the program that was evaluated.

    Parameters
    ----------
    card : the scorecard of an additive model
    """

    deployment: Deployment
    evaluation: Evaluation
    returns: str
    card: Scorecard | None


def evaluate(
    job: TrainingJob, prepared: preparation.Prepared, choice: Choice, code: UserCode | None, report: Report
) -> Tested:
    """Fit the choice on the training rows, and evaluate it on the hold-out."""
    task, training, holdout, large = prepared.task, prepared.training, prepared.holdout, prepared.large
    fit = partial(large.fit, choice, (TRAINING,)) if large is not None else None
    choice, pipeline = fit_to_evaluate(task, choice, training, report, fit)
    own_metrics = {} if code is None else code.metrics  # the refit's are of a model that saw all rows
    comparison = compare(job, task, holdout, large)
    held = None if large is None else holdout_metrics(task.problem, pipeline, large.rows)
    evaluation = evaluate_pipeline(task.problem, pipeline, training, holdout, own_metrics, comparison, held)
    if job.spec.interval is None:
        return Tested(choice, pipeline, evaluation, None)
    interval = calibrate(task, choice, pipeline, training, holdout)
    evaluation = dataclasses.replace(evaluation, metrics=evaluation.metrics | interval.metrics)
    return Tested(choice, pipeline, evaluation, interval)


def lower(
    job: TrainingJob, prepared: preparation.Prepared, tested: Tested, pipeline: Pipeline, report: Report
) -> Lowered:
    """Return what the pipeline of all rows is in the database: its program, its functions."""
    problem = prepared.task.problem
    returns = return_type(problem, job.target)
    labels = pipeline[-1].classes_.tolist() if problem.has_probabilities else None
    deployment = deploy(job, pipeline, job.arguments, returns, labels, prepared.holdout.frame)
    program = evaluated_program(deployment.program, pipeline, tested.pipeline, job, returns)
    if tested.interval is not None:
        intervals = interval_functions(tested.interval, job, deployment.runtime)
        deployment = deployment.with_functions(intervals)
    card = scorecard(deployment.program, problem.labels, prepared.rows.frame)
    if card is not None:
        deployment = deployment.with_functions((scorecard_function(card, job.spec.function),))
    for text in deployment.runtime.messages:
        report.note(text)
    return Lowered(deployment, dataclasses.replace(tested.evaluation, program=program), returns, card)


def load(job: TrainingJob, snapshot: Path, report: Report) -> Loaded:
    """Return what `preparation` makes of the snapshot, which is deleted; the clock begins to run.

    Rows that don't fit into memory come with the plan of how they are read.
    """
    settings, used = job.spec.settings, used_bytes()
    n_columns = len(stored_columns(job.features, job.target, weight=job.weight))
    planned = partial(plan_memory, settings, snapshot, count_rows(snapshot), n_columns, used)
    rows, plan = None, planned()
    if plan is None:
        rows = snapshot_rows.load(snapshot, job.features, job.target, settings.seed, job.weight)
        plan = planned(*encoded_bytes(job.spec, rows.frame, job.n_threads))
    if rows is not None and plan is None:
        snapshot.unlink()  # the database's rows stay on the disk no longer than they must
        return preparation.prepare(job, rows, Deadline(settings.max_runtime), report), None
    assert plan is not None
    rows = None
    give_back()
    stored = on_disk.store(
        snapshot,
        snapshot.parent / ROWS,
        job.features,
        job.target,
        settings.seed,
        plan.n_file_rows,
        job.weight,
    )
    snapshot.unlink()
    report.note(plan.text(stored.n_bytes, len(stored.files)))
    deadline, rows_of = Deadline(settings.max_runtime), partial(LargeRows, stored)
    return preparation.prepare_large(job, stored.index, rows_of, plan, deadline, report), plan


def why_in_memory(prepared: preparation.Prepared, choice: Choice) -> str:
    """Return why what was chosen can't be fitted on all rows, which are read in parts; '' if it can."""
    large, task = prepared.large, prepared.task
    assert large is not None, "asked only of rows that are read in parts"
    n_more = (prepared.counts[0] - prepared.counts[1]) / len(prepared.training)
    if found := obstacle(task, choice, large.rows.fits):
        return found
    is_late = 2 * n_more * choice.fit_s / large.rows.speed > task.deadline.left
    return "max_runtime leaves no time to fit on all rows" if is_late else ""


def compare(job: TrainingJob, task: Task, holdout: TrainingRows, large: LargeFit | None) -> Comparison:
    """Return the serving version's score on the hold-out, where the config asks for it."""
    if job.spec.promote == "always":
        return Comparison()
    return score_champion(job, task, [holdout] if large is None else large.rows.batches((HOLDOUT,)))


def choose(
    task: Task, training: TrainingRows, code: UserCode | None, report: Report, fits: Fits | None = None
) -> Choice:
    """Return what to fit: the user's own code, or the best that the search finds.

    Parameters
    ----------
    fits : where the search fits candidates; None is in threads of this process
    """
    if code is not None:
        return Choice(Candidate("own code", "own_code"), reason="the dbt model is Python", code=code)
    choice = search(task, training, report.progress, fits)
    if choice.trials:
        report.note(f"chosen: {choice.candidate.shown}, {choice.reason}")
    return choice


def explain_model(
    task: Task, program: Program | None, pipeline: Pipeline, rows: TrainingRows, report: Report
) -> Explanation | None:
    """Return the SHAP values of the query's columns; None of a clustering, which predicts no score.

    They take what `max_runtime` leaves, a little at least. Where a function shall explain each row, values
    have to be exact, however long that takes: trees that it can hold are few.
    """
    problem = task.problem
    if problem.is_clustering:
        return None
    predict = partial(metrics.raw_predictions, problem, pipeline)
    least = max(EXPLAIN_S, EXPLAIN_SHARE * task.spec.settings.max_runtime)
    is_small = program is not None and program.n_nodes <= 2 * MAX_CONDITIONS
    is_needed = task.spec.explain and is_small
    seconds = math.inf if is_needed else min(max(task.deadline.left, least), EXPLAIN_MOST_S)
    found = explain(program, problem.labels, rows.frame, predict, task.spec.settings.seed, seconds)
    if found is None:
        report.note(
            "SHAP values and the importance of columns are left out: max_runtime leaves no time for them, so "
            "raise it to have them",
            "warning",
        )
    if found is not None and problem.is_anomaly_detection:
        unit = {LOG_TARGET: "logarithm of the score", TARGET: "units of the score"}[found.unit]
        found = dataclasses.replace(found, unit=unit)
    return found


def explain_rows(
    explanation: Explanation | None, job: TrainingJob, report: Report
) -> tuple[FunctionBody, ...]:
    """Return the functions that explain one row; none, with a warning, where the model has none."""
    spec = job.spec
    try:
        if explanation is None:
            raise UnsupportedModelError("explain", "a model without SHAP values")
        if explanation.exact is not None:
            check_encoding(explanation.exact.sums.program, job.encoding)
        return row_function(explanation, spec.schema, spec.function)
    except UnsupportedModelError as error:
        report.note(f"no function {spec.function}_explain is published: {error}", "warning")
        return ()
