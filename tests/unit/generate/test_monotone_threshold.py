from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from postgres_ml.generate.sql.fold import monotone_threshold
from postgres_ml.program.encoders import Arithmetic, Bucket, Clip, Unary

finite = st.floats(allow_nan=False, allow_infinity=False)
SCALE = (Arithmetic(0, "-", 0.3), Arithmetic(0, "/", 7.1))
CHAINS = (
    (),
    SCALE,
    (Arithmetic(0, "*", -0.37),),
    (Arithmetic(0, "*", 1e300),),
    (*SCALE, Clip(0, -1.0, 1.0)),
    (Bucket(0, (-1.0, 0.0, 2.5)),),
    (Unary(0, "log1p"),),
    (Unary(0, "negative"), Unary(0, "expm1")),
)


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False), min_size=2))
def test_keys_number_doubles_in_their_order(values: list[float]) -> None:
    ordered = np.sort(np.array(values))
    keys = monotone_threshold.keys_of(ordered)
    assert np.array_equal(monotone_threshold.values_of(keys), ordered)
    assert np.array_equal(keys[1:] > keys[:-1], ordered[1:] > ordered[:-1])


def test_both_zeros_are_number_zero() -> None:
    assert monotone_threshold.key_of(-0.0) == monotone_threshold.key_of(0.0) == 0
    assert monotone_threshold.value_of(1) == 5e-324


@pytest.mark.parametrize("operations", CHAINS, ids=str)
@pytest.mark.parametrize("operator", ["<", "<="])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@settings(max_examples=25, deadline=None)
@given(threshold=st.one_of(finite, st.sampled_from([0.0, 0.1, -1.0, 1e300, 5e-324])))
def test_comparison_changes_at_the_crossing(
    operations: tuple[monotone_threshold.Operation, ...], operator: str, dtype: str, threshold: float
) -> None:
    if dtype == "float32":
        with np.errstate(over="ignore"):
            threshold = float(np.float32(threshold))
    keys, true_below = monotone_threshold.crossings(operations, np.array([threshold]), operator, dtype)
    key = int(keys[0])
    for neighbour in (key - 2, key - 1, key, key + 1):
        if abs(neighbour) <= monotone_threshold.TOP:
            expected = (neighbour < key) == true_below
            assert (
                _holds(operations, monotone_threshold.value_of(neighbour), threshold, operator, dtype)
                == expected
            )


def _holds(
    operations: tuple[monotone_threshold.Operation, ...],
    x: float,
    threshold: float,
    operator: str,
    dtype: str,
) -> bool:
    with np.errstate(all="ignore"):
        value = monotone_threshold.evaluate(operations, np.array(x))
        value = value.astype(np.float32) if dtype == "float32" else value
    return bool(value < threshold if operator == "<" else value <= threshold)


def test_a_threshold_between_singles_is_their_midpoint_for_doubles() -> None:
    threshold = np.float32(0.1)
    keys, _ = monotone_threshold.crossings((), np.array([float(threshold)]), "<", "float32")
    below = np.nextafter(threshold, np.float32(-1))
    assert np.float32(monotone_threshold.value_of(int(keys[0]))) == threshold
    assert np.float32(monotone_threshold.value_of(int(keys[0]) - 1)) == below


def test_infinite_threshold_sends_every_number_left() -> None:
    keys, _ = monotone_threshold.crossings((), np.array([np.inf]), "<=", "float32")
    assert keys[0] == monotone_threshold.TOP + 1
