"""The classes of characters: their definition, character by character."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from postgres_ml.program.characters import CLASSES, NAMED, capitals, count_characters, is_class
from postgres_ml.program.words import lower_case

SAMPLE = [
    ("", (0, 0, 0, 0)),
    ("Hello, World 42!", (16, 2, 2, 0)),
    ("ÄÖÜ ß ẞ İ ı", (11, 4, 0, 7)),
    ("e\u0301E\u0301", (4, 1, 0, 2)),
    ("👩\u200d👧 ٣", (5, 0, 0, 4)),
    ("ǅ Ⅷ Ａ \u212a", (7, 4, 0, 4)),
    ("\u202eאב\x7f\x01", (5, 0, 0, 3)),
]


@pytest.mark.parametrize(("text", "expected"), SAMPLE)
def test_named_classes_of_hostile_texts(text: str, expected: tuple[int, ...]) -> None:
    # "İ" has no lower case of one character, so it is no capital
    assert tuple(count_characters(text, NAMED)) == expected


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("aZ09 \n\t'\\Ä")), max_size=40))
def test_counts_are_those_of_single_characters(text: str) -> None:
    def belongs(character: str, name: str) -> bool:
        if name in NAMED:
            code = ord(character)
            return (True, code in lower_case(), 0x30 <= code <= 0x39, code > 0x7F)[NAMED.index(name)]
        return character == name

    expected = [sum(belongs(character, name) for character in text) for name in CLASSES]
    assert count_characters(text, CLASSES) == expected


def test_capitals_are_what_has_a_lower_case() -> None:
    ranges = capitals()
    assert {code for first, last in ranges for code in range(first, last + 1)} == set(lower_case())
    assert all(after[0] > before[1] + 1 for before, after in pairwise(ranges))


def test_signs_are_all_of_ascii_but_letters_digits_and_control() -> None:
    printed = {chr(code) for code in range(0x20, 0x7F) if not chr(code).isalnum()}
    assert set(CLASSES) == {*NAMED, *printed, "\t", "\n"}
    assert len(set(CLASSES)) == len(CLASSES) == 39


def test_a_class_is_a_name_or_a_character_of_ascii() -> None:
    assert all(map(is_class, (*CLASSES, "a", "\x01", "\x7f")))
    assert not any(map(is_class, ("", "\0", "ä", "words", "ab")))
