"""The scoring program under construction: steps, what is known of each slot, and which rows are refused.

Parsers walk a fitted pipeline with a `Matrix`, which describes the table that flows from step to step
without any data in it: for each column, the raw input or the slot that holds it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from postgres_ml.contract.exceptions import UnsupportedModelError
from postgres_ml.program.encoders import Category, Impute, Number, OneHot, Scalar
from postgres_ml.program.program import BinaryLabel, Input, Output, Program, Refusal, Step
from postgres_ml.program.scorers import Linear

MAX_FLOAT64 = float(np.finfo(np.float64).max)
MAX_FLOAT32 = 3.4028235677973362e38
"""The largest double that rounds to a finite single: half an ulp above the largest single, less one bit."""

INTEGER_LIMITS = {"smallint": 2.0**15, "integer": 2.0**31, "bigint": 2.0**63, "boolean": 1.0}


@dataclass(frozen=True)
class RawColumn:
    """A column of the frame from which nothing was computed yet, at most some values were replaced.

    Parameters
    ----------
    input : position in the program's inputs
    fill : what stands for NULL; None when NULL is still there
    null : which missing value NULL is to the pipeline, 'none' or 'nan'; '' is that of our own frames: None in
        text, NaN in numbers
    replaced : texts that an imputer takes for missing, and what it puts there
    categories : those that a booster has of a column of dtype category, in the order of their codes
    """

    input: int
    fill: Scalar | None = None
    null: Literal["", "none", "nan"] = ""
    replaced: tuple[tuple[str, str], ...] = ()
    categories: tuple[Scalar, ...] = ()


@dataclass(frozen=True)
class SlotColumn:
    """A column of numbers that a slot holds."""

    slot: int


Column = RawColumn | SlotColumn


@dataclass(frozen=True)
class Matrix:
    """The table between two steps of a pipeline.

    Parameters
    ----------
    names : of the columns, where the library knows them
    sparse : whether it is a SciPy sparse matrix, in which zeros are absent
    single : whether its dtype is float32
    """

    columns: tuple[Column, ...]
    names: tuple[str, ...] | None = None
    sparse: bool = False
    single: bool = False


@dataclass(frozen=True)
class Scores:
    """What a fitted estimator computes.

    Parameters
    ----------
    output : what `predict` returns
    decision : slots of `decision_function`, empty when the estimator has none
    at_threshold : the label rule `P(labels[1]) >= threshold`, exact in the library's own arithmetic
    rule : whether a row is an anomaly, beside a score as `output`; None where nothing says so
    """

    output: Output
    decision: tuple[int, ...] = ()
    at_threshold: Callable[[float], BinaryLabel] | None = None
    rule: BinaryLabel | None = None


@dataclass(frozen=True)
class Facts:
    """What is known of a slot in every row that is not refused.

    Parameters
    ----------
    missing : whether it may be NaN
    limit : no absolute value is greater; infinity when it may be infinite
    whole : whether it holds whole numbers (and NaN) only
    """

    missing: bool = True
    limit: float = np.inf
    whole: bool = False


Parser = Callable[[Any, Matrix, "Builder"], Any]


@dataclass
class Builder:
    """Collects the steps of one program.

    Parameters
    ----------
    inputs : the program's arguments
    parsers : by `type_name`, the parser of each supported class
    """

    inputs: tuple[Input, ...]
    parsers: Mapping[str, Parser]
    steps: list[Step] = field(default_factory=list)
    facts: list[Facts] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    _slot_of: dict[Step, int] = field(default_factory=dict)

    def parse(self, estimator: Any, matrix: Matrix) -> Any:
        """Return what the estimator's parser makes of the matrix: a Matrix or Scores.

        Raises
        ------
        UnsupportedModelError
            No parser is registered for the class, or its parser refuses an attribute.
        """
        parser = self.parsers.get(type_name(estimator))
        if parser is None:
            hint = "see docs/support.md for what can be, or use runtime: python"
            raise UnsupportedModelError(type(estimator).__name__, f"class {type_name(estimator)}", hint)
        return parser(estimator, matrix, self)

    def add(self, step: Step, facts: Facts | Sequence[Facts] = Facts()) -> int:
        """Append a step and return its first slot; the same step again returns the slot it has."""
        known = self._slot_of.get(step)
        if known is not None:
            return known
        slot = len(self.facts)
        self.steps.append(step)
        self.facts.extend([facts] * step.width if isinstance(facts, Facts) else facts)
        self._slot_of[step] = slot
        return slot

    def add_wide(self, step: Step, facts: Facts | Sequence[Facts] = Facts()) -> tuple[int, ...]:
        """Append a step and return all of its slots."""
        first = self.add(step, facts)
        return tuple(range(first, first + step.width))

    def step_of(self, slot: int) -> Step:
        """Return the step that made the slot."""
        return next(
            step for step in self.steps if self._slot_of[step] <= slot < self._slot_of[step] + step.width
        )

    def constant(self, value: float) -> int:
        """Return a slot that holds the value in every row."""
        return self.add(Linear((), ((),), (value,)), Facts(False, abs(value)))

    def number(self, column: Column) -> int:
        """Return the slot that holds the column as a number.

        Raises
        ------
        UnsupportedModelError
            The column is text or a date.
        """
        if isinstance(column, SlotColumn):
            return column.slot
        source = self.inputs[column.input]
        if column.categories:
            detail = f"the column {source.name!r} of dtype category, used as a number,"
            raise UnsupportedModelError("Pipeline", detail, "encode it with an OrdinalEncoder")
        if source.kind not in ("number", "boolean"):
            encoder = "an encoder" if source.kind == "text" else "a DateTimeVectorizer"
            detail = f"the {source.kind} column {source.name!r}, used as a number,"
            raise UnsupportedModelError("Pipeline", detail, f"put {encoder} before")
        limit = INTEGER_LIMITS.get(source.sql_type, np.inf)
        slot = self.add(Number(column.input), Facts(limit=limit, whole=source.kind == "boolean"))
        return slot if column.fill is None else self.impute(slot, float(column.fill))

    def impute(self, slot: int, value: float) -> int:
        """Return a slot with `value` where the slot is NaN."""
        known = self.facts[slot]
        if not known.missing:
            return slot
        facts = Facts(False, max(known.limit, abs(value)), known.whole and value.is_integer())
        return self.add(Impute(slot, value), facts)

    def numbers(self, matrix: Matrix) -> tuple[int, ...]:
        """Return the slots of all columns as numbers."""
        return tuple(self.number(column) for column in matrix.columns)

    def coded(self, matrix: Matrix, *, unseen: float | None) -> tuple[int, ...]:
        """Return the slots of all columns as a booster sees them: those of dtype category as their codes.

        Parameters
        ----------
        unseen : code of a category that the booster doesn't know; None refuses the row
        """
        slots = []
        for column in matrix.columns:
            if isinstance(column, RawColumn) and column.categories:
                codes = {value: float(code) for code, value in enumerate(column.categories)}
                plain = RawColumn(column.input)
                slots.append(self.lookup(plain, codes, np.nan, unseen))
            else:
                slots.append(self.number(column))
        return tuple(slots)

    def is_text(self, column: Column) -> bool:
        """Return whether the column is a text input."""
        return isinstance(column, RawColumn) and self.inputs[column.input].kind == "text"

    def null_is_nan(self, column: RawColumn) -> bool:
        """Return whether NULL in the column is NaN to the pipeline; else it is None."""
        return column.null == "nan" if column.null else not self.is_text(column)

    def check(self, matrix: Matrix, *, missing: bool = False, dtype: str = "float64") -> tuple[int, ...]:
        """Return the columns' slots after refusing what scikit-learn's check_array refuses.

        Parameters
        ----------
        missing : whether NaN is allowed
        dtype : the single precision of trees makes 1e39 an infinity
        """
        above = MAX_FLOAT64 if dtype == "float64" else MAX_FLOAT32
        slots = self.numbers(matrix)
        for slot in slots:
            self.refuse(slot, missing=not missing, above=above)
        return slots

    def refuse(self, slot: int, *, missing: bool, above: float | None) -> None:
        """Refuse rows in which the slot is NaN or too great, unless it is known that there are none."""
        known = self.facts[slot]
        missing = missing and known.missing
        above = above if above is not None and known.limit > above else None
        if missing or above is not None:
            self.refusals.append(Refusal(slot, missing, above))
            limit = known.limit if above is None else above
            self.facts[slot] = replace(known, missing=known.missing and not missing, limit=limit)

    def lookup(
        self, column: RawColumn, outputs: Mapping[Any, float], missing: float | None, unseen: float | None
    ) -> int:
        """Return a slot with the output of the input's value.

        Parameters
        ----------
        outputs : by value: str for text inputs, numbers for number and boolean inputs
        missing : output for NULL if the column was not imputed; None refuses the row
        unseen : output for other values; None refuses the row
        """
        kind = self.inputs[column.input].kind
        if column.fill is not None:
            missing = outputs.get(column.fill, unseen)
        outputs = _with_replaced(column, outputs, unseen)
        cast: type = {"text": str, "boolean": bool, "number": float}[kind]
        # a fill such as -1 is no boolean: it was looked up above, and no input equals it
        possible_values = [v for v in outputs if kind != "boolean" or v in (0, 1)]
        values = {cast(value): float(outputs[value]) for value in possible_values}
        possible = [*values.values(), *(output for output in (missing, unseen) if output is not None)]
        finite = [abs(output) for output in possible if output == output]
        whole = all(output.is_integer() for output in finite)
        facts = Facts(len(finite) < len(possible), max(finite, default=0.0), whole)
        return self.add(Category(column.input, tuple(values), tuple(values.values()), missing, unseen), facts)

    def one_hot(self, slot: int, codes: Sequence[float]) -> tuple[int, ...]:
        """Return slots that are 1 where the slot equals the code, else 0."""
        if not codes:
            return ()
        return self.add_wide(OneHot(slot, tuple(map(float, codes))), Facts(False, 1.0, True))

    def build(self, output: Output, return_type: str) -> Program:
        """Return the finished program without the steps that nothing needs."""
        program = Program(self.inputs, tuple(self.steps), tuple(self.refusals), output, return_type)
        return program.without_dead_steps()


def _with_replaced(
    column: RawColumn, outputs: Mapping[Any, float], unseen: float | None
) -> Mapping[Any, float]:
    """Return the outputs with those of texts that an imputer has replaced; what has none is unseen."""
    table = dict(outputs)
    for value, fill in column.replaced:
        output = outputs.get(fill, unseen)
        table.pop(value, None)
        if output is not None:
            table[value] = output
    return table


def type_name(estimator: Any) -> str:
    """Return library and class: 'sklearn.LogisticRegression'.

    The module in between is left out because it is private and moves between versions. Subclasses have
    names of their own, so one that overrides `predict` is not taken for its parent.
    """
    cls = type(estimator)
    return f"{cls.__module__.partition('.')[0]}.{cls.__qualname__}"


def unsupported(estimator: Any, detail: str, hint: str = "use runtime: python") -> UnsupportedModelError:
    """Return the error for an attribute or option that can't be compiled."""
    return UnsupportedModelError(type(estimator).__name__, detail, hint)


def several_classes(estimator: Any) -> tuple[Any, ...]:
    """Return a classifier's labels.

    Raises
    ------
    UnsupportedModelError
        It has learned one, so that there is nothing to tell apart.
    """
    labels = tuple(np.asarray(estimator.classes_).tolist())
    if len(labels) < 2:
        raise unsupported(estimator, "one class only", "fit it on rows of two classes or more")
    return labels


def require(estimator: Any, attribute: str, *allowed: Any, hint: str = "use runtime: python") -> None:
    """Do nothing if the estimator's attribute has one of the allowed values.

    Raises
    ------
    UnsupportedModelError
        Names the attribute and its value.
    """
    value = getattr(estimator, attribute)
    if not any(value is item or (type(value) is type(item) and value == item) for item in allowed):
        raise unsupported(estimator, f"{attribute}={value!r}", hint)


def floats(values: Any) -> tuple[float, ...]:
    """Return the items of an array of any shape, row by row, as a tuple of Python floats."""
    return tuple(np.asarray(values, dtype=np.float64).ravel().tolist())


def rows(values: Any) -> tuple[tuple[float, ...], ...]:
    """Return an array of shape (n_rows, n_columns) as a tuple of tuples of Python floats."""
    return tuple(map(tuple, np.asarray(values, dtype=np.float64).tolist()))
