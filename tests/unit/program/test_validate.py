from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from postgres_ml.program import encoders as e
from postgres_ml.program import scorers as m
from postgres_ml.program.program import (
    BinaryLabel,
    ClusterLabel,
    Input,
    MulticlassLabel,
    Output,
    Program,
    Refusal,
    Step,
    Value,
)
from postgres_ml.program.validate import InvalidProgramError, check_program
from programs import NAN, three_nodes, tree_program

INPUTS = (
    Input("x", "real", "number"),
    Input("t", "text", "text"),
    Input("d", "date", "date"),
    Input("h", "time", "time"),
)
X = e.Number(0)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (e.Number(9), "reads input 9"),
        (e.Number(1), "no number"),
        (e.DatePart(0, "year"), "no calendar parts"),
        (e.DatePart(3, "year"), "a time has no year"),
        (e.Category(2, (), (), 0.0, 0.0), "of kind 'date'"),
        (e.Category(1, (1.0,), (0.0,), 0.0, 0.0), "no str"),
        (e.Category(0, (True,), (0.0,), 0.0, 0.0), "no float"),
        (e.Category(0, (NAN,), (0.0,), 0.0, 0.0), "no finite float"),
        (e.Category(1, ("a", "a"), (0.0, 1.0), 0.0, 0.0), "not distinct"),
        (e.Category(1, ("a",), (0.0, 1.0), 0.0, 0.0), "1 values, 2 outputs"),
        (e.Category(1, ("a",), (math.inf,), 0.0, 0.0), "no finite float"),
        (e.OneHot(0, ()), "no codes"),
        (e.OneHot(0, (1.0, 1.0)), "not distinct"),
        (e.OneHot(1, (1.0,)), "reads slot 1 of 1"),
        (e.Impute(0, NAN), "no finite float"),
        (e.NullIf(0, math.inf), "no finite float"),
        (e.Arithmetic(0, "/", 0.0), "division by zero"),
        (e.Arithmetic(0, "%", 1.0), "unknown operator"),  # type: ignore[arg-type]
        (e.Unary(0, "erf"), "unknown function"),  # type: ignore[arg-type]
        (e.Clip(0, 1.0, 0.0), "greater than high"),
        (e.PiecewiseLinear(0, (0.0,), (0.0,)), "two or more"),
        (e.PiecewiseLinear(0, (0.0, 0.0), (0.0, 1.0)), "strictly increasing"),
        (e.Bucket(0, (1.0, 0.0)), "strictly increasing"),
        (e.Product(()), "no slots"),
        (e.Normalize((), "l2"), "no slots"),
        (e.Normalize((0,), "l3"), "unknown norm"),  # type: ignore[arg-type]
        (m.Linear((0,), ((1.0, 2.0),), (0.0,)), "not one per slot"),
        (m.Linear((0,), ((1.0,),), (0.0, 0.0)), "differ in length"),
        (m.Linear((0,), ((NAN,),), (0.0,)), "no finite float"),
        (m.Activation((0,), "gelu"), "unknown function"),  # type: ignore[arg-type]
        (m.Distances((0,), ()), "no centres"),
        (m.Distances((0,), ((1.0, 2.0),)), "not one per slot"),
        (m.Link((), "exp"), "no slots"),
        (m.Link((0,), "probit"), "unknown function"),  # type: ignore[arg-type]
        (m.Link((0,), "exp", "float16"), "unknown dtype"),  # type: ignore[arg-type]
        (m.WeightedSum(((0,), (0, 0)), (1.0, 1.0)), "uneven"),
        (m.WeightedSum(((0,),), (1.0, 1.0)), "differ in length"),
        (m.WeightedSum(((0,), (5,)), (1.0, 1.0)), "reads slot 5"),
        (m.TreeEnsemble((0,), (), "<", "float32", "float32", ()), "no outputs"),
        (m.TreeEnsemble((0,), (), ">", "float32", "float32", (0.0,)), "unknown operator"),  # type: ignore[arg-type]
        (m.TreeEnsemble((0,), (), "<", "float16", "float32", (0.0,)), "unknown dtype"),  # type: ignore[arg-type]
        (m.TreeEnsemble((0,), (), "<", "float32", "float32", (0.0,), 0.0), "divisor"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_step(step: Step, message: str) -> None:
    with pytest.raises(InvalidProgramError, match=message) as caught:
        check_program(Program(INPUTS, (X, step), (), Value(0), "real"))
    assert str(caught.value).startswith(f"step 1 ({type(step).__name__}): ")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"left": (1, -1)}, "differ in length"),
        ({"left": (0, -1, -1)}, "child 0"),
        ({"left": (3, -1, -1)}, "child 3"),
        ({"left": (2, -1, -1)}, "not one parent"),
        ({"split_index": (1, -1, -1)}, "splits on 1"),
        ({"threshold": (NAN, NAN, NAN)}, "has threshold nan"),
        ({"threshold": (math.inf, NAN, NAN)}, "has threshold inf"),
        ({"threshold": (-math.inf, NAN, NAN)}, "has threshold -inf"),
        ({"leaf_value": ((), (1.0, 2.0), (2.0,))}, "no value for each output"),
        ({"leaf_value": ((), (NAN,), (2.0,))}, "no finite float"),
        ({"leaf_value": ((1.0,), (1.0,), (2.0,))}, "inner and has a leaf value"),
        ({"right": (2, -1, 1)}, "leaf 2 has children"),
        ({"outputs": (1,)}, "outputs"),
        ({"outputs": ()}, "outputs"),
        ({"categories": (None,)}, "categories differ"),
        ({"categories": ((0,), None, None)}, "has a threshold"),
        ({"categories": ((-1,), None, None), "threshold": (NAN,) * 3}, "has codes"),
    ],
)
def test_tree(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidProgramError, match=message) as caught:
        check_program(tree_program(dataclasses.replace(three_nodes(), **changes)))
    assert "tree 0" in str(caught.value)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (Value(3), "reads slot 3"),
        (BinaryLabel(("a", "b"), 0, "<", 0.0, ()), "unknown operator"),  # type: ignore[arg-type]
        (BinaryLabel(("a", "b"), 0, ">", NAN, ()), "no finite float"),
        (BinaryLabel(("a", "b"), 0, ">", 0.0, (0,)), "probabilities differ"),
        (BinaryLabel(("a", "a"), 0, ">", 0.0, ()), "not distinct"),
        (BinaryLabel(("a", 1), 0, ">", 0.0, ()), "differ in type"),
        (MulticlassLabel((), (), ()), "no labels"),
        (MulticlassLabel(("a",), (0, 0), ()), "scores differ"),
        (MulticlassLabel((None,), (0,), ()), "NoneType"),  # type: ignore[arg-type]
        (MulticlassLabel((NAN,), (0,), ()), "no finite float"),
        (ClusterLabel((0, 1), (0,)), "distances differ"),
    ],
)
def test_output(output: Output, message: str) -> None:
    with pytest.raises(InvalidProgramError, match=message):
        check_program(Program(INPUTS, (X,), (), output, "text"))


def test_the_rest() -> None:
    good = Program(INPUTS, (X,), (), Value(0), "real")
    check_program(good)
    check_program(tree_program(three_nodes(math.inf), operator="<="))
    for changes, message in (
        ({"inputs": (*INPUTS, INPUTS[0])}, "not distinct"),
        ({"inputs": (Input("x", "json", "json"),)}, "unknown kind"),
        ({"refusals": (Refusal(1, True, None),)}, "reads slot 1"),
        ({"refusals": (Refusal(0, True, math.inf),)}, "limit inf"),
        ({"refusals": (Refusal(0, True, -1.0),)}, "limit -1.0"),
        ({"return_type": ""}, "return type"),
        ({"steps": ("nonsense",)}, "unknown kind of step"),
    ):
        with pytest.raises(InvalidProgramError, match=message):
            check_program(dataclasses.replace(good, **changes))  # type: ignore[arg-type]
