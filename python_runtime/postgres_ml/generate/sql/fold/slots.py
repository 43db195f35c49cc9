"""What each slot is, before any SQL is written: the program run on symbols instead of numbers.

Most slots are a function of one argument, and much of the work can be done now instead of once a row:

* `Constant`: the same for every row;
* `Categorical`: one number for each of an argument's categories (one-hot, ordinal and target encoding,
  scaled or not, missing-value indicators, booleans);
* `Monotone`: an increasing or decreasing function of a number (scaling, clipping, logarithms), which a tree's
  split folds into its threshold (see `monotone_threshold`);
* `Computed`: anything else; SQL computes it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from postgres_ml.generate import literals
from postgres_ml.generate.sql.fold import monotone_threshold
from postgres_ml.program import encoders
from postgres_ml.program.program import Input, Program

NAN = math.nan


@dataclass(frozen=True)
class Constant:
    """The same number in every row; NaN is missing."""

    value: float


@dataclass(frozen=True)
class Categorical:
    """One number for each category of an input; NaN is missing, None refuses the row."""

    input: int
    values: tuple[encoders.Scalar, ...]
    outputs: tuple[float | None, ...]
    missing: float | None
    unseen: float | None

    @property
    def all_outputs(self) -> tuple[float | None, ...]:
        """The outputs: of each value, then of a missing one, then of an unseen one."""
        return (*self.outputs, self.missing, self.unseen)

    @property
    def key(self) -> CategoryKey:
        """What slots share that tell apart the same categories of the same input."""
        return CategoryKey(self.input, self.values)

    def map(self, function: Callable[[float], float]) -> Categorical:
        """Return the slot with the function applied to each number."""
        mapped = [None if output is None else function(output) for output in self.all_outputs]
        return replace(self, outputs=tuple(mapped[:-2]), missing=mapped[-2], unseen=mapped[-1])


@dataclass(frozen=True)
class CategoryKey:
    """The categories of an input that a code stands for: `values`, missing, unseen, in this order."""

    input: int
    values: tuple[encoders.Scalar, ...]


@dataclass(frozen=True)
class Source:
    """A number that splits compare: an argument, a calendar part of one, or a computed slot.

    Parameters
    ----------
    input : position of the argument; None for a computed slot
    part : calendar part; None for a number
    slot : the computed slot
    null_if : this value is missing
    fill : stands for a missing value
    lowest : what is less is missing (the domain of a logarithm)
    """

    input: int | None = None
    part: str | None = None
    slot: int | None = None
    null_if: float | None = None
    fill: float | None = None
    lowest: float | None = None

    @property
    def base(self) -> Source:
        """What is read from the row, before any value is changed."""
        return Source(self.input, self.part, self.slot)


@dataclass(frozen=True)
class Monotone:
    """Operations applied to a source, one after the other; `missing` where the source is missing."""

    source: Source
    operations: tuple[monotone_threshold.Operation, ...] = ()
    missing: float = NAN


@dataclass(frozen=True)
class Computed:
    """A slot that SQL computes: output `position` of step `step`."""

    slot: int
    step: int
    position: int


Slot = Constant | Categorical | Monotone | Computed


def fold(program: Program) -> list[Slot]:
    """Return what each slot of the program is."""
    slots: list[Slot] = []
    for number, step in enumerate(program.steps):
        folded = fold_step(step, slots, program.inputs)
        if folded is None:
            offset = len(slots)
            folded = [Computed(offset + position, number, position) for position in range(step.width)]
        slots.extend(folded)
    return slots


@functools.singledispatch
def fold_step(step: Any, slots: list[Slot], inputs: tuple[Input, ...]) -> list[Slot] | None:
    """Return the step's slots, or None when SQL has to compute them."""
    return None


@fold_step.register
def _number(step: encoders.Number, slots: list[Slot], inputs: tuple[Input, ...]) -> list[Slot]:
    kind = inputs[step.input].kind
    if kind == "boolean":
        return [Categorical(step.input, (False, True), (0.0, 1.0), NAN, NAN)]
    return [Monotone(Source(step.input, None if kind == "number" else "epoch"))]


@fold_step.register
def _date_part(step: encoders.DatePart, slots: list[Slot], inputs: tuple[Input, ...]) -> list[Slot]:
    return [Monotone(Source(step.input, step.part))]


@fold_step.register
def _words(step: encoders.Words, slots: list[Slot], inputs: tuple[Input, ...]) -> list[Slot] | None:
    return None  # the text is split once for all of its terms


@fold_step.register
def _characters(step: encoders.Characters, slots: list[Slot], inputs: tuple[Input, ...]) -> list[Slot] | None:
    return None


@fold_step.register
def _category(step: encoders.Category, slots: list[Slot], inputs: tuple[Input, ...]) -> list[Slot]:
    is_padded = inputs[step.input].sql_type == "character"
    outputs: dict[encoders.Scalar, float] = {}
    for value, output in zip(step.values, step.outputs, strict=True):
        if isinstance(value, str):
            if not literals.is_text(value):
                continue  # no value of the column can be equal to it
            value = value.rstrip(" ") if is_padded else value
        outputs.setdefault(value, output)
    return [Categorical(step.input, tuple(outputs), tuple(outputs.values()), step.missing, step.unseen)]


@fold_step.register
def _one_hot(step: encoders.OneHot, slots: list[Slot], inputs: tuple[Input, ...]) -> list[Slot] | None:
    slot = slots[step.slot]
    if isinstance(slot, Monotone) and slot.source == Source(slot.source.input) and not slot.operations:
        values = tuple(dict.fromkeys(step.codes))
        slot = Categorical(_input(slot.source), values, values, slot.missing, NAN)
    return _map_each(slot, [functools.partial(_indicator, code) for code in step.codes])


def _indicator(code: float, value: float) -> float:
    return float(value == code)


@fold_step.register
def _impute(step: encoders.Impute, slots: list[Slot], inputs: tuple[Input, ...]) -> list[Slot] | None:
    slot = slots[step.slot]
    if isinstance(slot, Monotone):
        return [replace(slot, missing=step.value) if math.isnan(slot.missing) else slot]
    return _map_each(slot, [lambda value: step.value if math.isnan(value) else value])


@fold_step.register
def _null_if(step: encoders.NullIf, slots: list[Slot], inputs: tuple[Input, ...]) -> list[Slot] | None:
    slot = slots[step.slot]
    if isinstance(slot, Monotone) and slot.source == slot.source.base and not slot.operations:
        if not math.isnan(slot.missing):
            return None
        return [Monotone(replace(slot.source, null_if=step.value))]
    return _map_each(slot, [lambda value: NAN if value == step.value else value])


@fold_step.register
def _is_missing(step: encoders.IsMissing, slots: list[Slot], inputs: tuple[Input, ...]) -> list[Slot] | None:
    slot = slots[step.slot]
    if isinstance(slot, Monotone):
        if not math.isnan(slot.missing):
            return [Constant(0.0)]
        if slot.source == Source(slot.source.input):
            return [Categorical(_input(slot.source), (), (), 1.0, 0.0)]
        return None
    return _map_each(slot, [lambda value: float(math.isnan(value))])


@fold_step.register(encoders.Arithmetic)
@fold_step.register(encoders.Clip)
@fold_step.register(encoders.Bucket)
@fold_step.register(encoders.Unary)
def _operation(
    step: monotone_threshold.Operation, slots: list[Slot], inputs: tuple[Input, ...]
) -> list[Slot] | None:
    slot = slots[step.slot]
    if not isinstance(slot, Monotone):
        return _map_each(slot, [functools.partial(_apply, step)])
    source = slot.source
    if isinstance(step, encoders.Unary) and step.function in monotone_threshold.DOMAIN_UNARY:
        restricted = _restrict(slot, monotone_threshold.DOMAIN_UNARY[step.function])
        if restricted is None:
            return None
        source = restricted
    elif monotone_threshold.direction(step) == 0:
        return None
    missing = slot.missing if source is slot.source else NAN
    return [Monotone(source, (*slot.operations, step), _apply(step, missing))]


def _apply(step: Any, value: float) -> float:
    if isinstance(step, encoders.Unary) and step.function == "smooth_clip":
        with np.errstate(all="ignore"):
            return (
                math.copysign(3.0, value)
                if abs(value) > 1e100
                else float(value / np.sqrt(1 + np.square(value / 3)))
            )
    return float(monotone_threshold.evaluate((step,), np.array(value)))


def _restrict(slot: Monotone, lowest: float) -> Source | None:
    """Return the source without what makes the slot less than `lowest`, if that can be said of the source."""
    source = slot.source
    if source != source.base or any(monotone_threshold.direction(step) != 1 for step in slot.operations):
        return None
    if not math.isnan(slot.missing):
        return None if slot.operations else replace(source, fill=slot.missing, lowest=lowest)
    keys, _ = monotone_threshold.crossings(slot.operations, np.array([lowest]), "<", "float64")
    return (
        None
        if keys[0] > monotone_threshold.TOP
        else replace(source, lowest=monotone_threshold.value_of(int(keys[0])))
    )


@fold_step.register
def _piecewise(
    step: encoders.PiecewiseLinear, slots: list[Slot], inputs: tuple[Input, ...]
) -> list[Slot] | None:
    return _map_each(
        slots[step.slot], [lambda v: NAN if math.isnan(v) else float(np.interp(v, step.x, step.y))]
    )


def _map_each(slot: Slot, functions: list[Callable[[float], float]]) -> list[Slot] | None:
    if isinstance(slot, Constant):
        return [Constant(function(slot.value)) for function in functions]
    if isinstance(slot, Categorical):
        return [slot.map(function) for function in functions]
    return None


def _input(source: Source) -> int:
    assert source.input is not None
    return source.input
