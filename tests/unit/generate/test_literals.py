from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from postgres_ml.contract import sql_names
from postgres_ml.contract.exceptions import UnsupportedModelError
from postgres_ml.generate import literals
from postgres_ml.generate.functions import dollar_tag


def _read(literal: str) -> float:
    assert literal[0] == literal[-1] == "'"
    return float(literal[1:-1])


@settings(deadline=None)
@given(st.floats(allow_nan=False))
def test_doubles_read_back(value: float) -> None:
    assert _read(literals.double(value)) == value


@settings(deadline=None)
@given(st.floats(allow_nan=False, width=32))
def test_singles_read_back(value: float) -> None:
    assert np.float32(_read(literals.single(value))) == np.float32(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "'.1'"),
        (-0.25, "'-.25'"),
        (3.0, "'3'"),
        (1e100, "'1e100'"),
        (math.inf, "'Infinity'"),
        (-0.0, "'-0'"),
    ],
)
def test_doubles_are_short(value: float, text: str) -> None:
    assert literals.double(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [("it's", "'it''s'"), ("a\\b'", "E'a\\\\b'''"), ("$$", "'$$'"), ("\n", "'\n'")],
)
def test_text_is_quoted(value: str, text: str) -> None:
    assert sql_names.text(value) == text


@pytest.mark.parametrize(
    ("value", "sql_type", "text"),
    [
        ("yes", "text", "'yes'::pg_catalog.text"),
        ("ab", "character", "'ab'::pg_catalog.bpchar"),  # character would mean character(1)
        (3.0, "smallint", "'3'::smallint"),
        (0.5, "numeric", "'.5'::numeric"),
        (True, "boolean", "'true'::boolean"),
        (9007199254740993, "bigint", "'9007199254740993'::bigint"),
        ("glad", 'shop."Mood"', "'glad'::shop.\"Mood\""),
    ],
)
def test_labels_have_the_type(value: str | float | bool, sql_type: str, text: str) -> None:
    assert literals.label(value, sql_type) == text


def test_labels_that_text_cannot_hold_are_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="rename"):
        literals.label("a\0b", "text")


def test_names_of_parts_fit_and_differ() -> None:
    long, other = "prädiktion" * 6, "prädiktion" * 5 + "prädiktiön"
    names = {sql_names.part_name(f, suffix) for f in (long, other) for suffix in ("ieee", "trees_3_0_12")}
    assert len(names) == 4
    assert all(len(name.encode()) <= sql_names.IDENTIFIER_BYTES for name in names)
    assert sql_names.part_name("predict_x", "ieee") == "predict_x__ieee"
    for function in ("predict_x", long):
        helper = sql_names.helper_name(function, "ieee")
        assert helper.startswith("_pr") and len(helper.encode()) <= 63
        assert sql_names.is_part_of(helper, function)
    assert sql_names.is_part_of("predict_x__ieee", "predict_x"), "as 0.1.0 named it"


def test_dollar_tag_is_not_in_the_body() -> None:
    assert dollar_tag("x") == "$body$"
    assert dollar_tag("'$body$ $body1$'") == "$body2$"
    assert dollar_tag("ends with $body") == "$body1$"
