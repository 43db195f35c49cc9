"""The scoring program: everything a fitted pipeline does to one row, as data.

`lower` writes it from fitted estimators, `generate` turns it into SQL or native code, `interpret` runs it
slowly as the reference. It imports nothing but the standard library.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

from postgres_ml.program.encoders import Encoder
from postgres_ml.program.scorers import Scorer, TreeEnsemble

InputKind = Literal["number", "boolean", "text", "date", "time", "timestamp", "timestamptz"]
Label = str | int | float | bool
Step = Encoder | Scorer
STEPS: tuple[type, ...] = get_args(Step)
"""Every kind of step."""


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

    def renumbered(self, numbers: Mapping[int, int]) -> Refusal:
        """Return the refusal of the slot under its new number."""
        return replace(self, slot=numbers[self.slot])


@dataclass(frozen=True)
class Value:
    """Regression: the prediction is the slot, in double precision."""

    slot: int

    @property
    def labels(self) -> tuple[Label, ...]:
        """None: the prediction is a number."""
        return ()

    @property
    def prediction_reads(self) -> tuple[int, ...]:
        """The slot."""
        return (self.slot,)

    @property
    def probabilities(self) -> tuple[int, ...]:
        """None: a number has no probability."""
        return ()

    @property
    def reads(self) -> tuple[int, ...]:
        """The slot."""
        return (self.slot,)

    def renumbered(self, numbers: Mapping[int, int]) -> Value:
        """Return the output that reads its slot under a new number."""
        return replace(self, slot=numbers[self.slot])


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

    @property
    def prediction_reads(self) -> tuple[int, ...]:
        """The slot by which the label is chosen."""
        return (self.score,)

    @property
    def reads(self) -> tuple[int, ...]:
        """The score, then the probabilities."""
        return (self.score, *self.probabilities)

    def renumbered(self, numbers: Mapping[int, int]) -> BinaryLabel:
        """Return the output that reads its slots under new numbers."""
        return replace(
            self, score=numbers[self.score], probabilities=_renumbered(self.probabilities, numbers)
        )


@dataclass(frozen=True)
class MulticlassLabel:
    """Several classes: the label of the greatest score; among equals the first; the first NaN before all.

    `probabilities` are the slots of P(label), in the order of `labels`; empty when there are none.
    """

    labels: tuple[Label, ...]
    scores: tuple[int, ...]
    probabilities: tuple[int, ...]

    @property
    def prediction_reads(self) -> tuple[int, ...]:
        """The slots by which the label is chosen."""
        return self.scores

    @property
    def reads(self) -> tuple[int, ...]:
        """The scores, then the probabilities."""
        return (*self.scores, *self.probabilities)

    def renumbered(self, numbers: Mapping[int, int]) -> MulticlassLabel:
        """Return the output that reads its slots under new numbers."""
        return replace(
            self,
            scores=_renumbered(self.scores, numbers),
            probabilities=_renumbered(self.probabilities, numbers),
        )


@dataclass(frozen=True)
class ClusterLabel:
    """The id of the nearest centre: the least score, among equals the first.

    Nothing is less than a NaN, and a NaN is less than nothing: it is chosen only where it is the first.

    Parameters
    ----------
    scores : by which the nearest is chosen; the distances themselves where there are none, as in programs
        that 0.1.0 stored
    """

    labels: tuple[int, ...]
    distances: tuple[int, ...]
    scores: tuple[int, ...] = ()

    @property
    def prediction_reads(self) -> tuple[int, ...]:
        """The scores, or else the distances."""
        return self.scores or self.distances

    @property
    def probabilities(self) -> tuple[int, ...]:
        """None: a cluster has a distance and no probability."""
        return ()

    @property
    def reads(self) -> tuple[int, ...]:
        """The distances, then the scores."""
        return (*self.distances, *self.scores)

    def renumbered(self, numbers: Mapping[int, int]) -> ClusterLabel:
        """Return the output that reads its slots under new numbers."""
        return replace(
            self,
            distances=_renumbered(self.distances, numbers),
            scores=_renumbered(self.scores, numbers),
        )


def _renumbered(slots: Iterable[int], numbers: Mapping[int, int]) -> tuple[int, ...]:
    return tuple(numbers[slot] for slot in slots)


Output = Value | BinaryLabel | MulticlassLabel | ClusterLabel
OUTPUTS: tuple[type, ...] = get_args(Output)
"""Every kind of output."""


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

    def without_dead_steps(self) -> Program:
        """Return the program with the steps that its result depends on, their slots numbered anew.

        That is every step whose slots the output, a refusal or a step that is kept reads, and every step that
        may refuse a row by itself. The order stays.
        """
        needed = {*self.output.reads, *(refusal.slot for refusal in self.refusals)}
        kept: list[tuple[Step, int]] = []
        for step, offset in reversed(list(zip(self.steps, self.offsets, strict=True))):
            if step.may_refuse or not needed.isdisjoint(range(offset, offset + step.width)):
                needed.update(step.reads)
                kept.append((step, offset))
        kept.reverse()
        numbers: dict[int, int] = {}
        for step, offset in kept:
            for slot in range(offset, offset + step.width):
                numbers[slot] = len(numbers)
        return replace(
            self,
            steps=tuple(step.renumbered(numbers) for step, _ in kept),
            refusals=tuple(refusal.renumbered(numbers) for refusal in self.refusals),
            output=self.output.renumbered(numbers),
        )
