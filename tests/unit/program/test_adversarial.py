from __future__ import annotations

import datetime
import math

import numpy as np
from postgres_ml.program import encoders as e
from postgres_ml.program.adversarial import adversarial_rows, neighbourhood
from postgres_ml.program.program import Input, InputKind, Program, Refusal, Step, Value
from postgres_ml.program.scorers import Linear
from programs import three_nodes, tree_program


def program_of(sql_type: str, kind: InputKind, *steps: Step, refusals: tuple[Refusal, ...] = ()) -> Program:
    return Program((Input("x", sql_type, kind),), steps, refusals, Value(0), "double precision")


def test_rows_are_the_same_for_the_same_seed() -> None:
    program = tree_program()
    assert repr(adversarial_rows(program, 1, 50)) == repr(adversarial_rows(program, 1, 50))
    assert repr(adversarial_rows(program, 1, 50)) != repr(adversarial_rows(program, 2, 50))
    assert len(adversarial_rows(program, 1, 7)["x"]) == 7


def test_neighbourhood_of_a_threshold() -> None:
    near = neighbourhood(3.19)
    single = float(np.float32(3.19))
    below = float(np.nextafter(np.float32(3.19), np.float32(0)))
    middle = (below + single) / 2
    for value in (3.19, single, below, middle):
        assert {value, math.nextafter(value, 9), math.nextafter(value, 0)} <= set(near)


def test_rows_stand_at_every_threshold() -> None:
    threshold = float(np.float32(0.7))
    values = adversarial_rows(tree_program(three_nodes(threshold)), 0, 500)["x"]
    assert set(neighbourhood(threshold)) <= set(values)
    assert None in values
    assert {math.inf, -math.inf, 1e308, 5e-324} <= set(values)
    assert any(v == 0 and math.copysign(1, v) < 0 for v in values if v is not None)
    assert any(v != v for v in values if v is not None)


def test_thresholds_are_traced_back_to_the_input() -> None:
    steps = (
        e.Number(0), e.Impute(0, 7.0), e.Arithmetic(1, "-", 3.0), e.Arithmetic(2, "/", 4.0), e.Bucket(3, (2.0,)),
    )  # fmt: skip
    values = adversarial_rows(program_of("double precision", "number", *steps), 0, 400)["x"]
    assert {11.0, math.nextafter(11.0, 0), 7.0} <= set(values)


def test_refusal_limits_are_met_but_not_ordinary() -> None:
    step = Linear((0,), ((1.0,),), (0.0,))
    program = program_of("double precision", "number", e.Number(0), step, refusals=(Refusal(0, True, 1e30),))
    values = adversarial_rows(program, 0, 400)["x"]
    assert {1e30, math.nextafter(1e30, math.inf), -1e30} <= set(values)
    ordinary = [v for v in values if v is not None and abs(v) < 10]
    assert len(ordinary) > 200


def test_values_fit_the_sql_type() -> None:
    for sql_type, bits in (("smallint", 16), ("integer", 32), ("bigint", 64)):
        values = adversarial_rows(program_of(sql_type, "number", e.Number(0), e.Bucket(0, (1e12,))), 0, 300)[
            "x"
        ]
        numbers = [v for v in values if v is not None]
        assert all(type(v) is int and -(2 ** (bits - 1)) <= v < 2 ** (bits - 1) for v in numbers)
        assert {2 ** (bits - 1) - 1, -(2 ** (bits - 1)), 0, 1} <= set(numbers)
    reals = adversarial_rows(program_of("real", "number", e.Number(0), e.Bucket(0, (0.1,))), 0, 300)["x"]
    assert all(v is None or v != v or float(np.float32(v)) == v for v in reals)


def test_text_boolean_and_calendar_inputs() -> None:
    category = e.Category(0, ("Ça", "b"), (0.0, 1.0), 0.0, 0.0)
    texts = adversarial_rows(program_of("text", "text", category), 0, 200)["x"]
    assert {"Ça", "ça", "Ça ", "b", "", None, "日本語", "O'Reilly"} <= set(texts)
    assert not any("\0" in text for text in texts if text is not None)
    flags = adversarial_rows(program_of("boolean", "boolean", e.Number(0)), 0, 50)["x"]
    assert set(flags) == {None, False, True}
    kinds: dict[InputKind, type] = {
        "date": datetime.date, "time": datetime.time, "timestamp": datetime.datetime, "timestamptz": datetime.datetime,
    }  # fmt: skip
    for kind, expected in kinds.items():
        values = adversarial_rows(program_of(kind, kind, e.Number(0)), 0, 300)["x"]
        assert {type(v) for v in values} == {expected, type(None)}
        if kind == "timestamptz":
            assert all(v is None or v.tzinfo == datetime.timezone.utc for v in values)
