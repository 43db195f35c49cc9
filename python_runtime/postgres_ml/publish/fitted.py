"""A trained, evaluated and compiled pipeline, for the steps that record it: MLflow, plots, card, parity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sklearn.pipeline import Pipeline

from postgres_ml.contract.job import TrainingJob
from postgres_ml.contract.model import ArtifactFile
from postgres_ml.evaluate.champion import Comparison
from postgres_ml.explain import Explanation
from postgres_ml.fit.choice import Choice
from postgres_ml.fit.task import Task
from postgres_ml.generate import GeneratedFunctions
from postgres_ml.program.program import Program
from postgres_ml.publish.runtime import ChosenRuntime
from postgres_ml.snapshot.rows import TrainingRows


@dataclass(frozen=True)
class Fitted:
    """A trained, evaluated and compiled pipeline.

    Parameters
    ----------
    rows, holdout : labelled rows used in all, and those of them that were held out
    evaluated : the pipeline that never saw the hold-out; the metrics are its
    pipeline : the one that is published
    program : None where the pipeline can't be lowered
    runtime : the functions, and why in this runtime
    artifact : the packed pipeline, for runtime python
    explanation : Shapley values of the published pipeline; None where there is nothing to explain
    """

    job: TrainingJob
    task: Task
    rows: TrainingRows
    holdout: TrainingRows
    choice: Choice
    evaluated: Pipeline
    pipeline: Pipeline
    program: Program | None
    runtime: ChosenRuntime
    artifact: ArtifactFile | None
    metrics: dict[str, float]
    train_metrics: dict[str, float]
    explanation: Explanation | None
    return_type: str
    comparison: Comparison

    @property
    def generated(self) -> GeneratedFunctions:
        """The functions."""
        return self.runtime.generated

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """What was fitted, by the library's names; of a blend an object for each member."""
        choice = self.choice
        found: dict[str, Any] = {
            f"{number}. {member.candidate.name}": {
                "weight": round(member.weight, 4), "n_rounds": member.n_rounds, **member.candidate.parameters
            }
            for number, member in enumerate(choice.members, start=1)
        }  # fmt: skip
        found = found or {**choice.candidate.parameters, "n_trees": choice.n_trees}
        found["threshold"] = choice.threshold
        multipliers = dict(zip(self.task.problem.labels, choice.class_multipliers, strict=False))
        found["class_multipliers"] = multipliers or None
        return {name: value for name, value in found.items() if value is not None}

    @property
    def score(self) -> float:
        """The objective's metric on the hold-out."""
        return self.metrics[self.task.problem.metric]
