"""What the value of a config key may be: how it is read, what a page says of it, and its JSON schema.

A kind judges one value by itself. Rules between keys are in `model` and in `external`.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dbt.adapters.postgres_ml.config.values import (
    boolean_of,
    not_one_of,
    number_of,
    wrong_type,
)
from typing_extensions import override

Schema = dict[str, Any]
#: a number in quotes, as Redshift writes them
NUMBER_PATTERN = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"
#: an amount of memory: kB, MB … as powers of 1000, KiB, MiB … as powers of 1024
BYTES = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?I?B?)\s*", re.IGNORECASE)
UNITS = {"": 1, "I": 1} | {
    f"{letter}{infix}": base**power
    for power, letter in enumerate("KMGT", 1)
    for infix, base in (("", 1000), ("I", 1024))
}
#: keys in capitals are read too, and only an editor's completion doesn't know them
CAPITALS: Schema = {"[A-Z]": {}}


class Kind(ABC):
    """The values that a key takes."""

    @abstractmethod
    def read(self, where: str, found: Any, problems: list[str]) -> Any:
        """Return the value as the training takes it; None, with a problem appended, if it is not allowed.

        Parameters
        ----------
        where : the key, with those that lead to it: 'settings: max_cells'
        found : as dbt hands it over, never None
        problems : one sentence is appended for each problem
        """

    @property
    @abstractmethod
    def words(self) -> str:
        """The values allowed, in Markdown."""

    @abstractmethod
    def schema(self) -> Schema:
        """Return the JSON schema of the values allowed."""


class Text(Kind):
    """Any string that is not blank."""

    @override
    def read(self, where: str, found: Any, problems: list[str]) -> str | None:
        if isinstance(found, str) and found.strip():
            return found
        problems.append(wrong_type(where, found, "a string"))
        return None

    @property
    @override
    def words(self) -> str:
        return "a string"

    @override
    def schema(self) -> Schema:
        return {"type": "string", "pattern": r"\S"}


@dataclass(frozen=True)
class Anything(Kind):
    """A value that dbt reads, not this package.

    Parameters
    ----------
    form : the values allowed, in Markdown
    """

    form: str

    @override
    def read(self, where: str, found: Any, problems: list[str]) -> Any:
        return found

    @property
    @override
    def words(self) -> str:
        return self.form

    @override
    def schema(self) -> Schema:
        return {}


class Boolean(Kind):
    """A boolean, or Redshift's ON and OFF."""

    @override
    def read(self, where: str, found: Any, problems: list[str]) -> bool | None:
        value = boolean_of(found)
        if value is None:
            problems.append(wrong_type(where, found, "true or false"))
        return value

    @property
    @override
    def words(self) -> str:
        return "`true`, `false`"

    @override
    def schema(self) -> Schema:
        return one_of_any_case(({"type": "boolean"},), ("true", "false", "on", "off"))


@dataclass(frozen=True)
class Choice(Kind):
    """One of some words, in any case.

    Parameters
    ----------
    allowed : in lower case
    spellings : of Redshift, with the word that each stands for
    """

    allowed: tuple[str, ...]
    spellings: tuple[tuple[str, str], ...] = ()

    @override
    def read(self, where: str, found: Any, problems: list[str]) -> str | None:
        if not isinstance(found, str) or not found.strip():
            problems.append(wrong_type(where, found, f"one of {', '.join(self.allowed)}"))
            return None
        name = dict(self.spellings).get(found.lower(), found.lower())
        if name not in self.allowed:
            problems.append(not_one_of(where, found, self.allowed))
        else:
            return name
        return None

    @property
    @override
    def words(self) -> str:
        return listed(self.allowed)

    @override
    def schema(self) -> Schema:
        spellings = tuple(spelling for spelling, _ in self.spellings)
        return one_of_any_case(({"enum": list(self.allowed)},), (*self.allowed, *spellings))


@dataclass(frozen=True)
class Choices(Kind):
    """One or several of some words: read as a tuple."""

    allowed: tuple[str, ...]

    @override
    def read(self, where: str, found: Any, problems: list[str]) -> tuple[str, ...] | None:
        items = [str(item) for item in (found if isinstance(found, list | tuple) else [found])]
        unknown = [item for item in items if item.lower() not in self.allowed]
        problems += [not_one_of(where, item, self.allowed) for item in unknown]
        return None if unknown else tuple(item.lower() for item in items)

    @property
    @override
    def words(self) -> str:
        return listed(self.allowed)

    @override
    def schema(self) -> Schema:
        one = Choice(self.allowed).schema()
        return {"anyOf": [*one["anyOf"], {"type": "array", "items": one}]}


@dataclass(frozen=True)
class Number(Kind):
    """A number within limits, possibly in quotes.

    Parameters
    ----------
    low, high : both are allowed themselves
    is_whole : read as an int, else as a float
    """

    low: float
    high: float = math.inf
    is_whole: bool = False

    @override
    def read(self, where: str, found: Any, problems: list[str]) -> float | int | None:
        number = number_of(found)
        if number is None:
            problems.append(wrong_type(where, found, self.words))
            return None
        # infinity fits into no jsonb, and means what leaving the key out or a great number means
        is_wrong = not math.isfinite(number) or (self.is_whole and number != int(number))
        if is_wrong or not self.low <= number <= self.high:
            problems.append(f"{where} must be {self.words}, found {found!r}")
            return None
        return int(number) if self.is_whole else number

    @property
    @override
    def words(self) -> str:
        kind = "a whole number" if self.is_whole else "a number"
        limits = f"of at least {self.low}" if math.isinf(self.high) else f"from {self.low} to {self.high}"
        return f"{kind} {limits}"

    @override
    def schema(self) -> Schema:
        number: Schema = {"type": "integer" if self.is_whole else "number", "minimum": self.low}
        if not math.isinf(self.high):
            number["maximum"] = self.high
        return {"anyOf": [number, {"type": "string", "pattern": NUMBER_PATTERN}]}


@dataclass(frozen=True)
class Bytes(Kind):
    """An amount of memory, '4 GB' or a number of bytes: read as a number of bytes.

    Parameters
    ----------
    low : bytes, allowed themselves
    """

    low: int

    @override
    def read(self, where: str, found: Any, problems: list[str]) -> int | None:
        if isinstance(found, bool):
            problems.append(wrong_type(where, found, self.words))
            return None
        match = BYTES.fullmatch(str(found))
        if match is None:
            problems.append(wrong_type(where, found, self.words))
            return None
        n_bytes: int = round(float(match[1]) * UNITS[(match[2] or "").upper().removesuffix("B")])
        if n_bytes < self.low:
            problems.append(f"{where} must be {self.words}, found {found!r}")
            return None
        return n_bytes

    @property
    @override
    def words(self) -> str:
        return f"a size such as '4 GB', of at least {self.low // 1_000_000} MB"

    @override
    def schema(self) -> Schema:
        pattern = r"^\s*\d+(\.\d+)?\s*([KMGTkmgt]?[Ii]?[Bb]?)\s*$"
        return {"anyOf": [{"type": "integer", "minimum": self.low}, {"type": "string", "pattern": pattern}]}


class Names(Kind):
    """One or several strings: read as a tuple."""

    @override
    def read(self, where: str, found: Any, problems: list[str]) -> tuple[str, ...] | None:
        items = [found] if isinstance(found, str) else found
        if isinstance(items, list | tuple) and items and all(isinstance(item, str) for item in items):
            return tuple(items)
        problems.append(wrong_type(where, found, "a list of names"))
        return None

    @property
    @override
    def words(self) -> str:
        return "a list of names"

    @override
    def schema(self) -> Schema:
        return {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}


def capitalized(phrase: str) -> str:
    """Return the phrase with a capital in front."""
    return phrase[:1].upper() + phrase[1:]


def listed(words: Iterable[str]) -> str:
    """Return words as code, in Markdown."""
    return ", ".join(f"`{word}`" for word in words)


def one_of_any_case(alternatives: tuple[Schema, ...], words: Iterable[str]) -> Schema:
    """Return the schema of the alternatives, for completion, and of the words in any case.

    JSON schema's regular expressions have no flag that ignores case.
    """
    patterns = ("".join(_any_case(letter) for letter in word) for word in words)
    pattern = f"^({'|'.join(patterns)})$"
    return {"anyOf": [*alternatives, {"type": "string", "pattern": pattern}]}


def _any_case(letter: str) -> str:
    if letter.lower() != letter.upper():
        return f"[{letter.upper()}{letter.lower()}]"
    return re.sub(r"([.^$*+?()[\]{}|\\])", r"\\\1", letter)
