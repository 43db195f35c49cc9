"""The rules that every scoring program keeps, checked once: code generators rely on them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import get_args

from postgres_ml.program.program import STEPS, InputKind, Output, Program, Step
from postgres_ml.program.require import InvalidProgramError, require
from postgres_ml.program.rules import check_input_kind, check_output_form, check_step

__all__ = ["InvalidProgramError", "check_program"]


def check_program(program: Program) -> None:
    """Do nothing if the program keeps all rules.

    Raises
    ------
    InvalidProgramError
        The text names the step, its position and the rule.
    """
    names = [item.name for item in program.inputs]
    require(len(set(names)) == len(names), "input names are not distinct")
    for item in program.inputs:
        require(item.kind in get_args(InputKind), f"input {item.name}: unknown kind {item.kind!r}")
    n_slots = 0
    for position, step in enumerate(program.steps):
        try:
            require(isinstance(step, STEPS), "unknown kind of step")
            _check_reads(step, program, n_slots)
            check_step(step)
        except InvalidProgramError as error:
            raise InvalidProgramError(f"step {position} ({type(step).__name__}): {error}") from None
        n_slots += step.width
    for refusal in program.refusals:
        _check_slots([refusal.slot], n_slots, "refusal")
        limit = refusal.above
        require(limit is None or (math.isfinite(limit) and limit > 0), f"refusal: limit {limit!r}")
    _check_output(program.output, n_slots)
    require(bool(program.return_type), "the return type is empty")


def _check_slots(slots: Iterable[int], n_slots: int, what: str) -> None:
    for slot in slots:
        require(
            type(slot) is int and 0 <= slot < n_slots, f"{what} reads slot {slot!r} of {n_slots} before it"
        )


def _check_reads(step: Step, program: Program, n_slots: int) -> None:
    position = step.reads_input
    if position is not None:
        require(0 <= position < len(program.inputs), f"reads input {position} of {len(program.inputs)}")
        check_input_kind(step, program.inputs[position].kind)
    _check_slots(step.reads, n_slots, "it")


def _check_output(output: Output, n_slots: int) -> None:
    check_output_form(output)
    _check_slots(output.reads, n_slots, "the output")
