"""A program's score as a sum: a constant, weighted encoder slots, weighted outputs of tree ensembles.

What has this form is explained exactly: Shapley values of a sum are the sum of the terms' Shapley values.
Averages of ensembles and linear maps of linear maps have it; a network, or an average of probabilities
behind a link, has not.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from postgres_ml.program import encoders, scorers
from postgres_ml.program.program import BinaryLabel, ClusterLabel, Program, Step, Value

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
    """`constant + sum of weights * slots + sum of weights * tree outputs`.

    Parameters
    ----------
    slots : weight of each encoder slot, which depends on one input
    trees : weight of each (step number of a tree ensemble, its output)
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
        self.has_trees = self._trees_behind()

    def scores(self) -> tuple[list[Score], str]:
        """Return the scores before the output's link, and their unit."""
        output = self.program.output
        assert not isinstance(output, ClusterLabel), "clusters have no score"
        if isinstance(output, Value):
            return self._of_value(output)
        if isinstance(output, BinaryLabel):
            return self._of_two_classes(output)
        chosen = output.probabilities or output.scores
        step, _ = self._step_of(chosen[0])
        if isinstance(step, scorers.Link) and step.function == "softmax":
            return [Score(label, {slot: 1.0}) for label, slot in enumerate(step.slots)], LOG_ODDS
        unit = PROBABILITY if output.probabilities else MARGIN
        return [Score(label, {slot: 1.0}) for label, slot in enumerate(chosen)], unit

    def expand(self, score: Score) -> Terms | None:
        """Return the score as a sum, or None where it is none.

        Trees have to read slots of one input each: the split on a principal component belongs to no column.
        """
        pending = defaultdict(float, score.slots)
        constant, leaves, trees = 0.0, dict[int, float](), defaultdict[tuple[int, int], float](float)
        while pending:
            slot = max(pending)  # a step reads earlier slots only: every use of this one has been seen
            weight = pending.pop(slot)
            step, position = self._step_of(slot)
            if isinstance(step, scorers.TreeEnsemble):
                if any(len(self.sources[s]) > 1 for s in step.slots):
                    return None
                trees[self.owners[slot]] += weight
            elif isinstance(step, scorers.Linear):
                for source, factor in zip(step.slots, step.weights[position], strict=True):
                    pending[source] += weight * factor
                constant += weight * step.intercepts[position]
            elif isinstance(step, scorers.WeightedSum):
                for group, factor in zip(step.groups, step.weights, strict=True):
                    pending[group[position]] += weight * factor
            elif len(self.sources[slot]) <= 1 and not self.has_trees[slot]:
                leaves[slot] = weight
            elif isinstance(step, encoders.Arithmetic):
                factor, shift = _linear_form(step)
                pending[step.slot] += weight * factor
                constant += weight * shift
            elif isinstance(step, encoders.Clip) and isinstance(self.program.output, Value):
                pending[step.slot] += weight  # LogTargetRegressor's limits, which only wild guesses reach
            else:
                return None
        return Terms(constant, leaves, dict(trees))

    def _of_value(self, output: Value) -> tuple[list[Score], str]:
        step, position = self._step_of(output.slot)
        if isinstance(step, scorers.Link) and step.function == "exp":
            return [Score(0, {step.slots[position]: 1.0})], LOG_TARGET
        if isinstance(step, encoders.Unary) and step.function == "exp":
            return [Score(0, {step.slot: 1.0})], LOG_TARGET
        if isinstance(step, scorers.Link) and step.function == "logistic":  # xgboost's reg:logistic
            return [Score(0, {step.slots[position]: 1.0})], LOG_ODDS
        return [Score(0, {output.slot: 1.0})], TARGET

    def _of_two_classes(self, output: BinaryLabel) -> tuple[list[Score], str]:
        if not output.probabilities:
            return [Score(1, {output.score: 1.0})], MARGIN
        slot = output.probabilities[1]
        step, position = self._step_of(slot)
        if isinstance(step, scorers.Link) and step.function == "logistic":
            return [Score(1, {step.slots[position]: 1.0})], LOG_ODDS
        if isinstance(step, scorers.Link) and step.function == "softmax":
            first, second = step.slots
            return [Score(1, {first: -1.0, second: 1.0})], LOG_ODDS
        return [Score(1, {slot: 1.0})], PROBABILITY

    def _step_of(self, slot: int) -> tuple[Step, int]:
        number, position = self.owners[slot]
        return self.program.steps[number], position

    def _trees_behind(self) -> list[bool]:
        behind: list[bool] = []
        for step in self.program.steps:
            is_tree = isinstance(step, scorers.TreeEnsemble)
            behind += [is_tree or any(behind[slot] for slot in read_slots(step))] * step.width
        return behind


def _sources(program: Program) -> list[frozenset[int]]:
    """Return the inputs that each slot depends on."""
    sources: list[frozenset[int]] = []
    for step in program.steps:
        reads = [sources[slot] for slot in read_slots(step)]
        if isinstance(step, scorers.Activation) or (
            isinstance(step, scorers.Link) and step.function in ("logistic", "exp")
        ):
            sources += reads
        else:
            own = frozenset({step.input}) if hasattr(step, "input") else frozenset[int]()
            sources += [own.union(*reads)] * step.width
    return sources


def read_slots(step: Step) -> tuple[int, ...]:
    """Return the slots that a step reads."""
    if isinstance(step, scorers.WeightedSum):
        return tuple(slot for group in step.groups for slot in group)
    if hasattr(step, "slot"):
        return (step.slot,)
    return tuple(getattr(step, "slots", ()))


def _linear_form(step: encoders.Arithmetic) -> tuple[float, float]:
    """Return (factor, shift) of `slot <operator> constant`."""
    if step.operator in "+-":
        return 1.0, step.constant if step.operator == "+" else -step.constant
    return step.constant if step.operator == "*" else 1.0 / step.constant, 0.0
