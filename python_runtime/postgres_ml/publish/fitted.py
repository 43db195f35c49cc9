"""A trained, evaluated and compiled pipeline, for the steps that record it: MLflow, plots, card, parity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sklearn.pipeline import Pipeline

from postgres_ml.contract.job import TrainingJob
from postgres_ml.contract.model import Evaluation, ModelSummary
from postgres_ml.evaluate.intervals import Interval
from postgres_ml.explain import Explanation
from postgres_ml.fit.candidates import Candidate
from postgres_ml.fit.choice import Choice
from postgres_ml.fit.hyperparameters import given_names
from postgres_ml.fit.task import Task
from postgres_ml.generate import GeneratedFunctions
from postgres_ml.publish.deployment import Deployment
from postgres_ml.publish.scorecard import Scorecard
from postgres_ml.snapshot.rows import TrainingRows


@dataclass(frozen=True)
class Fitted:
    """A trained, evaluated and compiled pipeline.

    Parameters
    ----------
    rows, holdout : labelled rows used in all, and those of them that were held out; of a training that reads
        them in parts some of both
    counts : how many there are of both; None where `rows` and `holdout` are all of them
    evaluated : the pipeline that never saw the hold-out; the evaluation is its
    pipeline : the one that is published
    deployment : its program and functions
    explanation : Shapley values of the published pipeline; None where there is nothing to explain
    return_type : SQL type of the prediction
    interval : around the predictions; None where the config asks for none
    scorecard : of an additive model; None of others
    """

    job: TrainingJob
    task: Task
    rows: TrainingRows
    holdout: TrainingRows
    choice: Choice
    evaluated: Pipeline
    pipeline: Pipeline
    evaluation: Evaluation
    deployment: Deployment
    explanation: Explanation | None
    return_type: str
    interval: Interval | None = None
    scorecard: Scorecard | None = None
    counts: tuple[int, int] | None = None

    @property
    def n_rows(self) -> int:
        """Rows used in all."""
        return len(self.rows) if self.counts is None else self.counts[0]

    @property
    def n_holdout(self) -> int:
        """Rows of these that were held out."""
        return len(self.holdout) if self.counts is None else self.counts[1]

    @property
    def generated(self) -> GeneratedFunctions:
        """The functions."""
        return self.deployment.runtime.generated

    @property
    def summary(self) -> ModelSummary:
        """What kind of model it is, and what it learned from."""
        return ModelSummary(
            features=self.job.arguments,
            return_type=self.return_type,
            problem_type=self.task.problem.type,
            model_type=self.choice.candidate.model_type,
            objective=self.task.problem.objective,
            labels=self.task.problem.labels,
            n_rows=self.n_rows,
            n_holdout=self.n_holdout,
            hyperparameters=self.hyperparameters,
        )

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """What was fitted, by the config's names or the library's; of a blend an object for each member."""
        choice = self.choice
        found: dict[str, Any] = {
            f"{number}. {member.candidate.name}": {
                "weight": round(member.weight, 4), "n_rounds": member.n_rounds,
                **member.candidate.parameters, **_below(member.candidate),
            }
            for number, member in enumerate(choice.members, start=1)
        }  # fmt: skip
        given = given_names(choice.candidate.model_type, self.task.spec.hyperparameters)
        parameters = {given.get(name, name): value for name, value in choice.candidate.parameters.items()}
        found = found or {**parameters, "n_trees": choice.n_trees, **_below(choice.candidate)}
        found["threshold"] = choice.threshold
        multipliers = dict(zip(self.task.problem.labels, choice.class_multipliers, strict=False))
        found["class_multipliers"] = multipliers or None
        return {name: value for name, value in found.items() if value is not None}


def _below(candidate: Candidate) -> dict[str, Any]:
    """Return the settings of those whose scores a stacked network learns from; nothing of another one."""
    found = {
        one.candidate.name: {"n_rounds": one.n_rounds, **one.candidate.parameters} for one in candidate.below
    }
    return {"scores_of": found} if found else {}
