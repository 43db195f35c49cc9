"""The words of a text argument in plpgsql: which terms are in it, and what a linear map makes of them.

A text is split once a row, before anything else is computed: `regexp_split_to_array` is some three times as
fast as `translate` with `string_to_array`. What is looked up is a jsonb of the terms, by binary search. The
arrays that come of it have the terms of the text alone, in the order of the step's terms, so that sums over
them are the sums over all slots: a zero adds nothing.

Exactness: `lower` under collation "C" knows ASCII alone; other letters are translated by our own table. The
classes of the pattern are code points, which no collation and no locale changes; they are those of Unicode
in a database of encoding UTF8 only.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from postgres_ml.contract import sql_names
from postgres_ml.contract.exceptions import UnsupportedModelError
from postgres_ml.generate.literals import DOUBLE
from postgres_ml.generate.sql.arithmetic import elementary
from postgres_ml.generate.sql.arithmetic.interval import LARGEST, SAFE_TINY, Calculator, Value
from postgres_ml.program import encoders, words
from postgres_ml.program.characters import MOST_CHARACTERS
from postgres_ml.program.program import Program
from postgres_ml.program.scorers import Linear

ASCII_PATTERN = "[^a-z0-9]+"
ENCODINGS = ("UTF8", "SQL_ASCII")  # of a database without an encoding only ASCII is read
HINT = "use runtime: native, or a database of encoding UTF8"


def check_encoding(program: Program, encoding: str) -> None:
    """Do nothing if SQL can read the words and characters of the program's texts in this encoding.

    Raises
    ------
    UnsupportedModelError
        Patterns know characters by their number, and in this encoding that is another one.
    """
    if encoding in ENCODINGS:
        return
    for step in program.steps:
        if isinstance(step, encoders.Words):
            what = f"words of text in SQL, in the encoding {encoding}"
            raise UnsupportedModelError("TextVectorizer", what, HINT)
        if isinstance(step, encoders.Characters):
            what = f"characters of text in SQL, in the encoding {encoding}"
            raise UnsupportedModelError("TextStatistics", what, HINT)


@dataclass(frozen=True)
class WordArrays:
    """The variables that hold what a row's text has of a step's terms.

    Parameters
    ----------
    step : which terms
    number : of the step in the program, after which the variables are named
    is_dense : whether something reads single slots, so that there is an array of all of them
    """

    step: encoders.Words
    number: int
    is_dense: bool

    @property
    def places(self) -> str:
        """The numbers of the terms that the text has, from 1 on, increasing; NULL where it has none."""
        return f"wp{self.number}"

    @property
    def values(self) -> str:
        """The slots of these terms."""
        return f"wv{self.number}"

    @property
    def slots(self) -> str:
        """All slots."""
        return f"ws{self.number}"

    @property
    def declarations(self) -> dict[str, str]:
        """SQL types of the variables."""
        types = {
            f"wt{self.number}": "pg_catalog.text", f"wk{self.number}": "pg_catalog.text[]",
            self.places: "integer[]", self.values: f"{DOUBLE}[]", f"wn{self.number}": DOUBLE,
        }  # fmt: skip
        return types | ({self.slots: f"{DOUBLE}[]"} if self.is_dense else {})

    def slot(self, position: int) -> Value:
        """Return one of the step's slots."""
        low, high = self.bounds
        return Value(f"{self.slots}[{position + 1}]", 0.0, high, low, False)

    @property
    def bounds(self) -> tuple[float, float]:
        """Least and greatest value of a slot that isn't zero."""
        least, greatest = min(self.step.weights), max(self.step.weights)
        if self.step.norm == "none":
            return least, greatest * MOST_CHARACTERS
        return least / (greatest * MOST_CHARACTERS * len(self.step.terms)), 1.0 + 1e-9

    def statements(self, operand: str) -> list[str]:
        """Return the statements that set the variables.

        Parameters
        ----------
        operand : the argument, as text in collation "C"
        """
        text, tokens, norm = f"wt{self.number}", f"wk{self.number}", f"wn{self.number}"
        ascii_, wide = sql_names.text(ASCII_PATTERN), sql_names.text(wide_pattern())
        lines = [
            f"{text} := pg_catalog.lower({operand});",
            f"if pg_catalog.octet_length({text})=pg_catalog.char_length({text}) then",
            f"{tokens} := pg_catalog.regexp_split_to_array({text},{ascii_});",
            "else",
            f"{tokens} := pg_catalog.regexp_split_to_array({translated(text, self.step.terms)},{wide});",
            "end if;",
        ]
        found, weights = self._found(tokens), elementary.array(self.step.weights)
        f, c = f"wf{self.number}", f"wc{self.number}"  # a function may be named t, and have an argument p
        squares = f"pg_catalog.sqrt(pg_catalog.sum({c}.v*{c}.v order by {c}.p))"
        lines.append(
            f"select pg_catalog.array_agg({c}.p order by {c}.p),pg_catalog.array_agg({c}.v order by {c}.p),"
            f"{squares} into {self.places},{self.values},{norm} from (select {f}.p,"
            f"pg_catalog.count(*)::{DOUBLE}*({weights})[{f}.p] as v from ({found}) as {f} "
            f"where {f}.p is not null group by {f}.p) as {c};"
        )
        if self.is_dense:
            lines.append(f"{self.slots} := pg_catalog.array_fill('0'::{DOUBLE},array[{self.step.width}]);")
        if self.step.norm == "l2" or self.is_dense:
            lines += self._each(self._normalised(norm))
        return lines

    def _found(self, tokens: str) -> str:
        """Return a query of the terms' numbers, once for each time that they are in the text."""
        known = json.dumps({t: n for n, t in enumerate(self.step.terms, 1)}, ensure_ascii=False)
        table = f"{sql_names.text(known)}::pg_catalog.jsonb"
        single = any(" " not in term for term in self.step.terms)
        paired = any(" " in term for term in self.step.terms)
        queries, u = [], f"wu{self.number}"
        if single:
            queries.append(
                f"select ({table}->>{u}.a)::integer as p from pg_catalog.unnest({tokens}) as {u}(a)"
            )
        if paired:
            queries.append(
                f"select ({table}->>({u}.a||' '||{u}.b))::integer as p from rows from "
                f"(pg_catalog.unnest({tokens}),pg_catalog.unnest({tokens}[2:])) as {u}(a,b)"
            )
        return " union all ".join(queries)

    def _normalised(self, norm: str) -> list[str]:
        lines = [f"{self.values}[i] := {self.values}[i]/{norm};"] if self.step.norm == "l2" else []
        return [*lines, f"{self.slots}[{self.places}[i]] := {self.values}[i];"] if self.is_dense else lines

    def _each(self, statements: Sequence[str]) -> list[str]:
        end = f"coalesce(pg_catalog.array_length({self.places},1),0)"
        return [f"for i in 1 .. {end} loop", *statements, "end loop;"]

    def add_weighted(self, calculator: Calculator, total: Value, weights: Sequence[float]) -> Value:
        """Return the total plus each slot times its weight, added one after the other."""
        low, high = self.bounds
        total = calculator.store(total) if total.constant is None else _variable(calculator, total)
        numbers = f"({elementary.array(tuple(weights))})[{self.places}[i]]"
        product, used = f"{self.values}[i]*{numbers}", [abs(weight) for weight in weights if weight]
        reach = sum(used) * high
        name = total.sql
        if total.nullable or not total.magnitude + reach < 1e300 or min(used, default=1.0) * low < SAFE_TINY:
            calculator.uses_helper = True
            helper = calculator.helper
            line = f"{name} := {helper}('+',{name},{helper}('*',{self.values}[i],{numbers}));"
            reach = LARGEST * 2
        else:
            line = f"{name} := {name}+{product};"
        calculator.statements += self._each([line])
        return Value(name, total.low - reach, total.high + reach, nullable=total.nullable)


def _variable(calculator: Calculator, total: Value) -> Value:
    """Return a variable that has the constant at first."""
    name = calculator.declare(DOUBLE)
    calculator.statements.append(f"{name} := {total.sql};")
    return Value(name, total.low, total.high, total.tiny, total.nullable)


def arrays_of(program: Program, number: int, planned: Collection[int], roots: Collection[int]) -> WordArrays:
    """Return the variables of a step of words.

    Parameters
    ----------
    planned : the steps that are computed
    roots : slots that are asked for
    """
    step, offset = program.steps[number], program.offsets[number]
    assert isinstance(step, encoders.Words)
    own = range(offset, offset + step.width)
    single = set(roots)
    for other in (program.steps[reader] for reader in planned):
        is_whole = isinstance(other, Linear) and all(run == own for run in _runs_within(other.slots, own))
        single.update(() if is_whole else other.reads)
    return WordArrays(step, number, not single.isdisjoint(own))


def _runs_within(slots: Sequence[int], own: range) -> list[range]:
    """Return the runs of successive numbers among the slots that are in `own`."""
    runs: list[range] = []
    for slot in slots:
        if slot in own:
            if runs and runs[-1].stop == slot:
                runs[-1] = range(runs[-1].start, slot + 1)
            else:
                runs.append(range(slot, slot + 1))
    return runs


def wide_pattern() -> str:
    """Return the pattern of what separates words in any text, of ASCII characters."""
    return "[" + "".join(f"{_escape(first)}-{_escape(last)}" for first, last in words.separators()) + "]+"


def _escape(code: int) -> str:
    return f"\\u{max(code, 1):04x}" if code < 0x10000 else f"\\U{code:08x}"


def translated(text: str, terms: Sequence[str]) -> str:
    """Return the text with the lower case of letters beyond ASCII, as far as the terms have such letters."""
    used = {ord(letter) for term in terms for letter in term}
    pairs = [(a, b) for a, b in words.lower_case().items() if a > 0x7F and b in used]
    if not pairs:
        return text
    upper, lower = (sql_names.text("".join(map(chr, side))) for side in zip(*pairs, strict=True))
    return f"pg_catalog.translate({text},{upper},{lower})"
