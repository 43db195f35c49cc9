"""The overload that takes features by name: which functions have one, and what it says of itself."""

from __future__ import annotations

import re

import pytest
from postgres_ml.contract.model import ENDPOINT_OPTIONS, PYTHON_OPTIONS, FunctionBody
from postgres_ml.publish.by_name import MOMENTS, by_name

BODY = FunctionBody(
    "predict", "predict_x", (("it's", "double precision"), ("b", "text")), "text", "sql", "select 'no'"
)


@pytest.mark.parametrize(
    ("arguments", "n"),
    [([("a", "text")], 1), ([("a", "double precision")], 0), ([("a", "date")], 0), ([("a", "ml.mood")], 0)],
)
def test_of_one_feature_only_a_text_has_a_second_form(arguments: list, n: int) -> None:
    body = FunctionBody("predict", "p", tuple(arguments), "text", "sql", "select 'no'")
    assert len(by_name([body], "ml")) == n


def test_what_users_call_has_the_form_and_parts_have_none() -> None:
    (found,) = by_name([BODY, FunctionBody("part", "predict_x__1", BODY.arguments, "text", "sql", "")], "m l")
    assert (found.role, found.name, found.arguments) == ("by_name", "predict_x", (("features", "jsonb"),))
    assert found.returns == "text" and 'return "m l"."predict_x"(' in found.body and "'it''s'" in found.body
    assert "\\" not in found.body  # a session's setting would read it twice


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (BODY.options, "immutable parallel safe"),
        (PYTHON_OPTIONS, "stable parallel safe"),
        (ENDPOINT_OPTIONS, "volatile parallel restricted"),
    ],
)
def test_it_is_as_stable_as_what_it_calls_and_runs_with_the_callers_rights(
    options: str, expected: str
) -> None:
    made = FunctionBody("predict", "p", BODY.arguments, "text", "plpython3u", "", options=options)
    assert by_name([made], "ml")[0].options == expected


def test_a_wide_model_gets_its_composite_type_and_blanks_of_character_columns_go() -> None:
    features = tuple((f"x{i}", "text") for i in range(101))
    type_ = (("features", '"ml"."p_features"'),)
    wide = FunctionBody("predict", "p", type_, "text", "sql", "", features, padded=("x3",))
    body = by_name([wide], "ml")[0].body
    assert body.count("pg_catalog.rtrim(") == 1 and ')::"ml"."p_features");' in body


@pytest.mark.parametrize(
    ("sql_type", "value", "is_one"),
    [
        ("date", "2024-02-29", True),
        ("date", "5874897-12-31", True),
        ("date", "0044-03-15 BC", True),
        ("date", "2024-13-01", False),
        ("date", "2024-01-32", False),
        ("time without time zone", "24:00:00", True),
        ("time without time zone", "25:00:00", False),
        ("timestamp with time zone", "2024-02-29T12:30:60Z", True),
        ("timestamp with time zone", "2024-02-29T12:61:00Z", False),
    ],
)
def test_what_is_no_date_or_time_is_named(sql_type: str, value: str, is_one: bool) -> None:
    assert bool(re.fullmatch(MOMENTS[sql_type][0], value)) is is_one


def test_columns_of_type_real_are_read_as_reals() -> None:
    body = FunctionBody("predict", "p", (("r", "double precision"), ("x", "double precision")), "text", "sql", "",
                        singles=("r",))  # fmt: skip
    assert by_name([body], "ml")[0].body.count("::real::double precision") == 1
