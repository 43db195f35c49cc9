"""The reference interpreter against values worked out by hand, or NumPy's and SciPy's own functions."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from postgres_ml.program import encoders as e
from postgres_ml.program import scorers as m
from postgres_ml.program.interpret import predict, predict_probabilities, slots
from postgres_ml.program.program import (
    BinaryLabel,
    ClusterLabel,
    Input,
    InputKind,
    MulticlassLabel,
    Program,
    Refusal,
    Step,
    Value,
)
from programs import NAN, three_nodes, tree_program

INF = math.inf


def run(values: list[Any], *steps: Step, kind: InputKind = "number") -> list[list[float]]:
    """Return the last step's slots, row by row."""
    program = Program((Input("x", "any", kind),), steps, (), Value(0), "double precision")
    return slots(program, {"x": values})[:, -steps[-1].width :].tolist()


def column(values: list[Any], *steps: Step, kind: InputKind = "number") -> list[float]:
    return [row[0] for row in run(values, *steps, kind=kind)]


def same(ours: list[float], theirs: list[float]) -> bool:
    return np.array_equal(ours, theirs, equal_nan=True)


@pytest.mark.parametrize(
    ("operator", "split_dtype", "x", "leaf"),
    [
        # the nearest single to 3.19 is 3.19000006: beside it, single precision and doubles part
        ("<", "float32", 3.19, 2.0),
        ("<", "float64", 3.19, 1.0),
        ("<=", "float32", 3.19, 1.0),
        ("<", "float32", 3.1899998, 1.0),
        ("<", "float64", 3.190000057220459, 2.0),
        ("<=", "float64", 3.190000057220459, 1.0),
        ("<", "float32", INF, 2.0),
        ("<", "float32", -INF, 1.0),
        ("<", "float32", 1e308, 2.0),
        ("<", "float32", None, 1.0),
        ("<", "float32", NAN, 1.0),
    ],
)
def test_split(operator: Any, split_dtype: Any, x: Any, leaf: float) -> None:
    tree = three_nodes(float(np.float32(3.19)))
    assert predict(tree_program(tree, operator=operator, split_dtype=split_dtype), {"x": [x]}) == [leaf]


def test_missing_goes_the_default_way() -> None:
    assert predict(tree_program(three_nodes(default_left=False)), {"x": [None, 0.0]}) == [2.0, 1.0]


def test_zeros_of_both_signs_are_equal() -> None:
    program = tree_program(three_nodes(0.0), operator="<")
    assert predict(program, {"x": [-0.0, 0.0, -5e-324]}) == [2.0, 2.0, 2.0]
    exact = tree_program(three_nodes(0.0), operator="<", split_dtype="float64")
    assert predict(exact, {"x": [-0.0, 0.0, -5e-324]}) == [2.0, 2.0, 1.0]


def test_infinite_threshold_splits_numbers_from_missing() -> None:
    program = tree_program(three_nodes(INF, default_left=False), operator="<=", split_dtype="float64")
    assert predict(program, {"x": [INF, -INF, 0.0, None]}) == [1.0, 1.0, 1.0, 2.0]


@pytest.mark.parametrize(("goes_left", "leaves"), [(True, [1.0, 2.0, 1.0]), (False, [2.0, 1.0, 1.0])])
def test_categorical_split(goes_left: bool, leaves: list[float]) -> None:
    tree = three_nodes(NAN, categories=((0, 3), None, None))
    program = tree_program(tree, category_goes_left=goes_left)
    assert predict(program, {"x": [3.0, 1.0, None]}) == leaves


def test_trees_are_added_in_order_and_rounded_each_time() -> None:
    big, small = (three_nodes(leaf_value=((), (v,), (v,))) for v in (16777216.0, 1.0))
    program = tree_program(trees=(big, small, small))
    assert predict(program, {"x": [0.0]}) == [16777216.0]
    assert predict(tree_program(trees=(small, small, big)), {"x": [0.0]}) == [16777218.0]
    assert predict(tree_program(trees=(big, small, small), dtype="float64"), {"x": [0.0]}) == [16777218.0]


def test_divisor_and_several_outputs() -> None:
    both = three_nodes(leaf_value=((), (1.0, 0.0), (0.25, 0.75)), outputs=(0, 1))
    second = three_nodes(leaf_value=((), (3.0,), (5.0,)), outputs=(1,))
    program = tree_program(trees=(both, second), base_scores=(0.5, 0.0), divisor=2.0, dtype="float64")
    assert slots(program, {"x": [0.0, 1.0]})[:, 1:].tolist() == [[0.75, 1.5], [0.375, 2.875]]


def test_number_reads_what_a_database_gives() -> None:
    values = [1, True, Decimal("1.5"), None, NAN, np.float32(0.1), pd.NA, pd.NaT]
    assert same(column(values, e.Number(0)), [1, 1, 1.5, NAN, NAN, float(np.float32(0.1)), NAN, NAN])


@pytest.mark.parametrize(
    ("kind", "value", "seconds"),
    [
        ("date", datetime.date(1970, 1, 2), 86400.0),
        ("date", datetime.date(1, 1, 1), -62135596800.0),
        ("timestamp", datetime.datetime(1969, 12, 31, 23, 59, 59, 250000), -0.75),
        ("timestamptz", datetime.datetime(1970, 1, 1, 1, tzinfo=datetime.timezone.utc), 3600.0),
        ("timestamp", np.datetime64("1970-01-01T00:00:01.5"), 1.5),
        ("timestamp", "1970-01-01T00:01:00", 60.0),
        ("time", datetime.time(0, 1, 0, 500000), 60.5),
        ("timestamp", pd.NaT, NAN),
        ("date", None, NAN),
    ],
)
def test_number_of_an_instant(kind: InputKind, value: Any, seconds: float) -> None:
    assert same(column([value], e.Number(0), kind=kind), [seconds])


def test_date_parts() -> None:
    instants = [
        datetime.datetime(2024, 2, 29, 13, 45, 59, 999999),
        datetime.datetime(1969, 12, 31, 23, 59, 59),
        None,
    ]
    found = {
        part: column(instants, e.DatePart(0, part), kind="timestamp")
        for part in ("year", "quarter", "month", "day", "weekday", "day_of_year", "hour", "minute", "second")
    }
    for position, instant in enumerate(instants[:2]):
        assert isinstance(instant, datetime.datetime)
        parts = {name: values[position] for name, values in found.items()}
        assert parts == {
            "year": instant.year,
            "quarter": (instant.month + 2) // 3,
            "month": instant.month,
            "day": instant.day,
            "weekday": instant.weekday(),
            "day_of_year": instant.timetuple().tm_yday,
            "hour": instant.hour,
            "minute": instant.minute,
            "second": instant.second,
        }
    assert all(math.isnan(values[2]) for values in found.values())


def test_category() -> None:
    step = e.Category(0, ("a", "é", ""), (0.0, 1.0, 2.0), missing=7.0, unseen=NAN)
    values = ["é", "e\u0301", "", None, "a ", NAN]
    assert same(column(values, step, kind="text"), [1.0, NAN, 2.0, 7.0, NAN, 7.0])
    flags = e.Category(0, (True, False), (5.0, 6.0), missing=0.0, unseen=9.0)
    assert column([True, False, None], flags, kind="boolean") == [5.0, 6.0, 0.0]
    assert column([1.0, 0.0], flags, kind="boolean") == [5.0, 6.0]
    numbers = e.Category(0, (0.0, 0.1), (5.0, 6.0), missing=1.0, unseen=9.0)
    assert column([-0.0, 0.1, np.nextafter(0.1, 1), 3, None], numbers) == [5.0, 6.0, 9.0, 9.0, 1.0]


def test_category_refuses() -> None:
    step = e.Category(0, ("a",), (3.0,), missing=None, unseen=None)
    program = Program((Input("x", "text", "text"),), (step,), (), Value(0), "double precision")
    assert predict(program, {"x": ["a", "b", None]}) == [3.0, None, None]


def test_encoders_of_one_slot() -> None:
    x = e.Number(0)
    values = [None, -0.0, 2.0, INF]
    assert run(values, x, e.OneHot(0, (0.0, 2.0))) == [[0, 0], [1, 0], [0, 1], [0, 0]]
    assert column(values, x, e.Impute(0, 9.0)) == [9.0, -0.0, 2.0, INF]
    assert same(column(values, x, e.NullIf(0, 0.0)), [NAN, NAN, 2.0, INF])
    assert column(values, x, e.IsMissing(0)) == [1.0, 0.0, 0.0, 0.0]
    assert same(column(values, x, e.Clip(0, -1.0, 1.0)), [NAN, -0.0, 1.0, 1.0])
    assert same(column(values, x, e.Bucket(0, (0.0, 2.0))), [NAN, 1.0, 2.0, 2.0])
    assert same(column(values, x, e.Arithmetic(0, "/", 2.0)), [NAN, -0.0, 1.0, INF])
    assert same(column([1e308, 0.1], x, e.Arithmetic(0, "*", 10.0)), [INF, 1.0])


def test_unary_is_numpys() -> None:
    values = [-2.0, -0.0, 0.5, INF, None]
    raw = np.array([NAN if v is None else v for v in values])
    for name in ("abs", "cbrt", "cos", "exp", "expm1", "log", "log1p", "log2", "log10", "negative", "sign",
                 "sin", "sqrt", "square", "tanh"):  # fmt: skip
        with np.errstate(all="ignore"):
            assert same(column(values, e.Number(0), e.Unary(0, name)), getattr(np, name)(raw).tolist())


def test_smooth_clip_reaches_its_limits() -> None:
    found = column([0.0, 4.0, -INF, 1e200, None], e.Number(0), e.Unary(0, "smooth_clip"))
    assert same(found, [0.0, 4 / math.sqrt(1 + 16 / 9), -3.0, 3.0, NAN])


def test_piecewise_linear_is_numpys() -> None:
    x, y = (0.0, 1.0, 10.0), (5.0, 7.0, -1.0)
    values = [-1.0, 0.0, 0.25, 1.0, 9.999, 10.0, 11.0, -INF, INF]
    step = e.PiecewiseLinear(0, x, y)
    assert column(values, e.Number(0), step) == np.interp(values, x, y).tolist()
    assert same(column([None], e.Number(0), step), [NAN])


def test_product_and_normalize() -> None:
    x, two = e.Number(0), e.Arithmetic(0, "+", 2.0)
    assert column([3.0], x, two, e.Product((0, 1, 0))) == [45.0]
    assert run([-3.0, 0.0, -2.0], x, two, e.Normalize((0, 1), "l1")) == [[-0.75, -0.25], [0, 1], [-1, 0]]
    assert run([3.0], x, e.Arithmetic(0, "+", 1.0), e.Normalize((0, 1), "l2")) == [[0.6, 0.8]]
    assert run([-4.0], x, e.Arithmetic(0, "+", 2.0), e.Normalize((0, 1), "max")) == [[-1.0, -0.5]]
    assert run([0.0], x, e.Normalize((0, 0), "max")) == [[0.0, 0.0]]


def test_linear_adds_in_slot_order_with_the_intercept_last() -> None:
    x = e.Number(0)
    step = m.Linear((0, 0, 0), ((1e16, 1.0, -1e16), (1.0, 1.0, 1.0)), (1.0, 0.5))
    # 1e16 + 1 rounds to 1e16; another order of summation would give 2
    assert run([1.0], x, step) == [[1.0, 3.5]]
    assert column([1.0, None], m.Linear((), ((),), (4.0,))) == [4.0, 4.0]


def test_activations_do_not_overflow() -> None:
    values = [-INF, -1e4, -1.0, 0.0, 1e4]
    x = e.Number(0)
    assert column(values, x, m.Activation((0,), "relu")) == [0.0, 0.0, 0.0, 0.0, 1e4]
    assert column(values, x, m.Activation((0,), "tanh")) == np.tanh(values).tolist()
    assert column(values, x, m.Activation((0,), "logistic")) == [0.0, 0.0, 1 / (math.e + 1), 0.5, 1.0]
    assert column(values, x, m.Activation((0,), "silu")) == [0.0, 0.0, -1 / (math.e + 1), 0.0, 1e4]


def test_distances_and_cluster_label() -> None:
    step = m.Distances((0, 0), ((0.0, 0.0), (3.0, 4.0), (0.0, 0.0)))
    output = ClusterLabel((0, 1, 2), (1, 2, 3))
    program = Program((Input("x", "any", "number"),), (e.Number(0), step), (), output, "integer")
    assert slots(program, {"x": [0.0]})[:, 1:].tolist() == [[0.0, 5.0, 0.0]]
    assert predict(program, {"x": [0.0, 4.0, 1e9]}) == [0, 1, 1]


def test_links() -> None:
    x, other = e.Number(0), e.Arithmetic(0, "*", 2.0)
    assert column([-1000.0, 0.0, 1000.0], x, m.Link((0,), "logistic")) == [0.0, 0.5, 1.0]
    assert column([0.0, 1.0], x, m.Link((0,), "exp")) == [1.0, math.e]
    assert run([0.0, 1e308], x, other, m.Link((0, 1), "softmax"))[0] == [0.5, 0.5]
    assert run([3.0, 0.0], x, other, m.Link((0, 1), "normalize")) == [[3 / 9, 6 / 9], [0.5, 0.5]]


def test_single_precision_links_round_every_operation() -> None:
    # 1 / (1 + exp(-1e-8)) is above 0.5 in double precision and 0.5 in single
    assert column([1e-8], e.Number(0), m.Link((0,), "logistic"))[0] > 0.5
    assert column([1e-8], e.Number(0), m.Link((0,), "logistic", "float32")) == [0.5]
    # margins 1e-8 apart have equal probabilities, and the first wins
    nearly = e.Arithmetic(0, "+", 1e-8)
    softmax = m.Link((0, 1), "softmax", "float32")
    output = MulticlassLabel(("a", "b"), (2, 3), (2, 3))
    program = Program((Input("x", "real", "number"),), (e.Number(0), nearly, softmax), (), output, "text")
    assert predict(program, {"x": [0.0, 1.0]}) == ["a", "a"]
    assert predict_probabilities(program, {"x": [1.0]}).tolist() == [[0.5, 0.5]]  # type: ignore[union-attr]


def test_weighted_sum() -> None:
    step = m.WeightedSum(((0, 1), (1, 0)), (0.25, 0.75))
    assert run([4.0], e.Number(0), e.Arithmetic(0, "-", 4.0), step) == [[1.0, 3.0]]


@pytest.mark.parametrize(
    ("operator", "x", "label"), [(">", 0.5, "no"), (">=", 0.5, "yes"), (">", 0.6, "yes"), (">=", None, "no")]
)
def test_binary_label(operator: Any, x: Any, label: str) -> None:
    output = BinaryLabel(("no", "yes"), 0, operator, 0.5, ())
    program = Program((Input("x", "real", "number"),), (e.Number(0),), (), output, "text")
    assert predict(program, {"x": [x]}) == [label]
    assert predict_probabilities(program, {"x": [x]}) is None


def test_refusals() -> None:
    refusals = (Refusal(0, missing=True, above=1e300),)
    output = BinaryLabel(("no", "yes"), 0, ">", 0.0, (0, 0))
    program = Program((Input("x", "real", "number"),), (e.Number(0),), refusals, output, "text")
    columns = {"x": [1e300, np.nextafter(1e300, INF), -INF, None, -1.0]}
    assert predict(program, columns) == ["yes", None, None, None, "no"]
    probabilities = predict_probabilities(program, columns)
    assert probabilities is not None
    assert np.isnan(probabilities[:, 0]).tolist() == [False, True, True, True, False]


def test_no_rows() -> None:
    assert predict(tree_program(), {"x": []}) == []
