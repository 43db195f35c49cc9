"""Every kind of step, in random programs, on rows of all types, against the reference interpreter."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import numpy as np
import psycopg2.extensions
import pytest
from native.programs import INPUTS, random_program, random_rows
from postgres_ml.generate import create_statement
from postgres_ml.generate.native import generate_native
from postgres_ml.program import interpret
from postgres_ml.program.program import Program, Value
from psycopg2 import sql
from psycopg2.extras import execute_values

N_ROWS = 60
KERNELS = ("scalar", "avx2", "avx512")


@pytest.fixture
def rows(native: psycopg2.extensions.cursor, schema: str) -> dict[str, list[Any]]:
    """Random rows, in a table `rows` of the schema."""
    columns = random_rows(7, N_ROWS)
    native.execute(sql.SQL("set search_path = {}").format(sql.Identifier(schema)))
    types = {"character": "character(4)"}
    definitions = ", ".join(f"{item.name} {types.get(item.sql_type, item.sql_type)}" for item in INPUTS)
    native.execute(f"create table rows (id int, {definitions})")
    execute_values(
        native,
        "insert into rows values %s",
        [(k, *row) for k, row in enumerate(zip(*columns.values(), strict=True))],
    )
    return columns


def predictions(cursor: Any, program: Program, schema: str, slots: list[int]) -> np.ndarray:
    """What the native function gives for each slot, of shape (N_ROWS, n_slots); NaN for NULL."""
    names = []
    for slot in slots:
        (body,) = generate_native(replace(program, output=Value(slot)), schema, f"f{slot}").functions
        cursor.execute(create_statement(body, schema))
        names.append(f"f{slot}({', '.join(item.name for item in INPUTS)})")
    cursor.execute(f"select {', '.join(names)} from rows order by id")
    return np.array([[math.nan if v is None else v for v in row] for row in cursor.fetchall()])


def expected(program: Program, columns: dict[str, list[Any]], slots: list[int]) -> np.ndarray:
    values = interpret.slots(program, columns)[:, slots]
    refused = [p is None for p in interpret.predict(program, columns)]
    values[refused] = math.nan
    return values


def chosen_slots(program: Program, seed: int) -> list[int]:
    """Slots of the scoring steps, where everything comes together, and some others."""
    n_slots = sum(step.width for step in program.steps)
    last = program.offsets[-4]
    source = random.Random(seed)
    return sorted(
        {
            *source.sample(range(last), min(last, 8)),
            *source.sample(range(last, n_slots), min(n_slots - last, 8)),
        }
    )


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("seed", range(24))
def test_exact_steps_agree_with_the_interpreter_to_the_last_bit(
    native: psycopg2.extensions.cursor, schema: str, rows: dict[str, list[Any]], seed: int, kernel: str
) -> None:
    program = random_program(seed, exact=True)
    slots = chosen_slots(program, seed)
    native.execute(f"set plmodel.kernel = {kernel}")
    ours, theirs = predictions(native, program, schema, slots), expected(program, rows, slots)
    wrong = [
        slots[k] for k in range(len(slots)) if not np.array_equal(ours[:, k], theirs[:, k], equal_nan=True)
    ]
    assert not wrong, f"slots {wrong} differ"


@pytest.mark.parametrize("seed", range(100, 116))
def test_functions_of_the_c_library_agree_to_a_few_ulps(
    native: psycopg2.extensions.cursor, schema: str, rows: dict[str, list[Any]], seed: int
) -> None:
    program = random_program(seed, exact=False)
    slots = chosen_slots(program, seed)
    ours, theirs = predictions(native, program, schema, slots), expected(program, rows, slots)
    # a difference of an ulp may be multiplied by cancellation: compare where the interpreter's own values are sane
    sane = np.abs(theirs) < 1e6
    assert np.array_equal(np.isnan(ours), np.isnan(theirs))
    assert np.allclose(ours[sane], theirs[sane], rtol=1e-9, atol=1e-9)
