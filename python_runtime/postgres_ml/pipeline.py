"""The whole training, in the order in which it happens. Read this first.

Input: a job, `snapshot.bin` in its directory, the id of an MLflow run. Output: `TrainedModel` and files.
Extraction comes before (`snapshot`); MLflow is told afterwards, by the files (`track`), then come publication
and its check (`parity`, the adapter's macros).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from sklearn.pipeline import Pipeline

from postgres_ml import preparation
from postgres_ml.contract.config import TrainingSpec
from postgres_ml.contract.exceptions import UnsupportedModelError
from postgres_ml.contract.job import TrainingJob
from postgres_ml.contract.model import FunctionBody, TrainedModel
from postgres_ml.evaluate import metrics as evaluate
from postgres_ml.evaluate.champion import Comparison, score_champion
from postgres_ml.explain import Explanation, explain
from postgres_ml.explain.row_function import row_function
from postgres_ml.features import problem
from postgres_ml.fit.candidates import Candidate
from postgres_ml.fit.choice import Choice
from postgres_ml.fit.fit import fit_pipeline
from postgres_ml.fit.task import Deadline, Task
from postgres_ml.fit.user_code import OwnCode
from postgres_ml.process.report import Relay, Report
from postgres_ml.publish.deployment import deploy
from postgres_ml.publish.fitted import Fitted
from postgres_ml.search import search
from postgres_ml.snapshot import rows as training_data
from postgres_ml.snapshot.rows import TrainingRows
from postgres_ml.track.artifacts import write_artifacts
from postgres_ml.track.run_record import write_record
from postgres_ml.verify.rows import write_parity

TRAIN_SCORED = 100_000  # rows
SCORES_SHARE = 0.15  # of the time left: half a million rows of a network took a tenth of 30 s to score
STOPPED = ("xgboost", "mlp", "ensemble")
"""Model types that a deadline cuts short; a fit of the others is whole, however late."""


def train(job: TrainingJob, run_id: str, relay: Relay) -> TrainedModel:
    """Train, evaluate and compile; return what is to be published.

    Raises
    ------
    PostgresMLError
        Rows that can't be trained on, a config that doesn't fit them, a store that can't be written.
    """
    spec, directory, report = job.spec, Path(job.directory), Report(relay)
    with report.phase("load"):
        rows = training_data.load(directory / "snapshot.bin", job.features, job.target, spec.settings.seed)
        (directory / "snapshot.bin").unlink()  # the database's rows stay on the disk no longer than they must
        deadline = Deadline(spec.settings.max_runtime)
        task, rows, training, holdout = preparation.prepare(job, rows, deadline, report)
    with report.phase("search"):
        code = OwnCode.of_job(job)
        choice = Choice(Candidate("own code", "own_code"), reason="the dbt model is Python", code=code)
        if code is None:
            choice = search(task, training, report.progress)
        if choice.trials:
            report.note(f"chosen: {choice.candidate.name}, {choice.reason}")
    with report.phase("evaluate"):
        evaluated = fit_pipeline(task, choice, training, deadline.part(1 - SCORES_SHARE))
        codes = task.problem.encode(holdout.target)
        metrics = evaluate.evaluate(task.problem, evaluated, holdout.frame, codes)
        metrics |= {} if code is None else code.metrics  # the refit's own are of a model that saw all rows
        learnt = some_of(task, training)
        train_codes = task.problem.encode(learnt.target)
        train_metrics = evaluate.evaluate(task.problem, evaluated, learnt.frame, train_codes)
        comparison = Comparison() if spec.promote == "always" else score_champion(job, task, holdout)
    with report.phase("refit"):
        pipeline = refit(task, choice, rows, report) or evaluated
    with report.phase("lower"):
        return_type = problem.return_type(task.problem, job.target)
        labels = pipeline[-1].classes_.tolist() if task.problem.has_probabilities else None
        deployed = deploy(job, pipeline, job.features, return_type, labels, holdout.frame)
        program, runtime = deployed.program, deployed.runtime
        for text in (runtime.message, *runtime.generated.messages):
            report.note(text)
    with report.phase("explain"):
        explanation = None
        if not task.problem.is_clustering:
            predict = partial(evaluate.raw_predictions, task.problem, pipeline)
            explanation = explain(program, task.problem.labels, rows.frame, predict, spec.settings.seed)
        if spec.explain:
            runtime = runtime.with_functions(explain_rows(explanation, spec, report))
    fitted = Fitted(
        job, task, rows, holdout, choice, evaluated, pipeline, program, runtime, deployed.artifact,
        metrics, train_metrics, explanation, return_type, comparison,
    )  # fmt: skip
    with report.phase("parity rows"):
        write_parity(directory / "parity.copy", fitted)
    with report.phase("artifacts"):
        write_artifacts(fitted, report, directory / "artifacts", run_id)
        write_record(fitted, directory)
    return preparation.trained_model(fitted, report, run_id)


def some_of(task: Task, training: TrainingRows) -> TrainingRows:
    """Return every n-th of the training rows, at most 100,000: all may take longer to score than to fit.

    Rows come in random order. Of a clustering, whose inertia is a sum over rows, it is all of them.
    """
    if task.problem.is_clustering:
        return training
    every = -(-len(training) // TRAIN_SCORED)
    return training.take(np.arange(len(training)) % every == 0)


def refit(task: Task, choice: Choice, rows: TrainingRows, report: Report) -> Pipeline | None:
    """Return the chosen pipeline fitted on all rows, or None where settings or the time left forbid it."""
    if not task.spec.settings.refit:
        return None
    # all rows take longer than the training rows, and a refit that the deadline cut short would be worse
    if task.deadline.left < 1.5 * report.seconds["evaluate"]:
        report.note(
            "max_runtime leaves no time to fit again on all rows: the evaluated pipeline is published"
        )
        return None
    pipeline = fit_pipeline(task, choice, rows, task.deadline)
    if task.deadline.passed and choice.candidate.model_type in STOPPED:
        report.note("max_runtime ended the fit on all rows: the evaluated pipeline is published")
        return None
    return pipeline


def explain_rows(
    explanation: Explanation | None, spec: TrainingSpec, report: Report
) -> tuple[FunctionBody, ...]:
    """Return the functions that explain one row; none, with a warning, where the model has none."""
    try:
        if explanation is None:
            raise UnsupportedModelError("explain", "a clustering, which predicts no score")
        return row_function(explanation, spec.schema, spec.function)
    except UnsupportedModelError as error:
        report.note(f"no function {spec.function}_explain is published: {error}", "warning")
        return ()
