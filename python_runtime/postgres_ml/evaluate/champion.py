"""The serving version's score on the same hold-out, for `promote: if_better`.

Input: the scoring program of the serving version's pipeline that never saw its hold-out; the new hold-out. A
row stays on its side of the split across trainings, so that pipeline has seen no row of the new hold-out
either. Output: its score, or why the two can't be compared.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from postgres_ml.contract.job import TrainingJob
from postgres_ml.evaluate.metrics import classification_metrics, regression_metrics
from postgres_ml.features.problem import label_text
from postgres_ml.fit.task import Task
from postgres_ml.program import interpret
from postgres_ml.program.program import Program
from postgres_ml.program.serialize import program_from_json
from postgres_ml.snapshot.rows import TrainingRows

SPLIT_SETTINGS = ("seed", "holdout", "holdout_column", "holdout_time", "holdout_after")


@dataclass(frozen=True)
class Comparison:
    """The serving version on the new hold-out.

    Parameters
    ----------
    score : by the new version's metric; None if the two can't be compared
    note : why not
    """

    score: float | None = None
    note: str = ""


def score_champion(job: TrainingJob, task: Task, holdout: TrainingRows) -> Comparison:
    """Return the serving version's score, of the job's champion file.

    Raises
    ------
    OSError
        The file can't be read.
    """
    if not job.champion_file:
        return Comparison(note="there is no serving version to compare with")
    champion = json.loads(Path(job.champion_file).read_text(encoding="utf-8"))
    obstacle = _obstacle(champion, job, task)
    if obstacle:
        return Comparison(note=f"not compared with v{champion['version']}: {obstacle}")
    program = program_from_json(champion["program"])
    columns = {item.name: holdout.frame[item.name].tolist() for item in program.inputs}
    metrics = _metrics(program, columns, task, holdout)
    if metrics is None or task.problem.metric not in metrics:
        return Comparison(
            note=f"not compared with v{champion['version']}: it predicts NULL for rows of the hold-out"
        )
    return Comparison(score=metrics[task.problem.metric])


def _obstacle(champion: dict[str, Any], job: TrainingJob, task: Task) -> str:
    if task.problem.is_clustering:
        return "a clustering has no hold-out"
    if task.problem.is_anomaly_detection:
        return "without a target no score is better than another"
    if not champion["program"]:
        return "it has no scoring program (runtime python, or an earlier release)"
    settings = champion["settings"]
    if any(settings.get(name) != getattr(job.spec.settings, name) for name in SPLIT_SETTINGS):
        return "its hold-out was chosen by other settings, so it may have learned from these rows"
    if champion["labels"] != list(task.problem.labels):
        return "it predicts other labels"
    kinds = {column.name: column.kind for column in job.features}
    inputs = program_from_json(champion["program"]).inputs
    missing = [item.name for item in inputs if kinds.get(item.name) != item.kind]
    return f"the query no longer has its features {', '.join(missing)}" if missing else ""


def _metrics(
    program: Program, columns: dict[str, Any], task: Task, holdout: TrainingRows
) -> dict[str, float] | None:
    """Return the metrics of a program on the hold-out; None if it refuses a row."""
    predicted = interpret.predict(program, columns)
    if any(value is None for value in predicted):
        return None
    truth = task.problem.encode(holdout.target)
    if task.problem.is_regression:
        return regression_metrics(truth, np.array(predicted, float), task.problem.quantile, holdout.weight)
    positions = {label: code for code, label in enumerate(task.problem.labels)}
    codes = np.array([positions[label_text(label)] for label in predicted])
    found = interpret.predict_probabilities(program, columns)
    if found is None:
        uniform = np.full((len(codes), len(positions)), 1 / len(positions))
        metrics = classification_metrics(truth, codes, uniform, holdout.weight)
        return {name: value for name, value in metrics.items() if name not in ("auc", "log_loss")}
    order = np.argsort([positions[label_text(label)] for label in program.output.labels])
    return classification_metrics(truth, codes, found[:, order], holdout.weight)
