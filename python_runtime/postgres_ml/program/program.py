"""The scoring program: everything a fitted pipeline does to one row, as data.

The middle of the house. `parse/` writes it from fitted estimators, `codegen/` turns it into SQL or native
code, `interpret` runs it slowly as the reference. It imports nothing but the standard library.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from postgres_ml.program.encoders import Encoder
from postgres_ml.program.scorers import Scorer, TreeEnsemble

InputKind = Literal["number", "boolean", "text", "date", "time", "timestamp", "timestamptz"]
Label = str | int | float | bool
Step = Encoder | Scorer


@dataclass(frozen=True)
class Input:
    """An argument of the prediction function.

    Parameters
    ----------
    name : the query's column, unquoted
    sql_type : as format_type() prints it, without modifier ('integer', 'character varying')
    kind : how the program reads it
    """

    name: str
    sql_type: str
    kind: InputKind


@dataclass(frozen=True)
class Refusal:
    """Rows the pipeline itself would refuse: their prediction is NULL.

    Refused where the slot is NaN (if `missing`) or its absolute value is greater than `above`
    (the largest double refuses infinities only; 3.4028235677973362e+38, the largest double that rounds
    to a finite single, refuses what scikit-learn's float32 trees refuse). None: no upper limit.
    """

    slot: int
    missing: bool
    above: float | None


@dataclass(frozen=True)
class Value:
    """Regression: the prediction is the slot, in double precision."""

    slot: int


@dataclass(frozen=True)
class BinaryLabel:
    """Two classes: `labels[1]` where `score > threshold` (or >=), else (NaN too) `labels[0]`.

    Parameters
    ----------
    score : slot of the decision, a margin or a probability
    probabilities : slots of P(labels[0]) and P(labels[1]); empty when the estimator has none
    """

    labels: tuple[Label, Label]
    score: int
    operator: Literal[">", ">="]
    threshold: float
    probabilities: tuple[int, ...]


@dataclass(frozen=True)
class MulticlassLabel:
    """Several classes: the label of the greatest score; among equals the first; the first NaN before all.

    `probabilities` are the slots of P(label), in the order of `labels`; empty when there are none.
    """

    labels: tuple[Label, ...]
    scores: tuple[int, ...]
    probabilities: tuple[int, ...]


@dataclass(frozen=True)
class ClusterLabel:
    """The id of the nearest centre; among equals the first."""

    labels: tuple[int, ...]
    distances: tuple[int, ...]


Output = Value | BinaryLabel | MulticlassLabel | ClusterLabel


@dataclass(frozen=True)
class Program:
    """Inputs, steps in order, and what is returned.

    Step k's slots are numbered on from the sum of the widths before it; a step reads only inputs and
    slots before its own.

    Parameters
    ----------
    inputs : the function's arguments, in order
    steps : encoders and scorers, each appending its slots
    refusals : rows whose prediction is NULL
    output : label or value
    return_type : SQL type of the prediction, as format_type() prints it
    """

    inputs: tuple[Input, ...]
    steps: tuple[Step, ...]
    refusals: tuple[Refusal, ...]
    output: Output
    return_type: str

    @property
    def n_nodes(self) -> int:
        """Tree nodes of all ensembles."""
        return sum(step.n_nodes for step in self.steps if isinstance(step, TreeEnsemble))

    @property
    def offsets(self) -> tuple[int, ...]:
        """First slot of each step."""
        offsets, total = [], 0
        for step in self.steps:
            offsets.append(total)
            total += step.width
        return tuple(offsets)
