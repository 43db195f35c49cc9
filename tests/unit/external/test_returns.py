"""What `returns` makes of labels and numbers, and what it refuses before anything is published."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from postgres_ml.contract.exceptions import SpecError
from postgres_ml.external.returns import check_labels, check_number, check_range
from postgres_ml.serve.values import writer


@pytest.mark.parametrize(
    ("returns", "labels"),
    [
        ("integer", [0, 1]),
        ("integer", [0.0, 1.0]),
        ("integer", ["1", "2"]),
        ("smallint", [-32768, 32767]),
        ("bigint", [2**63 - 1]),
        ("boolean", [False, True]),
        ("boolean", [0, 1]),
        ("boolean", [0.0, 1.0]),
        ("boolean", ["no", "Yes"]),
        ("numeric", [0.5, Decimal("1.25")]),
        ("text", ["a", "b"]),
        ("text", [0, 1]),
        ("mood", ["sad", "ok"]),
    ],
)
def test_labels_that_have_a_value_of_the_type(returns: str, labels: list[Any]) -> None:
    check_labels(returns, labels)


@pytest.mark.parametrize(
    ("returns", "labels"),
    [
        ("integer", ["yes", "no"]),
        ("integer", [0.5, 1.0]),
        ("smallint", [32768]),
        ("bigint", [2**63]),
        ("boolean", [0, 1, 2]),
        ("boolean", ["a", "b"]),
        ("boolean", ["yes", "true"]),
        ("double precision", ["a"]),
        ("date", ["2024-01-01"]),
    ],
)
def test_labels_that_have_none(returns: str, labels: list[Any]) -> None:
    with pytest.raises(SpecError, match=f"returns: {returns} (is no type of|can't tell)"):
        check_labels(returns, labels)


def test_a_number_is_no_text() -> None:
    check_number("numeric")
    for returns in ("text", "boolean", "date"):
        with pytest.raises(SpecError, match="is no type of a number"):
            check_number(returns)


@pytest.mark.parametrize(
    ("returns", "fits", "is_beyond"),
    [
        ("smallint", 32767.4999, 32767.5),
        ("integer", -2147483648.5, -2147483648.51),
        ("bigint", 2.0**63 - 1024, 2.0**63),
        ("real", 3.4e38, 3.5e38),
    ],
)
def test_predictions_beyond_the_type_are_told_before(returns: str, fits: float, is_beyond: float) -> None:
    check_range(returns, [0.0, fits, float("nan")])
    check_range("double precision", [is_beyond])
    with pytest.raises(SpecError, match=f"returns: {returns} is too small for 1 of 2 predictions"):
        check_range(returns, [0.0, is_beyond])


@given(st.floats(), st.sampled_from(["smallint", "integer", "bigint"]))
def test_whole_numbers_are_rounded_half_to_even_or_null(value: float, sql_type: str) -> None:
    bits = {"smallint": 15, "integer": 31, "bigint": 63}[sql_type]
    rounded = np.rint(value)
    fits = np.isfinite(value) and -(2.0**bits) <= rounded < 2.0**bits
    assert writer(sql_type)(value) == (int(rounded) if fits else None)


@pytest.mark.parametrize(
    ("sql_type", "value", "written"),
    [
        ("integer", 2.5, 2),
        ("integer", 3.5, 4),
        ("integer", "7", 7),
        ("boolean", "no", False),
        ("boolean", "Yes", True),
        ("boolean", 1.0, True),
        ("real", 1e39, float("inf")),
        ("real", 1e-50, 0.0),
        ("numeric", float("inf"), None),
        ("numeric", 2.5, "2.5"),
    ],
)
def test_predictions_as_postgres_takes_them(sql_type: str, value: Any, written: Any) -> None:
    assert writer(sql_type)(value) == written
