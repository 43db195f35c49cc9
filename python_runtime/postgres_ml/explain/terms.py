"""A program's score as a sum: a constant, weighted encoder slots, weighted outputs of tree ensembles.

What has this form is explained exactly: Shapley values of a sum are the sum of the terms' Shapley values.
Averages of ensembles and linear maps of linear maps have it; a network, or an average of probabilities
behind a link, has not.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from postgres_ml.program import encoders, scorers
from postgres_ml.program.program import BinaryLabel, MulticlassLabel, Program, Step, Value

LOG_ODDS, PROBABILITY, TARGET, LOG_TARGET, MARGIN = (
    "log-odds", "probability", "units of the target", "logarithm of the target", "decision value",
)  # fmt: skip


@dataclass(frozen=True)
class Score:
    """What is explained of one label, or of a regression.

    Parameters
    ----------
    label : position in the program's labels; of two classes the second; 0 for a regression
    slots : weights of the slots whose sum it is
    """

    label: int
    slots: dict[int, float]


@dataclass(frozen=True)
class Terms:
    """`constant + sum of weights * slots + sum of weights * outputs of trees and tables`.

    Parameters
    ----------
    slots : weight of each encoder slot, which depends on one input
    trees : weight of each (step number of a tree ensemble or a sum of tables, its output)
    """

    constant: float
    slots: dict[int, float]
    trees: dict[tuple[int, int], float]


class Sums:
    """Reads a program as sums.

    Parameters
    ----------
    program : of any pipeline
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.owners = [(k, i) for k, step in enumerate(program.steps) for i in range(step.width)]
        self.sources = _sources(program)
        self.has_trees = _trees_behind(program)

    def scores(self) -> tuple[list[Score], str]:
        """Return the scores before the output's link, and their unit."""
        return scores_of(self.program.output, self)

    def step_of(self, slot: int) -> tuple[Step, int]:
        """Return the step that appends the slot, and the slot's position in it."""
        number, position = self.owners[slot]
        return self.program.steps[number], position

    def expand(self, score: Score) -> Terms | None:
        """Return the score as a sum, or None where it is none.

        Trees have to read slots of one input each: the split on a principal component belongs to no column.
        """
        expansion = Expansion(self, defaultdict(float, score.slots))
        while expansion.pending:
            slot = max(expansion.pending)  # a step reads earlier slots only: every use of this one was seen
            weight = expansion.pending.pop(slot)
            step, _ = self.step_of(slot)
            if self._encodes_one_input(step, slot):
                expansion.slots[slot] = weight
            elif not expand_step(step, slot, weight, expansion):
                return None
        return Terms(expansion.constant, expansion.slots, dict(expansion.trees))

    def _encodes_one_input(self, step: Step, slot: int) -> bool:
        """Return whether the slot is a term by itself; sums are written out even if they read one input."""
        is_sum = isinstance(step, scorers.Linear | scorers.WeightedSum)
        return not is_sum and len(self.sources[slot]) <= 1 and not self.has_trees[slot]


@dataclass
class Expansion:
    """A score that is being written out.

    Parameters
    ----------
    pending : weights of slots that are still to be written out
    constant, slots, trees : what is settled, as in `Terms`
    """

    sums: Sums
    pending: defaultdict[int, float]
    constant: float = 0.0
    slots: dict[int, float] = field(default_factory=dict)
    trees: defaultdict[tuple[int, int], float] = field(default_factory=lambda: defaultdict(float))


@functools.singledispatch
def expand_step(step: Any, slot: int, weight: float, expansion: Expansion) -> bool:
    """Replace a weighted slot by what the step adds up; return False if the step adds nothing up.

    Parameters
    ----------
    slot : one of the step's own
    """
    return False


@expand_step.register(scorers.TreeEnsemble)
@expand_step.register(scorers.TableSum)
def _ensemble(
    step: scorers.TreeEnsemble | scorers.TableSum, slot: int, weight: float, expansion: Expansion
) -> bool:
    if any(len(expansion.sums.sources[s]) > 1 for s in step.slots):
        return False
    expansion.trees[expansion.sums.owners[slot]] += weight
    return True


@expand_step.register
def _linear(step: scorers.Linear, slot: int, weight: float, expansion: Expansion) -> bool:
    _, position = expansion.sums.owners[slot]
    for source, factor in zip(step.slots, step.weights[position], strict=True):
        expansion.pending[source] += weight * factor
    expansion.constant += weight * step.intercepts[position]
    return True


@expand_step.register
def _weighted_sum(step: scorers.WeightedSum, slot: int, weight: float, expansion: Expansion) -> bool:
    _, position = expansion.sums.owners[slot]
    for group, factor in zip(step.groups, step.weights, strict=True):
        expansion.pending[group[position]] += weight * factor
    return True


@expand_step.register
def _arithmetic(step: encoders.Arithmetic, slot: int, weight: float, expansion: Expansion) -> bool:
    factor, shift = _linear_form(step)
    expansion.pending[step.slot] += weight * factor
    expansion.constant += weight * shift
    return True


@expand_step.register
def _clip(step: encoders.Clip, slot: int, weight: float, expansion: Expansion) -> bool:
    if not isinstance(expansion.sums.program.output, Value):
        return False
    expansion.pending[step.slot] += weight  # LogTargetRegressor's limits, which only wild guesses reach
    return True


@functools.singledispatch
def scores_of(output: Any, sums: Sums) -> tuple[list[Score], str]:
    """Return the scores before the output's link, and their unit."""
    raise TypeError(f"{type(output).__name__} has no score")


@scores_of.register
def _of_value(output: Value, sums: Sums) -> tuple[list[Score], str]:
    step, position = sums.step_of(output.slot)
    if isinstance(step, scorers.Link) and step.function == "exp":
        return [Score(0, {step.slots[position]: 1.0})], LOG_TARGET
    if isinstance(step, encoders.Unary) and step.function == "exp":
        return [Score(0, {step.slot: 1.0})], LOG_TARGET
    if isinstance(step, scorers.Link) and step.function == "logistic":  # xgboost's reg:logistic
        return [Score(0, {step.slots[position]: 1.0})], LOG_ODDS
    return [Score(0, {output.slot: 1.0})], TARGET


@scores_of.register
def _of_two_classes(output: BinaryLabel, sums: Sums) -> tuple[list[Score], str]:
    if not output.probabilities:
        return [Score(1, {output.score: 1.0})], MARGIN
    slot = output.probabilities[1]
    step, position = sums.step_of(slot)
    if isinstance(step, scorers.Link) and step.function == "logistic":
        return [Score(1, {step.slots[position]: 1.0})], LOG_ODDS
    if isinstance(step, scorers.Link) and step.function == "softmax":
        first, second = step.slots
        return [Score(1, {first: -1.0, second: 1.0})], LOG_ODDS
    return [Score(1, {slot: 1.0})], PROBABILITY


@scores_of.register
def _of_classes(output: MulticlassLabel, sums: Sums) -> tuple[list[Score], str]:
    chosen = output.probabilities or output.scores
    step, _ = sums.step_of(chosen[0])
    if isinstance(step, scorers.Link) and step.function == "softmax":
        return [Score(label, {slot: 1.0}) for label, slot in enumerate(step.slots)], LOG_ODDS
    unit = PROBABILITY if output.probabilities else MARGIN
    return [Score(label, {slot: 1.0}) for label, slot in enumerate(chosen)], unit


def _trees_behind(program: Program) -> list[bool]:
    """Return, of each slot, whether it depends on a tree ensemble or a sum of tables."""
    behind: list[bool] = []
    for step in program.steps:
        is_tree = isinstance(step, scorers.TreeEnsemble | scorers.TableSum)
        behind += [is_tree or any(behind[slot] for slot in step.reads)] * step.width
    return behind


def _sources(program: Program) -> list[frozenset[int]]:
    """Return the inputs that each slot depends on."""
    sources: list[frozenset[int]] = []
    for step in program.steps:
        own = frozenset(() if step.reads_input is None else (step.reads_input,))
        known: dict[tuple[int, ...], frozenset[int]] = {}  # most outputs of a step read the same slots
        for position in range(step.width):
            reads = step.reads_for((position,))
            if reads not in known:
                known[reads] = own.union(*(sources[slot] for slot in reads))
            sources.append(known[reads])
    return sources


def _linear_form(step: encoders.Arithmetic) -> tuple[float, float]:
    """Return (factor, shift) of `slot <operator> constant`."""
    if step.operator in "+-":
        return 1.0, step.constant if step.operator == "+" else -step.constant
    return step.constant if step.operator == "*" else 1.0 / step.constant, 0.0
