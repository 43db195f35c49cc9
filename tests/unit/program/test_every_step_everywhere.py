"""Every kind of step and of output stands in every table, or is listed here with where it is handled instead.

Whoever adds a step finds out here what is missing. CONTRIBUTING has the recipe.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from native.programs import random_program
from postgres_ml.explain.terms import Sums, expand_step, scores_of
from postgres_ml.generate import generate_native, generate_sql
from postgres_ml.generate.native import steps as native_steps
from postgres_ml.generate.native.body import OUTPUT_KINDS
from postgres_ml.generate.native.steps import OPCODES, write_payload
from postgres_ml.generate.python.row import write_lines
from postgres_ml.generate.sql.arithmetic import links
from postgres_ml.generate.sql.fold import slots as fold
from postgres_ml.generate.sql.outputs import write_prediction
from postgres_ml.program import compute, interpret, rules
from postgres_ml.program import encoders as e
from postgres_ml.program import scorers as s
from postgres_ml.program.adversarial import adversarial_rows
from postgres_ml.program.marks import own_marks
from postgres_ml.program.program import (
    OUTPUTS,
    STEPS,
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
from postgres_ml.program.reads import StepBase
from postgres_ml.program.serialize import KINDS, program_from_json, program_to_json
from programs import three_nodes

ROOT = Path(__file__).parents[3]
INPUTS = (
    Input("x", "double precision", "number"),
    Input("y", "double precision", "number"),
    Input("t", "text", "text"),
    Input("d", "date", "date"),
)
# nothing reads the first two slots; the examples read the other two
BEFORE: tuple[Step, ...] = (e.Number(1), e.IsMissing(0), e.Number(0), e.Number(1))
A, B = 2, 3
OWN = 4

EXAMPLES: tuple[Step, ...] = (
    e.Number(0),
    e.Category(2, ("a", "b"), (0.0, 1.0), None, -1.0),
    e.DatePart(3, "month"),
    e.Words(2, ("a", "b c", "c"), (1.5, 2.0, 1.0), "l2"),
    e.Characters(2, ("characters", "!")),
    e.OneHot(A, (0.0, 1.0)),
    e.Impute(A, 0.5),
    e.NullIf(A, 1.0),
    e.IsMissing(A),
    e.Arithmetic(A, "*", 2.0),
    e.Unary(A, "abs"),
    e.Clip(A, -1.0, 1.0),
    e.PiecewiseLinear(A, (0.0, 1.0), (2.0, 5.0)),
    e.Bucket(A, (0.0, 1.0)),
    e.Product((A, B, A)),
    e.Normalize((B, A), "l2"),
    s.TreeEnsemble((B, A), (three_nodes(), three_nodes(split_index=(1, -1, -1))), "<", "float32", "float32", (0.0,)),
    s.Linear((B, A), ((1.0, 2.0), (3.0, 4.0)), (0.5, 0.25)),
    s.Activation((B, A), "relu"),
    s.Distances((B, A), ((0.0, 1.0), (2.0, 3.0))),
    s.Link((B, A), "logistic"),
    s.Link((B, A), "softmax"),
    s.WeightedSum(((A, A), (B, A)), (0.25, 0.75)),
    s.TableSum(
        (B, A), ((0.0, 1.0), (0.5,)),
        (s.Table((0,), ((1.0, 2.0, 3.0, 9.0),)), s.Table((1, 0), (tuple(map(float, range(12))),))), (0.5,),
    ),
)  # fmt: skip
OUTPUT_EXAMPLES: tuple[Output, ...] = (
    Value(A),
    BinaryLabel(("no", "yes"), A, ">", 0.5, (B, A)),
    MulticlassLabel(("a", "b"), (A, B), (B, A)),
    ClusterLabel((0, 1), (B, A)),
)


def program_of(step: Step, position: int = 0) -> Program:
    """A program whose prediction is one of the step's outputs."""
    return Program(INPUTS, (*BEFORE, step), (), Value(OWN + position), "double precision")


def named(item: Any) -> str:
    return type(item).__name__ + (f"-{item.function}" if isinstance(item, s.Link) else "")


def snake(cls: type) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()


@functools.cache
def c_sources() -> str:
    return "\n".join(
        path.read_text(encoding="utf-8") for path in sorted((ROOT / "extension/src").rglob("*.c"))
    )


def numbered_in_c() -> set[type]:
    """The steps that the extension knows by the number that the generator writes."""
    array = re.search(r"parsers\[\] = \{(.*?)\}", c_sources(), re.DOTALL)
    enum = re.search(r"OP_(\w+) = (\d+)((?:, OP_\w+)*)", c_sources())
    ensemble = re.search(r"#define OPCODE_ENSEMBLE (\d+)", c_sources())
    assert array and enum and ensemble
    numbers = {
        name.removeprefix("plm_parse_"): number
        for number, name in enumerate(re.findall(r"plm_parse_\w+|NULL", array[1]))
    }
    scorers = [enum[1], *re.findall(r"OP_(\w+)", enum[3])]
    numbers |= {name.lower(): number for number, name in enumerate(scorers, int(enum[2]))}
    numbers["tree_ensemble"] = int(ensemble[1])
    return {cls for cls, number in OPCODES.items() if numbers.get(snake(cls)) == number}


def described_steps() -> set[type]:
    """The steps that the description of the format has under their numbers."""
    page = (ROOT / "docs" / "plmodel-format.md").read_text(encoding="utf-8")
    return {cls for cls, number in OPCODES.items() if f"\n| {number} | {cls.__name__} |" in page}


def outputs_in_c() -> set[type]:
    header = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "extension/src").rglob("*.h"))
    names = re.findall(r"OUTPUT_(\w+),", header)
    return {
        cls
        for number, cls in enumerate(OUTPUT_KINDS)
        if names[number] == cls.__name__.removesuffix("Label").upper()
    }


def drawn_steps() -> set[type]:
    """What the random programs of tests/native and tests/equivalence consist of."""
    return {type(step) for seed in range(40) for step in random_program(seed, exact=False).steps}


NO_SUM = "adds nothing up: a term where it depends on one column, else the values are sampled"
NOT_BY_ROW = "the pipeline itself is asked"
FOLDED = "always folded: what an input is stands in the slot's description"
STEP_TABLES: dict[str, tuple[Any, dict[type, str]]] = {
    "interpreter": (lambda: compute.apply_step.registry, {}),
    "validation": (lambda: rules.check_step.registry, {}),
    "adversarial rows": (lambda: own_marks.registry, {}),
    "JSON": (lambda: KINDS.values(), {}),
    "SQL": (
        lambda: links.write_step.registry,
        {
            e.Number: FOLDED,
            e.Category: FOLDED,
            e.DatePart: FOLDED,
            e.Words: "Emitter writes it: the arguments are read first",
            e.Characters: "Emitter writes it: the arguments are read first",
            s.Linear: "Emitter writes it: it looks at what the slots are",
            s.TableSum: "generate/sql/tables.py",
            s.TreeEnsemble: "generate/sql/trees",
        },
    ),
    "native": (lambda: write_payload.registry, {}),
    "numbers of the native format": (lambda: OPCODES, {}),
    "extension": (numbered_in_c, {}),
    "description of the native format": (described_steps, {}),
    "Python for one row": (
        lambda: write_lines.registry,
        dict.fromkeys(
            (
                e.Words, e.Characters, e.Normalize, s.TreeEnsemble, s.Linear, s.Activation, s.Distances, s.Link, s.WeightedSum,
                s.TableSum,
            ),
            NOT_BY_ROW,
        ),
    ),
    "explanation": (
        lambda: expand_step.registry,
        dict.fromkeys(
            (
                e.Number, e.Category, e.DatePart, e.Words, e.Characters, e.OneHot, e.Impute, e.NullIf, e.IsMissing, e.Unary,
                e.PiecewiseLinear, e.Bucket, e.Product, e.Normalize, s.Activation, s.Distances, s.Link,
            ),
            NO_SUM,
        ),
    ),
    "random programs": (drawn_steps, {}),
    "examples of this file": (lambda: [type(step) for step in EXAMPLES], {}),
}  # fmt: skip
OUTPUT_TABLES: dict[str, tuple[Any, dict[type, str]]] = {
    "interpreter": (lambda: interpret.predictions_of.registry, {}),
    "validation": (lambda: rules.check_output_form.registry, {}),
    "JSON": (lambda: KINDS.values(), {}),
    "SQL": (lambda: write_prediction.registry, {}),
    "native": (lambda: OUTPUT_KINDS, {}),
    "extension": (outputs_in_c, {}),
    "explanation": (lambda: scores_of.registry, {ClusterLabel: "a cluster has no score to explain"}),
    "examples of this file": (lambda: [type(output) for output in OUTPUT_EXAMPLES], {}),
}


def check_table(kinds: tuple[type, ...], registered: Collection[Any], elsewhere: dict[type, str]) -> None:
    known = set(registered) & set(kinds)
    assert not known & set(elsewhere), "registered, and listed as handled elsewhere"
    assert known | set(elsewhere) == set(kinds)


@pytest.mark.parametrize("table", STEP_TABLES)
def test_every_step_is_in_the_table(table: str) -> None:
    registered, elsewhere = STEP_TABLES[table]
    check_table(STEPS, registered(), elsewhere)


@pytest.mark.parametrize("table", OUTPUT_TABLES)
def test_every_output_is_in_the_table(table: str) -> None:
    registered, elsewhere = OUTPUT_TABLES[table]
    check_table(OUTPUTS, registered(), elsewhere)


def test_steps_that_read_an_input_say_of_which_kind_and_are_folded() -> None:
    of_input = {type(step) for step in EXAMPLES if step.reads_input is not None}
    assert set(rules.check_input_kind.registry) - {object} == of_input
    assert of_input <= set(fold.fold_step.registry)


@pytest.mark.parametrize(
    ("names", "numbered"),
    [
        (e.UnaryName, native_steps.UNARY_FUNCTIONS),
        (e.DatePartName, native_steps.DATE_PARTS),
        (s.ActivationName, native_steps.ACTIVATIONS),
        (s.LinkName, native_steps.LINKS),
    ],
)
def test_functions_of_a_step_have_numbers_in_the_native_format(names: Any, numbered: tuple[str, ...]) -> None:
    assert sorted(get_args(names)) == sorted(numbered)


def test_only_categories_refuse_rows() -> None:
    # fold/null_rows.py, encode_inputs.c and generate/python/row.py know of this one alone
    assert [cls for cls in STEPS if cls.may_refuse is not StepBase.may_refuse] == [e.Category]  # type: ignore[attr-defined]


@pytest.mark.parametrize("step", EXAMPLES, ids=named)
def test_step_reads_what_it_says(step: Step) -> None:
    assert (step.reads_input is None) == bool(step.reads)
    assert step.reads_for(()) == ()
    assert set(step.reads_for(range(step.width))) == set(step.reads)
    up, down = {A: 7, B: 5}, {7: A, 5: B}
    assert step.renumbered(up).reads == tuple(up[slot] for slot in step.reads)
    assert step.renumbered(up).renumbered(down) == step
    columns = {"x": [0.25, 0.5, -1.0], "y": [1.0, 0.0, 0.75], "t": ["a", "b", "c"], "d": ["2024-02-29"] * 3}
    values = interpret.slots(program_of(step), columns)
    assert values.shape == (3, OWN + step.width)
    for position in range(step.width):
        # what an output doesn't read may be anything
        unread = (
            {A: "x", B: "y"}.keys() - set(step.reads_for((position,))) if step.reads_input is None else set()
        )
        for slot in unread:
            changed = columns | {{A: "x", B: "y"}[slot]: [99.0, -99.0, None]}
            found = interpret.slots(program_of(step), changed)[:, OWN + position]
            np.testing.assert_array_equal(found, values[:, OWN + position])
        short = program_of(step, position).without_dead_steps()
        assert len(short.steps) == len({*step.reads}) + 1
        assert interpret.predict(short, columns) == interpret.predict(program_of(step, position), columns)


@pytest.mark.parametrize("step", EXAMPLES, ids=named)
def test_step_goes_through_the_flow(step: Step) -> None:
    for position in range(step.width):
        program = program_of(step, position)
        assert repr(program_from_json(program_to_json(program))) == repr(program)  # checks it, too
        rows = adversarial_rows(program, 0, 20)
        assert len(interpret.predict(program, rows)) == 20
        assert generate_sql(program, "s", "f").functions
        assert generate_native(program, "s", "f").functions
        sums = Sums(program)
        scores, _ = sums.scores()
        terms = sums.expand(scores[0])
        assert terms is not None or type(step) in STEP_TABLES["explanation"][1]


@pytest.mark.parametrize("output", OUTPUT_EXAMPLES, ids=named)
def test_output_goes_through_the_flow(output: Output) -> None:
    up, down = {A: 7, B: 5}, {7: A, 5: B}
    assert output.renumbered(up).reads == tuple(up[slot] for slot in output.reads)
    assert output.renumbered(up).renumbered(down) == output
    assert set(output.prediction_reads) | set(output.probabilities) == set(output.reads)
    kinds = {float: "double precision", int: "integer", str: "text"}
    return_type = kinds[type(output.labels[0]) if output.labels else float]
    program = Program(INPUTS, BEFORE, (Refusal(A, True, None),), output, return_type)
    assert program_from_json(program_to_json(program)) == program
    columns = {"x": [0.25, 0.75, None], "y": [1.0, 0.0, 0.5], "t": [None] * 3, "d": [None] * 3}
    short = program.without_dead_steps()
    assert len(short.steps) == len(set(output.reads))
    assert short.refusals == (Refusal(0, True, None),)
    assert interpret.predict(short, columns) == interpret.predict(program, columns)
    assert interpret.predict(program, columns)[2] is None
    assert generate_sql(program, "s", "f").functions
    assert generate_native(program, "s", "f").functions


def test_a_step_that_may_refuse_rows_is_never_dead() -> None:
    category = e.Category(2, ("a",), (0.0,), None, 0.0)
    program = Program(INPUTS, (category, replace(category, missing=0.0), e.Number(0)), (), Value(2), "real")
    short = program.without_dead_steps()
    assert short.steps == (category, e.Number(0))
    assert short.output == Value(1)
