from __future__ import annotations

import math
from typing import Any

import pytest
from postgres_ml.generate.sql.fold.slots import Categorical, Computed, Constant, Monotone, Slot, Source, fold
from postgres_ml.program import encoders
from postgres_ml.program.program import Input, Program, Value

NUMBER = Input("x", "double precision", "number")
TEXT = Input("t", "text", "text")
PADDED = Input("c", "character", "text")
FLAG = Input("b", "boolean", "boolean")
COLOURS = encoders.Category(1, ("red", "green"), (0.0, 1.0), 2.0, math.nan)


def _folded(*steps: Any) -> list[Slot]:
    return fold(Program((NUMBER, TEXT, PADDED, FLAG), steps, (), Value(0), "double precision"))


def test_one_hot_and_scaling_of_a_category_are_tables() -> None:
    slots = _folded(
        COLOURS,
        encoders.OneHot(0, (1.0, 2.0)),
        encoders.Arithmetic(1, "-", 0.25),
        encoders.Arithmetic(3, "/", 0.5),
    )
    assert slots[1] == Categorical(1, ("red", "green"), (0.0, 1.0), 0.0, 0.0)
    assert slots[4] == Categorical(1, ("red", "green"), (-0.5, 1.5), -0.5, -0.5)


def test_refused_categories_stay_refused() -> None:
    refusing = encoders.Category(1, ("red",), (1.0,), None, 0.0)
    assert _folded(refusing, encoders.Arithmetic(0, "+", 1.0))[1] == Categorical(
        1, ("red",), (2.0,), None, 1.0
    )


def test_imputed_and_scaled_numbers_keep_one_value_for_missing() -> None:
    scale = encoders.Arithmetic(1, "*", 3.0)
    slots = _folded(encoders.Number(0), encoders.Impute(0, 2.0), scale, encoders.IsMissing(2))
    assert slots[2] == Monotone(Source(0), (scale,), 6.0)
    assert slots[3] == Constant(0.0)


def test_missing_indicator_is_a_category() -> None:
    assert _folded(encoders.Number(0), encoders.IsMissing(0))[1] == Categorical(0, (), (), 1.0, 0.0)


def test_logarithm_makes_what_is_below_its_domain_missing() -> None:
    slot = _folded(encoders.Number(0), encoders.Arithmetic(0, "-", 3.0), encoders.Unary(1, "log"))[2]
    assert isinstance(slot, Monotone)
    assert slot.source == Source(0, lowest=3.0)
    imputed = _folded(encoders.Number(0), encoders.Impute(0, 5.0), encoders.Unary(1, "log1p"))[2]
    assert isinstance(imputed, Monotone)
    assert imputed.source == Source(0, fill=5.0, lowest=-1.0)


@pytest.mark.parametrize(
    "step",
    [
        encoders.Unary(0, "square"),
        encoders.Unary(0, "sin"),
        encoders.Arithmetic(0, "*", 0.0),  # infinity times zero is missing
        encoders.PiecewiseLinear(0, (0.0, 1.0), (0.0, 1.0)),
        encoders.Product((0, 0)),
    ],
    ids=str,
)
def test_what_is_not_monotone_is_computed(step: Any) -> None:
    assert _folded(encoders.Number(0), step)[1] == Computed(1, 1, 0)


def test_categories_that_no_text_equals_are_dropped() -> None:
    steps = (
        encoders.Category(1, ("a\0", "\ud800", "b"), (1.0, 2.0, 3.0), 0.0, 0.0),
        encoders.Category(2, ("b  ", "b"), (1.0, 1.0), 0.0, 0.0),  # char(n) is padded
    )
    first, second = _folded(*steps)
    assert first == Categorical(1, ("b",), (3.0,), 0.0, 0.0)
    assert second == Categorical(2, ("b",), (1.0,), 0.0, 0.0)


def test_a_boolean_is_a_category() -> None:
    slot = _folded(encoders.Number(3))[0]
    assert isinstance(slot, Categorical)
    assert (slot.values, slot.outputs) == ((False, True), (0.0, 1.0))
