"""The rules that each kind of step and output keeps in its own fields.

Which inputs and slots they read is checked in `validate`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, get_args

from postgres_ml.program import encoders, scorers
from postgres_ml.program.characters import is_class
from postgres_ml.program.program import BinaryLabel, ClusterLabel, Label, MulticlassLabel, Value
from postgres_ml.program.require import InvalidProgramError, finite, require
from postgres_ml.program.tree_rules import check_trees
from postgres_ml.program.words import split_words

CALENDAR_KINDS = ("date", "time", "timestamp", "timestamptz")
TIME_PARTS = ("hour", "minute", "second", "epoch")
SCALAR_TYPE = {"text": str, "boolean": bool, "number": float}


def _increasing(values: Sequence[float], what: str) -> None:
    finite(values, what)
    require(all(a < b for a, b in pairwise(values)), f"{what} are not strictly increasing")


@functools.singledispatch
def check_input_kind(step: Any, kind: str) -> None:
    """Do nothing if the step can read an input of this kind.

    Raises
    ------
    InvalidProgramError
        It can't, or what it can read is unknown.
    """
    raise InvalidProgramError("it reads an input, and which kinds it reads is unknown")


@check_input_kind.register
def _check_kind_of_number(step: encoders.Number, kind: str) -> None:
    require(kind != "text", "a text input has no number")


@check_input_kind.register
def _check_kind_of_date_part(step: encoders.DatePart, kind: str) -> None:
    require(kind in CALENDAR_KINDS, f"input of kind {kind!r} has no calendar parts")
    require(kind != "time" or step.part in TIME_PARTS, f"a time has no {step.part}")


@check_input_kind.register
def _check_kind_of_category(step: encoders.Category, kind: str) -> None:
    require(kind in SCALAR_TYPE, f"categories of an input of kind {kind!r}")
    expected = SCALAR_TYPE[kind]
    for value in step.values:
        require(type(value) is expected, f"category {value!r} of a {kind} input is no {expected.__name__}")


@check_input_kind.register
def _check_kind_of_words(step: encoders.Words, kind: str) -> None:
    require(kind == "text", f"words of an input of kind {kind!r}")


@check_input_kind.register
def _check_kind_of_characters(step: encoders.Characters, kind: str) -> None:
    require(kind == "text", f"characters of an input of kind {kind!r}")


@functools.singledispatch
def check_step(step: Any) -> None:
    """Do nothing if the step's own fields keep the rules; which slots it reads is checked before.

    Raises
    ------
    InvalidProgramError
        The text names the rule.
    """
    raise InvalidProgramError("unknown kind of step")


@check_step.register(encoders.Number)
@check_step.register(encoders.IsMissing)
def _check_nothing(step: Any) -> None:
    pass


@check_step.register
def _check_category(step: encoders.Category) -> None:
    require(len(step.values) == len(step.outputs), f"{len(step.values)} values, {len(step.outputs)} outputs")
    require(len(set(step.values)) == len(step.values), "values are not distinct")
    finite([v for v in step.values if isinstance(v, float)], "values")
    outputs = [*step.outputs, *(v for v in (step.missing, step.unseen) if v is not None)]
    finite([v for v in outputs if not math.isnan(v)], "outputs")


@check_step.register
def _check_date_part(step: encoders.DatePart) -> None:
    require(step.part in get_args(encoders.DatePartName), f"unknown part {step.part!r}")


@check_step.register
def _check_words(step: encoders.Words) -> None:
    require(len(step.terms) == len(step.weights) > 0, f"{len(step.terms)} terms, {len(step.weights)} weights")
    require(len(set(step.terms)) == len(step.terms), "terms are not distinct")
    for term in step.terms:
        found = split_words(term)
        require(len(found) in (1, 2) and " ".join(found) == term, f"{term!r} is neither a word nor a pair")
    finite(step.weights, "weights")
    require(all(1e-100 <= weight <= 1e100 for weight in step.weights), "a weight is beyond its limits")
    require(step.norm in ("l2", "none"), f"unknown norm {step.norm!r}")


@check_step.register
def _check_characters(step: encoders.Characters) -> None:
    require(len(step.classes) > 0, "no classes")
    require(len(set(step.classes)) == len(step.classes), "classes are not distinct")
    for name in step.classes:
        require(is_class(name), f"unknown class of characters {name!r}")


@check_step.register
def _check_one_hot(step: encoders.OneHot) -> None:
    require(len(step.codes) > 0, "no codes")
    require(len(set(step.codes)) == len(step.codes), "codes are not distinct")
    finite(step.codes, "codes")


@check_step.register(encoders.Impute)
@check_step.register(encoders.NullIf)
def _check_value(step: encoders.Impute | encoders.NullIf) -> None:
    finite([step.value], "value")


@check_step.register
def _check_arithmetic(step: encoders.Arithmetic) -> None:
    require(step.operator in ("+", "-", "*", "/"), f"unknown operator {step.operator!r}")
    finite([step.constant], "constant")
    require(step.operator != "/" or step.constant != 0, "division by zero")


@check_step.register
def _check_unary(step: encoders.Unary) -> None:
    require(step.function in get_args(encoders.UnaryName), f"unknown function {step.function!r}")


@check_step.register
def _check_clip(step: encoders.Clip) -> None:
    finite([step.low, step.high], "limits")
    require(step.low <= step.high, f"low {step.low} is greater than high {step.high}")


@check_step.register
def _check_piecewise_linear(step: encoders.PiecewiseLinear) -> None:
    require(len(step.x) == len(step.y) >= 2, f"{len(step.x)} x, {len(step.y)} y; two or more are needed")
    _increasing(step.x, "x")
    finite(step.y, "y")


@check_step.register
def _check_bucket(step: encoders.Bucket) -> None:
    _increasing(step.edges, "edges")


@check_step.register
def _check_product(step: encoders.Product) -> None:
    require(len(step.slots) > 0, "no slots")


@check_step.register
def _check_normalize(step: encoders.Normalize) -> None:
    require(len(step.slots) > 0, "no slots")
    require(step.norm in ("l1", "l2", "max"), f"unknown norm {step.norm!r}")


@check_step.register
def _check_tree_ensemble(step: scorers.TreeEnsemble) -> None:
    require(step.operator in ("<", "<="), f"unknown operator {step.operator!r}")
    require({step.split_dtype, step.dtype} <= set(get_args(scorers.Dtype)), "unknown dtype")
    require(len(step.base_scores) > 0, "no outputs")
    finite(step.base_scores, "base_scores")
    finite([step.divisor], "divisor")
    require(step.divisor > 0, f"divisor {step.divisor}")
    check_trees(step)


@check_step.register
def _check_linear(step: scorers.Linear) -> None:
    require(len(step.weights) == len(step.intercepts) > 0, "weights and intercepts differ in length")
    require(all(len(row) == len(step.slots) for row in step.weights), "a row of weights has not one per slot")
    for row in (*step.weights, step.intercepts):
        finite(row, "weights and intercepts")


@check_step.register
def _check_activation(step: scorers.Activation) -> None:
    require(step.function in get_args(scorers.ActivationName), f"unknown function {step.function!r}")


@check_step.register
def _check_distances(step: scorers.Distances) -> None:
    require(len(step.centers) > 0, "no centres")
    require(all(len(center) == len(step.slots) for center in step.centers), "a centre has not one per slot")
    for center in step.centers:
        finite(center, "centers")


@check_step.register
def _check_link(step: scorers.Link) -> None:
    require(step.function in get_args(scorers.LinkName), f"unknown function {step.function!r}")
    require(step.dtype in get_args(scorers.Dtype), f"unknown dtype {step.dtype!r}")
    require(len(step.slots) > 0, "no slots")


@check_step.register
def _check_weighted_sum(step: scorers.WeightedSum) -> None:
    require(len(step.groups) == len(step.weights) > 0, "groups and weights differ in length")
    require(len({len(group) for group in step.groups}) == 1 and len(step.groups[0]) > 0, "uneven groups")
    finite(step.weights, "weights")


@check_step.register
def _check_table_sum(step: scorers.TableSum) -> None:
    require(len(step.edges) == len(step.slots), "edges and slots differ in length")
    require(len(step.intercepts) > 0, "no outputs")
    finite(step.intercepts, "intercepts")
    for edges in step.edges:
        _increasing(edges, "edges")
    for table in step.tables:
        require(len(table.axes) in (1, 2), f"a table of {len(table.axes)} axes")
        require(
            all(0 <= axis < len(step.slots) for axis in table.axes), "a table's axis is none of the step's"
        )
        require(len(table.points) == len(step.intercepts), "a table has not one list of points per output")
        for points in table.points:
            require(len(points) == step.n_cells(table), "a table has not one number per cell")
            finite(points, "points")


@functools.singledispatch
def check_output_form(output: Any) -> None:
    """Do nothing if the output's own fields keep the rules; which slots it reads is checked after.

    Raises
    ------
    InvalidProgramError
        The text names the rule.
    """
    raise InvalidProgramError(f"unknown kind of output {type(output).__name__}")


@check_output_form.register
def _check_value_output(output: Value) -> None:
    pass


@check_output_form.register
def _check_binary_label(output: BinaryLabel) -> None:
    _check_labels(output.labels)
    _check_probabilities(output)
    require(len(output.labels) == 2, f"{len(output.labels)} labels")
    require(output.operator in (">", ">="), f"unknown operator {output.operator!r}")
    finite([output.threshold], "threshold")


@check_output_form.register
def _check_multiclass_label(output: MulticlassLabel) -> None:
    _check_labels(output.labels)
    _check_probabilities(output)
    require(len(output.scores) == len(output.labels), "labels and scores differ in length")


@check_output_form.register
def _check_cluster_label(output: ClusterLabel) -> None:
    _check_labels(output.labels)
    require(len(output.distances) == len(output.labels), "labels and distances differ in length")
    require(len(output.scores) in (0, len(output.labels)), "labels and scores differ in length")


def _check_probabilities(output: BinaryLabel | MulticlassLabel) -> None:
    require(len(output.probabilities) in (0, len(output.labels)), "labels and probabilities differ in length")


def _check_labels(labels: tuple[Label, ...]) -> None:
    require(len(labels) > 0, "no labels")
    require(len({type(label) for label in labels}) == 1, "labels differ in type")
    require(type(labels[0]) in (str, int, float, bool), f"labels of type {type(labels[0]).__name__}")
    require(len(set(labels)) == len(labels), "labels are not distinct")
    finite([label for label in labels if isinstance(label, float)], "labels")
