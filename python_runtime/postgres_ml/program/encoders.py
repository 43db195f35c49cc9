"""Steps that turn a row's inputs into numbers: reading, imputing, scaling, one-hot, projections.

Every step reads inputs or earlier slots and appends `width` new slots. A slot holds one IEEE 754 double;
NaN means missing (SQL NULL and NaN are the same thing from here on). Arithmetic is IEEE double arithmetic,
one operation after the other, never reassociated and never fused: that is what makes the interpreter, the
SQL and the native runtime agree to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from postgres_ml.program.reads import ReadsInput, ReadsSlot, ReadsSlots

Scalar = str | float | bool


@dataclass(frozen=True)
class Number(ReadsInput):
    """The input as a double: NULL and NaN become NaN, false and true become 0 and 1.

    Dates and timestamps are seconds since 1970-01-01 00:00 UTC in double precision, times are seconds
    since midnight. Infinite dates and timestamps are missing.
    """


@dataclass(frozen=True)
class Category(ReadsInput):
    """The output that belongs to the input's value, for text, boolean and number inputs.

    One-hot, ordinal and target encoding all begin here: the outputs are codes or encodings.

    Parameters
    ----------
    values : distinct values: str for text inputs, compared byte by byte; bool for boolean inputs; float
        for number inputs, compared as doubles
    outputs : one double for each value
    missing : output for NULL (and NaN); None refuses the row, its prediction is NULL
    unseen : output for a value that is not listed; None refuses the row
    """

    values: tuple[Scalar, ...]
    outputs: tuple[float, ...]
    missing: float | None
    unseen: float | None

    @property
    def may_refuse(self) -> bool:
        """Whether NULL or an unseen value refuses the row."""
        return self.missing is None or self.unseen is None


DatePartName = Literal[
    "year", "quarter", "month", "day", "weekday", "day_of_year", "hour", "minute", "second", "epoch"
]


@dataclass(frozen=True)
class DatePart(ReadsInput):
    """One calendar part of a date, time or timestamp input, in UTC; NaN for NULL and for infinite dates.

    Monday is weekday 0, 1 January is day_of_year 1. `second` is whole (0 to 59), `epoch` has the fraction:
    seconds since 1970-01-01 00:00 UTC (times: since midnight) to the microsecond, rounded once to double.
    A date has every part (its time is midnight); a time has hour, minute, second and epoch only.
    """

    part: DatePartName


@dataclass(frozen=True)
class Words(ReadsInput):
    """How often each term is in a text, weighted: one output slot for each term; zeros for NULL.

    A term's slot is its count times its weight, divided by the root of the sum of the squares of all of these
    products, in the order of `terms`, where `norm` is 'l2' and there are any. So scikit-learn's
    TfidfVectorizer has it.

    Parameters
    ----------
    terms : distinct; each a word, or two words with a blank in between, as `words.split_words` finds them
    weights : one for each term, between 1e-100 and 1e100
    """

    terms: tuple[str, ...]
    weights: tuple[float, ...]
    norm: Literal["l2", "none"]

    @property
    def width(self) -> int:
        """Number of slots."""
        return len(self.terms)


@dataclass(frozen=True)
class Characters(ReadsInput):
    """How many characters of each class are in a text: one output slot for each class; zeros for NULL.

    Blanks at the end of an input of type character do not count, as in SQL's own length.

    Parameters
    ----------
    classes : distinct; each a name of `characters.NAMED`, or a single character of ASCII but NUL
    """

    classes: tuple[str, ...]

    @property
    def width(self) -> int:
        """Number of slots."""
        return len(self.classes)


@dataclass(frozen=True)
class OneHot(ReadsSlot):
    """1.0 where the slot equals the code, else 0.0: one output slot for each code (NaN equals none)."""

    codes: tuple[float, ...]

    @property
    def width(self) -> int:
        """Number of slots."""
        return len(self.codes)


@dataclass(frozen=True)
class Impute(ReadsSlot):
    """The slot, or `value` where the slot is NaN."""

    value: float


@dataclass(frozen=True)
class NullIf(ReadsSlot):
    """NaN where the slot equals `value` (-0.0 equals 0.0), else the slot: SQL's nullif().

    For markers of missing values (SimpleImputer(missing_values=-1), xgboost's `missing`), and for matrices
    that a library saw as sparse, where xgboost takes an absent entry, a zero, for missing.
    """

    value: float


@dataclass(frozen=True)
class IsMissing(ReadsSlot):
    """1.0 where the slot is NaN, else 0.0."""


@dataclass(frozen=True)
class Arithmetic(ReadsSlot):
    """`slot <operator> constant` in double precision; NaN stays NaN, overflow gives an infinity."""

    operator: Literal["+", "-", "*", "/"]
    constant: float


UnaryName = Literal[
    "abs", "cbrt", "cos", "exp", "expm1", "log", "log1p", "log2", "log10", "negative", "sign", "sin", "sqrt",
    "square", "tanh", "smooth_clip",
]  # fmt: skip


@dataclass(frozen=True)
class Unary(ReadsSlot):
    """A function of one slot. Outside its domain: NaN or an infinity, as NumPy gives.

    `smooth_clip` is x / sqrt(1 + (x/3)^2) (Holzmüller et al. 2024, "Better by default", RealMLP).
    """

    function: UnaryName


@dataclass(frozen=True)
class Clip(ReadsSlot):
    """The slot limited to [low, high]; NaN stays NaN."""

    low: float
    high: float


@dataclass(frozen=True)
class PiecewiseLinear(ReadsSlot):
    """Linear interpolation through (x, y) as numpy.interp does it; constant outside; NaN stays NaN.

    `x` is strictly increasing and has at least two points. Where x[j] <= value < x[j + 1]:
    (y[j + 1] - y[j]) / (x[j + 1] - x[j]) * (value - x[j]) + y[j], the slope rounded first.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True)
class Bucket(ReadsSlot):
    """How many of the increasing edges are <= the slot (numpy.searchsorted, side 'right'); NaN stays NaN."""

    edges: tuple[float, ...]


@dataclass(frozen=True)
class Product(ReadsSlots):
    """The slots' product, multiplied from left to right (a slot may appear more than once)."""


@dataclass(frozen=True)
class Normalize(ReadsSlots):
    """The slots divided by their norm; unchanged where the norm is 0.

    l1 sums absolute values, l2 is the root of the sum of squares (both in slot order), max is the greatest
    absolute value.
    """

    norm: Literal["l1", "l2", "max"]

    @property
    def width(self) -> int:
        """Number of slots."""
        return len(self.slots)


Encoder = (
    Number
    | Category
    | DatePart
    | Words
    | Characters
    | OneHot
    | Impute
    | NullIf
    | IsMissing
    | Arithmetic
    | Unary
    | Clip
    | PiecewiseLinear
    | Bucket
    | Product
    | Normalize
)
