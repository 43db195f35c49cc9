"""What a training has produced, for the steps that report it: MLflow, plots, card, the JSON result."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from sklearn.pipeline import Pipeline

from postgres_ml.codegen.base import GeneratedFunctions
from postgres_ml.data.training_data import TrainingRows
from postgres_ml.evaluation.challenge import Comparison
from postgres_ml.explain import Explanation
from postgres_ml.fitting.fit import Choice, Task
from postgres_ml.ir.program import Program
from postgres_ml.publishing.runtime import ChosenRuntime
from postgres_ml.spec import ArtifactFile, TrainingJob

Level = Literal["debug", "info", "warning"]


class Relay(Protocol):
    """Takes messages for the user."""

    def __call__(self, level: Level, text: str, fields: dict[str, Any] | None = None) -> None:
        """Take a line for people and, for logs that machines read, what it says as fields."""


@dataclass
class Report:
    """Messages to the user, relayed as they come, and the duration of each phase.

    Parameters
    ----------
    relay : takes (level, text, fields)
    messages : what belongs on the card
    """

    relay: Relay
    messages: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def note(self, text: str, level: Level = "info") -> None:
        """Relay a message and keep it for the card."""
        self.messages.append(text)
        self.relay(level, text)

    def progress(self, text: str, fields: dict[str, Any] | None) -> None:
        """Relay how far the training is; the card doesn't keep it."""
        self.relay("info", text, fields)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure what is done inside."""
        started = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - started
        seconds = round(self.seconds[name], 3)
        self.relay("debug", f"{name}: {seconds:.2f} s", {"phase": name, "seconds": seconds})


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
        found["factors"] = dict(zip(self.task.problem.labels, choice.factors, strict=False)) or None
        return {name: value for name, value in found.items() if value is not None}

    @property
    def score(self) -> float:
        """The objective's metric on the hold-out."""
        return self.metrics[self.task.problem.metric]
