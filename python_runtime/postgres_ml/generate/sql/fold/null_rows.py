"""Rows whose prediction is NULL because the pipeline itself refuses them, as conditions on arguments."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from postgres_ml.generate import literals
from postgres_ml.generate.literals import DOUBLE
from postgres_ml.generate.sql.arguments import INTEGERS, LIMIT, ArgumentReader
from postgres_ml.generate.sql.fold import monotone_threshold
from postgres_ml.generate.sql.fold.slots import (
    Categorical,
    CategoryKey,
    Computed,
    Constant,
    Monotone,
    Slot,
    Source,
)
from postgres_ml.generate.sql.plan import Plan
from postgres_ml.generate.sql.trees.simplify import Facts
from postgres_ml.generate.sql.trees.write import TreeWriter, below
from postgres_ml.program import encoders
from postgres_ml.program.program import Program, Refusal


@dataclass
class Refusals:
    """What is refused.

    Parameters
    ----------
    missing : sources that must not be missing
    categories : numbers of categories (see `CategoryKey`) that must not occur
    outside : sources, and the least and greatest number that they may be, as `monotone_threshold.key_of`
        numbers doubles
    computed : slots that SQL computes
    always : whether every row is refused
    """

    missing: list[Source] = field(default_factory=list)
    categories: dict[CategoryKey, set[int]] = field(default_factory=dict)
    outside: list[tuple[Source, int, int]] = field(default_factory=list)
    computed: list[tuple[int, Refusal]] = field(default_factory=list)
    always: bool = False


def find_refusals(program: Program, slots: list[Slot]) -> Refusals:
    """Return what the program's refusals and its categories refuse."""
    found = Refusals()
    for step, offset in zip(program.steps, program.offsets, strict=True):
        slot = slots[offset]
        if isinstance(step, encoders.Category) and isinstance(slot, Categorical):
            _refuse(found, slot, [output is None for output in slot.all_outputs])
    for refusal in program.refusals:
        slot = slots[refusal.slot]
        if isinstance(slot, Constant):
            found.always |= _is_refused(refusal, slot.value)
        elif isinstance(slot, Categorical):
            _refuse(
                found,
                slot,
                [output is not None and _is_refused(refusal, output) for output in slot.all_outputs],
            )
        elif isinstance(slot, Computed):
            found.computed.append((refusal.slot, refusal))
        else:
            _refuse_number(found, slot, refusal)
    return found


def _is_refused(refusal: Refusal, value: float) -> bool:
    if math.isnan(value):
        return refusal.missing
    return refusal.above is not None and abs(value) > refusal.above


def _refuse(found: Refusals, slot: Categorical, refused: list[bool]) -> None:
    numbers = {number for number, is_refused in enumerate(refused) if is_refused}
    if numbers:
        found.categories.setdefault(slot.key, set()).update(numbers)


def _refuse_number(found: Refusals, slot: Monotone, refusal: Refusal) -> None:
    if _is_refused(refusal, slot.missing) and slot.source not in found.missing:
        found.missing.append(slot.source)
    if refusal.above is None:
        return
    above = refusal.above
    evaluate = monotone_threshold.evaluate
    increasing = all(monotone_threshold.direction(step) >= 0 for step in slot.operations)
    sign = 1.0 if increasing else -1.0
    first = monotone_threshold.first_key(lambda x: sign * evaluate(slot.operations, x) > above, 1)
    last = monotone_threshold.first_key(lambda x: sign * evaluate(slot.operations, x) >= -above, 1)
    entry = (slot.source, int(last[0]), int(first[0]) - 1)
    if entry not in found.outside:
        found.outside.append(entry)


def facts_of(program: Program, slots: list[Slot], refusals: Refusals) -> Facts:
    """Return what is known of rows that aren't refused."""
    integers = {
        Source(position): INTEGERS[item.sql_type]
        for position, item in enumerate(program.inputs)
        if item.kind == "number" and item.sql_type in INTEGERS
    }
    impossible: dict[CategoryKey, frozenset[int]] = {}
    for slot in slots:
        if isinstance(slot, Categorical):
            absent = refusals.categories.get(slot.key, set()) | absent_categories(program, slot.key)
            if Source(slot.input) in refusals.missing:
                absent = absent | {len(slot.values)}
            impossible[slot.key] = frozenset(absent)
    return Facts(integers, frozenset(refusals.missing), impossible)


def absent_categories(program: Program, key: CategoryKey) -> set[int]:
    """Return the categories that no argument has: a boolean is never unseen when both values are listed."""
    is_whole = program.inputs[key.input].kind == "boolean" and set(key.values) == {False, True}
    return {len(key.values) + 1} if is_whole else set()


def ordinary_conditions(
    plan: Plan, reader: ArgumentReader, writer: TreeWriter, refusals: Refusals
) -> list[str]:
    """Return conditions under which any row is refused."""
    conditions = [f"{reader.source(source).sql} is null" for source in refusals.missing]
    for key, numbers in refusals.categories.items():
        members = frozenset(numbers) - absent_categories(plan.program, key)
        if members:
            sql, positive = writer.member(key, members)
            conditions.append(sql if positive else f"({sql}) is not true")
    for source, low, high in refusals.outside:
        if not _is_guarded(reader, source):
            conditions += _outside(reader, source, low, high)
    return conditions


def extreme_conditions(reader: ArgumentReader, refusals: Refusals) -> list[str]:
    """Return conditions under which a row with a number beyond the limits is refused; sets the limits."""
    conditions = []
    for source, low, high in refusals.outside:
        if _is_guarded(reader, source):
            least, greatest = monotone_threshold.value_of(low), monotone_threshold.value_of(high)
            reader.limit(source, max(least, -LIMIT), min(greatest, LIMIT))
            conditions += _outside(reader, source, low, high)
    return conditions


def _is_guarded(reader: ArgumentReader, source: Source) -> bool:
    return source.slot is None and source == source.base and reader.bounds(source) is None


def _outside(reader: ArgumentReader, source: Source, low: int, high: int) -> list[str]:
    operand, bounds = reader.source(source), reader.bounds(source.base)
    conditions = []
    if low > -monotone_threshold.TOP and not (bounds and monotone_threshold.value_of(low) <= bounds[0]):
        conditions.append(below(operand, low, True))
    if high < monotone_threshold.TOP and not (bounds and monotone_threshold.value_of(high) >= bounds[1]):
        conditions.append(below(operand, high + 1, False))
    return conditions


def computed_conditions(reader: ArgumentReader, refusals: Refusals) -> list[str]:
    """Return conditions on slots that are computed, to be asked once they are."""
    conditions = []
    for slot, refusal in refusals.computed:
        operand = reader.slot_operands[slot]
        name = operand.sql
        if refusal.missing:
            conditions.append(f"{name} is null")
        if refusal.above is not None:
            # a limit beyond single precision is no literal of type real
            number = f"{name}::{DOUBLE}" if operand.sql_type == "real" else name
            conditions.append(f"pg_catalog.abs({number})>{literals.double(refusal.above)}")
    return conditions
