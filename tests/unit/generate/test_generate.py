from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from postgres_ml.contract.exceptions import SpecError, UnsupportedModelError
from postgres_ml.contract.model import FunctionBody
from postgres_ml.generate import generate_sql
from postgres_ml.generate.sql import generate
from postgres_ml.program.encoders import Category, Impute, Number
from postgres_ml.program.program import BinaryLabel, Input, MulticlassLabel, Program, Value
from postgres_ml.program.scorers import Linear, Link, Tree, TreeEnsemble

LEAF = Tree((-1,), (math.nan,), (-1,), (-1,), (False,), ((0.5,),))
# what the grammar knows itself and no search_path can redirect
KEYWORDS = {
    "coalesce",
    "nullif",
    "greatest",
    "least",
    "array",
    "in",
    "and",
    "or",
    "not",
    "when",
    "else",
    "select",
    "from",
}


def stumps(n: int) -> tuple[Tree, ...]:
    """Trees of one split each, with thresholds and leaves of their own."""
    return tuple(
        Tree(
            (0, -1, -1),
            (k + 0.5, math.nan, math.nan),
            (1, -1, -1),
            (2, -1, -1),
            (k % 2 == 0, False, False),
            ((), (k / 7,), (-k / 3,)),
        )
        for k in range(n)
    )


def program(n_trees: int = 2, inputs: int = 1) -> Program:
    columns = tuple(Input(f"x{k}", "double precision", "number") for k in range(inputs))
    steps = (
        *(Number(k) for k in range(inputs)),
        TreeEnsemble((0,), stumps(n_trees), "<", "float32", "float32", (0.5,)),
        Link((inputs,), "logistic", "float32"),
        Linear((inputs + 1,), ((-1.0,),), (1.0,)),
    )
    output = BinaryLabel(("no", "yes"), inputs, ">", 0.0, (inputs + 2, inputs + 1))
    return Program(columns, steps, (), output, "text")


def linear() -> Program:
    columns = (Input("a", "double precision", "number"), Input("c", "text", "text"))
    steps = (
        Number(0),
        Impute(0, 1.0),
        Category(1, ("red",), (2.0,), 0.0, 0.0),
        Linear((1, 2), ((0.5, 0.25),), (3.0,)),
    )
    return Program(columns, steps, (), Value(3), "double precision")


def by_role(functions: tuple[FunctionBody, ...]) -> dict[str, FunctionBody]:
    return {body.role: body for body in functions}


def test_roles_names_and_types() -> None:
    generated = generate_sql(program(), "ml", "predict_it")
    roles = by_role(generated.functions)
    assert [body.role for body in generated.functions][-2:] == ["predict", "probabilities"]
    assert roles["predict"].name == "predict_it"
    assert roles["predict"].returns == "text"
    assert roles["predict"].arguments == (("x0", "double precision"),)
    assert roles["probabilities"].name == "predict_it_probabilities"
    assert roles["probabilities"].returns == "jsonb"


def test_regression_has_no_probabilities() -> None:
    assert "probabilities" not in by_role(generate_sql(linear(), "ml", "f").functions)


@pytest.fixture
def low_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain begins at 1,500 nodes and ends at 6,000."""
    monkeypatch.setattr(generate, "EXPRESSION_NODES", 1500)
    monkeypatch.setattr(generate, "CHAINED_NODES", 6000)
    monkeypatch.setattr(generate, "PART_NODES", 500)


@pytest.mark.parametrize(
    ("n_trees", "style", "language"),
    [(2, "inline", "sql"), (300, "expression", "plpgsql"), (1_000, "chained", "plpgsql")],
)
@pytest.mark.usefixtures("low_limits")
def test_style_follows_size(n_trees: int, style: str, language: str) -> None:
    generated = generate_sql(program(n_trees), "ml", "f")
    assert generated.style == style
    assert by_role(generated.functions)["predict"].language == language
    assert generated.n_nodes == 3 * n_trees
    assert generated.size_bytes == sum(len(body.body.encode()) for body in generated.functions)
    assert f"{3 * n_trees:,} of at most 6,000 nodes" in generated.messages[0]
    assert any("runtime native" in message for message in generated.messages) == (style == "chained")


@pytest.mark.usefixtures("low_limits")
def test_both_functions_share_the_parts_of_a_chain() -> None:
    functions = generate_sql(program(1_000), "ml", "f").functions
    names = [body.name for body in functions]
    assert len(names) == len(set(names))
    parts = [body for body in functions if body.role == "part"]
    assert sum(len(body.body) for body in parts) > 10 * sum(
        len(b.body) for b in functions if b.role != "part"
    )


@pytest.mark.usefixtures("low_limits")
def test_too_large_an_ensemble_names_the_cure() -> None:
    with pytest.raises(UnsupportedModelError, match=r"runtime: native, or fewer or shallower trees"):
        generate_sql(program(2_100), "ml", "f")


def test_too_much_text_names_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "LARGEST_BYTES", 1000)
    with pytest.raises(UnsupportedModelError, match="runtime: native"):
        generate_sql(linear(), "ml", "f")


def test_a_name_without_room_for_its_parts_is_refused() -> None:
    generate_sql(linear(), "ml", "é" * 24)
    with pytest.raises(SpecError, match="49 bytes"):
        generate_sql(linear(), "ml", "é" * 25)


def test_a_column_named_like_an_argument_of_plpgsql_is_refused() -> None:
    made = replace(linear(), inputs=(Input("$2", "double precision", "number"), linear().inputs[1]))
    with pytest.raises(UnsupportedModelError, match="rename it"):
        generate_sql(made, "ml", "f")


def test_more_than_100_columns_become_one_composite_argument() -> None:
    wide = generate_sql(program(inputs=101), "ml", "f")
    roles = by_role(wide.functions)
    assert roles["predict"].arguments == (("features", '"ml"."f_features"'),)
    assert roles["predict"].composite[100] == ("x100", "double precision")
    assert roles["probabilities"].composite == roles["predict"].composite
    assert by_role(generate_sql(program(inputs=100), "ml", "f").functions)["predict"].composite == ()


def test_bodies_say_where_they_come_from() -> None:
    for body in generate_sql(program(), "ml", "f").functions:
        first = body.body.splitlines()[1]
        assert re.fullmatch(rf'-- "{body.name}", generator \d+, ir_version \d+', first)


def test_a_line_break_in_the_name_stays_in_the_comment() -> None:
    body = generate_sql(linear(), "ml", "f\n; drop").functions[-1].body
    assert body.splitlines()[1].startswith('-- "f\\n; drop"')


@pytest.mark.parametrize("made", [program(), program(300), linear()], ids=["inline", "expression", "linear"])
def test_no_function_or_type_depends_on_the_search_path(made: Program) -> None:
    for body in generate_sql(made, "ml", "f").functions:
        text = re.sub(r"'[^']*'", "''", body.body.partition("\n-- ")[2].partition("\n")[2])
        calls = re.findall(r"(?<![\w.\"])([a-z_0-9]+)\s*\(", text)
        assert set(calls) <= KEYWORDS, body.name
        types = re.findall(r"::([\w. \"]+)", text)
        assert all(re.match(r"pg_catalog\.|real|double precision|integer|text\b", t) for t in types)
        assert not any(re.match(r"text", t) for t in types)


def test_leaves_of_a_single_tree_become_labels() -> None:
    (split,) = stumps(1)
    ensemble = TreeEnsemble((0,), (split,), "<", "float64", "float64", (0.25,))
    made = replace(program(), steps=(Number(0), ensemble), output=BinaryLabel(("no", "yes"), 1, ">", 0.0, ()))
    # both leaves are 0, and 0.25 is above the threshold in each
    assert "CASE" not in generate_sql(made, "ml", "f").functions[-1].body


def test_a_large_forest_of_two_classes_compares_one_score() -> None:
    trees = tuple(
        Tree((0, -1, -1), (float(k), math.nan, math.nan), (1, -1, -1), (2, -1, -1), (True,) * 3,
             ((), (0.25, 0.75), (1 - k / 901, k / 901)), (0, 1))
        for k in range(800)
    )  # fmt: skip
    ensemble = TreeEnsemble((0,), trees, "<=", "float32", "float64", (0.0, 0.0), 800.0)
    output = MulticlassLabel(("no", "yes"), (1, 2), (1, 2))
    functions = generate_sql(
        replace(program(), steps=(Number(0), ensemble), output=output), "ml", "f"
    ).functions
    body = by_role(functions)["predict"].body
    assert body.count("CASE") == 800
    assert '"ml"."_f__tie"($1)' in body
