"""The golden programs: small, and together they use every style of function."""

from __future__ import annotations

import math

from postgres_ml.program.encoders import Arithmetic, Category, DatePart, Impute, IsMissing, Number, OneHot
from postgres_ml.program.program import BinaryLabel, ClusterLabel, Input, MulticlassLabel, Program, Refusal
from postgres_ml.program.scorers import Distances, Linear, Link, Tree, TreeEnsemble

NAN = math.nan
LARGEST = 1.7976931348623157e308


def logistic() -> Program:
    """Logistic regression on an imputed, scaled number and a one-hot text."""
    steps = (
        Number(0),
        Impute(0, 35.5),
        Arithmetic(1, "-", 36.0),
        Arithmetic(2, "/", 12.5),
        Category(1, ("basic", "plus's"), (0.0, 1.0), 2.0, -1.0),
        OneHot(4, (0.0, 1.0, 2.0)),
        Linear((3, 5, 6, 7), ((0.75, -0.5, 1.25, 0.125),), (-0.3,)),
        Link((8,), "logistic"),
        Linear((9,), ((-1.0,),), (1.0,)),
    )
    inputs = (Input("age", "double precision", "number"), Input("plan", "text", "text"))
    refusals = (Refusal(0, False, LARGEST),)
    return Program(inputs, steps, refusals, BinaryLabel(("no", "yes"), 8, ">", 0.0, (10, 9)), "text")


def _tree(
    *nodes: tuple[int, float, int, int, bool, tuple[float, ...]], outputs: tuple[int, ...] = (0,)
) -> Tree:
    columns = tuple(zip(*nodes, strict=True))
    return Tree(*columns, outputs=outputs)  # type: ignore[arg-type]


def _leaf(*values: float) -> tuple[int, float, int, int, bool, tuple[float, ...]]:
    return (-1, NAN, -1, -1, False, values)


def boosting() -> Program:
    """Boosted trees on numbers of four types, a boolean, and a text that many splits read."""
    inputs = (
        Input("amount", "real", "number"),
        Input("price", "numeric", "number"),
        Input("quantity", "integer", "number"),
        Input("is_member", "boolean", "boolean"),
        Input("state", "character varying", "text"),
    )
    first = _tree(
        (0, 0.1, 1, 2, True, ()),
        (4, 0.5, 3, 4, False, ()),
        (1, 19.99, 5, 6, False, ()),
        *(_leaf(x) for x in (0.1, -0.2, 0.3, -0.4)),
    )
    second = _tree(
        (2, 2.5, 1, 2, False, ()),
        (3, 0.5, 3, 4, True, ()),
        (5, 0.5, 5, 6, False, ()),
        *(_leaf(x) for x in (0.05, 0.15, -0.25, -0.25)),
    )
    third = _tree((4, 0.5, 1, 2, False, ()), _leaf(0.5), (5, 0.5, 3, 4, False, ()), _leaf(0.25), _leaf(1.5))
    steps = (
        *(Number(k) for k in range(4)),
        Category(4, ("CA", "NY", "O'Brien"), (0.0, 1.0, 2.0), NAN, NAN),
        OneHot(4, (0.0, 1.0)),
        TreeEnsemble((0, 1, 2, 3, 5, 6), (first, second, third) * 4, "<", "float32", "float32", (0.5,)),
        Link((7,), "logistic", "float32"),
        Linear((8,), ((-1.0,),), (1.0,)),
    )
    return Program(inputs, steps, (), BinaryLabel((0, 1), 7, ">", 0.0, (9, 8)), "integer")


def softmax() -> Program:
    """Three classes, a tree each, on a number and whether it is missing."""
    trees = tuple(
        _tree(
            (0, 1.0 + k, 1, 2, True, ()),
            _leaf(0.1 * k),
            (1, 0.5, 3, 4, False, ()),
            _leaf(-0.2),
            _leaf(0.3),
            outputs=(k,),
        )
        for k in range(3)
    )
    steps = (
        Number(0),
        IsMissing(0),
        TreeEnsemble((0, 1), trees, "<", "float32", "float32", (0.5, 0.5, 0.5)),
        Link((2, 3, 4), "softmax", "float32"),
    )
    output = MulticlassLabel(("low", "middle", "high"), (2, 3, 4), (5, 6, 7))
    return Program((Input("x", "double precision", "number"),), steps, (), output, "text")


def forest() -> Program:
    """Two trees that vote on two classes."""
    trees = tuple(
        _tree((0, t, 1, 2, False, ()), _leaf(0.25, 0.75), _leaf(0.5, 0.5), outputs=(0, 1)) for t in (0.1, 0.7)
    )
    ensemble = TreeEnsemble((1,), trees, "<=", "float32", "float64", (0.0, 0.0), 2.0)
    output = MulticlassLabel((False, True), (2, 3), (2, 3))
    refusals = (Refusal(0, False, 3.4028235677973362e38),)
    inputs = (Input("x", "double precision", "number"),)
    return Program(inputs, (Number(0), Impute(0, 0.5), ensemble), refusals, output, "boolean")


def calendar() -> Program:
    """The cluster of a date's month and a time's hour."""
    inputs = (
        Input("born", "date", "date"),
        Input("seen", "timestamp with time zone", "timestamptz"),
    )
    steps = (
        DatePart(0, "month"),
        DatePart(1, "hour"),
        Arithmetic(0, "/", 12.0),
        Arithmetic(1, "/", 24.0),
        Distances((2, 3), ((0.25, 0.5), (0.75, 0.5))),
    )
    refusals = (Refusal(0, True, None), Refusal(1, True, None))
    return Program(inputs, steps, refusals, ClusterLabel((0, 1), (4, 5)), "integer")


PROGRAMS = {made.__name__: made for made in (logistic, boosting, softmax, forest, calendar)}
