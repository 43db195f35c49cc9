"""Rows a second of a program's SQL function on one core, on a server of its own, as bench_sql.py times them.

The rows are those that are given, repeated until there are enough to time.
"""

from __future__ import annotations

import io
from typing import Any

import pandas as pd
from bench_sql import Server, seconds, server_at
from postgres_ml.contract.sql_names import identifier
from postgres_ml.generate import generate_sql
from postgres_ml.program.program import Program

MOST_ROWS, LEAST_ROWS, ENOUGH_S = 100_000, 1_000, 2  # rows to time: by estimate two seconds of them
SCHEMA, TABLE, FUNCTION = "bench_sql", "rows_to_score", "predict_it"


def measure(program: Program, frame: pd.DataFrame) -> dict[str, Any]:
    """Return rows a second of `create table as select id, predict(…)`, and what the function's estimate was.

    Parameters
    ----------
    frame : of the program's inputs, some rows at least
    """
    generated = generate_sql(program, SCHEMA, FUNCTION)
    with server_at(None) as server:
        n_wanted = min(max(ENOUGH_S * generated.est_rows_per_s, LEAST_ROWS), MOST_ROWS)
        n_rows = _load(server, program, frame, n_wanted)
        server.create(generated)
        predict = next(body for body in generated.functions if body.role == "predict")
        names = ", ".join(identifier(item.name) for item in program.inputs)
        if predict.composite:
            names = f"row({names})::{predict.arguments[0][1]}"
        query = f"select id, {FUNCTION}({names}) from {TABLE}"
        taken = seconds(server.scored(query), server.clock)
    return {
        "sql_rows_per_s": round(n_rows / taken),
        "sql_estimate": generated.est_rows_per_s,
        "sql_style": generated.style,
    }


def _load(server: Server, program: Program, frame: pd.DataFrame, n_wanted: int) -> int:
    """Create the table, and return how many rows it has."""
    names = [item.name for item in program.inputs]
    columns = ", ".join(f"{identifier(item.name)} {item.sql_type}" for item in program.inputs)
    server.cursor.execute(f"create table {TABLE} (id int, {columns})")
    repeated = pd.concat([frame[names]] * -(-n_wanted // len(frame)), ignore_index=True).head(n_wanted)
    buffer = io.StringIO()
    repeated.to_csv(buffer, header=False)
    buffer.seek(0)
    server.cursor.copy_expert(f"copy {TABLE} from stdin csv", buffer)
    server.cursor.execute(f"vacuum analyze {TABLE}")
    return len(repeated)
