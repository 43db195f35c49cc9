"""The rules that every scoring program keeps, checked once: code generators rely on them."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, get_args

from postgres_ml.contract.exceptions import PostgresMLError
from postgres_ml.program import encoders, scorers
from postgres_ml.program.program import (
    BinaryLabel,
    ClusterLabel,
    InputKind,
    Label,
    MulticlassLabel,
    Output,
    Program,
    Value,
)


class InvalidProgramError(PostgresMLError, ValueError):
    """A scoring program that breaks a rule of the intermediate representation."""


CALENDAR_KINDS = ("date", "time", "timestamp", "timestamptz")
TIME_PARTS = ("hour", "minute", "second", "epoch")
STEPS = (*get_args(encoders.Encoder), *get_args(scorers.Scorer))
SCALAR_TYPE = {"text": str, "boolean": bool, "number": float}


def check_program(program: Program) -> None:
    """Do nothing if the program keeps all rules.

    Raises
    ------
    InvalidProgramError
        The text names the step, its position and the rule.
    """
    names = [item.name for item in program.inputs]
    _require(len(set(names)) == len(names), "input names are not distinct")
    for item in program.inputs:
        _require(item.kind in get_args(InputKind), f"input {item.name}: unknown kind {item.kind!r}")
    n_slots = 0
    for position, step in enumerate(program.steps):
        try:
            _require(isinstance(step, STEPS), "unknown kind of step")
            _check_reads(step, program, n_slots)
            _check_step(step)
        except InvalidProgramError as error:
            raise InvalidProgramError(f"step {position} ({type(step).__name__}): {error}") from None
        n_slots += step.width
    for refusal in program.refusals:
        _check_slots([refusal.slot], n_slots, "refusal")
        limit = refusal.above
        _require(limit is None or (math.isfinite(limit) and limit > 0), f"refusal: limit {limit!r}")
    _check_output(program.output, n_slots)
    _require(bool(program.return_type), "the return type is empty")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InvalidProgramError(message)


def _check_slots(slots: Iterable[int], n_slots: int, what: str) -> None:
    for slot in slots:
        _require(
            type(slot) is int and 0 <= slot < n_slots, f"{what} reads slot {slot!r} of {n_slots} before it"
        )


def _finite(values: Iterable[float], what: str) -> None:
    for value in values:
        _require(isinstance(value, float) and math.isfinite(value), f"{what}: {value!r} is no finite float")


def _increasing(values: Sequence[float], what: str) -> None:
    _finite(values, what)
    _require(all(a < b for a, b in pairwise(values)), f"{what} are not strictly increasing")


def _check_reads(step: Any, program: Program, n_slots: int) -> None:
    if hasattr(step, "input"):
        _require(0 <= step.input < len(program.inputs), f"reads input {step.input} of {len(program.inputs)}")
        _check_input_kind(step, program.inputs[step.input].kind)
        return
    if isinstance(step, scorers.WeightedSum):
        slots = [slot for group in step.groups for slot in group]
    else:
        slots = [step.slot] if hasattr(step, "slot") else list(step.slots)
    _check_slots(slots, n_slots, "it")


def _check_input_kind(step: Any, kind: str) -> None:
    if isinstance(step, encoders.Number):
        _require(kind != "text", "a text input has no number")
    elif isinstance(step, encoders.DatePart):
        _require(kind in CALENDAR_KINDS, f"input of kind {kind!r} has no calendar parts")
        _require(kind != "time" or step.part in TIME_PARTS, f"a time has no {step.part}")
    else:
        _require(kind in SCALAR_TYPE, f"categories of an input of kind {kind!r}")
        expected = SCALAR_TYPE[kind]
        for value in step.values:
            _require(
                type(value) is expected, f"category {value!r} of a {kind} input is no {expected.__name__}"
            )


@functools.singledispatch
def _check_step(step: Any) -> None:
    raise InvalidProgramError("unknown kind of step")


@_check_step.register(encoders.Number)
@_check_step.register(encoders.IsMissing)
def _check_nothing(step: Any) -> None:
    pass


@_check_step.register
def _check_category(step: encoders.Category) -> None:
    _require(len(step.values) == len(step.outputs), f"{len(step.values)} values, {len(step.outputs)} outputs")
    _require(len(set(step.values)) == len(step.values), "values are not distinct")
    _finite([v for v in step.values if isinstance(v, float)], "values")
    outputs = [*step.outputs, *(v for v in (step.missing, step.unseen) if v is not None)]
    _finite([v for v in outputs if not math.isnan(v)], "outputs")


@_check_step.register
def _check_date_part(step: encoders.DatePart) -> None:
    _require(step.part in get_args(encoders.DatePartName), f"unknown part {step.part!r}")


@_check_step.register
def _check_one_hot(step: encoders.OneHot) -> None:
    _require(len(step.codes) > 0, "no codes")
    _require(len(set(step.codes)) == len(step.codes), "codes are not distinct")
    _finite(step.codes, "codes")


@_check_step.register(encoders.Impute)
@_check_step.register(encoders.NullIf)
def _check_value(step: encoders.Impute | encoders.NullIf) -> None:
    _finite([step.value], "value")


@_check_step.register
def _check_arithmetic(step: encoders.Arithmetic) -> None:
    _require(step.operator in ("+", "-", "*", "/"), f"unknown operator {step.operator!r}")
    _finite([step.constant], "constant")
    _require(step.operator != "/" or step.constant != 0, "division by zero")


@_check_step.register
def _check_unary(step: encoders.Unary) -> None:
    _require(step.function in get_args(encoders.UnaryName), f"unknown function {step.function!r}")


@_check_step.register
def _check_clip(step: encoders.Clip) -> None:
    _finite([step.low, step.high], "limits")
    _require(step.low <= step.high, f"low {step.low} is greater than high {step.high}")


@_check_step.register
def _check_piecewise_linear(step: encoders.PiecewiseLinear) -> None:
    _require(len(step.x) == len(step.y) >= 2, f"{len(step.x)} x, {len(step.y)} y; two or more are needed")
    _increasing(step.x, "x")
    _finite(step.y, "y")


@_check_step.register
def _check_bucket(step: encoders.Bucket) -> None:
    _increasing(step.edges, "edges")


@_check_step.register
def _check_product(step: encoders.Product) -> None:
    _require(len(step.slots) > 0, "no slots")


@_check_step.register
def _check_normalize(step: encoders.Normalize) -> None:
    _require(len(step.slots) > 0, "no slots")
    _require(step.norm in ("l1", "l2", "max"), f"unknown norm {step.norm!r}")


@_check_step.register
def _check_tree_ensemble(step: scorers.TreeEnsemble) -> None:
    _require(step.operator in ("<", "<="), f"unknown operator {step.operator!r}")
    _require({step.split_dtype, step.dtype} <= set(get_args(scorers.Dtype)), "unknown dtype")
    _require(len(step.base_scores) > 0, "no outputs")
    _finite(step.base_scores, "base_scores")
    _finite([step.divisor], "divisor")
    _require(step.divisor > 0, f"divisor {step.divisor}")
    for number, tree in enumerate(step.trees):
        try:
            _check_tree(tree, len(step.slots), step.width, step.operator)
        except InvalidProgramError as error:  # noqa: PERF203  (free in Python 3.11)
            raise InvalidProgramError(f"tree {number}: {error}") from None


def _check_tree(tree: scorers.Tree, n_slots: int, n_outputs: int, operator: str) -> None:
    n = tree.n_nodes
    arrays = (tree.threshold, tree.left, tree.right, tree.default_left, tree.leaf_value)
    _require(n > 0 and all(len(a) == n for a in arrays), "arrays are empty or differ in length")
    _require(len(tree.categories) in (0, n), "categories differ in length")
    _require(len(set(tree.outputs)) == len(tree.outputs) > 0, "outputs are empty or not distinct")
    _require(all(0 <= o < n_outputs for o in tree.outputs), f"outputs {tree.outputs} of {n_outputs}")
    categories = tree.categories or (None,) * n
    parents = [0] * n
    for node in range(n):
        if tree.split_index[node] == -1:
            _check_leaf(tree, node)
            continue
        _require(0 <= tree.split_index[node] < n_slots, f"node {node} splits on {tree.split_index[node]}")
        _require(tree.leaf_value[node] == (), f"node {node} is inner and has a leaf value")
        _check_split(tree.threshold[node], categories[node], operator, node)
        for child in (tree.left[node], tree.right[node]):
            _require(node < child < n, f"node {node} has child {child}; children follow parents")
            parents[child] += 1
    _require(parents[0] == 0 and all(count == 1 for count in parents[1:]), "a node has not one parent")


def _check_leaf(tree: scorers.Tree, node: int) -> None:
    _require(tree.left[node] == tree.right[node] == -1, f"leaf {node} has children")
    _require(len(tree.leaf_value[node]) == len(tree.outputs), f"leaf {node} has no value for each output")
    _finite(tree.leaf_value[node], f"leaf {node}")


def _check_split(threshold: float, codes: tuple[int, ...] | None, operator: str, node: int) -> None:
    if codes is not None:
        _require(math.isnan(threshold), f"node {node} is categorical and has a threshold")
        _require(all(type(c) is int and c >= 0 for c in codes), f"node {node} has codes {codes}")
        return
    everything_left = operator == "<=" and threshold == math.inf
    _require(math.isfinite(threshold) or everything_left, f"node {node} has threshold {threshold!r}")


@_check_step.register
def _check_linear(step: scorers.Linear) -> None:
    _require(len(step.weights) == len(step.intercepts) > 0, "weights and intercepts differ in length")
    _require(
        all(len(row) == len(step.slots) for row in step.weights), "a row of weights has not one per slot"
    )
    for row in (*step.weights, step.intercepts):
        _finite(row, "weights and intercepts")


@_check_step.register
def _check_activation(step: scorers.Activation) -> None:
    _require(step.function in get_args(scorers.ActivationName), f"unknown function {step.function!r}")


@_check_step.register
def _check_distances(step: scorers.Distances) -> None:
    _require(len(step.centers) > 0, "no centres")
    _require(all(len(center) == len(step.slots) for center in step.centers), "a centre has not one per slot")
    for center in step.centers:
        _finite(center, "centers")


@_check_step.register
def _check_link(step: scorers.Link) -> None:
    _require(step.function in get_args(scorers.LinkName), f"unknown function {step.function!r}")
    _require(step.dtype in get_args(scorers.Dtype), f"unknown dtype {step.dtype!r}")
    _require(len(step.slots) > 0, "no slots")


@_check_step.register
def _check_weighted_sum(step: scorers.WeightedSum) -> None:
    _require(len(step.groups) == len(step.weights) > 0, "groups and weights differ in length")
    _require(len({len(group) for group in step.groups}) == 1 and len(step.groups[0]) > 0, "uneven groups")
    _finite(step.weights, "weights")


def _check_output(output: Output, n_slots: int) -> None:
    if isinstance(output, Value):
        _check_slots([output.slot], n_slots, "the output")
        return
    _check_labels(output.labels)
    if isinstance(output, ClusterLabel):
        _check_slots(output.distances, n_slots, "the output")
        _require(len(output.distances) == len(output.labels), "labels and distances differ in length")
        return
    _check_slots(output.probabilities, n_slots, "the output")
    _require(
        len(output.probabilities) in (0, len(output.labels)), "labels and probabilities differ in length"
    )
    if isinstance(output, BinaryLabel):
        _check_slots([output.score], n_slots, "the output")
        _require(len(output.labels) == 2, f"{len(output.labels)} labels")
        _require(output.operator in (">", ">="), f"unknown operator {output.operator!r}")
        _finite([output.threshold], "threshold")
    elif isinstance(output, MulticlassLabel):
        _check_slots(output.scores, n_slots, "the output")
        _require(len(output.scores) == len(output.labels), "labels and scores differ in length")
    else:
        raise InvalidProgramError(f"unknown kind of output {type(output).__name__}")


def _check_labels(labels: tuple[Label, ...]) -> None:
    _require(len(labels) > 0, "no labels")
    _require(len({type(label) for label in labels}) == 1, "labels differ in type")
    _require(type(labels[0]) in (str, int, float, bool), f"labels of type {type(labels[0]).__name__}")
    _require(len(set(labels)) == len(labels), "labels are not distinct")
    _finite([label for label in labels if isinstance(label, float)], "labels")
