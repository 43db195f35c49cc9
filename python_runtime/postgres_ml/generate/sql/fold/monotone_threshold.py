"""Where a monotone function of one number crosses a split's threshold, exactly.

Libraries compare f(x) with a threshold: f rounds x to single precision, and may scale, clip or take
logarithms before. Every such f is monotone, so that the test is one comparison of x itself with a
constant. It is found by bisection over all doubles, with f evaluated by NumPy as the library does:
nothing is computed in SQL, nothing can overflow there, and rows beside the threshold go where the library
sends them.

Doubles are numbered by `key`: an int64 that grows with the double, -0.0 and 0.0 both being 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from postgres_ml.program import encoders

Floats = npt.NDArray[np.float64]
Keys = npt.NDArray[np.int64]
Operation = encoders.Arithmetic | encoders.Clip | encoders.Bucket | encoders.Unary

TOP = int(np.array(np.inf).view(np.int64))  # the key of +Infinity; -TOP is that of -Infinity
INCREASING_UNARY = frozenset({"cbrt", "exp", "expm1", "tanh"})
# Missing below this value; at it the logarithms are -Infinity.
DOMAIN_UNARY = {"log": 0.0, "log2": 0.0, "log10": 0.0, "sqrt": 0.0, "log1p": -1.0}

_OPERATORS: dict[str, Any] = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}


def keys_of(values: Floats) -> Keys:
    """Return the doubles' numbers, in an array of the same shape; NaN has none and must not be given."""
    bits = np.asarray(values, dtype=np.float64).view(np.int64)
    return np.where(bits >= 0, bits, -(bits & np.int64(2**63 - 1)))


def values_of(keys: Keys) -> Floats:
    """Return the doubles of these numbers, in an array of the same shape."""
    magnitude = np.abs(keys).view(np.float64)
    return np.where(keys < 0, -magnitude, magnitude)


def key_of(value: float) -> int:
    """Return the double's number."""
    return int(keys_of(np.array(value)))


def value_of(key: int) -> float:
    """Return the double of this number."""
    return float(values_of(np.array(key, dtype=np.int64)))


def evaluate(operations: tuple[Operation, ...], x: Floats) -> Floats:
    """Return the operations' result, of the shape of x, as the reference interpreter computes it."""
    with np.errstate(all="ignore"):
        for step in operations:
            if isinstance(step, encoders.Arithmetic):
                x = _OPERATORS[step.operator](x, step.constant)
            elif isinstance(step, encoders.Clip):
                x = np.clip(x, step.low, step.high)
            elif isinstance(step, encoders.Bucket):
                found = np.searchsorted(step.edges, x, side="right").astype(np.float64)
                x = np.where(np.isnan(x), np.nan, found)
            else:
                x = getattr(np, step.function)(x)
    return x


def direction(step: encoders.Encoder) -> int:
    """Return 1 or -1 for a step that is an increasing or decreasing function of every number, else 0."""
    if isinstance(step, encoders.Arithmetic):
        if step.operator in "+-":
            return 1
        return int(np.sign(step.constant))
    if isinstance(step, encoders.Unary):
        return -1 if step.function == "negative" else int(step.function in INCREASING_UNARY)
    return int(isinstance(step, encoders.Clip | encoders.Bucket))


def first_key(holds: Callable[[Floats], npt.NDArray[np.bool_]], n: int) -> Keys:
    """Return, for each of n predicates, the number of the least double for which it holds: of shape (n,).

    Parameters
    ----------
    holds : takes doubles of shape (n,), one for each predicate, and returns booleans of that shape; each
        predicate is false up to some double and true from there on. Where it never holds the result is
        TOP + 1
    """
    low, high = np.full(n, -TOP, dtype=np.int64), np.full(n, TOP + 1, dtype=np.int64)
    while np.any(low < high):
        middle = (low >> 1) + (high >> 1) + (low & high & 1)  # low + high and high - low would overflow
        held = holds(values_of(np.minimum(middle, TOP))) | (low >= high)
        high, low = np.where(held & (low < high), middle, high), np.where(held, low, middle + 1)
    return low


def crossings(
    operations: tuple[Operation, ...], thresholds: Floats, operator: str, split_dtype: str
) -> tuple[Keys, bool]:
    """Return where `f(x) <operator> threshold` changes, and whether it is true below that.

    Parameters
    ----------
    operations : f, monotone (see `direction`)
    thresholds : of shape (n_thresholds,)
    split_dtype : 'float32' rounds f(x) to single precision before it is compared

    Returns
    -------
    keys : of shape (n_thresholds,); x below the key is on one side, x from it on is on the other
    true_below : whether the comparison holds below the key (f increases) or from it on (f decreases)
    """
    increasing = int(np.prod([direction(step) for step in operations])) >= 0
    thresholds = np.asarray(thresholds, dtype=np.float64)

    def left(x: Floats) -> npt.NDArray[np.bool_]:
        value = evaluate(operations, x)
        if split_dtype == "float32":
            with np.errstate(all="ignore"):
                value = value.astype(np.float32).astype(np.float64)
        return value < thresholds if operator == "<" else value <= thresholds

    if increasing:
        return first_key(lambda x: ~left(x), len(thresholds)), True
    return first_key(left, len(thresholds)), False
