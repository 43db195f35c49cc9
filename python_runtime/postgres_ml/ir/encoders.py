"""Steps that turn a row's inputs into numbers: reading, imputing, scaling, one-hot, projections.

Every step reads inputs or earlier slots and appends `width` new slots. A slot holds one IEEE 754 double;
NaN means missing (SQL NULL and NaN are the same thing from here on). Arithmetic is IEEE double arithmetic,
one operation after the other, never reassociated and never fused: that is what makes the interpreter, the
SQL and the native runtime agree to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Scalar = str | float | bool


@dataclass(frozen=True)
class Number:
    """The input as a double: NULL and NaN become NaN, false and true become 0 and 1.

    Dates and timestamps are seconds since 1970-01-01 00:00 UTC in double precision, times are seconds
    since midnight.
    """

    input: int

    @property
    def width(self) -> int:
        return 1


@dataclass(frozen=True)
class Category:
    """The output that belongs to the input's value, for text, boolean and number inputs.

    One-hot, ordinal and target encoding all begin here: the outputs are codes or encodings.

    Parameters
    ----------
    values : distinct values; text is compared byte by byte, numbers as doubles
    outputs : one double for each value
    missing : output for NULL (and NaN); None refuses the row, its prediction is NULL
    unseen : output for a value that is not listed; None refuses the row
    """

    input: int
    values: tuple[Scalar, ...]
    outputs: tuple[float, ...]
    missing: float | None
    unseen: float | None

    @property
    def width(self) -> int:
        return 1


DatePartName = Literal[
    "year", "quarter", "month", "day", "weekday", "day_of_year", "hour", "minute", "second", "epoch"
]


@dataclass(frozen=True)
class DatePart:
    """One calendar part of a date, time or timestamp input; NaN for NULL. Monday is weekday 0."""

    input: int
    part: DatePartName

    @property
    def width(self) -> int:
        return 1


@dataclass(frozen=True)
class OneHot:
    """1.0 where the slot equals the code, else 0.0: one output slot for each code (NaN equals none)."""

    slot: int
    codes: tuple[float, ...]

    @property
    def width(self) -> int:
        return len(self.codes)


@dataclass(frozen=True)
class Impute:
    """The slot, or `value` where the slot is NaN."""

    slot: int
    value: float

    @property
    def width(self) -> int:
        return 1


@dataclass(frozen=True)
class IsMissing:
    """1.0 where the slot is NaN, else 0.0."""

    slot: int

    @property
    def width(self) -> int:
        return 1


@dataclass(frozen=True)
class Arithmetic:
    """`slot <operator> constant` in double precision; NaN stays NaN, overflow gives an infinity."""

    slot: int
    operator: Literal["+", "-", "*", "/"]
    constant: float

    @property
    def width(self) -> int:
        return 1


UnaryName = Literal[
    "abs", "cbrt", "cos", "exp", "expm1", "log", "log1p", "log2", "log10", "negative", "sign", "sin", "sqrt",
    "square", "tanh", "smooth_clip",
]  # fmt: skip


@dataclass(frozen=True)
class Unary:
    """A function of one slot. Outside its domain: NaN or an infinity, as NumPy gives.

    `smooth_clip` is x / sqrt(1 + (x/3)^2) (Holzmüller et al. 2024, "Better by default", RealMLP).
    """

    slot: int
    function: UnaryName

    @property
    def width(self) -> int:
        return 1


@dataclass(frozen=True)
class Clip:
    """The slot limited to [low, high]; NaN stays NaN."""

    slot: int
    low: float
    high: float

    @property
    def width(self) -> int:
        return 1


@dataclass(frozen=True)
class PiecewiseLinear:
    """Linear interpolation through (x, y) as numpy.interp does it; constant outside; NaN stays NaN.

    `x` is strictly increasing and has at least two points.
    """

    slot: int
    x: tuple[float, ...]
    y: tuple[float, ...]

    @property
    def width(self) -> int:
        return 1


@dataclass(frozen=True)
class Bucket:
    """How many of the increasing edges are <= the slot (numpy.searchsorted, side 'right'); NaN stays NaN."""

    slot: int
    edges: tuple[float, ...]

    @property
    def width(self) -> int:
        return 1


@dataclass(frozen=True)
class Product:
    """The slots' product, multiplied from left to right (a slot may appear more than once)."""

    slots: tuple[int, ...]

    @property
    def width(self) -> int:
        return 1


@dataclass(frozen=True)
class Normalize:
    """The slots divided by their norm; unchanged where the norm is 0."""

    slots: tuple[int, ...]
    norm: Literal["l1", "l2", "max"]

    @property
    def width(self) -> int:
        return len(self.slots)


Encoder = (
    Number
    | Category
    | DatePart
    | OneHot
    | Impute
    | IsMissing
    | Arithmetic
    | Unary
    | Clip
    | PiecewiseLinear
    | Bucket
    | Product
    | Normalize
)
