from __future__ import annotations

import json
import math

import pytest
from postgres_ml.program.encoders import Category, Number
from postgres_ml.program.program import BinaryLabel, Input, MulticlassLabel, Program, Refusal, Value
from postgres_ml.program.scorers import Link
from postgres_ml.program.serialize import program_from_json, program_to_json
from postgres_ml.program.validate import InvalidProgramError
from postgres_ml.program.version import IR_VERSION
from programs import NAN, three_nodes, tree_program


def round_trip(program: Program) -> Program:
    return program_from_json(program_to_json(program))


def test_floats_are_exact() -> None:
    for value in (0.1, 5e-324, -0.0, 1.7976931348623157e308, 1 / 3):
        step = Category(0, ("a",), (value,), missing=NAN, unseen=None)
        program = Program((Input("x", "text", "text"),), (step,), (), Value(0), "double precision")
        loaded = round_trip(program).steps[0]
        assert isinstance(loaded, Category)
        assert math.copysign(1, loaded.outputs[0]) == math.copysign(1, value)
        assert loaded.outputs == (value,)
        assert loaded.missing is not None
        assert math.isnan(loaded.missing)
        assert loaded.unseen is None


def test_infinite_threshold_and_categories_survive() -> None:
    tree = three_nodes(math.inf)
    loaded = round_trip(tree_program(tree, operator="<="))
    assert repr(loaded) == repr(tree_program(tree, operator="<="))
    categorical = tree_program(three_nodes(NAN, categories=((0, 3), None, None)))
    assert repr(round_trip(categorical)) == repr(categorical)


@pytest.mark.parametrize("labels", [("NaN", "Infinity"), ("1", "null"), (0, 1), (0.0, 1.5), (False, True)])
def test_labels_keep_their_type(labels: tuple[str, str]) -> None:
    output = BinaryLabel(labels, 0, ">", 0.5, ())
    program = Program((Input("x", "real", "number"),), (Number(0),), (), output, "text")
    loaded = round_trip(program).output
    assert isinstance(loaded, BinaryLabel)
    assert loaded == output
    assert [type(label) for label in loaded.labels] == [type(label) for label in labels]


def test_everything_else_survives() -> None:
    steps = (Number(0), Number(1), Link((0, 1), "softmax", "float32"))
    inputs = (Input("kind", "real", "number"), Input('é"', "numeric", "number"))
    output = MulticlassLabel(("a", "b"), (2, 3), (2, 3))
    program = Program(inputs, steps, (Refusal(0, True, None), Refusal(1, False, 1e300)), output, "text")
    assert round_trip(program) == program
    assert program_to_json(program) == program_to_json(round_trip(program))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (f'"ir_version":{IR_VERSION}', '"ir_version":99', "version 99"),
        (f'"ir_version":{IR_VERSION},', "", "not a scoring program"),
        ('"kind":"tree_ensemble"', '"kind":"oracle"', "malformed"),
        ('"slots":[0],', "", "malformed"),
        ('"slots":[0]', '"slots":[7]', "reads slot 7"),
        ('"threshold":[0.5,', '"threshold":["x",', "malformed"),
        ("{", "[", "not a scoring program"),
    ],
)
def test_anything_else_is_an_error(old: str, new: str, message: str) -> None:
    text = program_to_json(tree_program())
    assert old in text
    with pytest.raises(InvalidProgramError, match=message):
        program_from_json(text.replace(old, new, 1))


@pytest.mark.parametrize("text", ["", "1", "null", "[]", "{}"])
def test_what_is_no_program_is_an_error(text: str) -> None:
    with pytest.raises(InvalidProgramError):
        program_from_json(text)


def test_json_is_standard() -> None:
    def fail(name: str) -> None:
        raise AssertionError(name)

    json.loads(program_to_json(tree_program(three_nodes(math.inf), operator="<=")), parse_constant=fail)
