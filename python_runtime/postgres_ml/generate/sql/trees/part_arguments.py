"""The arguments of a part of a chained ensemble: the operands that its trees compare, and no others."""

from __future__ import annotations

from postgres_ml.contract.exceptions import UnsupportedModelError
from postgres_ml.contract.sql_names import MAX_ARGUMENTS
from postgres_ml.generate import literals
from postgres_ml.generate.literals import DOUBLE
from postgres_ml.generate.sql.arguments import ArgumentReader, Operand
from postgres_ml.generate.sql.fold.slots import CategoryKey, Source
from postgres_ml.generate.sql.trees.ensemble import Chunk


class PartArgumentReader(ArgumentReader):
    """Operands as $2, $3, … of a part; what the caller passes is collected in `passed`.

    Parameters
    ----------
    caller : the reader of the function that calls the part
    """

    def __init__(self, caller: ArgumentReader, chunk: Chunk) -> None:
        self.inputs = caller.inputs
        self.has_variables = True
        self.caller = caller
        self.passed: list[Operand] = []
        self._names: dict[Operand, str] = {}

    def source(self, source: Source) -> Operand:
        """Return the number that splits compare."""
        operand = self.caller.source(source)
        return Operand(self._pass(operand), operand.sql_type)

    def number_type(self, source: Source) -> str:
        """Return the type of the source's text."""
        return self.caller.number_type(source)

    def code(self, key: CategoryKey) -> str:
        """Return what holds the category's number."""
        return self._pass(Operand(self.caller.code(key), "integer"))

    def argument(self, position: int) -> str:
        """Return an argument that is compared as it is."""
        return self._pass(Operand(self.caller.argument(position), self.inputs[position].sql_type))

    def arguments(self) -> tuple[tuple[str, str], ...]:
        """Return names and types of the part's arguments after the first."""
        return tuple((f"a{n}", literals.type_name(o.sql_type)) for n, o in enumerate(self.passed, 2))

    def _pass(self, operand: Operand) -> str:
        array, _, index = operand.sql.partition("[")
        if index and array.isalnum():  # an element of a variable: the array is passed, once for all elements
            return f"{self._pass(Operand(array, f'{DOUBLE}[]'))}[{index}"
        if operand not in self._names:
            if len(self.passed) == MAX_ARGUMENTS - 1:
                raise UnsupportedModelError(
                    "tree ensemble",
                    f"trees that split on {MAX_ARGUMENTS} columns and more, in an ensemble of this size",
                    "use runtime: native, or fewer or shallower trees",
                )
            self.passed.append(operand)
            self._names[operand] = f"${len(self.passed) + 1}"
        return self._names[operand]
