"""Leaving out the steps that a function's role doesn't need: a label often needs no link, say."""

from __future__ import annotations

import typing
from dataclasses import replace
from typing import Any, Literal

from postgres_ml.program.encoders import Category
from postgres_ml.program.program import BinaryLabel, ClusterLabel, Output, Program, Step, Value

Role = Literal["predict", "probabilities", "distances"]
# in the order of their numbers in a body
ROLES: tuple[Role, ...] = typing.get_args(Role)


def prune(program: Program, role: Role) -> Program:
    """Return the program with the steps that the role's output or a refusal depends on, and no others.

    In role 'probabilities' the slots that choose the label are replaced by the probabilities, in role
    'predict' the probabilities go.
    """
    output = _output_of(program.output, role)
    needed = _needed(
        program,
        {*scores_of(output), *getattr(output, "probabilities", ()), *(r.slot for r in program.refusals)},
    )
    moved: dict[int, int] = {}
    steps: list[Step] = []
    total = 0
    for step, offset, keep in zip(program.steps, program.offsets, needed, strict=True):
        if not keep:
            continue
        steps.append(_moved(step, moved))
        moved.update((offset + i, total + i) for i in range(step.width))
        total += step.width
    refusals = tuple(replace(refusal, slot=moved[refusal.slot]) for refusal in program.refusals)
    return replace(program, steps=tuple(steps), refusals=refusals, output=_moved(output, moved))


def _output_of(output: Output, role: Role) -> Output:
    if isinstance(output, Value | ClusterLabel):
        return output
    if role == "predict":
        return replace(output, probabilities=())
    if isinstance(output, BinaryLabel):
        return replace(output, score=output.probabilities[0])
    return replace(output, scores=output.probabilities)


def scores_of(output: Output) -> tuple[int, ...]:
    """Return the slots that the label or value is chosen by."""
    if isinstance(output, Value):
        return (output.slot,)
    if isinstance(output, ClusterLabel):
        return output.distances
    return (output.score,) if isinstance(output, BinaryLabel) else output.scores


def _needed(program: Program, slots: set[int]) -> list[bool]:
    """Return, for each step, whether it must run; `slots` are those that are read at the end."""
    needed = [False] * len(program.steps)
    for position in reversed(range(len(program.steps))):
        step, offset = program.steps[position], program.offsets[position]
        refuses = isinstance(step, Category) and None in (step.missing, step.unseen)
        if refuses or not slots.isdisjoint(range(offset, offset + step.width)):
            needed[position] = True
            slots.update(_read_slots(step))
    return needed


def _read_slots(step: Any) -> list[int]:
    slots = list(getattr(step, "slots", ()))
    if hasattr(step, "slot"):
        slots.append(step.slot)
    for group in getattr(step, "groups", ()):
        slots.extend(group)
    return slots


def _moved(item: Any, moved: dict[int, int]) -> Any:
    """Return the step or output with its slots renumbered."""
    changes: dict[str, Any] = {}
    for name in ("slot", "score"):
        if hasattr(item, name):
            changes[name] = moved[getattr(item, name)]
    for name in ("slots", "scores", "distances", "probabilities"):
        if hasattr(item, name):
            changes[name] = tuple(moved[slot] for slot in getattr(item, name))
    if hasattr(item, "groups"):
        changes["groups"] = tuple(tuple(moved[slot] for slot in group) for group in item.groups)
    return replace(item, **changes) if changes else item
