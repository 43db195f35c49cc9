"""The program of one function: a label often needs no link, probabilities need no rule for the label."""

from __future__ import annotations

import typing
from dataclasses import replace
from typing import Literal

from postgres_ml.program.program import BinaryLabel, ClusterLabel, Output, Program, Value

Role = Literal["predict", "probabilities", "distances"]
# in the order of their numbers in a body
ROLES: tuple[Role, ...] = typing.get_args(Role)


def program_for(program: Program, role: Role) -> Program:
    """Return the program with the steps that a function in this role needs.

    In role 'probabilities' the slots that choose the label are replaced by the probabilities, in role
    'predict' the probabilities go.
    """
    return replace(program, output=_output_for(program.output, role)).without_dead_steps()


def _output_for(output: Output, role: Role) -> Output:
    if isinstance(output, Value):
        return output
    if isinstance(output, ClusterLabel):
        chosen = output.distances if role == "distances" else output.prediction_reads
        return replace(output, distances=chosen, scores=())
    if role == "predict":
        return replace(output, probabilities=())
    if isinstance(output, BinaryLabel):
        return replace(output, score=output.probabilities[0])
    return replace(output, scores=output.probabilities)
