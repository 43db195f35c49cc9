"""Scoring program to functions in language plmodel: the program in binary form, as base64.

The fastest of the runtimes. The format is described in docs/plmodel-format.md and read by the C extension in
extension/. Exactness: trees to the last bit of the library's own margins; sums and products in the order that
the scoring program states; exp, log and their like are the server's C library's, as xgboost's are.
"""

from __future__ import annotations

import base64

from postgres_ml.contract import sql_names
from postgres_ml.contract.exceptions import UnsupportedModelError
from postgres_ml.contract.model import FunctionBody
from postgres_ml.generate.functions import GeneratedFunctions
from postgres_ml.generate.native.body import write_body
from postgres_ml.generate.native.cost import estimate_rows_per_s
from postgres_ml.generate.native.role import Role
from postgres_ml.program.program import ClusterLabel, Program

__all__ = ["generate_native", "generate_native_part"]

LANGUAGE = "plmodel"
# of all bodies together: the catalog keeps them in one jsonb, which holds 256 MB; some ten million nodes
LARGEST_BYTES = 200_000_000


def generate_native(
    program: Program, schema: str, function: str, rule: Program | None = None
) -> GeneratedFunctions:
    """Return the functions that compute a scoring program in language plmodel.

    `<function>` returns the label or value, `<function>_probabilities` jsonb where the program has
    probabilities, `<function>_distances` an array where it has clusters. Names, arguments and types are
    those of the SQL runtime.

    Parameters
    ----------
    schema, function : where the functions go, unquoted
    rule : whether a row is an anomaly, which `<function>_is_anomaly` returns; None where nothing says so

    Raises
    ------
    UnsupportedModelError
        The program is too large for a function's body, or holds a label that no Postgres text can hold.
    SpecError
        The function's name is too long for the names derived from it.
    """
    sql_names.check_function_name(function)
    columns = [(item.name, item.sql_type) for item in program.inputs]
    arguments, composite = sql_names.function_arguments(schema, function, columns)
    bodies = [("predict", function, program.return_type)]
    if program.output.probabilities:
        bodies.append(("probabilities", f"{function}_probabilities", "jsonb"))
    if isinstance(program.output, ClusterLabel):
        bodies.append(("distances", f"{function}_distances", "double precision[]"))
    functions = tuple(
        FunctionBody(role, name, arguments, returns, LANGUAGE, _base64(program, role), composite)  # type: ignore[arg-type]
        for role, name, returns in bodies
    )
    if rule is not None:
        body = _base64(rule, "predict")
        name, returns = f"{function}_is_anomaly", rule.return_type
        told = FunctionBody("is_anomaly", name, arguments, returns, LANGUAGE, body, composite)
        functions = (*functions, told)
    size = sum(len(item.body) for item in functions)
    if size > LARGEST_BYTES:
        raise UnsupportedModelError(
            "program", f"{size / 1e6:,.0f} MB of functions", "use fewer or shallower trees"
        )
    speed = estimate_rows_per_s(program)
    nodes = f"{program.n_nodes:,} nodes, " if program.n_nodes else ""
    return GeneratedFunctions(
        functions=functions,
        style="program",
        n_nodes=program.n_nodes,
        size_bytes=size,
        est_rows_per_s=speed,
        messages=(f"native: {nodes}{size / 1e6:.1f} MB, about {float(f'{speed:.1g}'):,.0f} rows/s a core",),
    )


def generate_native_part(program: Program, schema: str, function: str, suffix: str) -> FunctionBody:
    """Return a part in language plmodel that computes a program of its own from the function's arguments."""
    columns = [(item.name, item.sql_type) for item in program.inputs]
    arguments, composite = sql_names.function_arguments(schema, function, columns)
    name = sql_names.helper_name(function, suffix)
    body = _base64(program, "predict")
    return FunctionBody("part", name, arguments, program.return_type, LANGUAGE, body, composite)


def _base64(program: Program, role: Role) -> str:
    return base64.b64encode(write_body(program, role)).decode("ascii")
