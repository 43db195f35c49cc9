"""The characters of a text argument in plpgsql: how many there are of each class.

They are counted once a row, before anything else is computed: a class's count is what a text loses in length
where the characters are taken out. `replace` leaves a text alone that lacks the character.

Exactness: whole numbers. Characters of ASCII are one byte in each encoding of a database; the capitals beyond
are code points of Unicode, as the words' separators are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from postgres_ml.contract import sql_names
from postgres_ml.generate.literals import DOUBLE
from postgres_ml.generate.sql.arithmetic.interval import Value
from postgres_ml.program import characters, encoders


@dataclass(frozen=True)
class CharacterCounts:
    """The variables that hold a step's slots.

    Parameters
    ----------
    number : of the step in the program, after which the variables are named
    positions : which of the step's slots are read
    """

    step: encoders.Characters
    number: int
    positions: tuple[int, ...]

    @property
    def text(self) -> str:
        """The text, empty for NULL."""
        return f"ct{self.number}"

    @property
    def declarations(self) -> dict[str, str]:
        """SQL types of the variables."""
        return {self.text: "pg_catalog.text"} | {self._name(p): DOUBLE for p in self.positions}

    def slot(self, position: int) -> Value:
        """Return one of the step's slots."""
        return Value(self._name(position), 0.0, characters.MOST_CHARACTERS, 1.0, False)

    def statements(self, operand: str) -> list[str]:
        """Return the statements that set the variables.

        Parameters
        ----------
        operand : the argument, as text
        """
        lines, wide = [f"{self.text} := coalesce({operand},'');"], []
        for position in self.positions:
            narrow, beyond = self._counts(self.step.classes[position])
            lines.append(f"{self._name(position)} := {narrow};")
            if beyond:
                wide.append(f"{self._name(position)} := {beyond};")
        if wide:
            condition = f"pg_catalog.octet_length({self.text})<>pg_catalog.char_length({self.text})"
            lines += [f"if {condition} then", *wide, "end if;"]
        return lines

    def _name(self, position: int) -> str:
        return f"ch{self.number}_{position}"

    def _counts(self, name: str) -> tuple[str, str]:
        """Return a class's count in a text of ASCII, and in any other where it is not the same."""
        if name == "characters":
            return f"pg_catalog.char_length({self.text})", ""
        if name == "digits":
            return self._lost("octet_length", self._without("[0-9]+")), ""
        if name == "capitals":
            wide = f"[{_class(characters.capitals())}]+"
            return (
                self._lost("octet_length", self._without("[A-Z]+")),
                self._lost("char_length", self._without(wide)),
            )
        if name == "beyond ascii":
            return "0", self._lost("char_length", self._without("[^\\u0001-\\u007f]+"))
        return self._lost("octet_length", f"pg_catalog.replace({self.text},{sql_names.text(name)},'')"), ""

    def _without(self, pattern: str) -> str:
        return f"pg_catalog.regexp_replace({self.text},{sql_names.text(pattern)},'','g')"

    def _lost(self, length: str, rest: str) -> str:
        return f"pg_catalog.{length}({self.text})-pg_catalog.{length}({rest})"


def _class(ranges: Sequence[tuple[int, int]]) -> str:
    """Return the members of a pattern's class, of ASCII characters."""
    return "".join(
        _escape(first) if first == last else f"{_escape(first)}-{_escape(last)}" for first, last in ranges
    )


def _escape(code: int) -> str:
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
