"""The words of a text: the one definition that Python, SQL and C share.

A word is a longest run of characters that do not separate words, in lower case. Which characters separate and
what is the lower case of a letter stands in tables of this package (`letters`): neither the interpreter's
version, nor a database's locale, nor its collation has a say. In short: everything but letters, digits,
combining marks and pictures (emoji) separates; each character has one lower-case character or itself, so "ß"
and "İ" stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise

from postgres_ml.program.letters import LOWER, SEPARATORS


def separators() -> list[tuple[int, int]]:
    """Return the ranges of code points that separate words, first and last, in order."""
    return [(int(first, 16), int(last, 16)) for first, last in (r.split("-") for r in SEPARATORS.split())]


@cache
def lower_case() -> dict[int, int]:
    """Return the lower-case letter of each code point that has one."""
    letters = {}
    for run in LOWER.split():
        codes, change = run.split("/")
        first, last = (int(code, 16) for code in codes.split("-"))
        step, delta = int(change[0]), int(change[1:])
        letters.update({code: code + delta for code in range(first, last + 1, step)})
    return letters


@cache
def _table() -> dict[int, int]:
    blanks = {code: 0x20 for first, last in separators() for code in range(first, last + 1)}
    return blanks | lower_case()


def split_words(text: str) -> list[str]:
    """Return the words of a text, in order."""
    return text.translate(_table()).split()  # whatever Python takes for a blank is a separator


def terms_of(text: str, *, words: bool = True, pairs: bool = True) -> Iterator[str]:
    """Return the words of a text, then each two neighbours with a blank in between."""
    found = split_words(text)
    if words:
        yield from found
    if pairs:
        yield from (f"{first} {second}" for first, second in pairwise(found))


def count_terms(text: str, numbers: Mapping[str, int]) -> dict[int, int]:
    """Return how often the known terms are in the text, by their numbers; those that are not are left out."""
    counts: dict[int, int] = {}
    for term in terms_of(text):
        number = numbers.get(term)
        if number is not None:
            counts[number] = counts.get(number, 0) + 1
    return counts
