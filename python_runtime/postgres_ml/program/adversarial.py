"""Adversarial rows for a scoring program: where two runtimes that differ at all are most likely to differ.

Input: a program. Output: columns of raw Python values that any runtime can be run on. Every number input
meets each threshold of the program that concerns it, the neighbours of it in single and double precision,
the midpoint at which single-precision rounding changes sides, and NULL, NaN, infinities, zeros of both signs,
subnormals and huge values, as far as the input's SQL type has them. Text meets every category, near misses of
it and unseen values; dates meet the edges of the calendar's parts.
"""

from __future__ import annotations

import datetime
import math
import random
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from postgres_ml.program import encoders
from postgres_ml.program.marks import limits_by_input, marks_by_input
from postgres_ml.program.program import Input, Program

NUMBERS = (
    0.0, -0.0, 1.0, -1.0, 0.1, 0.5, 16777217.0, 1e-45, -1e-45, 1.1754943e-38, 5e-324, -5e-324, 1e-310,
    1e308, -1e308, 3.4028234663852886e38, 3.4028235677973362e38, 3.4028235677973366e38,
    -3.4028235677973366e38, 1e39, -1e39, math.inf, -math.inf, math.nan,
)  # fmt: skip
TEXTS = (
    "", " ", "unseen", "Ünseen", "日本語", "e\u0301", "é", "O'Reilly", '"', "\\", "$$", "$1", "%s", "NaN",
    "nan", "None", "null", "NULL", "0", "1", "1.0", "true", "a\tb", "a\nb", "🐘", "x" * 300,
)  # fmt: skip
SEPARATORS = (
    " ",
    "  ",
    ",",
    "-",
    "_",
    "'",
    ".\n",
    "\t",
    "\u00a0",
    "\u00ad",
    "\u200b",
    "\u2014",
    "、",
    "\u2028",
    "\ufeff",
)
NO_SEPARATORS = ("\u0301", "\u200d", "ß", "🦉", "ª", "0", "\ufffd", "\U0010ffff")
CASES = (
    *("Ä", "ẞ", "İ", "ı", "Σ", "ς", "ǅ", "Ⅷ", "Ａ", "\u212a", "\U00010400", "\U0001e900", "א", "\u202e"),
    "👩\u200d👩\u200d👧",
)
DATES = (
    "0001-01-01", "1582-10-15", "1899-12-31", "1900-02-28", "1969-12-31", "1970-01-01", "1999-12-31",
    "2000-02-29", "2020-01-01", "2023-01-01", "2024-02-29", "2024-03-01", "2024-12-29", "2024-12-31",
    "2026-06-30", "9999-12-31",
)  # fmt: skip
TIMES = (
    "00:00:00",
    "00:00:00.000001",
    "11:59:59.999999",
    "12:00:00",
    "23:59:59",
    "23:59:59.999999",
    "06:30:15.25",
)
INTEGER_BITS = {"smallint": 16, "integer": 32, "bigint": 64}
MAX_THRESHOLDS = 2000


def adversarial_rows(program: Program, seed: int, limit: int) -> dict[str, list[Any]]:
    """Return `limit` rows as columns by input name: the same rows for the same arguments.

    Values are None, bool, int (integer types), float, str, or datetime's date, time and datetime (with time
    zone UTC for timestamptz). Each row puts one input on a value of interest, the inputs taking turns; its
    other cells are mostly ordinary, so that one refused value does not hide the rest.
    """
    source = random.Random(seed)
    thresholds, limits = marks_by_input(program), limits_by_input(program)
    pools = [
        _Pool(item, position, program, thresholds[position], limits[position], source)
        for position, item in enumerate(program.inputs)
    ]
    rows = []
    for number in range(limit):
        focus = number % max(1, len(pools))
        bold = source.random() < 0.5
        rows.append(
            [pool.focus() if i == focus else pool.other(bold, len(pools)) for i, pool in enumerate(pools)]
        )
    return {item.name: [row[i] for row in rows] for i, item in enumerate(program.inputs)}


class _Pool:
    """The values that one input can take.

    Parameters
    ----------
    thresholds : numbers that the program compares this input with, each standing for its neighbourhood
    limits : numbers beyond which the program refuses a row
    """

    def __init__(
        self,
        item: Input,
        position: int,
        program: Program,
        thresholds: Iterable[float],
        limits: Iterable[float],
        source: random.Random,
    ) -> None:
        self._source = source
        common, rare = _values(item, position, program, sorted(thresholds), source)
        beyond = [value for limit in sorted(limits) for value in neighbourhood(limit)]
        self._common = common or rare
        self._rare = [None, *rare, *(_of_type(item.sql_type, beyond) if beyond else [])]
        self._turns = self._taking_turns()

    def _taking_turns(self) -> Iterator[Any]:
        while True:
            values = self._common + self._rare
            self._source.shuffle(values)
            yield from values

    def focus(self) -> Any:
        """Return the next value of interest."""
        return next(self._turns)

    def other(self, bold: bool, n_inputs: int) -> Any:
        """Return a value for a row whose interest lies elsewhere; bold rows have a rare one now and then."""
        if bold and self._source.random() < 1 / n_inputs:
            return self._source.choice(self._rare)
        return self._source.choice(self._common)


def _values(
    item: Input, position: int, program: Program, thresholds: list[float], source: random.Random
) -> tuple[list[Any], list[Any]]:
    """Return the input's common and rare values."""
    if item.kind == "boolean":
        return [False, True], []
    if item.kind == "text":
        seen = sorted({str(value) for value in _categories(program, position)})
        misses = [
            miss for value in seen[:20] for miss in (value + " ", value.upper(), value.lower(), value[:-1])
        ]
        texts = [*_sentences(program, position, source), *_characters(program, position, source)]
        return [*seen, *texts], [*TEXTS, *misses]
    if item.kind != "number":
        return [_instant(text, item.kind) for text in _instants(item.kind)], []
    marks = thresholds + [float(value) for value in _categories(program, position)]
    if len(marks) > MAX_THRESHOLDS:
        marks = sorted(source.sample(marks, MAX_THRESHOLDS))
    near = [value for mark in marks for value in neighbourhood(mark)]
    low, high = (min(marks), max(marks)) if marks else (-1.0, 1.0)
    # the spread may overflow where a threshold is near the largest double
    spread = min(high - low, 1e300) or 1.0
    near += [low + spread * source.uniform(-0.2, 1.2) for _ in range(200)]
    return _of_type(item.sql_type, near), _of_type(item.sql_type, NUMBERS)


def _sentences(program: Program, position: int, source: random.Random) -> list[str]:
    """Return texts of the terms that a step looks for in the input, with near misses of them."""
    steps = [step for step in program.steps if isinstance(step, encoders.Words) and step.input == position]
    terms = [term for step in steps for term in step.terms]

    def spoilt(term: str) -> str:
        change = source.randrange(8)
        changed = (term.upper(), term.title(), term[::-1], term + source.choice(NO_SEPARATORS))
        return changed[change] if change < len(changed) else term

    def sentence(n_terms: int) -> str:
        parts = (spoilt(source.choice(terms)) + source.choice(SEPARATORS) for _ in range(n_terms))
        return source.choice(("", *SEPARATORS)) + "".join(parts)

    if not terms:
        return []
    return [
        *(sentence(source.choice((1, 2, 3, 8, 40))) for _ in range(300)),
        *source.sample(terms, 1),
        " ",
        "",
    ]


def _characters(program: Program, position: int, source: random.Random) -> list[str]:
    """Return texts of the characters that a step counts in the input, with others among them."""
    steps = [step for step in program.steps if isinstance(step, encoders.Characters)]
    signs = [name for step in steps if step.input == position for name in step.classes if len(name) == 1]
    if not any(step.input == position for step in steps):
        return []
    letters = (*"aZ09\x7f", *SEPARATORS, *NO_SEPARATORS, *CASES, *signs, *signs)
    return ["", *("".join(source.choices(letters, k=source.choice((1, 2, 5, 20, 90)))) for _ in range(300))]


def neighbourhood(value: float) -> list[float]:
    """Return the value, its neighbours in double and single precision, and where rounding changes sides."""
    with np.errstate(over="ignore"):
        single = np.float32(value)
        below, above = (float(np.nextafter(single, np.float32(end))) for end in (-np.inf, np.inf))
    middles = [(below + float(single)) / 2, (float(single) + above) / 2]
    exact = [value, float(single), below, above, *middles]
    around = [
        math.nextafter(v, end) if math.isfinite(v) else v for v in exact for end in (-math.inf, math.inf)
    ]
    return [v for v in exact + around if math.isfinite(v)]


def _of_type(sql_type: str, values: Iterable[float]) -> list[Any]:
    """Return the distinct values that a column of the type can hold, nearest to the given ones."""
    if sql_type in INTEGER_BITS:
        end = 2 ** (INTEGER_BITS[sql_type] - 1)
        finite = [v for v in values if math.isfinite(v) and abs(v) < 2.0**62]
        whole = {i for v in finite for i in (math.floor(v), math.ceil(v))} | {end - 1, -end}
        return sorted(i for i in whole if -end <= i < end)
    if sql_type == "real":
        with np.errstate(over="ignore"):
            values = [float(np.float32(value)) for value in values]
    # -0.0 equals 0.0, so the sign is part of the key
    return list({(value, math.copysign(1.0, value)): value for value in values}.values())


def _instants(kind: str) -> list[str]:
    if kind == "date":
        return list(DATES)
    return list(TIMES) if kind == "time" else [f"{day}T{time}" for day in DATES for time in TIMES]


def _instant(text: str, kind: str) -> Any:
    if kind == "date":
        return datetime.date.fromisoformat(text)
    if kind == "time":
        return datetime.time.fromisoformat(_six_digits(text))
    instant = datetime.datetime.fromisoformat(_six_digits(text))
    return instant.replace(tzinfo=datetime.timezone.utc) if kind == "timestamptz" else instant


def _six_digits(text: str) -> str:
    """Return an ISO time with six digits of fraction, as Python 3.10 wants them."""
    head, dot, fraction = text.partition(".")
    return f"{head}.{fraction:0<6}" if dot else head


def _categories(program: Program, position: int) -> list[Any]:
    return [
        value
        for step in program.steps
        if isinstance(step, encoders.Category) and step.input == position
        for value in step.values
    ]
