"""What a step reads, said once for every kind of step.

A step reads one of the row's inputs, or slots of the steps before it. Whoever removes steps, plans SQL,
checks a program or explains a score asks the step; nobody looks at its fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

InputReader = TypeVar("InputReader", bound="ReadsInput")
SlotReader = TypeVar("SlotReader", bound="ReadsSlot")
SlotsReader = TypeVar("SlotsReader", bound="ReadsSlots")


class StepBase:
    """What all steps have in common."""

    @property
    def width(self) -> int:
        """Number of slots that the step appends."""
        return 1

    @property
    def reads(self) -> tuple[int, ...]:
        """The slots that the step reads, in its own order; a slot that is read twice stands there twice."""
        return ()

    @property
    def reads_input(self) -> int | None:
        """The position of the input that the step reads; None for a step that reads slots."""
        return None

    @property
    def may_refuse(self) -> bool:
        """Whether the step may refuse a row, so that it must run although nothing reads its slots."""
        return False

    def reads_for(self, positions: Sequence[int]) -> tuple[int, ...]:
        """Return the slots that these of the step's outputs need.

        Parameters
        ----------
        positions : of outputs, each less than `width`; none need nothing
        """
        return self.reads if positions else ()


@dataclass(frozen=True)
class ReadsInput(StepBase):
    """A step that reads an input of the row: `input` is its position."""

    input: int

    @property
    def reads_input(self) -> int | None:
        """The position of the input."""
        return self.input

    def renumbered(self: InputReader, numbers: Mapping[int, int]) -> InputReader:
        """Return the step itself: it reads no slot."""
        return self


@dataclass(frozen=True)
class ReadsSlot(StepBase):
    """A step that reads one slot."""

    slot: int

    @property
    def reads(self) -> tuple[int, ...]:
        """The slot."""
        return (self.slot,)

    def renumbered(self: SlotReader, numbers: Mapping[int, int]) -> SlotReader:
        """Return the step that reads its slot under a new number.

        Parameters
        ----------
        numbers : new number of each slot that is read
        """
        return replace(self, slot=numbers[self.slot])


@dataclass(frozen=True)
class ReadsSlots(StepBase):
    """A step that reads several slots."""

    slots: tuple[int, ...]

    @property
    def reads(self) -> tuple[int, ...]:
        """The slots."""
        return self.slots

    def renumbered(self: SlotsReader, numbers: Mapping[int, int]) -> SlotsReader:
        """Return the step that reads its slots under new numbers.

        Parameters
        ----------
        numbers : new number of each slot that is read
        """
        return replace(self, slots=tuple(numbers[slot] for slot in self.slots))
