"""Steps that score: tree ensembles, linear maps, network layers, distances, links and averages.

They read slots and append slots exactly as the encoders do, so that stacking, voting and calibration
are nothing but more steps. Where a library computes in single precision, the step's `dtype` is 'float32'
and its slots hold doubles that are exactly representable in single precision.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from postgres_ml.program.reads import ReadsSlots, StepBase

Dtype = Literal["float32", "float64"]


@dataclass(frozen=True)
class Tree:
    """One decision tree as parallel arrays over its nodes; node 0 is the root, children follow parents.

    Parameters
    ----------
    split_index : position in the ensemble's `slots`; -1 in a leaf
    threshold : compared with the slot as the ensemble says; NaN in a leaf and in a categorical split;
        +Infinity with operator '<=' sends every number left (scikit-learn's split on missing or not)
    left, right : child nodes; -1 in a leaf
    default_left : whether NaN goes left
    categories : codes of a categorical split, None elsewhere; empty tuple for a tree that has none.
        Where a node has codes, its slot holds a whole number or NaN
    leaf_value : one value for each of `outputs`; an empty tuple in an inner node
    outputs : the ensemble outputs that this tree adds to
    """

    split_index: tuple[int, ...]
    threshold: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    default_left: tuple[bool, ...]
    leaf_value: tuple[tuple[float, ...], ...]
    outputs: tuple[int, ...] = (0,)
    categories: tuple[tuple[int, ...] | None, ...] = ()

    @property
    def n_nodes(self) -> int:
        """Inner nodes and leaves."""
        return len(self.split_index)


@dataclass(frozen=True)
class TreeEnsemble(ReadsSlots):
    """`(base_scores + sum of leaves, in tree order) / divisor`, each addition rounded to `dtype`.

    Parameters
    ----------
    slots : what the trees' `split_index` counts in
    operator : a row goes left where `x <operator> threshold`
    split_dtype : 'float32' rounds x to single precision first (xgboost, scikit-learn's trees),
        'float64' compares the double (HistGradientBoosting, LightGBM)
    category_goes_left : where x's code is in a split's `categories` the row goes left (else right)
    base_scores : what each output starts from
    divisor : 1, or the number of trees of an averaging forest
    """

    trees: tuple[Tree, ...]
    operator: Literal["<", "<="]
    split_dtype: Dtype
    dtype: Dtype
    base_scores: tuple[float, ...]
    divisor: float = 1.0
    category_goes_left: bool = True

    @property
    def width(self) -> int:
        """Number of slots."""
        return len(self.base_scores)

    @property
    def n_nodes(self) -> int:
        """Inner nodes and leaves."""
        return sum(tree.n_nodes for tree in self.trees)


@dataclass(frozen=True)
class Linear(ReadsSlots):
    """`weights @ slots + intercepts` in double precision, added in slot order, the intercept last.

    `weights` has a row for each output. Also PCA (intercepts = -components @ mean), and a dense layer
    of a neural network before its activation.
    """

    weights: tuple[tuple[float, ...], ...]
    intercepts: tuple[float, ...]

    @property
    def width(self) -> int:
        """Number of slots."""
        return len(self.intercepts)


ActivationName = Literal["relu", "tanh", "logistic", "silu"]


@dataclass(frozen=True)
class Activation(ReadsSlots):
    """An activation function applied to each slot; logistic and silu never overflow."""

    function: ActivationName

    @property
    def width(self) -> int:
        """Number of slots."""
        return len(self.slots)

    def reads_for(self, positions: Sequence[int]) -> tuple[int, ...]:
        """Return the slot of each position."""
        return tuple(self.slots[position] for position in positions)


@dataclass(frozen=True)
class Distances(ReadsSlots):
    """Euclidean distance from the slots to each centre: the root of the sum of squares, in slot order."""

    centers: tuple[tuple[float, ...], ...]

    @property
    def width(self) -> int:
        """Number of slots."""
        return len(self.centers)


LinkName = Literal["logistic", "softmax", "exp", "normalize"]


@dataclass(frozen=True)
class Link(ReadsSlots):
    """Raw scores to predictions, by a function.

    * `logistic`: 1 / (exp(-x) + 1) of each slot
    * `softmax`: exp(x - max) / sum of them, over the slots
    * `exp`: exp(x) of each slot
    * `normalize`: x / sum(x) over the slots; 1 / n each where the sum is 0 (one-vs-rest)

    With dtype 'float32' the result of every operation is rounded to single precision (exp is computed in
    double and rounded once), except that softmax sums in double precision, in slot order, and rounds the sum:
    xgboost's own arithmetic. Then equal probabilities, which decide ties in `MulticlassLabel`, are equal
    here too.
    """

    function: LinkName
    dtype: Dtype = "float64"

    @property
    def width(self) -> int:
        """Number of slots."""
        return len(self.slots)

    @property
    def is_elementwise(self) -> bool:
        """Whether each output depends on the slot of its own position alone."""
        return self.function in ("logistic", "exp")

    def reads_for(self, positions: Sequence[int]) -> tuple[int, ...]:
        """Return the slot of each position; all slots for a function of them together."""
        if self.is_elementwise:
            return tuple(self.slots[position] for position in positions)
        return super().reads_for(positions)


@dataclass(frozen=True)
class WeightedSum(StepBase):
    """`sum of weights[i] * groups[i]` per position, in double precision, in order: voting, blending, folds.

    All groups have the same length.
    """

    groups: tuple[tuple[int, ...], ...]
    weights: tuple[float, ...]

    @property
    def width(self) -> int:
        """Number of slots."""
        return len(self.groups[0])

    @property
    def reads(self) -> tuple[int, ...]:
        """The slots of the first group, then those of the next one."""
        return tuple(slot for group in self.groups for slot in group)

    def reads_for(self, positions: Sequence[int]) -> tuple[int, ...]:
        """Return the slots at these positions of the first group, then those of the next one."""
        return tuple(group[position] for group in self.groups for position in positions)

    def renumbered(self, numbers: Mapping[int, int]) -> WeightedSum:
        """Return the step that reads its slots under new numbers.

        Parameters
        ----------
        numbers : new number of each slot that is read
        """
        return replace(self, groups=tuple(tuple(numbers[slot] for slot in group) for group in self.groups))


@dataclass(frozen=True)
class Table:
    """The points of one axis of a `TableSum`, or of two.

    Parameters
    ----------
    axes : positions in the step's `slots`, one or two
    points : for each output, one number for each cell; of two axes, the cell of bins i and j is
        i * (bins of the second axis) + j
    """

    axes: tuple[int, ...]
    points: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class TableSum(ReadsSlots):
    """`intercepts + sum of the tables' points`, in the order of the tables, in double precision.

    Each slot is an axis (a slot may appear more than once). Its bin is how many of its edges are <= the
    slot (numpy.searchsorted, side 'right'); NaN has the last bin, len(edges) + 1. Infinities are numbers.

    Parameters
    ----------
    edges : of each axis, strictly increasing
    """

    edges: tuple[tuple[float, ...], ...]
    tables: tuple[Table, ...]
    intercepts: tuple[float, ...]

    @property
    def width(self) -> int:
        """Number of slots."""
        return len(self.intercepts)

    def n_bins(self, axis: int) -> int:
        """Return the number of an axis's bins, that of NaN included."""
        return len(self.edges[axis]) + 2

    def n_cells(self, table: Table) -> int:
        """Return the number of a table's cells."""
        return math.prod(self.n_bins(axis) for axis in table.axes)


Scorer = TreeEnsemble | Linear | Activation | Distances | Link | WeightedSum | TableSum
