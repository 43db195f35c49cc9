"""The bins of an axis of tables in words: '3 to < 5', "'CA', 'NY'", 'missing'."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from postgres_ml.generate.sql.fold import monotone_threshold
from postgres_ml.generate.sql.fold.slots import Categorical, Monotone, Slot
from postgres_ml.program.compute import bins_of
from postgres_ml.program.program import Program

MISSING, UNSEEN = "missing", "unseen"
MOMENTS = ("date", "time", "timestamp", "timestamptz")


@dataclass(frozen=True)
class AxisNames:
    """An axis in words.

    Parameters
    ----------
    column : of the query; a part of a date says which: 'month of born'
    bins : of each bin the values; None of a bin that no value can fall into
    edges : between the bins of numbers, in the column's own unit; empty of categories
    """

    column: str
    bins: tuple[str | None, ...]
    edges: tuple[float, ...] = ()


def axis_names(program: Program, slot: Slot, edges: Sequence[float]) -> AxisNames:
    """Return the axis in words.

    Parameters
    ----------
    slot : that the axis reads, folded
    edges : of the axis, in the slot's unit
    """
    if isinstance(slot, Categorical):
        return AxisNames(program.inputs[slot.input].name, _categories(slot, edges))
    if isinstance(slot, Monotone) and slot.source.input is not None:
        item = program.inputs[slot.source.input]
        part = slot.source.part
        column = item.name if part is None or item.kind not in MOMENTS else f"{part} of {item.name}"
        if slot.source == slot.source.base and all(
            monotone_threshold.direction(step) > 0 for step in slot.operations
        ):
            own = _own_edges(slot, edges)
            missing = int(bins_of(edges, np.array(slot.missing)))
            return AxisNames(column, _numbers(own, missing), own)
    reads = "a number that the preprocessing makes of several columns"
    return AxisNames(column if isinstance(slot, Monotone) else reads, _numbers(tuple(edges), len(edges) + 1))


def _own_edges(slot: Monotone, edges: Sequence[float]) -> tuple[float, ...]:
    """Return the edges in the unit of the slot's source: the least number that is at or above each."""
    if not slot.operations:
        return tuple(edges)
    keys, _ = monotone_threshold.crossings(slot.operations, np.array(edges), "<", "float64")
    return tuple(monotone_threshold.value_of(int(key)) for key in keys)


def _numbers(edges: tuple[float, ...], missing: int) -> tuple[str | None, ...]:
    """Return the bins between the edges, and that of missing values.

    Parameters
    ----------
    missing : the bin that missing values fall into, which is that of a number where they are filled in
    """
    shown = [f"{edge:.15g}" for edge in edges]
    names = [f"< {shown[0]}" if shown else "any"]
    names += [f"{low} to < {high}" for low, high in pairwise(shown)]
    names += [f">= {shown[-1]}"] if shown else []
    if missing == len(edges) + 1:
        return (*names, MISSING)
    names[missing] += f" or {MISSING}"
    return (*names, None)


def _categories(slot: Categorical, edges: Sequence[float]) -> tuple[str | None, ...]:
    members: dict[int, list[str]] = defaultdict(list)
    shown = [_quoted(value) for value in slot.values]
    is_boolean = bool(slot.values) and all(isinstance(value, bool) for value in slot.values)
    for name, output in zip([*shown, MISSING, UNSEEN], slot.all_outputs, strict=True):
        if output is not None and not (is_boolean and name == UNSEEN):
            members[int(bins_of(edges, np.array(output)))].append(name)
    return tuple(", ".join(members[number]) or None for number in range(len(edges) + 2))


def _quoted(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.15g}" if math.isfinite(value) else str(value)
    return "'" + str(value).replace("'", "''") + "'"
