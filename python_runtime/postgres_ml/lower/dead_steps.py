"""Removing the steps that neither the output nor a refusal needs, and numbering the rest anew."""

from __future__ import annotations

import dataclasses
from typing import Any

from postgres_ml.program.encoders import Category
from postgres_ml.program.program import Output, Program, Step
from postgres_ml.program.scorers import WeightedSum


def prune(program: Program) -> Program:
    """Return the program without unneeded steps; a Category that can refuse a row is always needed."""
    needed: set[int] = {refusal.slot for refusal in program.refusals} | set(_output_slots(program.output))
    kept: list[tuple[Step, int]] = []
    for step, offset in reversed(list(zip(program.steps, program.offsets, strict=True))):
        refuses = isinstance(step, Category) and (step.missing is None or step.unseen is None)
        if refuses or not needed.isdisjoint(range(offset, offset + step.width)):
            needed.update(_read_slots(step))
            kept.append((step, offset))
    kept.reverse()
    renumbered: dict[int, int] = {}
    for step, offset in kept:
        for slot in range(offset, offset + step.width):
            renumbered[slot] = len(renumbered)
    return dataclasses.replace(
        program,
        steps=tuple(_renumber(step, renumbered) for step, _ in kept),
        refusals=tuple(dataclasses.replace(r, slot=renumbered[r.slot]) for r in program.refusals),
        output=_renumber(program.output, renumbered),
    )


_OUTPUT_FIELDS = ("score", "scores", "probabilities", "distances")
_FIELDS = ("slot", "slots", "groups", *_OUTPUT_FIELDS)


def _read_slots(step: Any) -> tuple[int, ...]:
    if isinstance(step, WeightedSum):
        return tuple(slot for group in step.groups for slot in group)
    if hasattr(step, "slots"):
        return tuple(step.slots)
    return (step.slot,) if hasattr(step, "slot") else ()


def _output_slots(output: Output) -> list[int]:
    slots: list[int] = []
    for name in ("slot", *_OUTPUT_FIELDS):
        value = getattr(output, name, ())
        slots.extend([value] if isinstance(value, int) else value)
    return slots


def _renumber(node: Any, renumbered: dict[int, int]) -> Any:
    changes = {name: _mapped(getattr(node, name), renumbered) for name in _FIELDS if hasattr(node, name)}
    return dataclasses.replace(node, **changes)


def _mapped(slots: Any, renumbered: dict[int, int]) -> Any:
    if isinstance(slots, int):
        return renumbered[slots]
    return tuple(_mapped(item, renumbered) for item in slots)
