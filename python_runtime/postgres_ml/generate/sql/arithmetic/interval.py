"""Numbers in SQL: expressions with bounds, and arithmetic that never raises.

Postgres's operators on doubles compute what IEEE 754 says, but raise an error where a result overflows to
infinity, where a product or quotient underflows to zero, and on a division by zero. Each expression here
carries bounds on its value. Where they prove that an operation can't raise, the plain operator is written;
where only a tiny operand could, a CASE takes care of it; elsewhere a helper function (`ieee754.BODY`)
computes the operation as IEEE 754 does. NaN is NULL.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from postgres_ml.generate import literals
from postgres_ml.generate.literals import DOUBLE
from postgres_ml.generate.sql.fold import monotone_threshold

LARGEST = 1.7976931348623157e308
SMALLEST = 5e-324
# A product or quotient whose exact magnitude is at least this doesn't underflow, whatever its rounding.
SAFE_TINY = 1e-300
MAX_COPIED = 90  # characters of an expression that may be written twice instead of being stored first


class NotInlinableError(Exception):
    """The expression needs variables, which a SQL function doesn't have."""


@dataclass(frozen=True)
class Value:
    """An expression of type double precision (or real).

    Parameters
    ----------
    sql : a constant in quotes, or text that may stand beside any operator
    low, high : bounds of every value that isn't missing
    tiny : least magnitude of a value that isn't zero
    nullable : whether it may be missing
    is_real : whether its type is real
    constant : the value when it is one
    """

    sql: str
    low: float = -math.inf
    high: float = math.inf
    tiny: float = SMALLEST
    nullable: bool = True
    is_real: bool = False
    constant: float | None = None

    @property
    def magnitude(self) -> float:
        """Upper bound of the absolute value."""
        return max(abs(self.low), abs(self.high))

    @property
    def is_short(self) -> bool:
        """Whether writing it twice costs little."""
        return self.constant is not None or self.sql.isalnum() or len(self.sql) <= 8


def constant(value: float) -> Value:
    """Return the constant; NaN is NULL."""
    if math.isnan(value):
        return Value(f"null::{DOUBLE}", 0.0, 0.0, LARGEST)
    return Value(literals.double(value), value, value, abs(value) or LARGEST, False, constant=value)


def typed(value: Value) -> str:
    """Return the expression with its type, also where nothing beside it has one."""
    return f"{value.sql}::{DOUBLE}" if value.constant is not None else value.sql


def as_double(value: Value) -> Value:
    """Return the value in double precision."""
    return replace(value, sql=f"{value.sql}::{DOUBLE}", is_real=False) if value.is_real else value


class Calculator:
    """Writes arithmetic on values; what needs a name is stored in variables by `statements`.

    Parameters
    ----------
    helpers : qualified names of the two functions that `ieee754` makes: one operation, and a sum of products
    has_variables : False in a SQL function, which is one expression
    prefix : of the variables' names

    Attributes
    ----------
    statements : what has to run before the values are read
    declarations : SQL type of each variable
    uses_helper, uses_dot : whether a helper function is called, and the one for sums of products
    """

    def __init__(self, helpers: tuple[str, str], has_variables: bool, prefix: str = "t") -> None:
        self.helper, self.helper_dot = helpers
        self.has_variables = has_variables
        self.prefix = prefix
        self.statements: list[str] = []
        self.declarations: dict[str, str] = {}
        self.uses_helper = self.uses_dot = False

    def declare(self, sql_type: str) -> str:
        """Return the name of a new variable."""
        if not self.has_variables:
            raise NotInlinableError
        name = f"{self.prefix}{len(self.declarations) + 1}"
        self.declarations[name] = sql_type
        return name

    def bind(self, value: Value) -> Value:
        """Return the value as something short: a constant, an argument or a variable."""
        if value.is_short:
            return value
        if not self.has_variables and len(value.sql) <= MAX_COPIED:
            return value
        return self.store(value)

    def store(self, value: Value) -> Value:
        """Return the value as a new variable."""
        name = self.declare("real" if value.is_real else DOUBLE)
        self.statements.append(f"{name} := {value.sql};")
        return replace(value, sql=name)

    def ieee(self, operator: str, a: Value, b: Value) -> Value:
        """Return a <operator> b by the helper function: any operands, any result."""
        self.uses_helper = True
        return Value(f"{self.helper}('{operator}',{a.sql},{b.sql})")

    def add(self, a: Value, b: Value) -> Value:
        """Return a + b."""
        return self.sum([a, b])

    def subtract(self, a: Value, b: Value) -> Value:
        """Return a - b."""
        if a.constant is not None and b.constant is not None:
            return _folded(np.subtract, a.constant, b.constant)
        low, high = a.low - b.high, a.high - b.low
        if not _is_bounded(low, high):
            return self.ieee("-", a, b)
        tiny = _lattice(a, b)
        return Value(f"({a.sql}-{b.sql})", low, high, tiny, a.nullable or b.nullable)

    def sum(self, terms: Sequence[Value]) -> Value:
        """Return the terms added from left to right."""
        low = high = 0.0
        lowest = highest = 0.0
        for term in terms:
            low, high = low + term.low, high + term.high
            lowest, highest = min(lowest, low), max(highest, high)
        if len(terms) == 1:
            return terms[0]
        tiny = _lattice(Value("", tiny=min(term.tiny for term in terms[:-1])), terms[-1])
        if all(term.constant is not None for term in terms):
            return constant(float(np.add.accumulate([term.low for term in terms])[-1]))
        if _is_bounded(lowest, highest):
            sql = "(" + "+".join(term.sql for term in self._typed_first(terms)) + ")"
            return Value(sql, low, high, tiny, any(term.nullable for term in terms))
        total = terms[0]
        for position, term in enumerate(terms[1:], 1):
            total = self.ieee("+", total, term)
            if position % 200 == 0:  # calls nested much deeper would exhaust the server's stack
                total = self.bind(total)
        return total

    def _typed_first(self, terms: Sequence[Value]) -> Sequence[Value]:
        """Make `'1'+'2'+x` a sum of doubles: two constants at the beginning would have no type."""
        if terms[0].constant is None:
            return terms
        return [replace(terms[0], sql=typed(terms[0])), *terms[1:]]

    def multiply(self, a: Value, b: Value) -> Value:
        """Return a * b."""
        if a.constant is not None and b.constant is not None:
            return _folded(np.multiply, a.constant, b.constant)
        if 1.0 in (a.constant, b.constant):
            return b if a.constant == 1.0 else a
        with np.errstate(all="ignore"):
            corners = [float(np.multiply(x, y)) for x in (a.low, a.high) for y in (b.low, b.high)]
            tiny = max(float(np.multiply(a.tiny, b.tiny)), SMALLEST)
        low, high = min(corners), max(corners)
        if not _is_bounded(low, high):
            return self.ieee("*", a, b)
        result = Value(f"({a.sql}*{b.sql})", low, high, tiny, a.nullable or b.nullable)
        if a.tiny >= 1 or b.tiny >= 1:  # not less than the other factor
            return replace(result, tiny=max(tiny, min(a.tiny, b.tiny)))
        return result if tiny >= SAFE_TINY else self._careful_product(a, b, result)

    def _careful_product(self, a: Value, b: Value, result: Value) -> Value:
        if b.constant is None and a.constant is not None:
            a, b = b, a
        if b.constant is not None:
            a = self.bind(a)
            vanishing = literals.double(_largest_vanishing_factor(abs(b.constant)))
            sql = f"case when {_abs(a)}<={vanishing} then '0' else {a.sql}*{b.sql} end"
            return replace(result, sql=f"({sql})")
        a, b = self.bind(a), self.bind(b)
        exact = self.ieee("*", a, b)
        large = " and ".join(f"{_abs(v)}>'1e-150'" for v in (a, b) if v.tiny < 1e-150)
        safe = f"{large} or {a.sql}='0' or {b.sql}='0'"
        return replace(result, sql=f"(case when {safe} then {a.sql}*{b.sql} else {exact.sql} end)")

    def divide(self, a: Value, b: Value) -> Value:
        """Return a / b."""
        if a.constant is not None and b.constant is not None:
            return _folded(np.divide, a.constant, b.constant)
        if b.constant == 1.0:
            return a
        nonzero = b.low > 0 or b.high < 0
        if not nonzero or not _is_bounded(a.low, a.high) or not _is_bounded(b.low, b.high):
            return self.ieee("/", a, b)
        least = min(abs(b.low), abs(b.high))
        with np.errstate(all="ignore"):
            corners = [float(np.divide(x, y)) for x in (a.low, a.high) for y in (b.low, b.high)]
        low, high = min(corners), max(corners)
        tiny = max(a.tiny / b.magnitude, SMALLEST)
        if not _is_bounded(low, high) or least < SAFE_TINY:
            return self._careful_quotient(a, b)
        result = Value(f"({a.sql}/{b.sql})", low, high, tiny, a.nullable or b.nullable)
        if b.magnitude <= 1:  # not less than the dividend
            return replace(result, tiny=max(tiny, a.tiny))
        if tiny >= SAFE_TINY:
            return result
        if b.constant is None:
            return self._careful_quotient(a, b)
        a = self.bind(a)
        vanishing = literals.double(_largest_vanishing_dividend(abs(b.constant)))
        return replace(result, sql=f"(case when {_abs(a)}<={vanishing} then '0' else {a.sql}/{b.sql} end)")

    def _careful_quotient(self, a: Value, b: Value) -> Value:
        """Return a / b where the bounds of b prove nothing but that it isn't zero."""
        a, b = self.bind(a), self.bind(b)
        exact = self.ieee("/", a, b)
        safe = " and ".join(f"{_abs(v)}>'1e-150' and {_abs(v)}<'1e150'" for v in (a, b) if v.constant is None)
        if a.constant is None and (b.low > 0 or b.high < 0):
            safe += f" or {a.sql}='0'"
        return Value(f"(case when {safe} then {a.sql}/{b.sql} else {exact.sql} end)")

    def square(self, a: Value) -> Value:
        """Return a * a."""
        if len(a.sql) > MAX_COPIED or a.tiny * a.tiny < SAFE_TINY or not _is_bounded(a.low, a.high):
            a = self.bind(a)
        product = self.multiply(a, a)
        return replace(product, low=0.0) if _is_bounded(product.low, product.high) else product


def _folded(function: np.ufunc, a: float, b: float) -> Value:
    with np.errstate(all="ignore"):
        return constant(float(function(a, b)))


def _abs(value: Value) -> str:
    return f"pg_catalog.abs({value.sql})"


def _is_bounded(low: float, high: float) -> bool:
    """Return whether every value between the bounds is finite (NaN bounds are none)."""
    return low >= -LARGEST and high <= LARGEST


def _lattice(a: Value, b: Value) -> float:
    """Return the least magnitude of a sum that isn't zero.

    All terms are multiples of one ulp of the least magnitude among them, at least 2^-53 of it; so are their
    sums, rounded or not. A constant c, cancelled by a number near it, leaves at least 2^-54 c.
    """
    if a.constant or b.constant:
        c = abs(a.constant or b.constant or 0.0)
        return max(c * 2.0**-54, SMALLEST)
    return max(min(a.tiny, b.tiny) * 2.0**-53, SMALLEST)


def _largest_vanishing_factor(factor: float) -> float:
    """Return the largest x for which x * factor is zero in double precision."""
    return _last_before(lambda x: x * factor != 0.0)


def _largest_vanishing_dividend(divisor: float) -> float:
    """Return the largest x for which x / divisor is zero in double precision."""
    return _last_before(lambda x: x / divisor != 0.0)


def _last_before(holds: Callable[[monotone_threshold.Floats], npt.NDArray[np.bool_]]) -> float:
    with np.errstate(all="ignore"):
        keys = monotone_threshold.first_key(lambda x: (x > 0) & holds(x), 1)
    return monotone_threshold.value_of(int(keys[0]) - 1)
