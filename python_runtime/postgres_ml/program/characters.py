"""How many characters of some classes a text has: the one definition that Python, SQL and C share.

A character is a code point. A class is a single character of ASCII, or one of the named ones: all characters;
capitals, which are those that have a lower-case letter in the tables of the words' tokenizer; the digits 0 to
9; and all beyond ASCII. Neither the interpreter's version nor a database's locale has a say.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from itertools import groupby

from postgres_ml.program.words import lower_case

NAMED = ("characters", "capitals", "digits", "beyond ascii")
SIGNS = tuple("\t\n !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
MOST_CHARACTERS = 2.0**30  # in the largest text, of 1 GB; and so the most words
CLASSES = (*NAMED, *SIGNS)
"""What auto counts: the named classes, and all of ASCII that is neither a letter nor a digit nor control."""


def is_class(name: str) -> bool:
    """Return whether there is a class of this name."""
    return name in NAMED or (len(name) == 1 and 0 < ord(name) < 0x80)


def capitals() -> list[tuple[int, int]]:
    """Return the ranges of code points that have a lower-case letter, first and last, in order."""
    numbered = enumerate(sorted(lower_case()))
    runs = ([code for _, code in run] for _, run in groupby(numbered, lambda pair: pair[1] - pair[0]))
    return [(run[0], run[-1]) for run in runs]


def count_characters(text: str, classes: Sequence[str]) -> list[int]:
    """Return how many characters of each class are in the text."""
    return [_count(text, name) for name in classes]


def _count(text: str, name: str) -> int:
    if len(name) == 1:
        return text.count(name)
    if name == "characters":
        return len(text)
    if name == "digits":
        return sum(map(text.count, "0123456789"))
    if name == "capitals":
        return len(text) - len(_pattern().sub("", text))
    return 0 if text.isascii() else sum(character > "\x7f" for character in text)


@cache
def _pattern() -> re.Pattern[str]:
    return re.compile("[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in capitals()) + "]+")
