"""What each step of a scoring program computes, in NumPy: its definition, one function for each kind.

A step gets all rows at once and returns its new slots. Sums are added from left to right, because
floating-point addition in another order gives other digits.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from postgres_ml.program import encoders, scorers
from postgres_ml.program.characters import count_characters
from postgres_ml.program.program import Input
from postgres_ml.program.raw_values import (
    Floats,
    calendar_part,
    is_null,
    read_instants,
    read_numbers,
    seconds_since_epoch,
)
from postgres_ml.program.words import count_terms

Matrix = npt.NDArray[np.float64]


@dataclass
class Rows:
    """The rows on their way through the program.

    Parameters
    ----------
    slots : of shape (n_rows, n_slots); columns are filled in step by step
    refused : rows that a Category refused
    """

    inputs: tuple[Input, ...]
    columns: list[Sequence[Any]]
    slots: Matrix
    refused: npt.NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self.refused = np.zeros(len(self.slots), dtype=bool)


@functools.singledispatch
def apply_step(step: Any, rows: Rows) -> Any:
    """Return the step's new slots, of shape (n_rows,) or (n_rows, width)."""
    raise NotImplementedError(f"no interpretation of {type(step).__name__}")


@apply_step.register
def _number(step: encoders.Number, rows: Rows) -> Any:
    kind, values = rows.inputs[step.input].kind, rows.columns[step.input]
    if kind in ("number", "boolean"):
        return read_numbers(values)
    return seconds_since_epoch(read_instants(values, kind))


@apply_step.register
def _category(step: encoders.Category, rows: Rows) -> Any:
    kind, values = rows.inputs[step.input].kind, rows.columns[step.input]
    codes: dict[Any, float | None] = dict(zip(step.values, step.outputs, strict=True))
    keys = [None if is_null(v) else v if kind == "text" else float(v) for v in values]
    found = [step.missing if key is None else codes.get(key, step.unseen) for key in keys]
    rows.refused |= np.array([output is None for output in found], dtype=bool)
    return np.array([np.nan if output is None else output for output in found], dtype=np.float64)


@apply_step.register
def _date_part(step: encoders.DatePart, rows: Rows) -> Any:
    return calendar_part(read_instants(rows.columns[step.input], rows.inputs[step.input].kind), step.part)


@apply_step.register
def _words(step: encoders.Words, rows: Rows) -> Any:
    numbers = {term: number for number, term in enumerate(step.terms)}
    found = np.zeros((len(rows.slots), step.width))
    for row, text in enumerate(rows.columns[step.input]):
        if not is_null(text):
            for number, count in count_terms(text, numbers).items():
                found[row, number] = count * step.weights[number]
    if step.norm == "none":
        return found
    norm = np.sqrt(_sum_in_order(np.square(found)))
    return found / np.where(norm == 0, 1.0, norm)[:, None]


@apply_step.register
def _characters(step: encoders.Characters, rows: Rows) -> Any:
    found = np.zeros((len(rows.slots), step.width))
    is_padded = rows.inputs[step.input].sql_type == "character"
    for row, text in enumerate(rows.columns[step.input]):
        if not is_null(text):
            found[row] = count_characters(text.rstrip(" ") if is_padded else text, step.classes)
    return found


@apply_step.register
def _one_hot(step: encoders.OneHot, rows: Rows) -> Any:
    return rows.slots[:, [step.slot]] == np.array(step.codes)


@apply_step.register
def _impute(step: encoders.Impute, rows: Rows) -> Any:
    x = rows.slots[:, step.slot]
    return np.where(np.isnan(x), step.value, x)


@apply_step.register
def _null_if(step: encoders.NullIf, rows: Rows) -> Any:
    x = rows.slots[:, step.slot]
    return np.where(x == step.value, np.nan, x)


@apply_step.register
def _is_missing(step: encoders.IsMissing, rows: Rows) -> Any:
    return np.isnan(rows.slots[:, step.slot])


_OPERATORS: dict[str, Any] = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}


@apply_step.register
def _arithmetic(step: encoders.Arithmetic, rows: Rows) -> Any:
    return _OPERATORS[step.operator](rows.slots[:, step.slot], step.constant)


@apply_step.register
def _unary(step: encoders.Unary, rows: Rows) -> Any:
    x = rows.slots[:, step.slot]
    if step.function == "smooth_clip":
        # beyond 1e154 the square overflows; the limit is reached long before
        return np.where(np.abs(x) > 1e100, np.copysign(3.0, x), x / np.sqrt(1 + np.square(x / 3)))
    return getattr(np, step.function)(x)


@apply_step.register
def _clip(step: encoders.Clip, rows: Rows) -> Any:
    return np.clip(rows.slots[:, step.slot], step.low, step.high)


@apply_step.register
def _piecewise_linear(step: encoders.PiecewiseLinear, rows: Rows) -> Any:
    x = rows.slots[:, step.slot]
    return np.where(np.isnan(x), np.nan, np.interp(x, step.x, step.y))


@apply_step.register
def _bucket(step: encoders.Bucket, rows: Rows) -> Any:
    x = rows.slots[:, step.slot]
    return np.where(np.isnan(x), np.nan, np.searchsorted(step.edges, x, side="right"))


@apply_step.register
def _product(step: encoders.Product, rows: Rows) -> Any:
    result = rows.slots[:, step.slots[0]].copy()
    for slot in step.slots[1:]:
        result *= rows.slots[:, slot]
    return result


@apply_step.register
def _normalize(step: encoders.Normalize, rows: Rows) -> Any:
    x = rows.slots[:, step.slots]
    if step.norm == "max":
        norm = np.max(np.abs(x), axis=1)
    else:
        terms = np.abs(x) if step.norm == "l1" else np.square(x)
        norm = _sum_in_order(terms)
        norm = norm if step.norm == "l1" else np.sqrt(norm)
    return x / np.where(norm == 0, 1.0, norm)[:, None]


def _sum_in_order(terms: Matrix) -> Floats:
    """Return row sums added from left to right (numpy.sum adds pairwise)."""
    total = np.zeros(len(terms))
    for column in terms.T:
        total = total + column
    return total


@apply_step.register
def _tree_ensemble(step: scorers.TreeEnsemble, rows: Rows) -> Any:
    x: Any = rows.slots[:, step.slots]
    if step.split_dtype == "float32":
        x = x.astype(np.float32)
    scores = np.tile(np.array(step.base_scores, dtype=step.dtype), (len(x), 1))
    for tree in step.trees:
        leaves = leaf_index(step, tree, x)
        values = np.array([v or (np.nan,) * len(tree.outputs) for v in tree.leaf_value], dtype=step.dtype)
        for column, output in enumerate(tree.outputs):
            scores[:, output] += values[leaves, column]
    return scores if step.divisor == 1 else scores / np.dtype(step.dtype).type(step.divisor)


def leaf_index(step: scorers.TreeEnsemble, tree: scorers.Tree, x: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return the number of the leaf that each row reaches.

    Parameters
    ----------
    x : of shape (n_rows, len(step.slots)), in the ensemble's `split_dtype`
    """
    split_index, threshold = np.array(tree.split_index), np.array(tree.threshold)
    left, right = np.array(tree.left), np.array(tree.right)
    default_left = np.array(tree.default_left)
    compare = np.less if step.operator == "<" else np.less_equal
    node = np.zeros(len(x), dtype=np.int64)
    active = np.flatnonzero(split_index[node] >= 0)
    while len(active):
        at = node[active]
        value = x[active, split_index[at]]
        # float32 values compare as the doubles they are: thresholds of scikit-learn's trees are doubles
        goes_left = compare(value.astype(np.float64), threshold[at])
        asked = set(at.tolist()) if tree.categories else ()
        for number in (n for n in asked if tree.categories[n] is not None):
            here = at == number
            listed = np.isin(value[here], np.array(tree.categories[number], dtype=np.float64))
            goes_left[here] = listed == step.category_goes_left
        goes_left = np.where(np.isnan(value), default_left[at], goes_left)
        node[active] = np.where(goes_left, left[at], right[at])
        active = active[split_index[node[active]] >= 0]
    return node


@apply_step.register
def _linear(step: scorers.Linear, rows: Rows) -> Any:
    weights = np.array(step.weights, dtype=np.float64).reshape(step.width, len(step.slots))
    total = np.zeros((len(rows.slots), step.width))
    for column, slot in enumerate(step.slots):
        total = total + rows.slots[:, [slot]] * weights[:, column]
    return total + np.array(step.intercepts)


@apply_step.register
def _activation(step: scorers.Activation, rows: Rows) -> Any:
    x = rows.slots[:, step.slots]
    if step.function == "relu":
        return np.maximum(x, 0.0)
    if step.function == "tanh":
        return np.tanh(x)
    logistic = 1 / (np.exp(-x) + 1)
    # x * 0 at minus infinity would be NaN; the limit is 0
    return logistic if step.function == "logistic" else np.where(x == -np.inf, 0.0, x * logistic)


@apply_step.register
def _distances(step: scorers.Distances, rows: Rows) -> Any:
    x = rows.slots[:, step.slots]
    return np.column_stack([np.sqrt(_sum_in_order(np.square(x - np.array(c)))) for c in step.centers])


def _exp(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return exp in the array's dtype: computed in double precision, then rounded."""
    return np.exp(x.astype(np.float64)).astype(x.dtype)


@apply_step.register
def _link(step: scorers.Link, rows: Rows) -> Any:
    x: Any = rows.slots[:, step.slots].astype(step.dtype)
    if step.function == "logistic":
        return 1 / (_exp(-x) + x.dtype.type(1))
    if step.function == "exp":
        return _exp(x)
    if step.function == "softmax":
        terms = _exp(x - np.max(x, axis=1, keepdims=True))
        total = _sum_in_order(terms.astype(np.float64)).astype(x.dtype)
        return terms / total[:, None]
    total = _sum_in_order(x.astype(np.float64)).astype(x.dtype)[:, None]
    return np.where(total == 0, x.dtype.type(1 / len(step.slots)), x / np.where(total == 0, 1, total))


@apply_step.register
def _weighted_sum(step: scorers.WeightedSum, rows: Rows) -> Any:
    total = np.zeros((len(rows.slots), step.width))
    for group, weight in zip(step.groups, step.weights, strict=True):
        total = total + weight * rows.slots[:, group]
    return total


@apply_step.register
def _table_sum(step: scorers.TableSum, rows: Rows) -> Any:
    bins = [bins_of(edges, rows.slots[:, slot]) for slot, edges in zip(step.slots, step.edges, strict=True)]
    total = np.tile(np.array(step.intercepts, dtype=np.float64), (len(rows.slots), 1))
    for table in step.tables:
        cells = bins[table.axes[0]]
        if len(table.axes) == 2:
            cells = cells * step.n_bins(table.axes[1]) + bins[table.axes[1]]
        total = total + np.array(table.points)[:, cells].T
    return total


def bins_of(edges: Sequence[float], x: Floats) -> npt.NDArray[np.int64]:
    """Return each number's bin on an axis of a TableSum."""
    return np.where(np.isnan(x), len(edges) + 1, np.searchsorted(edges, x, side="right"))
