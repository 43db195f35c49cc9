"""Functions in PL/Python that let the fitted pipeline itself answer.

Input: the function's signature and the artifact's digest. Output: function bodies. They read the artifact
from postgres_ml.artifact with the rights of their owner, so whoever may call them needs no right on the
catalog; and once in a backend's life, then it stays in GD, which all functions of a session share.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from postgres_ml.contract import sql_names
from postgres_ml.contract.column import Column
from postgres_ml.contract.model import PYTHON_OPTIONS, Details, FunctionBody, Role
from postgres_ml.generate import literals
from postgres_ml.generate.functions import GeneratedFunctions
from postgres_ml.generate.python.loader import loader
from postgres_ml.generate.version import GENERATOR_VERSION

__all__ = ["generate_python"]

LANGUAGE = "plpython3u"
DETAIL_TYPES = {"probabilities": "jsonb", "distances": "double precision[]", "is_anomaly": "boolean"}


def generate_python(
    columns: Sequence[Column],
    returns: str,
    schema: str,
    function: str,
    *,
    sha256: str,
    python_path: str | None,
    details: Details | None,
    est_rows_per_s: int,
) -> GeneratedFunctions:
    """Return the functions that ask an artifact.

    `<function>` and, with details, `<function>_probabilities`, `_distances` or `_is_anomaly` have the
    signatures of the other runtimes; `_<function>__batch` takes columns of many rows and is what
    predict_table calls.

    Parameters
    ----------
    columns : the arguments
    returns : SQL type of the prediction
    schema, function : where the functions go, unquoted
    sha256 : of the artifact
    details : what the artifact tells of a row besides its prediction
    python_path : folder of the libraries on the server; None where they are the server's own
    est_rows_per_s : as measured when the artifact was packed

    Raises
    ------
    SpecError
        The function's name is too long for the names derived from it.
    """
    sql_names.check_function_name(function)
    arguments, composite = sql_names.function_arguments(
        schema, function, [(column.name, column.sql_type) for column in columns]
    )
    values = "args"
    if composite:
        names = [name for name, _ in composite]
        values = f"[args[0] and args[0][name] for name in {names!r}]"
    header = f"# dbt-postgres-ml {GENERATOR_VERSION}, artifact {sha256}\n{loader(sha256, python_path)}"

    def body(role: Role, suffix: str, kind: str, call: str) -> FunctionBody:
        text = f"{header}return scorer.{call}\n"
        return FunctionBody(
            role, function + suffix, arguments, kind, LANGUAGE, text, composite, PYTHON_OPTIONS
        )

    bodies = [body("predict", "", returns, f"predict({values})")]
    if details is not None:
        bodies.append(body(details, f"_{details}", DETAIL_TYPES[details], f"{details}({values})"))
    batched = batch_arguments(columns)
    if len(batched) <= sql_names.MAX_ARGUMENTS:
        batch = body("part", "", f"{literals.type_name(returns)}[]", "batch(*args)")
        name = sql_names.helper_name(function, "batch")
        bodies.append(dataclasses.replace(batch, name=name, arguments=batched, composite=()))
    return GeneratedFunctions(
        functions=tuple(bodies),
        style="artifact",
        n_nodes=0,
        size_bytes=sum(len(body.body) for body in bodies),
        est_rows_per_s=est_rows_per_s,
        messages=(
            f"python: about {est_rows_per_s:,} rows/s a core one by one; predict_table is faster by far",
        ),
    )


def batch_arguments(columns: Sequence[Column]) -> tuple[tuple[str, str], ...]:
    """Return the batch function's arguments: doubles of all numbers and booleans; an array of each text."""
    others = [column for column in columns if column.kind not in ("number", "boolean")]
    return (("numbers", "bytea"), *((column.name, "text[]") for column in others))
