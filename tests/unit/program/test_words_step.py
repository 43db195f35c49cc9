"""The tokenizer: its definition, character by character, and its tables."""

from __future__ import annotations

import importlib.util
import re
import sys
import unicodedata
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from postgres_ml.program import letters
from postgres_ml.program.words import count_terms, lower_case, separators, split_words, terms_of

ROOT = Path(__file__).parents[3]
SAMPLE = [
    ("The Quick—brown_fox's", ["the", "quick", "brown", "fox", "s"]),
    ("ΣΊΣΥΦΟΣ straße ÄÖÜ", ["σίσυφοσ", "straße", "äöü"]),
    ("İ stays, I does not", ["İ", "stays", "i", "does", "not"]),
    ("e\u0301E\u0301 nai\u0308ve", ["e\u0301e\u0301", "nai\u0308ve"]),
    ("日本語、東京\u3000大阪", ["日本語", "東京", "大阪"]),
    ("a\u00adb c\u200bd e\u200df \ufeffg", ["a", "b", "c", "d", "e\u200df", "g"]),
    ("🦉🎉 2°C ©x 3½", ["🦉🎉", "2", "c", "x", "3½"]),
    ("\x01a\x1fb\x7fc\x85d\u2028e\u1680f", ["a", "b", "c", "d", "e", "f"]),
    ("Ⅷ ａＢ ǅ \u212a", ["ⅷ", "ａｂ", "ǆ", "k"]),
    ("", []),
    (" \t\n", []),
]


SEPARATES = {code for first, last in separators() for code in range(first, last + 1)}


def by_definition(text: str) -> list[str]:
    """The words of a text, one character after the other."""
    found, word = [], ""
    for character in [*text, " "]:
        if ord(character) not in SEPARATES:
            word += chr(lower_case().get(ord(character), ord(character)))
        elif word:
            found.append(word)
            word = ""
    return found


@pytest.mark.parametrize(("text", "expected"), SAMPLE)
def test_words_of_hostile_texts(text: str, expected: list[str]) -> None:
    assert split_words(text) == by_definition(text) == expected


@given(
    st.text(alphabet=st.one_of(st.characters(), st.sampled_from("aB \u0301\u200b\u200dß、🦉")), max_size=40)
)
def test_words_are_those_of_the_definition(text: str) -> None:
    words = split_words(text)
    assert words == by_definition(text)
    assert split_words(" ".join(words)) == words
    assert list(terms_of(text)) == [*words, *(f"{a} {b}" for a, b in pairwise(words))]


def test_terms_are_counted_by_their_numbers() -> None:
    numbers = {"a": 0, "a b": 1, "b a": 2, "c": 3}
    assert count_terms("A b, a_B a", numbers) == {0: 3, 1: 2, 2: 2}
    assert count_terms("", numbers) == {}


def test_no_character_leaves_a_separator_or_an_upper_case_letter() -> None:
    assert not SEPARATES & (set(lower_case()) | set(lower_case().values()))
    assert not set(lower_case()) & set(lower_case().values())
    assert all(code in SEPARATES for code in range(sys.maxunicode + 1) if chr(code).isspace())


def tables_script():
    spec = importlib.util.spec_from_file_location("word_tables", ROOT / "scripts" / "word_tables.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_c_has_the_same_tables() -> None:
    header = (ROOT / "extension/src/program/letters.h").read_text(encoding="utf-8")
    ranges, runs = header.split("case_runs[]")
    in_c = [tuple(int(n, 16) for n in pair) for pair in re.findall(r"\{0x(\w+),0x(\w+)\}", ranges)]
    assert in_c == [(max(first, 0x80), last) for first, last in separators() if last >= 0x80]
    lower = {}
    for first, last, step, delta in re.findall(r"\{0x(\w+),0x(\w+),(\d+),(-?\d+)\}", runs):
        codes = range(int(first, 16), int(last, 16) + 1, int(step))
        lower.update({code: code + int(delta) for code in codes})
    assert lower == {code: small for code, small in lower_case().items() if code >= 0x80}


@pytest.mark.skipif(unicodedata.unidata_version != "14.0.0", reason="the tables are those of Unicode 14.0")
def test_tables_are_what_the_script_writes() -> None:
    script = tables_script()
    assert Path(letters.__file__).read_text(encoding="utf-8") == script.python_module()
    header = (ROOT / "extension/src/program/letters.h").read_text(encoding="utf-8")
    assert header == script.c_header()
