"""The serving version's score on the same hold-out, for `promote: if_better`.

Input: the scoring program of the serving version's pipeline that never saw its hold-out; the new hold-out. A
row of the same columns stays on its side of the split across trainings, so that pipeline has seen no row of
the new hold-out either. Output: its score, or why the two can't be compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from postgres_ml.contract.job import TrainingJob
from postgres_ml.evaluate.metrics import classification_metrics, regression_metrics
from postgres_ml.features.problem import Problem, label_text
from postgres_ml.fit.task import Task
from postgres_ml.program import interpret
from postgres_ml.program.program import Program
from postgres_ml.program.serialize import program_from_json
from postgres_ml.snapshot.rows import Array

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


class Rows(Protocol):
    """What is needed of rows: `TrainingRows`, or a part of rows that are read in parts."""

    @property
    def frame(self) -> pd.DataFrame:
        """Their features."""

    @property
    def target(self) -> Array:
        """Their labels or values."""

    @property
    def weight(self) -> Array | None:
        """How much each counts."""


def score_champion(job: TrainingJob, task: Task, holdout: Iterable[Rows]) -> Comparison:
    """Return the serving version's score, of the job's champion file.

    Parameters
    ----------
    holdout : its parts, one after the other; not read where there is nothing to compare with

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
    metrics = _metrics(program, task, holdout)
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
    if missing:
        return f"the query no longer has its features {', '.join(missing)}"
    is_marked = job.spec.settings.split_column is not None
    if not is_marked and [item.name for item in inputs] != [column.name for column in job.features]:
        return (
            "the query has other columns, which choose the hold-out, so it may have learned from these rows"
        )
    return ""


def _metrics(program: Program, task: Task, holdout: Iterable[Rows]) -> dict[str, float] | None:
    """Return the metrics of a program on the hold-out; None if it refuses a row."""
    problem, parts = task.problem, []
    for rows in holdout:
        found = _predicted(program, problem, rows.frame)
        if found is None:
            return None
        parts.append((problem.encode(rows.target), *found, rows.weight))
    truth, codes, likely = (np.concatenate([part[n] for part in parts]) for n in range(3))
    weight = None if parts[0][3] is None else np.concatenate([part[3] for part in parts])
    if problem.is_regression:
        return regression_metrics(truth, codes, problem.quantile, weight)
    metrics = classification_metrics(truth, codes, likely, weight)
    if problem.has_probabilities:
        return metrics
    return {name: value for name, value in metrics.items() if name not in ("auc", "log_loss")}


def _predicted(program: Program, problem: Problem, frame: pd.DataFrame) -> tuple[Array, Array] | None:
    """Return values, or class codes and probabilities; None if the program refuses a row."""
    columns = {item.name: frame[item.name].tolist() for item in program.inputs}
    predicted = interpret.predict(program, columns)
    if any(value is None for value in predicted):
        return None
    if problem.is_regression:
        return np.array(predicted, float), np.empty((len(frame), 0))
    positions = {label: code for code, label in enumerate(problem.labels)}
    codes = np.array([positions[label_text(label)] for label in predicted])
    found = interpret.predict_probabilities(program, columns)
    if found is None:
        return codes, np.full((len(codes), len(positions)), 1 / len(positions))
    order = np.argsort([positions[label_text(label)] for label in program.output.labels])
    return codes, found[:, order]
