"""Programs that say the same with less work: labels decided in a tree's leaves, and two-class forests.

Exactness: every row gets the label that the program gives it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from postgres_ml.program.program import BinaryLabel, Label, MulticlassLabel, Program
from postgres_ml.program.scorers import TreeEnsemble

# Sums of a forest's leaves are exact to about n_trees * 1e-16; farther than this from a tie they decide.
TIE = 1e-9


def with_labels_in_leaves(program: Program) -> Program:
    """Return the program with labels instead of scores in the leaves if its only scorer is a single tree.

    Subtrees whose leaves all end in one label then fold into one leaf.
    """
    output, step = program.output, program.steps[-1] if program.steps else None
    if not isinstance(step, TreeEnsemble) or len(step.trees) != 1:
        return program
    if not isinstance(output, BinaryLabel | MulticlassLabel):
        return program
    offset = program.offsets[-1]
    scores = (output.score,) if isinstance(output, BinaryLabel) else output.scores
    if min(scores) < offset or any(refusal.slot >= offset for refusal in program.refusals):
        return program
    (tree,) = step.trees
    leaves = tuple(
        (_winner(step, output, [score - offset for score in scores], leaf),) if leaf else ()
        for leaf in tree.leaf_value
    )
    labelled = replace(
        step,
        trees=(replace(tree, leaf_value=leaves, outputs=(0,)),),
        dtype="float64",
        base_scores=(0.0,),
        divisor=1.0,
    )
    decided = _by_number(output.labels, offset)
    return replace(program, steps=(*program.steps[:-1], labelled), output=decided) if decided else program


def _winner(
    step: TreeEnsemble,
    output: BinaryLabel | MulticlassLabel,
    positions: Sequence[int],
    leaf: tuple[float, ...],
) -> float:
    """Return the number of the label that a row in this leaf gets."""
    number = np.dtype(step.dtype).type
    totals = [number(base) for base in step.base_scores]
    for column, position in enumerate(step.trees[0].outputs):
        totals[position] += number(leaf[column])
    scores = [float(totals[p] if step.divisor == 1 else totals[p] / number(step.divisor)) for p in positions]
    if isinstance(output, MulticlassLabel):
        return float(np.argmax(scores))
    above = scores[0] > output.threshold
    return float(above or (output.operator == ">=" and scores[0] == output.threshold))


def _by_number(labels: Sequence[Label], slot: int) -> BinaryLabel | None:
    if len(labels) != 2:
        return None
    return BinaryLabel((labels[0], labels[1]), slot, ">", 0.5, ())


@dataclass(frozen=True)
class TwoClassForest:
    """A forest whose two scores add up to a constant: one of them decides, but for ties.

    Parameters
    ----------
    slot : the second label's score
    low, high : below `low` the first label wins, above `high` the second
    """

    slot: int
    low: float
    high: float


def two_class_forest(program: Program) -> TwoClassForest | None:
    """Return how one score decides, if the program is a forest of two classes."""
    output = program.output
    if not isinstance(output, MulticlassLabel) or len(output.scores) != 2:
        return None
    for step, offset in zip(program.steps, program.offsets, strict=True):
        if isinstance(step, TreeEnsemble) and output.scores == (offset, offset + 1) and step.width == 2:
            total = _constant_total(step)
            if total is None:
                return None
            return TwoClassForest(offset + 1, total / 2 - TIE * abs(total), total / 2 + TIE * abs(total))
    return None


def _constant_total(step: TreeEnsemble) -> float | None:
    if step.dtype != "float64" or len(step.trees) < 2:
        return None
    totals = [sum(step.base_scores)]
    for tree in step.trees:
        sums = {round(sum(leaf), 12) for leaf in tree.leaf_value if leaf}
        if len(tree.outputs) != 2 or len(sums) != 1 or min(min(leaf) for leaf in tree.leaf_value if leaf) < 0:
            return None
        totals.append(sums.pop())
    return math.fsum(totals) / step.divisor
