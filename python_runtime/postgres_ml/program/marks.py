"""The numbers at which a program decides something, as values of its inputs.

A split, an edge or a category's code is a number that a step compares a slot with. Traced back through the
steps before it, it is a number that the row's input is compared with: there two runtimes that differ at all
are most likely to differ.
"""

from __future__ import annotations

import functools
import math
from collections import defaultdict
from typing import Any

import numpy as np
import numpy.typing as npt

from postgres_ml.program import encoders, scorers
from postgres_ml.program.program import Program

Floats = npt.NDArray[np.float64]
Marks = dict[int, set[float]]


def marks_by_input(program: Program) -> Marks:
    """Return, by input, the numbers that decide something about it but for refusals."""
    marks: Marks = defaultdict(set)
    by_input: Marks = defaultdict(set)
    for step, offset in reversed(list(zip(program.steps, program.offsets, strict=True))):
        for slot, own in own_marks(step).items():
            marks[slot] |= own
        _trace_back(step, offset, marks, by_input)
    return by_input


def limits_by_input(program: Program) -> Marks:
    """Return, by input, the numbers beyond which a row is refused."""
    marks: Marks = defaultdict(set)
    for refusal in program.refusals:
        if refusal.above is not None:
            marks[refusal.slot] |= {refusal.above, -refusal.above}
    by_input: Marks = defaultdict(set)
    for step, offset in reversed(list(zip(program.steps, program.offsets, strict=True))):
        _trace_back(step, offset, marks, by_input)
    return by_input


def _trace_back(step: Any, offset: int, marks: Marks, by_input: Marks) -> None:
    """Hand the marks of the step's first slot, which is at `offset`, on to what the step reads."""
    if isinstance(step, encoders.Number):
        by_input[step.input] |= marks[offset]
    elif len(step.reads) == 1:
        with np.errstate(all="ignore"):
            before = read_for(step, np.array(sorted(marks[offset]), dtype=np.float64))
        marks[step.reads[0]] |= {float(value) for value in before if math.isfinite(value)}


@functools.singledispatch
def own_marks(step: Any) -> Marks:
    """Return, by slot, the numbers that the step compares it with, or near which its result changes."""
    raise NotImplementedError(f"no marks of {type(step).__name__}")


@own_marks.register(encoders.Number)
@own_marks.register(encoders.Category)
@own_marks.register(encoders.DatePart)
@own_marks.register(encoders.Words)
@own_marks.register(encoders.Characters)
@own_marks.register(encoders.IsMissing)
@own_marks.register(encoders.Arithmetic)
@own_marks.register(encoders.Unary)
@own_marks.register(scorers.WeightedSum)
def _no_marks(step: Any) -> Marks:
    return {}


@own_marks.register
def _codes(step: encoders.OneHot) -> Marks:
    return {step.slot: set(step.codes)}


@own_marks.register(encoders.Impute)
@own_marks.register(encoders.NullIf)
def _value(step: encoders.Impute | encoders.NullIf) -> Marks:
    return {step.slot: {step.value}}


@own_marks.register
def _limits(step: encoders.Clip) -> Marks:
    return {step.slot: {step.low, step.high}}


@own_marks.register
def _knots(step: encoders.PiecewiseLinear) -> Marks:
    return {step.slot: set(step.x)}


@own_marks.register
def _edges(step: encoders.Bucket) -> Marks:
    return {step.slot: set(step.edges)}


@own_marks.register(encoders.Product)
@own_marks.register(encoders.Normalize)
@own_marks.register(scorers.Linear)
@own_marks.register(scorers.Activation)
@own_marks.register(scorers.Distances)
@own_marks.register(scorers.Link)
def _standardised(step: Any) -> Marks:
    """Return the numbers around which standardised slots lie: what is projected or measured mostly is one."""
    return {slot: {-3.0, -1.0, 0.0, 1.0, 3.0} for slot in step.reads}


@own_marks.register
def _splits(step: scorers.TreeEnsemble) -> Marks:
    marks: Marks = defaultdict(set)
    for tree in step.trees:
        for feature, threshold in zip(tree.split_index, tree.threshold, strict=True):
            if feature >= 0 and math.isfinite(threshold):
                marks[step.slots[feature]].add(threshold)
    return marks


@own_marks.register
def _bins(step: scorers.TableSum) -> Marks:
    marks: Marks = defaultdict(set)
    for slot, edges in zip(step.slots, step.edges, strict=True):
        marks[slot] |= set(edges)
    return marks


@functools.singledispatch
def read_for(step: Any, y: Floats) -> Floats:
    """Return what the step's slot must be, up to rounding, for its result to be y.

    Parameters
    ----------
    y : of shape (n_marks,)

    Returns
    -------
    x : of shape (n_marks,), or empty for a step that has no inverse: its marks are not traced back
    """
    return np.empty(0)


@read_for.register
def _of_arithmetic(step: encoders.Arithmetic, y: Floats) -> Floats:
    c = step.constant
    operations = {"+": np.subtract, "-": np.add, "*": np.divide, "/": np.multiply}
    result: Floats = operations[step.operator](y, c)
    return result


_INVERSES: dict[str, Any] = {
    "cbrt": lambda y: y**3, "exp": np.log, "expm1": np.log1p, "log": np.exp, "log1p": np.expm1,
    "log2": np.exp2, "log10": lambda y: 10.0**y, "negative": np.negative, "sqrt": np.square,
    "square": np.sqrt, "tanh": np.arctanh,
    "sin": np.arcsin, "cos": np.arccos, "abs": np.abs, "sign": np.abs,
    "smooth_clip": lambda y: y / np.sqrt(1 - np.square(y / 3)),
}  # fmt: skip


@read_for.register
def _of_unary(step: encoders.Unary, y: Floats) -> Floats:
    result: Floats = _INVERSES[step.function](y)
    return result


@read_for.register(encoders.Impute)
@read_for.register(encoders.NullIf)
@read_for.register(encoders.Clip)
def _unchanged(step: Any, y: Floats) -> Floats:
    return y


@read_for.register
def _of_piecewise_linear(step: encoders.PiecewiseLinear, y: Floats) -> Floats:
    return np.interp(y, step.y, step.x) if all(np.diff(step.y) > 0) else np.empty(0)
